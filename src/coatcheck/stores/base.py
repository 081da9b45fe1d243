"""What a store promises. Three small protocols: sessions with their feed, accounts, signing keys.

Common to all of them:

- ``now`` is always an argument, in seconds since the Unix epoch, so that every store obeys a test clock.
- A session that is not live is ``None``, whatever the reason: unknown, revoked, idle for too long, past its absolute
  deadline, or made before the latest cut-off of its subject's sessions of its kind.
- A subject has one epoch, which every cut-off steps, and for each kind the epoch of the latest cut-off that ended
  sessions of that kind. A session is kept with the latter as its epoch, and lives while that stays the same.
- A store that fails raises `StoreUnavailable`, whatever its driver raised. A write that was not surely done raises.
- Cancelling a call never leaves a connection half-read and never half-writes: an operation is one transaction.
- An operation that changes what a verifier may believe appends its event in the same transaction.
- Epochs and versions of subjects never repeat, also on a history that was rolled back: `rules.next_number`.
- The time that a store gives out does not go back by more than `CLOCK_STEP`: it keeps the highest that anything was
  issued or pruned with. An event is dated no earlier than that, so it is kept for as long as what was issued before it.
- A deadline is the first moment at which it no longer holds: live means ``now < deadline``.
- Session data is JSON; what JSON cannot say is `Rejected`, and nothing changes. What a caller was given or handed in
  is a copy: changing it does not change the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from ..errors import CoatcheckError
from ..model import ALL_KINDS, Account, Event, Kind, Session, Standing


class FeedLost(CoatcheckError):
    """The cursor is of another feed, older than the feed's tail, or names an event that is not in this history: start
    again without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRead:
    """One completed read of the feed."""

    feed: str
    """Identity made when the feed was made. A flushed store or an empty replica has another one."""
    cursor: str
    """Pass it to the next read. Opaque."""
    events: Sequence[Event]
    """In commit order; those after the cursor that was given, or all that are kept when none was."""
    since: float
    """Every event committed at or after this time was in the feed: what a read without a cursor covers."""
    now: float
    """The store's time during the read: its clock, or the highest time it has given out if that is later."""
    behind: float = 0.0
    """Seconds that the store's clock is behind ``now``: it was put back, and time stands still until it has caught
    up."""
    heights: Sequence[float] = ()
    """The highest time that was given out, of each shard. One that is lower than before says that the history was
    rolled back, where no event tells of it."""
    more: bool = False
    """Whether the feed goes on after these events, because one read gives at most `FEED_PAGE` of them. Read again from
    the cursor at once: only a read without more proves that nothing was missed."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """This caller stepped the generation. ``standing`` is as it is afterwards."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class Replayed:
    """The generation just before the current one, inside the reuse window: nothing was changed, and the caller
    derives the same successor, which is ``standing.session.generation``."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class Reused:
    """An older generation, or outside the window: the session was revoked and the event appended in the same step."""

    session: Session


@dataclass(frozen=True, slots=True)
class Gone:
    """No live session, or a generation that was never handed out. Nothing was changed."""


Rotation = Rotated | Replayed | Reused | Gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """One session that was in use."""

    session_id: str
    seen: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPage:
    """Live sessions of a subject, newest first."""

    sessions: Sequence[Session]
    next: str | None = None
    """The cursor of the next page, or None when this is the last."""


class Feed(Protocol):
    """What a follower reads: a session store's feed, or an issuing service's."""

    async def events(self, cursor: str | None, *, wait: float) -> FeedRead:
        """Read the feed.

        With a cursor: the events after it; if there are none, wait up to ``wait`` seconds for one. Without: at once,
        all events that are kept. At most `FEED_PAGE` of them; then ``more`` is set. A cursor never passes an event that
        is not yet committed. It names the event that it stands behind, each of which has a random part: a read proves
        that this very one is in the history, so that a backup put back is noticed, however much has been appended
        since. What is read is the primary's, of every shard. Raises `FeedLost` when the cursor proves nothing here
        (another feed, older than the tail, an event that is not there), and `StoreUnavailable` when the store stays
        silent for longer than ``wait`` and a few seconds."""


@runtime_checkable
class Founder(Protocol):
    """A store whose feed can be given a new beginning."""

    async def begin_anew(self, feed: str, *, since: float, now: float, clock: float | None = None) -> bool:
        """Give the feed a new identity, if it still is the one named, and have it cover nothing from before ``since``,
        ``now`` and the highest time that the store has given out. For a history that was rolled back: what it kept
        stays, but does not prove that nothing else had happened. Every follower loses the feed, and asks the store
        about each access token of before.

        ``clock``, if given, is the highest time from now on, for an operator whose store was far ahead: sessions that
        are dated later end, later events are dated so, and the feed may cover what comes after ``since`` and ``now``:
        so withdraw the keys that have signed meanwhile. Returns False, and changes nothing, when the feed is
        another one already."""


@runtime_checkable
class ChecksWrites(Protocol):
    """A store that knows whether it takes writes, beyond answering what is read."""

    async def check_writes(self) -> None:
        """Raise `StoreUnavailable`, with the reason, while its database refuses writes: a disk or memory that is full,
        a server that only reads. It is asked often: it remembers what became of the last writes, and asks the
        database at most every few seconds."""


class SessionStore(Feed, Founder, Protocol):
    """Sessions, subjects' epochs and versions, and the feed."""

    async def open(self) -> None:
        """Connect and check that this is a store we can work with.

        Raises `StoreUnavailable` or `ConfigurationError` (`SchemaMismatch` among them)."""

    async def close(self) -> None:
        """Give back every connection. Idempotent."""

    async def time(self) -> float:
        """The store's time, seconds since the Unix epoch, as `FeedRead.now`."""

    async def standing_of(self, subject: str) -> tuple[int, int]:
        """The subject's epoch, which every cut-off steps, and version; ``(0, 0)`` for one never heard of."""

    async def create(self, session: Session, *, now: float, keep: int | None = None) -> tuple[str, ...]:
        """Insert the session, only if since ``session.epoch`` no cut-off has ended sessions of its kind. It is kept
        with the epoch of the latest one that has.

        ``keep`` is how many live sessions the subject may have, this one among them. Logins and guests
        (`PERSON_KINDS`) count together: the oldest beyond it end in the same step, each with its SESSION_REVOKED, but
        at most `MAX_ENDED` of them (a lower limit is reached by and by). Returns the ids of those that ended, oldest
        first. The new session is never among them. Of every other kind those of the same kind count, none of them ends
        for a new one, and `LimitReached` is raised.

        Raises `Conflict` otherwise (a login lost against a password change or logout-everywhere), and when the id
        exists already. ``session.epoch`` must be one that `standing_of` gave *before* the password was checked."""

    async def find(self, session_id: str, *, now: float) -> Standing | None:
        """The live session with its subject's epoch and version, or None."""

    async def touch(self, touches: Sequence[Touch], *, now: float) -> frozenset[str]:
        """Set ``seen`` and move the idle deadline to ``seen + idle_timeout``, never backwards and never past the
        absolute deadline; only if live. Returns the ids that are *not* live, which were left as they are."""

    async def rotate(self, session_id: str, generation: int, *, window: float, now: float) -> Rotation:
        """One compare-and-set of the refresh generation.

        - `Rotated`: it was current; now it is ``generation + 1``, ``rotated`` and ``seen`` are ``now`` and the idle
          deadline moved as by `touch`. Exactly one caller per generation gets this.
        - `Replayed`: it is the one just before, and ``now`` is within ``window`` of ``rotated``.
        - `Reused`: it is older than current in any other way; the session is revoked, event and row in one step, as by
          `revoke` whatever its deadlines say.
        - `Gone`: not live, or a generation never handed out.
        """

    async def update(
        self,
        session_id: str,
        version: int,
        *,
        now: float,
        data: Mapping[str, Any] | None = None,
        label: str | None = None,
        authenticated: float | None = None,
        amr: tuple[str, ...] | None = None,
    ) -> Session | None:
        """Change the named fields if the session is live and its version still is ``version``; step the version.

        Never inserts. None when it is not live; raises `Conflict` when the version is another. ``authenticated`` or
        ``amr`` are part of an Identity, so they append SESSION_CHANGED; ``data`` and ``label`` append nothing."""

    async def revoke(self, session_id: str, *, now: float) -> Session | None:
        """End the session and append SESSION_REVOKED, whatever the deadlines and the time of day say. Terminal, and it
        beats a concurrent touch, rotate or update in either order. Returns the session that this call ended; None when
        there was none, or only one of an older epoch.

        The event is appended also when there is no session: a store that was put back may have forgotten one whose
        access tokens are still about. What the feed holds already is not appended again, so a second call changes
        nothing; neither does an id that `new_session_id` cannot have made."""

    async def revoke_subject(
        self, subject: str, *, now: float, excepted: str | None = None, kinds: frozenset[Kind] = ALL_KINDS
    ) -> int:
        """Step the subject's epoch, end its sessions of these kinds, and append one SUBJECT_CUT_OFF naming the
        exception and the kinds that were spared. O(1) in the number of sessions. The excepted session must be a live
        one of this subject, in the same step, and takes the new epoch if its kind is cut off; otherwise `NotFound` is
        raised and nothing changes. Returns the new epoch, a higher one than ever. A subject never heard of is cut off
        as well (a login under way must lose)."""

    async def step_version(self, subject: str, *, now: float) -> int:
        """Step the subject's version and append SUBJECT_CHANGED. Returns the new version, a higher one than ever. Call
        it *after* the roles or claims were written."""

    async def revoke_token(self, session_id: str, token_id: str, *, now: float) -> bool:
        """Append TOKEN_REVOKED for one access token (RFC 7009). Its session lives on. What the feed holds already is
        not appended again, and of one session it holds `MAX_TOKENS` at most: one more ends the session instead, as
        `revoke` does. Returns whether it was that."""

    async def announce_keys(self, *, now: float) -> None:
        """Append KEYS_CHANGED. Call it *after* the key store was written."""

    async def sessions_of(
        self,
        subject: str,
        *,
        now: float,
        limit: int = 50,
        cursor: str | None = None,
        kinds: frozenset[Kind] = ALL_KINDS,
    ) -> SessionPage:
        """Live sessions of these kinds, newest first, paged. Raises `Rejected` for a cursor that is not one of ours."""

    async def prune(self, *, now: float, keep_events: float, limit: int = 1000) -> int:
        """Delete at most ``limit`` dead sessions and at most ``limit`` events older than ``now - keep_events``
        seconds. Safe beside itself. Returns how many rows went; 0 means there is nothing left to do. ``now`` counts as
        given out."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One counter that a try is counted in: at most ``limit`` within ``window`` seconds from the first one."""

    key: str
    limit: float
    window: float


@runtime_checkable
class AccountStore(Protocol):
    """Rows of Coatcheck's own accounts. No rules live here, they are in `coatcheck.accounts`."""

    async def insert(self, account: Account) -> None:
        """Raises `EmailTaken` when ``email_key`` exists."""

    async def by_id(self, account_id: str) -> Account | None:
        """The account, or None."""

    async def by_email(self, email_key: str) -> Account | None:
        """The account with this canonical address, or None."""

    async def set_password_hash(self, account_id: str, password_hash: str, *, expected: str) -> bool:
        """Replace the hash if it still is ``expected``. False when it is not, or the account is gone."""

    async def set_roles(self, account_id: str, roles: Iterable[str]) -> bool:
        """False when there is no such account."""

    async def set_disabled(self, account_id: str, disabled: bool) -> bool:
        """False when there is no such account."""

    async def page(self, *, search: str = "", limit: int = 50, cursor: str | None = None) -> AccountPage:
        """Accounts in order of creation, newest first; ``search`` is a case-insensitive part of the address (SQL
        wildcards in it mean themselves). Raises `Rejected` for a cursor that is not one of ours."""

    async def count_failure(self, key: str, *, now: float, window: float) -> int:
        """Add one to the counter ``key``, which starts again ``window`` seconds after its first count. Returns the
        new count. Atomic. Counters that are over go at the same time, in bounded number but faster than they come, so
        that an attack with ever new names leaves nothing behind."""

    async def failures(self, keys: Sequence[str], *, now: float) -> Sequence[tuple[int, float]]:
        """Each of these counters and the time at which it starts again, all of one moment; ``(0, now)`` for one that
        there is none of."""

    async def count_try(self, counters: Sequence[Counted], *, now: float) -> float | None:
        """Add one to each of these counters, each named once, and return None; or, when that would take one past its
        limit, change nothing and return when the first of those in this order starts again. Atomic: however many
        tries come at once, no counter gets past its limit. Counters that are over go as in `count_failure`."""

    async def settle_try(
        self, *, uncounted: Sequence[str], cleared: Sequence[str] = (), counted: Counted | None = None, now: float
    ) -> None:
        """Take one from each of the ``uncounted``, never below zero (one that is unknown or over stays as it is);
        forget the ``cleared``; and add one to ``counted``, whatever its limit. All of it or nothing. What was counted
        before a try is given back with it when the try turns out to be none."""


@runtime_checkable
class KnowsHashes(Protocol):
    """An `AccountStore` that can say which password hashes of other systems there are. Without it the first login that
    meets one takes longer."""

    async def hashes_beside(self, prefix: str) -> Sequence[str]:
        """Examples of the stored password hashes that do not begin with ``prefix``: of each kind, by its first seven
        characters, the first and the last in their order. At most 64 kinds. It may look at every account: ask once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPage:
    """Some accounts and where to go on."""

    accounts: Sequence[Account]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedKey:
    """A signing key at rest: the private part is sealed under a key derived from the secret, never in the clear."""

    kid: str
    algorithm: str
    sealed: bytes = field(repr=False)
    created: float
    signs_from: float
    """Published at once, it signs from here on, so that every verifier knows it before it meets it."""
    retires: float | None = None
    """From here on it no longer verifies. None while it is the newest."""


Hearer = Callable[[Sequence[Event]], None]


@runtime_checkable
class Herald(Protocol):
    """A store that tells of events before they are read: a message between processes is faster than a read, and does
    not become slower when all of them read at once. It proves nothing: messages may be lost, repeated, or in any order,
    so each event is read as well. But what it tells of was surely committed to this feed."""

    def tell(self, hearer: Hearer | None) -> None:
        """From now on call this, in the event loop, with events that others have appended; None: nobody."""


class KeyStore(Protocol):
    """Signing keys, sealed."""

    async def keys(self) -> Sequence[SealedKey]:
        """All keys, oldest first."""

    async def add_key(self, key: SealedKey, *, expected: Sequence[str]) -> bool:
        """Add the key if the ids present are exactly ``expected``; False otherwise. So that two processes that start
        on an empty store end up with one key."""

    async def set_retirement(self, kid: str, retires: float) -> None:
        """Set when the key stops verifying."""

    async def delete_key(self, kid: str) -> None:
        """Remove it for good. Idempotent."""


MAX_PAGE: Final = 200
"""Rows a page may have; larger limits are cut to this."""

FEED_PAGE: Final = 10_000
"""Events that one read of the feed gives at most, so that a long feed blocks neither the store nor the reader."""

CLOCK_STEP: Final = 1.0
"""Seconds by which the time that a store gives out may go back: so that many who issue need not all write it down."""

MAX_TOKENS: Final = 100
"""Access tokens of one session that may be revoked one by one while the feed remembers, so that nobody fills it."""

MAX_ENDED: Final = 100
"""Sessions that one `SessionStore.create` ends at most."""

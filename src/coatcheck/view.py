"""The revocation view: the recent events, in the shape in which they are asked for.

What a process must know so that a store read, or a token's first sight, that an event has overtaken is not believed.
Events matter as long as an access token issued before them can live; they are kept in two generations, and the older
one is dropped whole, so that forgetting a million costs nothing. Who comes with a token from before what was dropped is
refused, so that a clock which has jumped lets nobody in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from .errors import ExpiredCredential, RevokedCredential, StaleCredential
from .model import ALL_KINDS, Event, EventKind, Kind, Standing
from .stores.base import CLOCK_STEP

T = TypeVar("T")


class Overtaken(Exception):
    """A store read is older than an event already known: read again. Never leaves the core."""


_BUCKETS: Final = 1 << 16
_FREED_AT_ONCE: Final = 5000
"""Entries freed after each read of the feed: a fraction of a millisecond, and a million within a minute."""


class _Ids:
    """A set of ids in a quarter of a set's memory: about 35 bytes for one of ours, so that a million fit into 40 MB.

    Each bucket is one line per id; bytes are searched at memory speed, and a million ids make fifteen lines."""

    __slots__ = ("buckets",)

    def __init__(self) -> None:
        self.buckets: dict[int, bytearray] = {}

    def add(self, text: str) -> None:
        place, line = hash(text) % _BUCKETS, _line(text)
        bucket = self.buckets.get(place)
        if bucket is None:
            self.buckets[place] = bytearray(line)
        elif line not in bucket:
            bucket += line[1:]


def _holds(new: _Ids, old: _Ids, text: str) -> bool:
    """Whether either has this id: one call instead of two, for every first sight makes it."""
    place = hash(text) % _BUCKETS
    newer, older = new.buckets.get(place), old.buckets.get(place)
    if newer is None and older is None:
        return False
    line = _line(text)
    return (newer is not None and line in newer) or (older is not None and line in older)


def _line(text: str) -> bytes:
    """Between two line ends, and with none inside, whatever an application calls its tokens."""
    return b"\n%b\n" % text.encode("unicode_escape")


_Latest = tuple[int, str]
"""The epoch of a cut-off, and the session that it spared."""


class _CutOff(NamedTuple):
    """What is known of a subject's epoch."""

    lowest: int
    """Of the epochs that it has been told of."""
    number: int
    """The latest cut-off of logins, and of whatever is not in ``others``."""
    excepted: str
    """The session that this one spared."""
    others: tuple[tuple[Kind, _Latest], ...] = ()
    """The latest of kinds for which that is another one."""

    def of(self, kind: Kind) -> _Latest:
        """The latest cut-off of sessions of this kind."""
        for other, latest in self.others:
            if other is kind:
                return latest
        return self.number, self.excepted

    def after(self, event: Event) -> _CutOff:
        """The same when this event, which may come late or again, has counted for the kinds that it ended."""
        latest = {kind: self.of(kind) for kind in Kind}
        for kind in ALL_KINDS - event.spared:
            if event.number >= latest[kind][0]:
                latest[kind] = event.number, event.session_id
        of_login = latest[Kind.LOGIN]
        others = tuple((kind, found) for kind, found in latest.items() if found != of_login)
        return _CutOff(min(self.lowest, event.number), *of_login, _SHARED.get(others, others))


_Others = tuple[tuple[Kind, _Latest], ...]
_SPARED: Final[_Others] = ((Kind.KEY, (0, "")), (Kind.GRANT, (0, "")))
_SHARED: Final[dict[_Others, _Others]] = {_SPARED: _SPARED}
"""What every logout everywhere says of keys and grants: in memory once, and not a million times."""


class _Changed(NamedTuple):
    """What is known of a subject's version."""

    lowest: int
    number: int


class _Generation:
    """Events of one span of time."""

    __slots__ = ("cut_offs", "newest", "session_versions", "sessions", "subject_versions", "tokens")

    def __init__(self) -> None:
        self.newest = -math.inf
        """The latest time at which one of them was appended."""
        self.sessions = _Ids()
        self.tokens = _Ids()
        self.cut_offs: dict[str, _CutOff] = {}
        self.subject_versions: dict[str, _Changed] = {}
        self.session_versions: dict[str, int] = {}

    def containers(self) -> list[dict[Any, Any]]:
        """Everything that may be large."""
        return [
            self.sessions.buckets, self.tokens.buckets, self.cut_offs, self.subject_versions, self.session_versions
        ]  # fmt: skip


class RevocationView:
    """Revoked sessions and tokens, and the floors under epochs, for each kind of session, and versions.

    ``retention``: seconds for which an event can matter; it is kept for that long at least and twice that at most.
    """

    def __init__(self, retention: float) -> None:
        self._retention = retention
        self._appliers: dict[EventKind, Callable[[Event], None]] = {
            EventKind.SESSION_REVOKED: self._session_revoked,
            EventKind.TOKEN_REVOKED: self._token_revoked,
            EventKind.SUBJECT_CUT_OFF: self._cut_off,
            EventKind.SUBJECT_CHANGED: self._subject_changed,
            EventKind.SESSION_CHANGED: self._session_changed,
        }
        self._dropped: list[dict[Any, Any]] = []
        """What no answer depends on any more, and is still to be freed."""
        self.reset()

    def reset(self) -> None:
        """Forget everything, and cover nothing until `cover` says so. What is applied from now on stays."""
        self._new = _Generation()
        self._old = _Generation()
        self._turned: float | None = None
        self._forgotten = -math.inf
        self.since: float = math.inf

    def cover(self, since: float) -> None:
        """The view is complete for events at or after ``since`` once those of the read that says so are applied."""
        self.since = since

    def covers(self, issued_at: float, slack: float) -> bool:
        """Whether every event that could concern a token issued at this time is known."""
        return issued_at - slack >= self.since

    def settles(self, issued_at: float, slack: float, subject: str, epoch: int, version: int) -> bool:
        """Whether `check_access` can say all there is to say of a token issued at this time. It cannot where the token
        is of a later epoch or version than any that it knows of: the event is yet to come, or is of a history that was
        rolled back, whose numbers need not be lower than those of today."""
        if issued_at - slack < self.since:
            return False
        new, old = self._new, self._old
        if not (new.cut_offs or old.cut_offs or new.subject_versions or old.subject_versions):
            return True
        cut_off, changed = self.numbers(subject)
        return (cut_off is None or epoch <= cut_off.lowest) and (changed is None or version <= changed.lowest)

    def numbers(self, subject: str) -> tuple[_CutOff | None, _Changed | None]:
        """What it knows of a subject's epoch and version. Others after something new was applied."""
        return (
            _either(self._new.cut_offs, self._old.cut_offs, subject),
            _either(self._new.subject_versions, self._old.subject_versions, subject),
        )

    def apply(self, event: Event) -> None:
        """Take an event in. Applying it twice, or late, changes nothing."""
        applier = self._appliers.get(event.kind)
        if applier is not None:
            applier(event)
            if event.at > self._new.newest:
                self._new.newest = event.at

    def forget(self, now: float, local: float) -> None:
        """Drop what can no longer matter, from the answers at once and from memory little by little: to free a million
        in one go would hold the event loop for 40 ms.

        ``now`` is the store's time, which may jump, and ``local`` the monotonic one: both must say that it is time."""
        self._free_some()
        if self._turned is None:
            self._turned = local
        if local - self._turned > self._retention and now - self._old.newest > self._retention:
            self._dropped += filter(None, self._old.containers())
            self._forgotten = max(self._forgotten, self._old.newest)
            self._old = self._new
            self._new = _Generation()
            self._turned = local

    def _free_some(self) -> None:
        if self._dropped:
            container = self._dropped[-1]
            for _ in range(min(_FREED_AT_ONCE, len(container))):
                container.popitem()
            if not container:
                self._dropped.pop()

    def check_access(
        self,
        *,
        session_id: str,
        token_id: str,
        subject: str,
        epoch: int,
        version: int,
        kind: Kind = Kind.LOGIN,
        issued_at: float = math.inf,
    ) -> None:
        """Raise `RevokedCredential` or `StaleCredential` when an event says so of an access token, and
        `ExpiredCredential` when one that could concern it has been dropped: by both clocks a token of then had
        expired at that time; if it seems not to have, then the store's has been put back."""
        if issued_at <= self._forgotten + CLOCK_STEP:
            raise ExpiredCredential("issued before what is still known")
        self._check_session(session_id, subject, epoch, kind)
        if _holds(self._new.tokens, self._old.tokens, token_id):
            raise RevokedCredential("token was revoked")
        if version < self._floor(subject):
            raise StaleCredential("subject has changed since the token was issued")

    def check_standing(self, standing: Standing) -> None:
        """Raise `RevokedCredential` or `Overtaken` when an event has overtaken a store read."""
        session = standing.session
        self._check_session(session.id, session.subject, session.epoch, session.kind)
        if standing.version < self._floor(session.subject):
            raise Overtaken
        changed = _either(self._new.session_versions, self._old.session_versions, session.id)
        if changed is not None and session.version < changed:
            raise Overtaken

    def floors(self, standing: Standing) -> tuple[int, int]:
        """The least that a store's answer may say from now on: the versions of the session and of its subject."""
        changed = _either(self._new.session_versions, self._old.session_versions, standing.session.id) or 0
        return changed, self._floor(standing.session.subject)

    def _check_session(self, session_id: str, subject: str, epoch: int, kind: Kind) -> None:
        if _holds(self._new.sessions, self._old.sessions, session_id):
            raise RevokedCredential("session was revoked")
        cut_off = _either(self._new.cut_offs, self._old.cut_offs, subject)
        if cut_off is not None:
            number, excepted = cut_off.of(kind)
            if epoch < number and session_id != excepted:
                raise RevokedCredential("subject was cut off")

    def _floor(self, subject: str) -> int:
        changed = _either(self._new.subject_versions, self._old.subject_versions, subject)
        return 0 if changed is None else changed.number

    def _session_revoked(self, event: Event) -> None:
        self._new.sessions.add(event.session_id)

    def _token_revoked(self, event: Event) -> None:
        self._new.tokens.add(event.token_id)

    def _cut_off(self, event: Event) -> None:
        known = _either(self._new.cut_offs, self._old.cut_offs, event.subject)
        self._new.cut_offs[event.subject] = (known or _CutOff(event.number, 0, "")).after(event)

    def _subject_changed(self, event: Event) -> None:
        known = _either(self._new.subject_versions, self._old.subject_versions, event.subject)
        lowest, number = (event.number,) * 2 if known is None else known
        self._new.subject_versions[event.subject] = _Changed(min(lowest, event.number), max(number, event.number))

    def _session_changed(self, event: Event) -> None:
        known = _either(self._new.session_versions, self._old.session_versions, event.session_id) or 0
        self._new.session_versions[event.session_id] = max(event.number, known)


def _either(new: dict[str, T], old: dict[str, T], key: str) -> T | None:
    value = new.get(key)
    return old.get(key) if value is None else value

"""Credential → Identity.

A hit is `AccessVerifier.known`: one dict lookup and three comparisons. A miss is `AccessVerifier.verify`: MAC or
signature first, so that what we never issued costs no I/O, then the store (session tokens only), then the view, then
the table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from . import acts, decide
from .clock import Clock
from .credentials.jwt import AccessClaims, AccessTokens, TokenReader
from .credentials.opaque import OpaqueTokens
from .credentials.transport import Carrier, Credential
from .errors import InvalidCredential, MalformedCredential, RevokedCredential, StoreUnavailable
from .events import Events
from .follower import Follower
from .model import Access, Identity, Mode, Standing, SubjectFacts
from .policy import CLOCK_LEEWAY, Policy
from .stores.base import SessionStore
from .subjects import SubjectSource, facts_from
from .table import TAIL, Entry, Table
from .view import Overtaken, RevocationView

Known = Callable[[bytes], Identity | None]

STATE_KEY: Final = "coatcheck"
"""The key under which ASGI lifespan state holds what verifies: the running `Auth` or `RemoteVerifier`."""

_MODES: Final = {mode.value: mode for mode in Mode}
"""`decide.check_access` has seen that it is one of them."""
_TRIES: Final = 5
"""How often an answer that events keep overtaking is asked for again before the store counts as unavailable."""


class AccessVerifier(ABC):
    """Turns access tokens into identities. Raises, never returns False. Where no session store is at hand, session
    tokens are refused."""

    def __init__(
        self,
        *,
        access: TokenReader[Any],
        follower: Follower,
        table: Table,
        view: RevocationView,
        clock: Clock,
        policy: Policy,
        happened: Events,
    ) -> None:
        self._access = access
        self._follower = follower
        self._table = table
        self._view = view
        self._clock = clock
        self._policy = policy
        self._emit = happened.emit
        self.known: Known = _hit_path(table, follower, clock)
        """``known(key) -> Identity | None``: the hit. Synchronous; no I/O, no lock, no crypto. ``key`` is
        `Credential.key`: the bytes of the header it came in."""

    async def verify(self, credential: Credential) -> Identity:
        """The identity behind a credential.

        Raises `InvalidCredential` (its subclass says why, for the log) or `StoreUnavailable`."""
        try:
            identity = self.known(credential.key)
            if identity is not None:
                return identity
            return await self._verify(credential)
        except InvalidCredential as error:
            self._table.remove(credential.key)
            self._emit(acts.CREDENTIAL_REFUSED, reason=error.reason, carrier=credential.carrier.value)
            raise

    async def _verify(self, credential: Credential) -> Identity:
        if credential.carrier is Carrier.SESSION_COOKIE:
            raise MalformedCredential("session tokens are verified by the issuing service only")
        return await self._verify_access(credential)

    async def _verify_access(self, credential: Credential, *, anyones: bool = False) -> Identity:
        """``anyones``: whatever it is for, and whoever it is for. Such an answer is never remembered."""
        for _ in range(_TRIES):
            keyring, now = self._access.keyring, self._clock.now()
            claims = self._access.read(credential.token, now=now)
            access = decide.access_of(claims, self._policy)
            audience = access.audience if anyones else ""
            decide.check_access(claims, self._policy, credential.carrier.mode, now, audience=audience)
            if not anyones:
                decide.check_admitted(access, self._policy)
            if self._follower.is_live() and self._view.settles(
                claims.iat, CLOCK_LEEWAY, claims.sub, claims.epoch, claims.ver
            ):
                return self._admit(
                    credential.key, claims, access, anyones
                )  # nothing was awaited: the lease and the key still stand
            identity = await self._under_lease(credential.key)
            if identity is not None:
                return identity
            era, numbers = self._follower.era, self._view.numbers(claims.sub)
            if not self._view.settles(claims.iat, CLOCK_LEEWAY, claims.sub, claims.epoch, claims.ver):
                await self._ask_about(credential, claims)
            # From here to the insertion there is no await. What was awaited may have taken the lease or the key, and
            # the answer may be of before a cut-off whose number says nothing against it.
            if self._access.keyring is not keyring or not self._knows_all_since(era):
                continue
            if self._view.numbers(claims.sub) != numbers:
                continue
            return self._admit(credential.key, claims, access, anyones)
        raise StoreUnavailable("the lease lapsed again and again")

    async def _under_lease(self, key: bytes) -> Identity | None:
        """Make sure that the lease runs, by asking the store if it must. A hit counts again once it does."""
        if self._follower.is_live():
            return None
        await self._follower.catch_up()
        return self.known(key)

    def _knows_all_since(self, era: int) -> bool:
        """Whether the view holds every event that came after a store's answer of this era, but for the last ones that
        the lease allows to miss."""
        return self._follower.is_live() and self._follower.era == era

    @abstractmethod
    async def _ask_about(self, credential: Credential, claims: AccessClaims) -> None:
        """The view does not reach back to when the token was issued, so whoever has the sessions says whether it
        stands. Raises `InvalidCredential` or `StoreUnavailable`."""

    def _admit(self, key: bytes, claims: AccessClaims, access: Access, anyones: bool) -> Identity:
        """The last question, to the view, and the insertion: no await comes between them."""
        self._view.check_access(
            session_id=claims.sid, token_id=claims.jti, subject=claims.sub, epoch=claims.epoch, version=claims.ver,
            kind=access.kind, issued_at=claims.iat,
        )  # fmt: skip
        identity = Identity(
            subject=claims.sub,
            session_id=claims.sid,
            roles=frozenset(claims.roles),
            claims=claims.claims,
            auth_time=claims.auth_time,
            amr=tuple(claims.amr),
            mode=_MODES[claims.mode.removesuffix(decide.MORE)],
            expires=claims.exp,
            token_id=claims.jti,
            access=access,
        )
        if anyones:
            return identity
        self._table.put(
            Entry(
                key,
                identity,
                self._clock.local(claims.exp),
                seen=self._clock.monotonic(),
                token_id=claims.jti,
                epoch=claims.epoch,
                version=claims.ver,
            )
        )
        return identity


class Verifier(AccessVerifier):
    """Turns credentials of every kind into identities, beside the session store."""

    def __init__(
        self,
        *,
        sessions: SessionStore,
        subjects: SubjectSource,
        opaque: OpaqueTokens,
        access: AccessTokens,
        follower: Follower,
        table: Table,
        view: RevocationView,
        clock: Clock,
        policy: Policy,
        happened: Events,
    ) -> None:
        super().__init__(
            access=access, follower=follower, table=table, view=view, clock=clock, policy=policy, happened=happened
        )
        self._sessions = sessions
        self._subjects = subjects
        self._opaque = opaque

    def session_id_of(self, credential: Credential) -> str:
        """The session that a credential of ours names, whether or not it is still live: enough to end it, for nothing
        else. No I/O. Raises `InvalidCredential` for what we did not issue."""
        if credential.carrier is Carrier.SESSION_COOKIE:
            return self._opaque.read_session_token(credential.token)
        # Also with a key that has retired, or seems to have: ending does not depend on the time of day.
        return self._access.read(credential.token, now=float("-inf")).sid

    async def _verify(self, credential: Credential) -> Identity:
        if credential.carrier is Carrier.SESSION_COOKIE:
            return await self._verify_session(credential)
        return await self._verify_access(credential)

    async def examine(self, credential: Credential) -> Identity:
        """As `verify`, whatever kind and audience it has and whatever key it is bound to: what the credential says,
        for somebody else who asks. Whoever is behind it is not to be let in by this."""
        if credential.carrier is Carrier.SESSION_COOKIE:
            return await self._verify_session(credential, anyones=True)
        return await self._verify_access(credential, anyones=True)

    async def _verify_session(self, credential: Credential, *, anyones: bool = False) -> Identity:
        session_id = self._opaque.read_session_token(credential.token)
        floors: tuple[int, int] | None = None
        for _ in range(_TRIES):
            identity = await self._under_lease(credential.key)
            if identity is not None:
                return identity
            era, began = self._follower.era, self._clock.monotonic()
            standing = await self._sessions.find(session_id, now=self._clock.now())
            if standing is None:
                raise RevokedCredential("session is not live")
            if standing.session.mode is not Mode.SESSION:
                raise MalformedCredential("session token of a session that has none")
            if not anyones:
                decide.check_admitted(standing.session.access, self._policy)
            # After the epoch and version, so that a change in between costs a re-read and never an access.
            facts = await facts_from(self._subjects, standing.session.subject)
            if facts is None:
                raise RevokedCredential("subject is unknown or disabled")
            if not self._knows_all_since(era):
                continue
            try:
                # From here to the insertion there is no await: the follower cannot come in between.
                self._view.check_standing(standing)
            except Overtaken:
                session = standing.session
                if floors is not None and (session.version < floors[0] or standing.version < floors[1]):
                    # It was known before the store was asked, so the store has lost it.
                    self._follower.lose("the store does not know of a change that was made")
                floors = self._view.floors(standing)
                continue
            return self._remember_session(credential.key, standing, facts, began, anyones)
        raise StoreUnavailable("the store's answers were overtaken again and again")

    async def _ask_about(self, credential: Credential, claims: AccessClaims) -> None:
        standing = await self._sessions.find(claims.sid, now=self._clock.now())
        if standing is None or standing.session.subject != claims.sub:
            raise RevokedCredential("session is not live")
        decide.check_standing(claims, standing)

    def _remember_session(
        self, key: bytes, standing: Standing, facts: SubjectFacts, began: float, anyones: bool
    ) -> Identity:
        session = standing.session
        identity = Identity(
            subject=session.subject,
            session_id=session.id,
            roles=session.access.narrowed(facts.roles),
            claims=facts.claims,
            auth_time=session.authenticated,
            amr=session.amr,
            mode=session.mode,
            expires=session.absolute_deadline,
            access=session.access,
        )
        if anyones:
            return identity
        local = self._clock.local
        self._table.put(
            Entry(
                key,
                identity,
                local(min(session.idle_deadline, session.absolute_deadline)),
                seen=began,
                idle=session.idle_timeout,
                absolute=local(session.absolute_deadline),
                saved=min(local(session.seen), began),
                epoch=session.epoch,
                version=standing.version,
                edition=session.version,
            )
        )
        return identity


def _hit_path(table: Table, follower: Follower, clock: Clock) -> Known:
    """The hit path as a closure, so that each name in it is one local load.

    It may run in any thread, and that thread may stand still between any two lines while the follower goes on. Hence
    the order: the lease first, then the entry, then the time. With the lease loaded after the entry, an event could
    come between the two, and the lease that proves it would let the removed entry pass."""
    get, lease, monotonic = table.get, follower.lease, clock.monotonic

    def known(key: bytes) -> Identity | None:
        until = lease.deadline
        entry = get(key[-TAIL:])
        if entry is not None and entry.key == key:
            now = monotonic()
            if now < until and now < entry.deadline:
                entry.seen = now
                return entry.identity
        return None

    return known

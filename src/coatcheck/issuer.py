"""login → session → credentials; refresh.

Order (design §4): whoever checks reads epoch and version before what they guard; ``iat`` is taken before the store is
asked. Then a race costs a refresh, never an access.
"""

from __future__ import annotations

import math
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import UNSET

from . import acts, arguments, decide
from .clock import Clock
from .credentials.cookies import MAX_COOKIE_BYTES, SECURE
from .credentials.jwt import AccessClaims, AccessTokens, ActClaim, CnfClaim
from .credentials.opaque import OpaqueTokens, new_session_id
from .errors import (
    ConfigurationError,
    InvalidCredential,
    InvalidLogin,
    Rejected,
    ReusedCredential,
    RevokedCredential,
    SessionTooLarge,
)
from .events import Events
from .follower import Follower
from .model import (
    NEVER,
    PERSON_KINDS,
    PLAIN,
    Access,
    Device,
    Event,
    EventKind,
    Kind,
    Mode,
    Session,
    Standing,
    SubjectFacts,
)
from .policy import CLOCK_LEEWAY, Policy
from .revocation import Revocation
from .stores.base import Gone, Reused, SessionStore
from .subjects import SubjectSource, facts_from

_ROUNDING = 1.0
"""Seconds by which a session's end may seem to be earlier than the policy has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a login or a refresh hands out. The tokens are secrets and kept out of ``repr``."""

    session: Session
    facts: SubjectFacts
    csrf_token: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    """Mode ``session`` only."""
    access_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    """Modes ``jwt`` and ``jwt-cookie``, as is ``access_token``."""
    expires_in: int = 0
    """Whole seconds the access token lives."""
    refresh_expires_in: int = 0
    """Whole seconds in which the refresh token must be used."""


class Issuer:
    """Makes sessions and the credentials that hang from them."""

    def __init__(
        self,
        *,
        sessions: SessionStore,
        subjects: SubjectSource,
        opaque: OpaqueTokens,
        access: AccessTokens,
        revocation: Revocation,
        follower: Follower,
        clock: Clock,
        policy: Policy,
        happened: Events,
    ) -> None:
        self._sessions = sessions
        self._subjects = subjects
        self._opaque = opaque
        self._access = access
        self._revocation = revocation
        self._apply = follower.apply
        self._clock = clock
        self._policy = policy
        self._emit = happened.emit

    async def login(
        self,
        subject: str,
        *,
        mode: Mode | str | None = None,
        epoch: int | None = None,
        remember: bool = False,
        device: Device | None = None,
        amr: tuple[str, ...] = ("pwd",),
        auth_time: float | None = None,
        data: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        access: Access = PLAIN,
        expires: float | None = None,
    ) -> Credentials:
        """Make a session for a subject whose identity has been proved, and the credentials of its mode.

        ``mode`` is a `Mode` or its text, and defaults to the policy's first. ``epoch`` is what
        `SessionStore.standing_of` said *before* the proof was checked; without it the login only races what happens
        from now on. ``remember`` counts in mode ``session``. ``auth_time``: when the identity was proved, in seconds
        since the Unix epoch, where that is not now: for a login that another system has made, which must not pass for a
        fresh one. Beyond `Policy.sessions_per_subject` the subject's oldest session ends. ``session_id``: what
        `OpaqueTokens.session_of_form` gave, never to be used a second time; a fresh one when omitted.

        ``access``: what the session is for and how far it goes, where that is no plain login; it stays as it is for as
        long as the session lives. Its kind decides lifetimes and limits. ``epoch`` may have been read for any kind.
        ``expires``: when it ends at the latest, in seconds since the Unix epoch, where the policy would let it live
        for longer.

        Raises `LimitReached` when the subject has as many keys, grants or administrators acting as it may,
        `InvalidLogin` for a subject that may not log in, `Conflict` when its sessions were ended meanwhile,
        `ConfigurationError` for a mode that the policy does not allow, `SessionTooLarge`, `StoreUnavailable`,
        `ValueError` for an ``auth_time`` that is none, `Rejected` for a subject that nobody has (empty, too long), and
        `TypeError` for what is of another kind: a subject is text, ``str(user.id)``.
        """
        arguments.kinds(Access, access=access)
        return await self._login(
            subject, mode=mode, epoch=epoch, remember=remember, device=device, amr=amr, auth_time=auth_time, data=data,
            keep=self._policy.limit(access.kind), session_id=session_id, access=access, expires=expires,
        )  # fmt: skip

    async def again(self, session_id: str, subject: str) -> Credentials | None:
        """What a login of mode ``session`` has just handed out, for whoever has proved the same again; None when there
        is no such session, or not yet, or not any more. Raises `InvalidLogin` and `StoreUnavailable`."""
        arguments.subject(subject)
        arguments.texts(session_id=session_id)
        now = self._clock.now()
        found = await self._sessions.find(session_id, now=now)
        if found is None or found.session.subject != subject or found.session.mode is not Mode.SESSION:
            return None
        facts = await facts_from(self._subjects, subject)
        if facts is None:
            raise InvalidLogin("subject is unknown or disabled")
        return self._credentials(found, facts, now)

    async def _login(
        self,
        subject: str,
        *,
        mode: Mode | str | None,
        epoch: int | None,
        remember: bool,
        device: Device | None,
        amr: tuple[str, ...],
        auth_time: float | None = None,
        data: Mapping[str, Any] | None,
        keep: int,
        session_id: str | None = None,
        access: Access,
        expires: float | None = None,
    ) -> Credentials:
        arguments.subject(subject)
        arguments.texts_or_none(session_id=session_id)
        arguments.wholes_or_none(epoch=epoch)
        arguments.numbers_or_none(auth_time=auth_time, expires=expires)
        arguments.flags(remember=remember)
        arguments.mappings_or_none(data=data)
        amr = arguments.collection(str, amr, "amr", "('pwd',)")
        device = Device() if device is None else device
        arguments.kinds(Device, device=device)
        arguments.free_texts(user_agent=device.user_agent, ip=device.ip, label=device.label)
        mode = self._policy.modes[0] if mode is None else arguments.member(Mode, mode, "mode")
        if mode not in self._policy.modes:
            raise ConfigurationError(f"mode {mode.value!r} is not among policy.modes")
        if auth_time is not None and not 0 <= auth_time < math.inf:
            raise ValueError("auth_time must be in seconds since the Unix epoch")
        if access.kind is Kind.ACTING and access.actor == subject:
            raise Rejected("nobody acts as themselves")
        now = self._clock.now()
        if expires is not None and expires <= now:
            raise ValueError("expires lies in the past: it is in seconds since the Unix epoch")
        if auth_time is not None and auth_time > now + CLOCK_LEEWAY:  # in milliseconds it would count as fresh
            raise ValueError("auth_time lies in the future: it is in seconds since the Unix epoch")
        standing_epoch, version = await self._sessions.standing_of(subject)
        facts = await facts_from(self._subjects, subject)
        if facts is None:
            raise InvalidLogin("subject is unknown or disabled")
        lifetimes = self._policy.lifetimes(mode, remember, access.kind)
        absolute = min(now + lifetimes.absolute, NEVER if expires is None else expires, NEVER)
        session = Session(
            id=session_id or new_session_id(subject),
            subject=subject,
            epoch=standing_epoch if epoch is None else epoch,
            mode=mode,
            created=now,
            authenticated=now if auth_time is None else min(auth_time, now),
            seen=now,
            idle_timeout=lifetimes.idle,
            idle_deadline=min(now + lifetimes.idle, absolute),
            absolute_deadline=absolute,
            amr=amr,
            device=device,
            remember=remember and mode is Mode.SESSION,
            rotated=now,
            data=dict(data or {}),
            access=access,
        )
        standing = Standing(session=session, epoch=session.epoch, version=version)
        self._check_size(standing, facts, now)
        credentials = self._credentials(standing, facts, now)
        for ended in await self._sessions.create(session, now=now, keep=keep):
            self._apply(Event(kind=EventKind.SESSION_REVOKED, at=now, session_id=ended))
            self._emit(acts.SESSION_ENDED, subject=subject, session=ended, reason="the subject had too many")
        self._emit(
            acts.SESSION_STARTED, subject=subject, session=session.id, mode=mode.value,
            kind="" if access.kind is Kind.LOGIN else access.kind.value, client=access.client, actor=access.actor,
        )  # fmt: skip
        return credentials

    async def refresh(self, token: str, *, mode: Mode | str | None = None, proved_key: str = "") -> Credentials:
        """Exchange a refresh token for its successor and a new access token.

        All who present the same token within the reuse window get the same successor. Raises `InvalidCredential`
        (`ReusedCredential` once it has ended the session) or `StoreUnavailable`. ``mode``, if given, is the one whose
        transport carried the token; a session of another mode is refused and nothing changes. Raises `SessionTooLarge`
        before the token is rotated. What the session is for stays as it is. ``proved_key``: the thumbprint of the key
        that the client has just proved to have; a session that is bound to a key is refused without that very one.
        """
        arguments.texts(proved_key=proved_key)
        carried_in = arguments.member_or_none(Mode, mode, "mode")
        session_id, generation = self._read(token)
        try:
            credentials = await self._refresh(session_id, generation, carried_in, proved_key)
        except InvalidCredential as error:
            self._emit(acts.REFRESH_REFUSED, session=session_id, reason=error.reason)
            raise
        session = credentials.session
        self._emit(acts.SESSION_REFRESHED, subject=session.subject, session=session.id, mode=session.mode.value)
        return credentials

    def session_of(self, token: str) -> str:
        """The session that a refresh token names, live or not. Raises `InvalidCredential` for one that is not ours."""
        return self._read(token)[0]

    def _read(self, token: str) -> tuple[str, int]:
        arguments.kinds(str, token=token)
        try:
            return self._opaque.read_refresh_token(token)
        except InvalidCredential as error:
            self._emit(acts.REFRESH_REFUSED, reason=error.reason)
            raise

    async def _refresh(self, session_id: str, generation: int, mode: Mode | None, proved_key: str) -> Credentials:
        now = self._clock.now()
        found = await self._sessions.find(session_id, now=now)
        if found is None:
            # It may only seem to be over, to a clock that is ahead: a token that was used before ends it all the same.
            await self._rotate(session_id, generation, now)
            raise RevokedCredential("session is not live")
        if found.session.mode is Mode.SESSION or (mode is not None and found.session.mode is not mode):
            raise RevokedCredential("refresh token of a session of another mode")
        if found.session.bound_key and found.session.bound_key != proved_key:
            raise RevokedCredential("refresh token bound to a key that was not proved")
        # Before the rotation: whoever cannot be told a subject's roles keeps a token that still is the current one.
        facts = await facts_from(self._subjects, found.session.subject)
        if facts is None:
            raise RevokedCredential("subject is unknown or disabled")
        self._check_size(found, facts, now)
        standing = await self._rotate(session_id, generation, now)
        # The version that was read before the facts: if it has been stepped since, the token is stale at once.
        return self._credentials(replace(standing, version=found.version), facts, now)

    async def _rotate(self, session_id: str, generation: int, now: float) -> Standing:
        """Step the generation, or find that somebody just has. Raises `RevokedCredential` and `ReusedCredential`."""
        result = await self._sessions.rotate(session_id, generation, window=self._policy.reuse_window, now=now)
        if isinstance(result, Gone):
            raise RevokedCredential("session is not live")
        if isinstance(result, Reused):
            self._apply(Event(kind=EventKind.SESSION_REVOKED, at=now, session_id=session_id))
            subject = result.session.subject
            self._emit(acts.REFRESH_REUSED, subject=subject, session=session_id)
            raise ReusedCredential("refresh token was used before")
        return result.standing

    async def reauthenticate(
        self, session_id: str, *, epoch: int, amr: tuple[str, ...] = ("pwd",), auth_time: float | None = None
    ) -> Credentials:
        """A new session in the place of a live one, after its subject has proved who they are again.

        Device, mode, data, ``remember`` and what it is for go over; ``amr`` grows; the id, ``auth_time`` and all
        credentials are new, the old ones end. One that was to end before the policy's time is up ends then and no
        later. ``epoch`` and ``auth_time`` as in `login`. Raises `RevokedCredential` when the old session ended
        meanwhile.
        """
        arguments.texts(session_id=session_id)
        arguments.wholes(epoch=epoch)
        amr = arguments.collection(str, amr, "amr", "('pwd',)")
        found = await self._sessions.find(session_id, now=self._clock.now())
        if found is None:
            raise RevokedCredential("session is not live")
        old = found.session
        if old.kind not in PERSON_KINDS:
            raise RevokedCredential("only a person proves again who they are")
        ends = old.created + self._policy.lifetimes(old.mode, old.remember, old.kind).absolute
        # One more than the limit: the old one makes room at once.
        new = await self._login(
            old.subject,
            mode=old.mode,
            epoch=epoch,
            remember=old.remember,
            device=old.device,
            amr=tuple(dict.fromkeys((*old.amr, *amr))),
            auth_time=auth_time,
            data=old.data,
            keep=self._policy.sessions_per_subject + 1,
            access=old.access,
            expires=old.absolute_deadline if old.absolute_deadline < ends - _ROUNDING else None,
        )
        if not await self._revocation.revoke(old.id):
            # Somebody ended it first: what they meant to end must not live on under a new name.
            await self._revocation.revoke(new.session.id)
            raise RevokedCredential("session was ended during re-authentication")
        return new

    def _check_size(self, standing: Standing, facts: SubjectFacts, now: float) -> None:
        """Raise `SessionTooLarge` for what no browser would keep or no server read: before anything is changed."""
        mode, issued = standing.session.mode, int(now)
        if mode is Mode.SESSION:
            return
        limit = MAX_COOKIE_BYTES - len(SECURE.access) if mode is Mode.JWT_COOKIE else sys.maxsize
        claims = self._claims(
            standing, facts, issued, int(decide.access_expiry(standing.session, self._policy, issued))
        )
        if not self._access.fits(claims, limit, now=now):
            raise SessionTooLarge(f"roles and claims are too long for a token of mode {mode.value}: keep fewer")

    def _credentials(self, standing: Standing, facts: SubjectFacts, now: float) -> Credentials:
        session = standing.session
        csrf_token = self._opaque.csrf_token(session.id)
        if session.mode is Mode.SESSION:
            token = self._opaque.session_token(session.id)
            return Credentials(session=session, facts=facts, csrf_token=csrf_token, session_token=token)
        issued = int(now)
        expires = int(decide.access_expiry(session, self._policy, issued))
        return Credentials(
            session=session,
            facts=facts,
            csrf_token=csrf_token,
            access_token=self._access.issue(self._claims(standing, facts, issued, expires), now=now),
            refresh_token=self._opaque.refresh_token(session.id, session.generation),
            expires_in=max(0, expires - issued),
            refresh_expires_in=max(0, int(min(session.idle_deadline, session.absolute_deadline) - now)),
        )

    def _claims(self, standing: Standing, facts: SubjectFacts, issued: int, expires: int) -> AccessClaims:
        session, access = standing.session, standing.session.access
        return AccessClaims(
            iss=self._policy.issuer,
            aud=access.audience or self._policy.audience,
            sub=session.subject,
            sid=session.id,
            jti=secrets.token_urlsafe(16),
            iat=issued,
            exp=expires,
            client_id=access.client or self._policy.client_id,
            auth_time=int(session.authenticated),
            amr=session.amr,
            roles=tuple(sorted(access.narrowed(facts.roles))),
            epoch=standing.epoch,
            ver=standing.version,
            mode=session.mode.value if access.is_plain else session.mode.value + decide.MORE,
            claims=dict(facts.claims),
            kind="" if access.kind is Kind.LOGIN else access.kind.value,
            scope=UNSET if access.scopes is None else " ".join(sorted(access.scopes)),
            act=ActClaim(sub=access.actor) if access.actor else UNSET,
            cnf=CnfClaim(jkt=access.bound_key) if access.bound_key else UNSET,
        )

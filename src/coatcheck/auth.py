"""`Auth`: the object that an application holds. It puts the parts together and says nothing of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Self

from . import arguments, secret_file
from .accounts import PasswordHasher, PasswordPolicy, Proof
from .accounts.composition import Given, can_authenticate, has_logins, source_of
from .accounts.invitations import invite
from .applications import given
from .clock import Clock
from .credentials.keyring import Secrets
from .credentials.transport import Credential
from .errors import ConfigurationError, InvalidCredential
from .events import Events
from .features.base import Feature, checked
from .features.tables import ensure_tables
from .guard import Guard
from .issuer import Credentials
from .keys import Keys
from .logins import Answer, Steps
from .maintenance import keep_up
from .model import ALL_KINDS, PLAIN, Access, Device, Identity, Kind, Mode, Profile
from .parts import compose_parts
from .policy import Policy
from .running import Running, not_running
from .stand_ins import stand_in
from .stores import KeyedSessions, Store, embedded_path, open_store
from .stores.base import AccountStore, SessionStore
from .verifier import STATE_KEY, Known

_FORGOTTEN = ("memory://", "sqlite://")
"""Gone with the process."""


class Auth(Running):
    """Sessions, tokens, revocation and, unless the application has its own users, accounts.

    ``url``: the database, ``sqlite:///app.db`` (a file, made and migrated when it is missing), ``postgresql://…`` or
    ``memory://``; see `coatcheck.stores.open_store`.
    ``sessions``: another place for the sessions and their feed, such as ``redis://…``; the same database when omitted.
    Both may also be a store object of one's own (`coatcheck.stores.base`), which is opened and closed here.
    ``secret``: at least 32 bytes from which every key is derived; a sequence has the newest first, and all verify.
    Omitted, an embedded database has one in a file beside it (``app.db.secret``, mode 0600), made at first start.
    ``subjects``: omitted, Coatcheck's own accounts. An application with its own users passes a `UserSource`, which
    Coatcheck then logs in; or a callable that gives the roles of a subject (see `ApplicationSubjects`), or
    ``ApplicationSubjects()`` when it has no roles.

    ``features``: capabilities beyond the core (`coatcheck.features`), beside those that the service has of itself.

    Raises `ConfigurationError` for subjects that are none, and `TypeError` for anything else of another kind. Nothing
    is opened before `start`, which `lifespan` and ``async with`` call. It raises `ConfigurationError` (one line that
    says what to do) or `StoreUnavailable`, and then leaves nothing open and nothing half-made behind.
    """

    def __init__(
        self,
        url: str | Store | KeyedSessions = "sqlite:///coatcheck.db",
        *,
        sessions: str | SessionStore | None = None,
        secret: str | bytes | Sequence[str | bytes] | None = None,
        policy: Policy | None = None,
        subjects: Given = None,
        password_hasher: PasswordHasher | None = None,
        password_policy: PasswordPolicy | None = None,
        clock: Clock | None = None,
        features: Sequence[Feature] = (),
    ) -> None:
        arguments.place(url, "url")
        if sessions is not None:
            arguments.place(sessions, "sessions")
        arguments.secret(secret)
        arguments.kinds_or_none(Policy, policy=policy)
        arguments.kinds_or_none(PasswordHasher, password_hasher=password_hasher)
        arguments.kinds_or_none(PasswordPolicy, password_policy=password_policy)
        arguments.kinds_or_none(Clock, clock=clock)
        self.policy: Policy = Policy() if policy is None else policy
        self.clock: Clock = Clock() if clock is None else clock
        self.events: Events = Events(self.clock.now, self.policy.event_addresses)
        """What happens to accounts, sessions and keys, for whoever subscribes."""
        self.steps: Steps = Steps()
        """The second factors that there are. One is added before the start."""
        self.features: tuple[Feature, ...] = checked(features)
        """Capabilities beyond the core; the service has some more of itself."""
        self._started: tuple[tuple[Feature, asyncio.Task[None]], ...] = ()
        """With the upkeep of each."""
        for feature in self.features:
            for step in feature.steps():
                self.steps.add(step)
            self.events.subscribe(feature.happened)
        self._url = url
        self._sessions = sessions
        self._secret = secret
        self._subjects = source_of(subjects)
        self._password_hasher = password_hasher
        self._password_policy = PasswordPolicy() if password_policy is None else password_policy
        self.known: Known = not_running
        """`AccessVerifier.known` while it runs: the hit path, without a detour on the way to it."""

    def __repr__(self) -> str:
        return f"<Auth {'running' if self._parts else 'not started'}>"

    async def start(self) -> None:
        """Open the store, read the keys and the feed, and begin to follow. Raises as the class says."""
        if self._parts is not None:
            raise RuntimeError("this Auth has been started already: is its lifespan given twice, or beside mount_auth?")
        wall = self.clock.wall
        url, place = stand_in(self._url, self), stand_in(self._sessions, self)
        path = embedded_path(url) if isinstance(url, str) else None
        store = open_store(url, wall=wall) if isinstance(url, str) else url
        sessions = open_store(place, wall=wall) if isinstance(place, str) else place
        made = self._secret is None and path is not None and secret_file.make(secret_file.secret_beside(path))
        try:
            secrets = Secrets(secret_file.given(self._secret, path, url in _FORGOTTEN))
            await _open(store, url)
            if sessions is not None:
                await _open(sessions, place)
            if len(self.steps) and not isinstance(store, AccountStore):
                raise ConfigurationError(
                    "second factors need a SQL database: name one first, and this one as sessions=..."
                )
            await ensure_tables(self.features, store, migrate=_is_embedded(url))
            await self._follow_clock(sessions or store)
            parts = compose_parts(
                store, sessions or store, secrets, policy=self.policy, clock=self.clock, subjects=self._subjects,
                hasher=self._password_hasher, password_policy=self._password_policy, events=self.events,
                steps=self.steps,
            )  # fmt: skip
            await parts.users.prepare()
            await self._ensure_keys(parts.keys, made)
            await parts.maintenance.writes.look()
            await parts.follower.start()
        except BaseException as error:
            await _close(sessions or store, store)
            # After any other error the secret stays: another process, started beside this one, may use it by now.
            if made and path is not None and isinstance(error, ConfigurationError):
                secret_file.secret_beside(path).unlink(missing_ok=True)
            raise
        parts.maintenance.start()
        self.steps.settle()
        self._parts = parts
        try:
            for feature in self.features:
                await feature.start(self)
                upkeep = keep_up(feature.name, partial(feature.upkeep, self))
                self._started = (*self._started, (feature, asyncio.create_task(upkeep, name=feature.name)))
        except BaseException:
            await self.close()
            raise
        self.known = parts.verifier.known

    async def close(self) -> None:
        """Stop following, write what is unwritten, close the stores. Idempotent."""
        parts, self._parts = self._parts, None
        started, self._started = self._started, ()
        self.known = not_running
        if parts is None:
            return
        async with AsyncExitStack() as steps:  # last in, first out; one that fails or is cancelled skips no other
            steps.push_async_callback(_close, parts.sessions, parts.store)
            steps.push_async_callback(parts.users.close)
            steps.push_async_callback(parts.follower.stop)
            steps.push_async_callback(parts.maintenance.stop)
            steps.push_async_callback(parts.guards.close)
            for feature, upkeep in started:
                steps.push_async_callback(feature.stop)
                steps.push_async_callback(_ended, upkeep)

    async def write_uses(self) -> None:
        """Write now what is not yet written of when sessions were last used, as a server that is told to end does
        before it waits for anybody. `close` does it as well. Does nothing while this does not run."""
        if self._parts is not None:
            await self._parts.maintenance.write_uses()

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[dict[str, Auth]]:
        """An ASGI lifespan: ``FastAPI(lifespan=auth.lifespan)``. What it yields is where adapters find this object.
        Raises `ConfigurationError` for an application that asks a request who is asking, see `coatcheck.fastapi`."""
        given(app)
        async with self:
            yield {STATE_KEY: self}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def authenticate(self, name: str, password: str, *, ip: str = "") -> Proof:
        """Who has this name and password, and the epoch to hand to `login`. See `coatcheck.accounts.Logins`.

        ``ip``: the client's address, for the limits. Raises `InvalidLogin`, alike for unknown and wrong, `Throttled`,
        `StoreUnavailable`, and `ConfigurationError` where nobody can (`can_authenticate`)."""
        arguments.kinds(str, name=name, password=password, ip=ip)
        return await self._running.users.authenticate(name, password, ip=ip)

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
        access: Access = PLAIN,
        expires: float | None = None,
    ) -> Credentials:
        """Log in a subject whose identity the application has proved. See `Issuer.login`; to be safe against a
        password change during the check, pass as ``epoch`` what `epoch_of` said before it. ``access``: what for, and
        how far it goes, where it is no plain login.

        Raises `StepRequired` for a login of a subject with a second factor, unless ``amr`` says that more than one was
        proved (``mfa``, RFC 8176): then nobody is logged in, and `finish_login` goes on."""
        arguments.kinds(Access, access=access)
        if len(self.steps) and access.kind is Kind.LOGIN:
            arguments.subject(subject)
            chosen = self.policy.modes[0] if mode is None else arguments.member(Mode, mode, "mode")
            arguments.kinds_or_none(Device, device=device)
            arguments.flags(remember=remember)
            await self.attempts.check(
                subject, epoch=epoch, amr=amr, at=auth_time, mode=chosen, remember=remember,
                label="" if device is None else device.label, access=access, expires=expires,
            )  # fmt: skip
        return await self.issuer.login(
            subject, mode=mode, epoch=epoch, remember=remember, device=device, amr=amr, auth_time=auth_time, data=data,
            access=access, expires=expires,
        )  # fmt: skip

    async def finish_login(
        self,
        attempt: str,
        *,
        method: str,
        code: str = "",
        credential: Mapping[str, Any] | None = None,
        device: Device | None = None,
        data: Mapping[str, Any] | None = None,
        ip: str = "",
    ) -> Credentials:
        """Go on with a login for which `StepRequired` was raised: ``attempt`` is what that holds. ``method`` and
        ``code`` or ``credential``: the step, and the answer to it. ``device`` and ``data`` as in `login`; ``ip``: the
        client's address, for the limits.

        Raises `InvalidStep` for a wrong answer, `AttemptOver` where it has to begin anew, `Throttled`, and what `login`
        raises."""
        arguments.kinds(str, attempt=attempt, method=method, code=code, ip=ip)
        arguments.mappings_or_none(credential=credential, data=data)
        arguments.kinds_or_none(Device, device=device)
        answer = Answer(code=code, credential=dict(credential or {}))
        where = Device() if device is None else device
        return await self.attempts.finish(attempt, method=method, answer=answer, device=where, data=data, ip=ip)

    def invite(self, email: str, *, roles: Iterable[str] = (), lifetime: float = 604800.0) -> str:
        """An invitation for one address to register with these roles: ``/auth/signup?invitation=…``. It counts once and
        for ``lifetime`` seconds (7 d, at most 90). Raises `InvalidEmail` and `Rejected`."""
        return invite(self.opaque, self.events, email, roles=roles, lifetime=lifetime, now=self.clock.now())

    async def epoch_of(self, subject: str) -> int:
        """The subject's epoch: ask *before* checking a password, and hand it to `login`."""
        arguments.subject(subject)
        epoch, _ = await self.sessions.standing_of(subject)
        return epoch

    async def refresh(self, token: str) -> Credentials:
        """Exchange a refresh token. See `Issuer.refresh`."""
        return await self.issuer.refresh(token)

    async def verify(self, credential: Credential) -> Identity:
        """The identity behind a credential. See `AccessVerifier.verify`; ``bearer(token)`` makes one from a string."""
        return await self.verifier.verify(credential)

    def guard(self, identity: Identity) -> Guard:
        """``async with auth.guard(identity):`` the body ends when the session does. See `Guard`; for WebSockets and
        streams there is `coatcheck.adapters.connections`."""
        guards = self.guards
        arguments.kinds(Identity, identity=identity)
        return guards.guard(identity)

    def csrf_token(self, session_id: str) -> str:
        """The CSRF token of this session, for clients that send neither ``Sec-Fetch-Site`` nor ``Origin``: no browser
        of today. It goes back in ``X-CSRF-Token``, or in a form's field ``csrf_token``."""
        arguments.kinds(str, session_id=session_id)
        return self.opaque.csrf_token(session_id)

    async def profile(self, identity: Identity) -> Profile:
        """The subject's address and name, for a page. Without a question to anybody while the identity is in memory and
        was asked for before; otherwise the users are asked. What has changed counts as changed roles do, at once and
        everywhere (see `subject_changed`); the claims ``email`` and ``name`` are those of the identity.

        Of an API key, of a third party's access and of whoever acts as somebody it is the subject's. Whether they may
        see it the application decides, by `Identity.is_person` or `Identity.has_scope`.

        What is not known is empty, as of somebody who is gone: whether they are let in is told by the verification, and
        a page can still show their subject. Raises `StoreUnavailable`."""
        profiles = self.profiles
        arguments.kinds(Identity, identity=identity)
        return await profiles.of(identity)

    def check_csrf_token(self, token: str, session_id: str) -> None:
        """Raise `CrossSite` unless this is the session's CSRF token."""
        arguments.kinds(str, token=token, session_id=session_id)
        self.opaque.check_csrf_token(token, session_id)

    async def logout(self, credential: Credential) -> bool:
        """End the session that a credential of ours names, even where the credential itself has expired. False when
        there was none to end. Raises `StoreUnavailable`: then nobody has been logged out."""
        arguments.kinds(Credential, credential=credential)
        try:
            session_id = self.verifier.session_id_of(credential)
        except InvalidCredential:
            return False
        return await self.revocation.revoke(session_id)

    async def revoke(self, session_id: str, *, wait: bool = False) -> bool:
        """End one session everywhere. See `Revocation.revoke`."""
        return await self.revocation.revoke(session_id, wait=wait)

    async def revoke_subject(
        self, subject: str, *, kinds: Iterable[Kind | str] = ALL_KINDS, excepted: str | None = None, wait: bool = False
    ) -> None:
        """End all sessions of a subject everywhere, or those of some kinds. See `Revocation.revoke_subject`."""
        await self.revocation.revoke_subject(subject, kinds=kinds, excepted=excepted, wait=wait)

    async def subject_changed(self, subject: str) -> None:
        """Make changed roles, claims, name or address of an application's own user count at once, everywhere. First
        write them, then call this; to end somebody's sessions call `revoke_subject` instead, in the same order."""
        await self.revocation.subject_changed(subject)

    @property
    def password_policy(self) -> PasswordPolicy:
        """Which passwords may be chosen."""
        return self._password_policy

    @property
    def has_accounts(self) -> bool:
        """Whether Coatcheck keeps the accounts, as it does unless ``subjects`` was given."""
        return self._subjects is None

    @property
    def has_logins(self) -> bool:
        """Whether there is `logins`."""
        return has_logins(self._subjects)

    @property
    def can_authenticate(self) -> bool:
        """Whether `authenticate` can say yes to anybody: with `logins`, or where the application checks passwords."""
        return can_authenticate(self._subjects)

    async def _follow_clock(self, sessions: SessionStore) -> None:
        """Before anything is dated: what a machine with a wrong clock makes shall not be from another time."""
        began = self.clock.monotonic()
        self.clock.follow(await sessions.time(), began, self.clock.monotonic())

    async def _ensure_keys(self, keys: Keys, made: bool) -> None:
        try:
            await keys.ensure()
        except ConfigurationError as error:
            if made:
                text = "the secret file beside the database is missing, and the keys in it were sealed with that secret"
                raise ConfigurationError(f"{text}; restore the file from your backup") from error
            raise


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _is_embedded(url: object) -> bool:
    return isinstance(url, str) and url.startswith("sqlite:")


async def _open(store: SessionStore, url: object) -> None:
    """Open a store; an embedded database is made and migrated, any other must be ready (`coatcheck migrate`)."""
    if _is_embedded(url):
        await store.open(migrate=True)  # type: ignore[call-arg]  # open_store gave it, so it is a whole Store
    else:
        await store.open()


async def _close(sessions: SessionStore, store: SessionStore) -> None:
    async with AsyncExitStack() as steps:
        steps.push_async_callback(store.close)
        if sessions is not store:
            steps.push_async_callback(sessions.close)

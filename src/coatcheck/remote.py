"""`RemoteVerifier`: the same answers in a service that has no database.

It follows the issuing service's feed over HTTP, as an `Auth` follows its store's: same table, same hit path, same
lease, same bound. Keys come from the issuing service too, again whenever the feed says that they have changed, and
before the lease goes on.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Self

from . import arguments, decide
from .applications import given
from .clock import Clock
from .credentials.jws import MAX_TOKEN
from .credentials.jwt import AccessClaims, TokenReader
from .credentials.keyring import TrustedKeys
from .credentials.transport import Carrier, Credential
from .errors import ConfigurationError, CrossSite, StoreUnavailable
from .events import Events
from .follower import Follower, report
from .guard import Guard, Guards
from .model import Identity
from .policy import Policy
from .remote_client import IssuingService, Refused
from .stores.base import FeedRead
from .table import Table
from .verifier import STATE_KEY, AccessVerifier, Known
from .view import RevocationView

log = logging.getLogger("coatcheck.remote")

_KEYS_AGE: Final = 60.0
"""Seconds after which the keys are read again without a word from the feed: that a key has retired is no event."""


class _RemoteFeed:
    """The issuing service's feed, in the place of a store."""

    def __init__(self, service: IssuingService, own_staleness: float) -> None:
        self._service = service
        self._own = own_staleness
        self.follower: Follower | None = None

    async def events(self, cursor: str | None, *, wait: float) -> FeedRead:
        """See `Feed.events`. An idle read is a request, so it waits for as long as the lease bears: a quarter of it,
        since a lease must outlive the read that was under way when it began, and the whole next one."""
        if wait:
            wait = min(self._own, self._service.max_staleness) / 4
        read = await self._service.events(cursor, wait=wait)
        if self.follower is not None:
            self.follower.rely_for(min(self._own, self._service.max_staleness))
        return read


class _RemoteKeys:
    """The issuing service's keys. ``tokens.keyring`` is replaced whenever they are loaded."""

    def __init__(self, service: IssuingService, tokens: TokenReader[TrustedKeys], clock: Clock, cooldown: float):
        self._service = service
        self._tokens = tokens
        self._clock = clock
        self._cooldown = cooldown
        self._loading = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self._next_look = float("-inf")
        self._looked = False

    async def load(self) -> None:
        """Read the keys and use them. Raises `StoreUnavailable`."""
        async with self._loading:  # of two reads the later one counts, whichever comes back first
            self._tokens.keyring = await self._service.keys()

    async def look(self, header: str) -> None:
        """A token came with a header that no key has. Ask once for the keys, everybody together, and then for a while
        no more. Raises `StoreUnavailable` when the service could not say which keys there are."""
        if self._tokens.keyring.find(header) is not None:
            return
        if self._looking is None and self._clock.monotonic() >= self._next_look:
            self._looking = asyncio.create_task(self._look(), name="coatcheck-unknown-key")
        if self._looking is not None:
            await asyncio.shield(self._looking)
        if not self._looked:
            raise StoreUnavailable("an unknown key, and the issuing service does not say which there are")

    async def _look(self) -> None:
        self._looked = False
        try:
            await self.load()
            self._looked = True
        except StoreUnavailable as error:
            log.warning("keys not read: %s", error)
        finally:
            self._next_look = self._clock.monotonic() + self._cooldown
            self._looking = None

    async def stop(self) -> None:
        """Ask no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def keep(self) -> None:
        """Read the keys again from time to time."""
        while True:
            await asyncio.sleep(_KEYS_AGE)
            try:
                await self.load()
            except StoreUnavailable as error:
                log.warning("keys not read: %s", error)


class _AccessVerifier(AccessVerifier):
    """Asks the issuing service about what the view does not cover."""

    def __init__(self, service: IssuingService, keys: _RemoteKeys, access: TokenReader[TrustedKeys], **parts: Any):
        super().__init__(access=access, **parts)
        self._service = service
        self._keys = keys

    async def _verify(self, credential: Credential) -> Identity:
        header, dot, _ = credential.token.partition(".")
        # Only what has the form of a token may cost a question.
        if (
            dot
            and credential.carrier is not Carrier.SESSION_COOKIE
            and len(credential.token) <= MAX_TOKEN
            and credential.token.count(".") == 2
        ):
            await self._keys.look(header)
        return await super()._verify(credential)

    async def _ask_about(self, credential: Credential, claims: AccessClaims) -> None:
        self._view.check_access(  # what is known already says why, and costs no question
            session_id=claims.sid, token_id=claims.jti, subject=claims.sub, epoch=claims.epoch, version=claims.ver,
            kind=decide.access_of(claims, self._policy).kind,
        )  # fmt: skip
        await self._service.check(credential.token, subject=claims.sub, session_id=claims.sid)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What exists while a `RemoteVerifier` runs."""

    follower: Follower
    table: Table
    verifier: _AccessVerifier
    keys: _RemoteKeys
    guards: Guards
    keeper: asyncio.Task[None]


class RemoteVerifier(arguments.Named):
    """Verifies access tokens for a service without the database; adapters take it in the place of an `Auth`.

    ``url``: where the issuing service's API is, prefix included: ``https://auth.example.com/auth``. Https, unless the
    address is this machine's or ``allow_plain_http`` says that the network itself is encrypted.
    ``service_key``: one of the issuing service's ``service_keys``.
    ``policy``: ``issuer``, ``audience``, ``access_lifetime``, ``max_staleness``, ``origins`` and the table's bounds
    count. Tokens must be what it says; the lease is the shorter of its ``max_staleness`` and the issuing service's, so
    that ``revoke(wait=True)`` there covers this process.
    ``timeout``: seconds the issuing service may take to answer, beyond a wait that was asked for; 5 by default.
    ``key_cooldown``: seconds between two questions for keys because of tokens with unknown ones; 10 by default.
    ``tls``: what to trust; the system's certificates when omitted.

    Access tokens are what it verifies, as bearer tokens and in the access cookie. Session tokens are refused: only the
    issuing service has the secret for them. A change that rides on the cookie must show by ``Sec-Fetch-Site`` or
    ``Origin`` where it comes from; a CSRF token cannot be checked here.

    Raises `TypeError`, `ValueError` and `ConfigurationError` for an argument that cannot be meant. Nothing is opened
    before `start`, which `lifespan` and ``async with`` call. It raises `ConfigurationError` (also
    when httpx is missing: ``pip install 'coatcheck[remote]'``) or `StoreUnavailable`, and leaves nothing open.
    """

    def __init__(
        self,
        url: str,
        *,
        service_key: str,
        policy: Policy | None = None,
        timeout: float = 5.0,
        key_cooldown: float = 10.0,
        tls: ssl.SSLContext | None = None,
        allow_plain_http: bool = False,
        clock: Clock | None = None,
    ) -> None:
        arguments.kinds_or_none(Policy, policy=policy)
        arguments.kinds_or_none(Clock, clock=clock)
        arguments.numbers(key_cooldown=key_cooldown)
        if key_cooldown < 0:
            raise ConfigurationError("key_cooldown must be a number of seconds, and not negative")
        self.policy: Policy = Policy() if policy is None else policy
        self.clock: Clock = Clock() if clock is None else clock
        self.events: Events = Events(self.clock.now, self.policy.event_addresses)
        """What is refused here, for whoever subscribes."""
        self._service = IssuingService(url, service_key, timeout=timeout, tls=tls, allow_plain_http=allow_plain_http)
        self._key_cooldown = key_cooldown
        self._parts: _Parts | None = None
        self.known: Known = _not_running
        """`AccessVerifier.known` while it runs: the hit path, without a detour on the way to it."""

    def __repr__(self) -> str:
        return f"<RemoteVerifier of {self._service.url}, {'running' if self._parts else 'not started'}>"

    async def start(self) -> None:
        """Read the feed and the keys, and begin to follow. Raises as the class says."""
        if self._parts is not None:
            raise RuntimeError("this RemoteVerifier has been started already")
        policy, clock, service = self.policy, self.clock, self._service
        table = Table(policy.table_entries, policy.table_bytes)
        view = RevocationView(policy.event_retention)
        access = TokenReader(TrustedKeys([]))
        keys = _RemoteKeys(service, access, clock, self._key_cooldown)
        feed = _RemoteFeed(service, policy.max_staleness)
        follower = feed.follower = Follower(feed, table, view, clock, policy, keys.load)
        verifier = _AccessVerifier(
            service,
            keys,
            access,
            follower=follower,
            table=table,
            view=view,
            clock=clock,
            policy=policy,
            happened=self.events,
        )
        guards = Guards(
            follower,
            table,
            view,
            clock,
            kids=lambda: access.keyring.retirements(),
            questions=None,
            happened=self.events,
        )
        service.open()
        try:
            await follower.start()
        except BaseException as error:
            await service.close()
            if isinstance(error, Refused):
                raise ConfigurationError(str(error)) from error
            raise
        keeper = asyncio.create_task(keys.keep(), name="coatcheck-remote-keys")
        keeper.add_done_callback(report)
        self._parts = _Parts(follower, table, verifier, keys, guards, keeper)
        self.known = verifier.known

    async def close(self) -> None:
        """Stop following, close every connection. Idempotent."""
        parts, self._parts = self._parts, None
        self.known = _not_running
        if parts is None:
            return
        async with AsyncExitStack() as steps:  # last in, first out; one that fails or is cancelled skips no other
            steps.push_async_callback(self._service.close)
            steps.push_async_callback(parts.follower.stop)
            steps.push_async_callback(parts.keys.stop)
            steps.callback(parts.keeper.cancel)
            steps.push_async_callback(parts.guards.close)

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[dict[str, RemoteVerifier]]:
        """An ASGI lifespan: ``FastAPI(lifespan=remote.lifespan)``. Adapters find this object in what it yields."""
        given(app)
        async with self:
            yield {STATE_KEY: self}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def verify(self, credential: Credential) -> Identity:
        """The identity behind a credential; ``bearer(token)`` makes one from a string.

        Raises `InvalidCredential` (its subclass says why, for the log) or `StoreUnavailable`."""
        return await self._running.verifier.verify(credential)

    def guard(self, identity: Identity) -> Guard:
        """``async with remote.guard(identity):`` the body ends when the session does, or its access token expires:
        there is nobody here to ask whether the session goes on. See `Guard`."""
        guards = self.guards
        arguments.kinds(Identity, identity=identity)
        return guards.guard(identity)

    def check_csrf_token(self, token: str, session_id: str) -> None:
        """Raises `CrossSite`, always: the secret that could tell is the issuing service's."""
        raise CrossSite("this service cannot check CSRF tokens: send Sec-Fetch-Site or Origin")

    @property
    def follower(self) -> Follower:
        return self._running.follower

    @property
    def guards(self) -> Guards:
        """The guarded connections of this process."""
        return self._running.guards

    @property
    def table(self) -> Table:
        return self._running.table

    @property
    def is_running(self) -> bool:
        return self._parts is not None

    @property
    def _running(self) -> _Parts:
        return self._parts or _not_running()


def _not_running(*_: object) -> NoReturn:
    raise RuntimeError(
        "this RemoteVerifier is not running: its application's lifespan (lifespan=remote.lifespan) has not begun, or "
        "has ended; in a test, enter the client: `with TestClient(app) as client:`. Without an application: "
        "`async with remote:`"
    )

"""The lifespans of ASGI applications, and the `Auth` that a request finds by them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, Protocol

from ..applications import given
from ..auth import Auth
from ..errors import ConfigurationError
from ..remote import RemoteVerifier
from ..verifier import STATE_KEY
from .asgi import SECOND, GuardingKnower, Scope

Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]


class Connection(Protocol):
    """A request or a WebSocket, as Starlette has them."""

    @property
    def scope(self) -> Scope:
        """The ASGI scope."""


def lifespans(*parts: Lifespan) -> Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]:
    """Several lifespans as one, entered in this order and left in the other, with the state of all:
    ``lifespan=lifespans(auth.lifespan, my_own)``. The application does not start (`ConfigurationError`) with the
    lifespans of two `Auth`: nobody would know which one lets people in."""

    @asynccontextmanager
    async def together(app: Any) -> AsyncIterator[dict[str, Any]]:
        state: dict[str, Any] = {}
        async with AsyncExitStack() as stack:
            for part in parts:
                left: Mapping[str, Any] | None = await stack.enter_async_context(part(app))
                own = left or {}
                if STATE_KEY in state and state[STATE_KEY] is not own.get(STATE_KEY, state[STATE_KEY]):
                    raise ConfigurationError(SECOND)
                state.update(own)
            given(app)  # once more: the others may have added routes to it
            yield state

    return together


def knower_of(scope: Scope) -> GuardingKnower:
    """What the application's lifespan has left in the scope. Raises `RuntimeError` without it."""
    try:
        found: GuardingKnower = scope["state"][STATE_KEY]
    except KeyError:
        raise RuntimeError(_why_none(scope.get("app"))) from None
    return found


_ENTER: Final = (
    "in a test, enter the client: `with TestClient(app) as client:`; httpx.ASGITransport runs no lifespan, so "
    "`async with coatcheck.testing.running(app) as served:` and ASGITransport(served)"
)
_NONE: Final = (
    "no Auth here: call mount_auth(app, ...) for the outermost application, or make it with lifespan=auth.lifespan or "
    f"lifespan=lifespans(auth.lifespan, your_own). Where that is done, its lifespan has not run: {_ENTER}"
)
_NOT_STARTED: Final = (
    f"the Auth of this application is not running, because the application's lifespan has not run: {_ENTER}"
)
_BY_HAND: Final = (
    f"{_NOT_STARTED}. Where auth_app is mounted without mount_auth, the outermost application also needs "
    "lifespan=auth.lifespan"
)
_BESIDE: Final = (
    "the Auth of this application runs, but was not started by the application's lifespan, by which a request finds "
    f"it: {_ENTER}"
)


def _why_none(app: object) -> str:
    """What the application lacks, as far as it shows."""
    router = getattr(app, "router", None)
    begins = getattr(getattr(router, "lifespan_context", None), "__self__", None)
    if isinstance(begins, (Auth, RemoteVerifier)):
        return _BESIDE if begins.is_running else _NOT_STARTED
    for route in getattr(router, "routes", ()):
        auth = getattr(getattr(getattr(route, "app", None), "state", None), "auth", None)
        if isinstance(auth, Auth):
            return _BESIDE if auth.is_running else _BY_HAND
    return _NONE


def auth_of(connection: Connection) -> Auth:
    """The `Auth` of the application that serves this request. Raises `RuntimeError` without its lifespan."""
    auth = knower_of(connection.scope)
    if not isinstance(auth, Auth):
        raise RuntimeError("this application only verifies: its lifespan is that of a RemoteVerifier")
    return auth

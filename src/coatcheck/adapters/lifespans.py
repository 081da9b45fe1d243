"""The lifespans of ASGI applications, and the `Auth` that a request finds by them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from ..applications import given
from ..auth import Auth
from ..errors import ConfigurationError
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
        raise RuntimeError(
            "no Auth here: make the outermost application with FastAPI(lifespan=auth.lifespan), "
            "or with lifespan=lifespans(auth.lifespan, your_own), and enter a test client: with TestClient(app)"
        ) from None
    return found


def auth_of(connection: Connection) -> Auth:
    """The `Auth` of the application that serves this request. Raises `RuntimeError` without its lifespan."""
    auth = knower_of(connection.scope)
    if not isinstance(auth, Auth):
        raise RuntimeError("this application only verifies: its lifespan is that of a RemoteVerifier")
    return auth

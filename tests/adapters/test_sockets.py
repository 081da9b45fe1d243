"""A WebSocket that was let in ends when its session does, without the application doing anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket, WebSocketDisconnect
from litestar import Litestar, websocket, websocket_listener
from litestar import WebSocket as LitestarSocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketState

from coatcheck import Auth, Identity, Mode, SubjectFacts, litestar, starlette
from coatcheck.adapters.asgi import IDENTITY, AuthMiddleware
from coatcheck.adapters.connections import guard_websocket
from coatcheck.fastapi import CurrentUser, OptionalUser, current_user, requires
from coatcheck.testing.clock import TravelClock
from tests.adapters.apps.support import sent, served
from tests.adapters.suite.contract import Headers, Setting

WAITS = 5.0
"""Seconds that a test waits at most for what comes in milliseconds."""
FACTS = SubjectFacts(roles=frozenset({"admin"}))


class Client:
    """Somebody who opens a WebSocket, and what they hear."""

    def __init__(self) -> None:
        self.to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.to_app.put_nowait({"type": "websocket.connect"})

    async def send(self, message: Any) -> None:
        self.heard.put_nowait(dict(message))

    def say(self, text: str) -> None:
        self.to_app.put_nowait({"type": "websocket.receive", "text": text})

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(WAITS):
            return await self.heard.get()


@asynccontextmanager
async def opened(web: Any, path: str, headers: Headers) -> AsyncIterator[Client]:
    """A WebSocket until its application is done with it."""
    client = Client()
    scope = {
        "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "wss", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "subprotocols": [], "extensions": {},
        "client": ("127.0.0.1", 123), "server": ("app.example", None),
        "headers": [(b"host", b"app.example"), (b"origin", b"https://app.example"),
                    *((k.lower().encode(), v.encode()) for k, v in headers)],
    }  # fmt: skip
    task = asyncio.create_task(web._with_state(scope, client.to_app.get, client.send))
    try:
        yield client
    finally:
        client.to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})
        async with asyncio.timeout(WAITS):
            await task


async def name_of(user: Annotated[Identity, requires("admin")]) -> AsyncIterator[str]:
    yield user.subject


async def echo(socket: Any) -> None:
    """What every application does: it knows nothing of the end."""
    await socket.accept()
    await socket.send_text("hello")
    async for text in socket.iter_text():
        await socket.send_text(text)


def with_fastapi(auth: Auth) -> Any:
    app, router = FastAPI(lifespan=auth.lifespan), APIRouter(dependencies=[requires("admin")])

    @app.websocket("/current")
    async def current(socket: WebSocket, user: CurrentUser) -> None:
        await echo(socket)

    @app.websocket("/optional")
    async def optional(socket: WebSocket, user: OptionalUser) -> None:
        await echo(socket)

    @app.websocket("/both")
    async def both(socket: WebSocket, user: OptionalUser, same: CurrentUser) -> None:
        await echo(socket)

    @app.websocket("/role", dependencies=[requires("admin")])
    async def role(socket: WebSocket) -> None:
        await echo(socket)

    @router.websocket("/router")
    async def included(socket: WebSocket) -> None:
        await echo(socket)

    @app.websocket("/deep")
    async def deep(socket: WebSocket, name: Annotated[str, Depends(name_of)]) -> None:
        await echo(socket)

    @app.websocket("/called")
    async def called(socket: WebSocket) -> None:
        await current_user(socket)
        await echo(socket)

    @app.websocket("/twice")
    async def twice(socket: WebSocket, user: CurrentUser) -> None:
        async with guard_websocket(auth, user, socket):
            await echo(socket)

    @app.websocket("/stubborn")
    async def stubborn(socket: WebSocket, user: CurrentUser) -> None:
        await socket.accept()
        await socket.send_text("hello")
        while socket.application_state is WebSocketState.CONNECTED:
            try:
                await socket.send_text(await socket.receive_text())
            except asyncio.CancelledError:
                await socket.send_text("still here")
            except WebSocketDisconnect:
                return

    app.include_router(router)
    return app


def with_fastapi_and_middleware(auth: Auth) -> Any:
    app = with_fastapi(auth)
    app.add_middleware(AuthMiddleware, auth=auth)
    return app


def with_mounted_fastapi(auth: Auth) -> Any:
    app = FastAPI(lifespan=auth.lifespan)
    app.mount("/", with_fastapi(auth))
    return app


def with_starlette(auth: Auth) -> Any:
    async def open_to_all(socket: Any) -> None:
        assert socket.scope[IDENTITY]
        await echo(socket)

    return Starlette(
        routes=[WebSocketRoute("/open", open_to_all), WebSocketRoute("/mine", starlette.logged_in(open_to_all))],
        middleware=[Middleware(starlette.AuthMiddleware, auth=auth)], lifespan=auth.lifespan,
    )  # fmt: skip


def with_litestar(auth: Auth) -> Any:
    @websocket("/open")
    async def open_to_all(socket: LitestarSocket[Any, Any, Any]) -> None:
        await accepted(socket)

    @websocket("/mine", guards=[litestar.logged_in])
    async def mine(socket: LitestarSocket[Any, Any, Any], current_user: litestar.CurrentUser) -> None:
        await accepted(socket)

    async def accepted(socket: LitestarSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await socket.send_text("hello")
        while True:
            await socket.send_text(await socket.receive_text())

    async def greet(socket: LitestarSocket[Any, Any, Any]) -> None:
        await socket.send_text("hello")

    @websocket_listener("/listener", on_accept=greet)
    async def listener(data: str) -> str:
        return data

    return Litestar([open_to_all, mine, listener], plugins=[litestar.CoatcheckPlugin(auth)])


FASTAPI = ["/current", "/optional", "/both", "/role", "/router", "/deep", "/called", "/twice", "/stubborn"]
KINDS: dict[str, tuple[Callable[[Auth], Any], list[str]]] = {
    "fastapi": (with_fastapi, FASTAPI),
    "fastapi, middleware": (with_fastapi_and_middleware, FASTAPI),
    "fastapi, mounted": (with_mounted_fastapi, FASTAPI),
    "starlette": (with_starlette, ["/open", "/mine"]),
    "litestar": (with_litestar, ["/open", "/mine", "/listener"]),
}


@pytest.mark.parametrize("mode", list(Mode), ids=str)
@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, (_, paths) in KINDS.items() for path in paths])
async def test_it_ends_with_its_session(kind: str, path: str, mode: Mode) -> None:
    """Both of two connections of a session are closed with 4401 when it is revoked; another's goes on, and nothing that
    is said later is answered."""
    auth = Auth(**Setting(clock=TravelClock()).arguments() | {"subjects": lambda _: FACTS})
    async with served(KINDS[kind][0](auth), auth) as web:
        ann, bob = await auth.login("ann", mode=mode), await auth.login("bob", mode=mode)
        async with (
            opened(web, path, sent(ann)) as one,
            opened(web, path, sent(ann)) as two,
            opened(web, path, sent(bob)) as other,
        ):
            for client in (one, two, other):
                assert (await client.hear())["type"] == "websocket.accept"
                assert (await client.hear())["text"] == "hello"
            one.say("before")
            assert (await one.hear())["text"] == "before"
            await auth.revoke(ann.session.id)
            for client in (one, two):
                closed = await client.hear()
                assert (closed["type"], closed["code"], closed["reason"]) == (
                    "websocket.close",
                    4401,
                    "invalid_credential",
                )
            one.say("after")
            other.say("still here")
            assert (await other.hear())["text"] == "still here"
            assert one.heard.empty()


@pytest.mark.parametrize("path", ["/current", "/role", "/deep", "/called"])
async def test_handshakes_are_refused_as_before(path: str) -> None:
    """Nobody, and whoever has logged out, is closed before the connection is accepted."""
    auth = Auth(**Setting(clock=TravelClock()).arguments() | {"subjects": lambda _: FACTS})
    async with served(with_fastapi(auth), auth) as web:
        ann = await auth.login("ann", mode=Mode.JWT)
        await auth.revoke(ann.session.id)
        for headers in ((), sent(ann)):
            (answer,) = await web.handshake(path, headers=headers)
            assert (answer["type"], answer["code"]) == ("websocket.close", 4401)


async def test_nobody_is_not_guarded() -> None:
    """Where everybody is served, an anonymous connection goes on, and a route's own errors are its own."""
    auth = Auth(**Setting(clock=TravelClock()).arguments() | {"subjects": lambda _: FACTS})
    app = with_fastapi(auth)

    @app.websocket("/broken")
    async def broken(socket: WebSocket, user: OptionalUser) -> None:
        raise LookupError("its own")

    async with served(app, auth) as web:
        async with opened(web, "/optional", ()) as client:
            assert [(await client.hear())["type"] for _ in range(2)] == ["websocket.accept", "websocket.send"]
            client.say("anybody?")
            assert (await client.hear())["text"] == "anybody?"
        for headers in ((), sent(await auth.login("ann", mode=Mode.JWT))):
            with pytest.raises(LookupError, match="its own"):
                await web.handshake("/broken", headers=headers)
        assert len(auth.guards) == 0

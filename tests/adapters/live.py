"""Applications with long-lived connections, which the tests of connections serve with uvicorn.

Every connection says something every 20 ms, or nothing at all, and goes on for ever by itself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, WebSocket
from fastapi.sse import EventSourceResponse, ServerSentEvent
from litestar import Litestar, get
from litestar import WebSocket as Socket
from litestar.handlers import websocket
from litestar.response import Stream
from starlette.responses import StreamingResponse

from coatcheck import Auth, Identity, Policy, SubjectFacts
from coatcheck.adapters.asgi import AuthMiddleware
from coatcheck.adapters.connections import guard_websocket, guarded_events
from coatcheck.fastapi import CurrentUser
from coatcheck.litestar import CoatcheckPlugin

SECRET = "a secret of the tests, 32 bytes or more"
POLICY = Policy(max_staleness=1.0)
PAUSE = 0.02


def auth_of(environment: dict[str, str]) -> Auth:
    return Auth(
        environment["LIVE_URL"],
        sessions=environment.get("LIVE_SESSIONS"),
        secret=SECRET,
        subjects=lambda subject: SubjectFacts(),
        policy=POLICY,
    )


async def ticks() -> AsyncIterator[str]:
    number = 0
    while True:
        yield f"data: {number}\n\n"
        number += 1
        await asyncio.sleep(PAUSE)


async def silence() -> AsyncIterator[str]:
    yield ": hello\n\n"
    await asyncio.Event().wait()


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """Talks from a task of its own, listens in another; ``/stubborn`` will not be cancelled."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})

    async def talk() -> None:
        while True:
            await send({"type": "websocket.send", "text": "tick"})
            await asyncio.sleep(PAUSE)

    talking = asyncio.create_task(talk())
    talking.add_done_callback(lambda task: task.cancelled() or task.exception())
    if scope["path"].endswith("/stubborn"):
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
    try:
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"heard {message['text']}"})
    finally:
        talking.cancel()


if "LIVE_URL" in os.environ:
    auth = auth_of(dict(os.environ))
    app = FastAPI(lifespan=auth.lifespan)
    app.mount("/plain", AuthMiddleware(plain, auth))

    @app.websocket("/explicit")
    async def explicit(websocket: WebSocket, user: CurrentUser) -> None:
        await websocket.accept()
        async with guard_websocket(auth, user, websocket):
            while True:
                await websocket.send_text("tick")
                await asyncio.sleep(PAUSE)

    @app.get("/events")
    async def events(user: CurrentUser) -> StreamingResponse:
        return StreamingResponse(guarded_events(auth, user, ticks()), media_type="text/event-stream")

    @app.get("/silent")
    async def silent(user: CurrentUser) -> StreamingResponse:
        return StreamingResponse(guarded_events(auth, user, silence()), media_type="text/event-stream")

    async def numbers() -> AsyncIterator[ServerSentEvent]:
        number = 0
        while True:
            yield ServerSentEvent(data=number)
            number += 1
            await asyncio.sleep(PAUSE)

    @app.get("/native", response_class=EventSourceResponse)
    async def native(user: CurrentUser) -> AsyncIterator[ServerSentEvent]:
        def last(end: Any) -> ServerSentEvent:
            return ServerSentEvent(event=end.event, data=end.data)

        async for item in guarded_events(auth, user, numbers(), last=last):
            yield item

    @websocket("/auto")
    async def automatic(socket: Socket[Any, Any, Any]) -> None:
        await socket.accept()
        while True:
            await socket.send_text("tick")
            await asyncio.sleep(PAUSE)

    @get("/events")
    async def stream(current_user: Identity) -> Stream:
        return Stream(guarded_events(auth, current_user, ticks()), media_type="text/event-stream")

    litestar = Litestar([automatic, stream], plugins=[CoatcheckPlugin(auth)])

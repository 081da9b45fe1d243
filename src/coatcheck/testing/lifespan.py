"""An ASGI application between its startup and its shutdown, for clients that do not see to that themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ..adapters.asgi import ASGIApp, Message, Receive, Scope, Send


class Running:
    """The application, to be called. ``state`` is what its lifespan yielded; every request gets a copy."""

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self.app = app
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "state": dict(self.state)}, receive, send)


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[Running]:
    """Run the application's lifespan around a block, as a server does::

        async with running(app) as served, AsyncClient(transport=ASGITransport(served), base_url=...) as client:

    httpx runs no lifespan by itself, so an application with ``lifespan=auth.lifespan`` has no `Auth` there. Raises
    `RuntimeError` with what the application says when its startup or its shutdown fails.
    """
    state: dict[str, Any] = {}
    to_app, from_app = asyncio.Queue[Message](), asyncio.Queue[Message]()
    scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
    task = asyncio.create_task(_live(app, scope, to_app, from_app))
    try:
        has_one = await _tell(to_app, from_app, "startup")
        try:
            yield Running(app, state)
        finally:
            if has_one:
                await _tell(to_app, from_app, "shutdown")
    finally:
        await asyncio.wait([task])
        task.exception()  # what counts of it has been said


async def _live(app: ASGIApp, scope: Scope, to_app: asyncio.Queue[Message], from_app: asyncio.Queue[Message]) -> None:
    """In a task of its own, as servers do it: what the application enters there it leaves there."""
    try:
        await app(scope, to_app.get, from_app.put)
    finally:
        from_app.put_nowait({"type": "ended"})


async def _tell(to_app: asyncio.Queue[Message], from_app: asyncio.Queue[Message], what: str) -> bool:
    """False for an application that has no lifespan: it ends, or raises whatever it likes, instead of answering."""
    to_app.put_nowait({"type": f"lifespan.{what}"})
    answer = await from_app.get()
    if answer["type"] == f"lifespan.{what}.failed":
        raise RuntimeError(f"the application's {what} failed: {answer.get('message')}")
    return bool(answer["type"] != "ended")

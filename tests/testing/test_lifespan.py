"""`running`: an ASGI application between its startup and its shutdown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from coatcheck.adapters.asgi import Receive, Scope, Send
from coatcheck.testing.lifespan import running


async def test_lifespan() -> None:
    """It is entered and left once, in one task, and every request has a copy of its state."""
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        seen.append("startup")
        yield {"word": "hello"}
        seen.append("shutdown")

    async def say(request: Request) -> PlainTextResponse:
        word: str = request.state.word
        request.state.word = "changed"
        return PlainTextResponse(word)

    app = Starlette(routes=[Route("/", say)], lifespan=lifespan)
    async with running(app) as served:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://testserver") as client:
            assert [(await client.get("/")).text for _ in range(2)] == ["hello", "hello"]
        assert seen == ["startup"]
    assert seen == ["startup", "shutdown"]


@pytest.mark.parametrize("where", ["startup", "shutdown"])
async def test_failure(where: str) -> None:
    """What the application says when it cannot start or stop is raised."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if where == "startup":
            raise OSError("no such database")
        yield
        raise OSError("no such database")

    with pytest.raises(RuntimeError, match=f"{where} failed(.|\n)*no such database"):
        async with running(Starlette(lifespan=lifespan)):
            assert where == "shutdown"


@pytest.mark.parametrize("raises", [False, True])
async def test_no_lifespan(raises: bool) -> None:
    """An application that knows of none, and ends or fails at once over it, is served all the same."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" and raises:
            raise ValueError("what is that?")
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    async with (
        running(app) as served,
        httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://testserver") as client,
    ):
        assert (await client.get("/")).status_code == 204

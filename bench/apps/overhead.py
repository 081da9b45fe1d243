"""The applications that `bench/overhead.py` compares: the same small JSON, with and without authentication.

``RAW`` and ``STARLETTE`` are made with a mode; the mode ``none`` has no middleware. At start each writes the header
that authenticates a request into the file named by BENCH_HEADER.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from coatcheck import Auth, Mode, SubjectFacts
from coatcheck.adapters.asgi import IDENTITY, AuthMiddleware

ROLES = frozenset({"reader", "editor"})
BODY = json.dumps({"hello": "world", "items": [1, 2, 3]}).encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]

mode = os.environ["BENCH_MODE"]
kind = os.environ["BENCH_KIND"]
auth = Auth("memory://", subjects=lambda subject: SubjectFacts(roles=ROLES))


async def header() -> str:
    made = await auth.login("user-1", mode=Mode.JWT if mode == "none" else Mode(mode))
    if made.session_token is not None:
        return f"Cookie: coatcheck={made.session_token}"
    if made.session.mode is Mode.JWT:
        return f"Authorization: Bearer {made.access_token}"
    return f"Cookie: coatcheck-access={made.access_token}"


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    async with auth:
        text = await header()
        await asyncio.to_thread(Path(os.environ["BENCH_HEADER"]).write_text, text)
        yield


def recognised(scope: Any) -> bool:
    """Whether the request may have its answer: a comparison with a server that lets nobody in would prove nothing."""
    return mode == "none" or scope[IDENTITY] is not None


async def raw(scope: Any, receive: Any, send: Any) -> None:
    assert recognised(scope)
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


async def hello(request: Request) -> JSONResponse:
    assert recognised(request.scope)
    return JSONResponse({"hello": "world", "items": [1, 2, 3]})


def with_lifespan(app: Any) -> Any:
    """Raw ASGI has no lifespan of its own."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        await receive()
        async with lifespan(app):
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    return wrapped


if kind == "raw":
    app: Any = with_lifespan(raw if mode == "none" else AuthMiddleware(raw, auth))
else:
    app = Starlette(routes=[Route("/", hello)], lifespan=lifespan)
    if mode != "none":
        app.add_middleware(AuthMiddleware, auth=auth)

"""The server of `bench.speed.churn_storm`: raw ASGI behind `AuthMiddleware`. 200 to whoever is logged in, else 401.

Environment: ``STORE`` (the URL of the sessions that another process makes and ends), ``SECRET``, ``READY`` (the file
that it writes when it can be asked).
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any, Final

from coatcheck import ApplicationSubjects, Auth
from coatcheck.adapters.asgi import IDENTITY, AuthMiddleware

BODY: Final = json.dumps({"hello": "world", "items": [1, 2, 3]}).encode()
HEADERS: Final = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]

auth = Auth(os.environ["STORE"], secret=os.environ["SECRET"], subjects=ApplicationSubjects())


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """The one route."""
    known = scope[IDENTITY] is not None
    await send({"type": "http.response.start", "status": 200 if known else 401, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


guarded = AuthMiddleware(hello, auth)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """With a lifespan, which raw ASGI has not by itself."""
    if scope["type"] != "lifespan":
        await guarded(scope, receive, send)
        return
    await receive()
    async with auth:
        await asyncio.to_thread(_ready, Path(os.environ["READY"]))
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})


def _ready(file: Path) -> None:
    half = file.with_suffix(".half")
    half.write_text(json.dumps({"pid": os.getpid()}))
    half.rename(file)

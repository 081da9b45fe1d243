"""Raw ASGI: the middleware, and what it found."""

from __future__ import annotations

import json
from typing import Any

from shared import ANSWER, GUARDED, asynchronous, logged_in

from coatcheck.adapters.asgi import IDENTITY, AuthMiddleware, refuse
from coatcheck.adapters.demands import LOGGED_IN
from coatcheck.adapters.problems import problem_of
from coatcheck.errors import NotLoggedIn

BODY = json.dumps(ANSWER).encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
auth = asynchronous()


async def hello(scope: Any, receive: Any, send: Any) -> None:
    if GUARDED:
        try:
            LOGGED_IN.check(scope[IDENTITY], auth.clock)
        except NotLoggedIn as error:
            await refuse(scope, send, problem_of(error))
            return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


whole: Any = AuthMiddleware(hello, auth) if GUARDED else hello


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "lifespan":
        await whole(scope, receive, send)
        return
    await receive()
    async with logged_in(auth, auth.lifespan()):
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})

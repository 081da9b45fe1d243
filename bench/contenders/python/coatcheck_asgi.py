"""Raw ASGI with Coatcheck: ``coatcheck_asgi.py session | jwt | jwt-cookie``. See docs/custom.md."""

from __future__ import annotations

from typing import Any

import bare_asgi
from shared import run, serve
from with_coatcheck import logging_in, make_auth

from coatcheck.adapters.asgi import IDENTITY, AuthMiddleware

REFUSED = b'{"error":"Log in first."}'
auth = make_auth()


async def hello(scope: Any, receive: Any, send: Any) -> None:
    if scope[IDENTITY] is None:
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(REFUSED)).encode())]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": REFUSED})
        return
    await send({"type": "http.response.start", "status": 200, "headers": bare_asgi.HEADERS})
    await send({"type": "http.response.body", "body": bare_asgi.BODY})


async def main() -> None:
    async with auth:
        await serve(AuthMiddleware(hello, auth), [], logging_in(auth), bare=bare_asgi.app, lifespan="off")


if __name__ == "__main__":
    run(main())

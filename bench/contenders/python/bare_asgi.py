"""Raw ASGI without authentication: constant bytes, nothing in between."""

from __future__ import annotations

import json
from typing import Any

from shared import HELLO, run, serve

BODY = json.dumps(HELLO, separators=(",", ":")).encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    run(serve(app, [], lifespan="off"))

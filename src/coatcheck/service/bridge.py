"""One request through an ASGI application without a server: how frameworks of threads mount the service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..adapters.asgi import ASGIApp, Message, Scope


@dataclass(slots=True)
class Answered:
    """What the application answered."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list, repr=False)
    body: bytes = field(default=b"", repr=False)


async def answer(app: ASGIApp, scope: Scope, body: bytes) -> Answered:
    """Send one request with its whole body, and collect the answer. What the application raises is raised here."""
    answered = Answered()
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.status = message["status"]
            answered.headers = list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            answered.body += message.get("body", b"")

    await app({**_WHOLE, **scope}, receive, send)
    return answered


_WHOLE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "query_string": b"",
    "server": None,
}

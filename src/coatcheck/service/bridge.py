"""One request through an ASGI application without a server: how frameworks of threads mount the service."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from ..adapters.asgi import ASGIApp, Message, Scope


@dataclass(slots=True)
class Answered:
    """What the application answered."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list, repr=False)
    body: bytes = field(default=b"", repr=False)

    def text_headers(self) -> list[tuple[str, str]]:
        """The headers as WSGI and the frameworks on it take them: names as they are, several of one name apart."""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers]


async def answer(app: ASGIApp, scope: Scope, body: bytes) -> Answered:
    """Send one request with its whole body, and collect the answer. What the application raises is raised here.

    To the application the client stays until it has been answered, as to a server that does not notice sooner."""
    answered = Answered()
    parts: list[bytes] = []
    asked, done = False, asyncio.Event()

    async def receive() -> Message:
        nonlocal asked
        if asked:
            await done.wait()
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.status = message["status"]
            answered.headers = list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                done.set()

    await app({**_WHOLE, **scope}, receive, send)
    answered.body = b"".join(parts)
    return answered


_WHOLE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "http_version": "1.1",
    "query_string": b"",
    "server": None,
}

"""An ASGI application served as a server does it, but without a socket: lifespan, its state, requests, handshakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from coatcheck import Auth, Credentials
from coatcheck.adapters.asgi import ASGIApp, Message, Receive, Scope, Send
from tests.adapters.suite.contract import Answer, Headers
from tests.support.issuer import presented

T = TypeVar("T")


class ServedASGI:
    """A `Served` for applications in this loop. ``auth``: the application's own."""

    def __init__(self, app: ASGIApp, auth: Auth, state: dict[str, Any]) -> None:
        self._app = app
        self._auth = auth
        self._state = state

    async def request(
        self, method: str, path: str, *, headers: Headers = (), body: bytes = b"", base: str = "https://app.example"
    ) -> Answer:
        """See `Served.request`. An exception that a server would answer with 500 is raised."""
        transport = httpx.ASGITransport(self._with_state)
        request = httpx.Request(method, base + path, headers=list(headers), content=body)
        response = await transport.handle_async_request(request)
        content = await response.aread()
        names = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers.raw]
        return Answer(response.status_code, names, content)

    async def handshake(
        self, path: str, *, headers: Headers = (), base: str = "wss://app.example"
    ) -> list[dict[str, Any]]:
        """What the application sends to a client that opens a WebSocket, says nothing, and leaves."""
        scheme, _, host = base.partition("://")
        sent: list[Message] = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1005}]
        answers: list[dict[str, Any]] = []
        scope = {
            "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": scheme, "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "subprotocols": [],
            "client": ("127.0.0.1", 123), "server": (host, None), "extensions": {},
            "headers": [(b"host", host.encode()), *((k.lower().encode(), v.encode()) for k, v in headers)],
        }  # fmt: skip

        async def receive() -> Message:
            return sent.pop(0)

        async def send(message: Message) -> None:
            answers.append(dict(message))

        await self._with_state(scope, receive, send)
        return answers

    async def run(self, work: Callable[[Auth], Awaitable[T]]) -> T:
        """See `Served.run`."""
        return await work(self._auth)

    async def _with_state(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "state": dict(self._state)}, receive, send)


@asynccontextmanager
async def served(app: ASGIApp, auth: Auth, *, behind_proxy: bool = False) -> AsyncIterator[ServedASGI]:
    """The application between its startup and its shutdown.

    One without a lifespan (Django's) is served too: its ``auth`` is then for whoever calls this to start and close.
    ``behind_proxy``: as ``uvicorn --proxy-headers`` does it, for a peer on 127.0.0.1; a proxy hands Host on.
    Raises `RuntimeError` with what the application says when its startup fails."""
    if behind_proxy:
        app = ProxyHeadersMiddleware(app)  # type: ignore[arg-type, assignment]  # uvicorn's types of the same messages
    state: dict[str, Any] = {}
    to_app, from_app = asyncio.Queue[Message](), asyncio.Queue[Message]()
    scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}

    async def lifespan() -> None:
        try:
            await app(scope, to_app.get, from_app.put)
        finally:
            from_app.put_nowait({"type": "ended"})

    task = asyncio.create_task(lifespan())
    await to_app.put({"type": "lifespan.startup"})
    answer = await from_app.get()
    if answer["type"] == "lifespan.startup.failed":
        await asyncio.wait([task])
        task.exception()
        raise RuntimeError(f"the application did not start: {answer.get('message')}")
    try:
        yield ServedASGI(app, auth, state)
    finally:
        if answer["type"] == "ended":
            task.exception()  # it has no lifespan, and says so by an exception of its own choice
        else:
            await to_app.put({"type": "lifespan.shutdown"})
            await task


def sent(made: Credentials) -> Headers:
    """The header with which a client of this mode presents what a login gave."""
    credential = presented(made)
    return [("Cookie" if credential.carrier.is_cookie else "Authorization", credential.key.decode())]

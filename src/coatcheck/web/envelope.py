"""What goes around every request to the service: limits on the way in, headers on the way out. Pure ASGI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from starlette.exceptions import HTTPException

from ..acting import asked_from
from ..adapters.asgi import ASGIApp, Message, Receive, Scope, Send, arrival_of, header, refuse
from ..adapters.doubts import tell
from ..auth import Auth
from ..verifier import STATE_KEY
from .metrics import Metrics
from .refusals import TOO_LARGE

MAX_BODY: Final = 64 * 1024
"""Bytes a request's body may have; the largest of ours is a form with a long token."""

_DIGITS: Final = 20
"""A length of so many digits is not worth computing."""

_ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_PERSONAL: Final = ((b"cache-control", b"no-store"), (b"vary", b"Cookie, Authorization"))


class Envelope:
    """ASGI middleware. It hands the `Auth` to the routes, bounds the body (413), answers HEAD like GET, counts, and
    adds the headers that every answer carries. A header that a route has set itself is left as it is."""

    def __init__(self, app: ASGIApp, auth: Auth, metrics: Metrics | None = None, hsts: str | None = None) -> None:
        self.app = app
        self._auth = auth
        self._metrics = metrics
        self._hsts = hsts or auth.policy.hsts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        arrival = arrival_of(scope)
        tell(self._auth, arrival)
        inner = dict(scope, state={**scope.get("state", {}), STATE_KEY: self._auth})
        if scope["type"] != "http":
            await self.app(inner, receive, send)
            return
        method: str = scope["method"]
        if method == "HEAD":
            inner["method"] = "GET"

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": with_headers(scope, message.get("headers", ()), self._hsts)}
                if self._metrics is not None:
                    self._metrics.count(method, inner.get("route"), message["status"])
            elif method == "HEAD" and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # A person gets a page for it, from whoever reads the form: no more of it is read than that.
        if _announced(scope) > MAX_BODY and b"text/html" not in header(scope, b"accept"):
            await refuse(inner, send_on, TOO_LARGE)
            return
        with asked_from(arrival.client(self._auth.policy.trusted_proxies)):
            await self.app(inner, _bounded(receive), send_on)


def with_headers(scope: Scope, given: Iterable[tuple[bytes, bytes]], hsts: str) -> list[tuple[bytes, bytes]]:
    """The headers of a response, and those that every response carries."""
    headers = list(given)
    names = {name for name, _ in headers}
    added = list(_ALWAYS)
    if not any(name == b"cache-control" and value.startswith(b"public") for name, value in headers):
        # What is not said to be for everybody depends on who asks, or on nothing worth keeping.
        added += _PERSONAL
    arrival = arrival_of(scope)
    if arrival.secure and not arrival.is_local and hsts != "off":
        added.append((b"strict-transport-security", hsts.encode()))
    if any(name == b"content-type" and value.startswith(b"text/html") for name, value in headers):
        added.append((b"cross-origin-opener-policy", b"same-origin"))
    return headers + [(name, value) for name, value in added if name not in names]


def _announced(scope: Scope) -> int:
    text = header(scope, b"content-length")
    if not text.isdigit():
        return 0
    return int(text) if len(text) < _DIGITS else MAX_BODY + 1


def _bounded(receive: Receive) -> Receive:
    """Count what comes in, for a body need not announce its length."""
    size = 0

    async def receive_bounded() -> Message:
        nonlocal size
        message = await receive()
        if message["type"] == "http.request":
            size += len(message.get("body", b""))
            if size > MAX_BODY:
                raise HTTPException(TOO_LARGE.status)
        return message

    return receive_bounded

"""What happens around the routes of an application that was given to us, where they ask who is asking: answers say
``Vary: Cookie, Authorization``, what the framework's session keeps is marked as that person's, and WebSockets end when
the session does.

A dependency cannot do it: it has no hand in an answer that a route makes itself, nor in what a WebSocket sends later.
So this stands around the application's router, further in than any middleware.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fastapi import WebSocketDisconnect
from starlette.routing import Router

from ..adapters.asgi import ASGIApp, Message, Receive, Scope, Send, varying
from ..adapters.connections import GUARDED, LateGuard, serve_late
from ..adapters.kept import seal_in
from ..guard import Guard

ASKED: Final = "coatcheck.asked"
"""Scope key: the `Asked` of a request."""
LATE: Final = "coatcheck.late"
"""Scope key of a WebSocket: the `LateGuard` that waits for somebody."""


class Asked:
    """Whether a request has asked who is asking. An object, for whatever copies the scope hands it on."""

    yes = False
    app: object = None
    """The application whose routes have been looked at. One that stands in it where nobody sees it is another."""


class Around:
    """The router's application with this around it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    @classmethod
    def put(cls, router: Router, look: Callable[[object], None]) -> None:
        """Once per router. ``look``: what is done to the application once more when the first request comes."""
        if not isinstance(router.middleware_stack, cls | _First):
            router.middleware_stack = _First(router, cls(router.middleware_stack), look)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            asked = scope[ASKED] = Asked()
            asked.app = scope.get("app")

            async def send_on(message: Message) -> None:
                if asked.yes and message["type"] == "http.response.start":
                    message["headers"] = varying(message.get("headers", ()))
                    seal_in(scope)
                await send(message)

            try:
                await self._app(scope, receive, send_on)
            except BaseException:
                seal_in(scope)
                raise
        elif scope["type"] == "websocket":
            asked = scope[ASKED] = Asked()
            asked.app = scope.get("app")
            await self._guardable(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _guardable(self, scope: Scope, receive: Receive, send: Send) -> None:
        around: Guard | None = scope.get(GUARDED)
        found: list[LateGuard] = []

        async def serve(late: LateGuard) -> None:
            found.append(late)
            scope[LATE] = late
            await self._app(scope, late.receive, late.send)

        try:
            if around is None and LATE not in scope:  # an application in another has somebody around it
                await serve_late(serve, receive, send)
            else:
                await self._app(scope, receive, send)
        except WebSocketDisconnect:  # so Starlette calls it that nothing goes out any more
            guard = found[0].entered if found else around
            if guard is None or guard.ended is None:
                raise


class _First:
    """Stands around a router until the first request, which it lets in only after another look: whatever ran meanwhile,
    such as a lifespan, may have added routes. Requests after it cost nothing more."""

    def __init__(self, router: Router, around: Around, look: Callable[[object], None]) -> None:
        self._router = router
        self._around = around
        self._look = look
        self._has_looked = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and not self._has_looked:
            self._look(scope.get("app", self._router))
            self._has_looked = True
            if self._router.middleware_stack is self:  # otherwise somebody else stands around it too
                self._router.middleware_stack = self._around
        await self._around(scope, receive, send)

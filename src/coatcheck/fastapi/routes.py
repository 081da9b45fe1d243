"""What FastAPI's routes do besides, where they ask who is asking: their answers say ``Vary: Cookie, Authorization``,
what they keep in the framework's session is marked as that person's, and their WebSockets end when the session does.

A dependency cannot do it: it has no hand in an answer that the route makes itself, nor in what a WebSocket sends later.
So the two functions are replaced that make the handler of a route.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import Request, Response, WebSocket, WebSocketDisconnect, routing
from fastapi.dependencies.models import Dependant
from starlette.exceptions import HTTPException

from ..adapters.asgi import varying
from ..adapters.connections import GUARDED, LateGuard, serve_late
from ..adapters.kept import FOR, seal_in
from ..guard import Guard

Handler = Callable[[Request], Awaitable[Response]]
SocketHandler = Callable[[WebSocket], Awaitable[None]]

LATE: Final = "coatcheck.late"
"""Scope key of a WebSocket: the `LateGuard` that waits for somebody."""


def install(asks: Callable[[Dependant], bool]) -> None:
    """Have FastAPI make routes so, in every application of this process. ``asks``: whether a route asks us."""
    make_socket_handler = routing.get_websocket_app
    make_handler = routing.get_request_handler

    def get_request_handler(dependant: Dependant, *args: Any, **more: Any) -> Handler:
        handler: Handler = make_handler(dependant, *args, **more)
        return _varied(handler) if asks(dependant) else handler

    def get_websocket_app(*args: Any, **more: Any) -> SocketHandler:
        return _guardable(make_socket_handler(*args, **more))

    routing.get_websocket_app = get_websocket_app  # type: ignore[assignment]
    routing.get_request_handler = get_request_handler  # type: ignore[assignment]


def _varied(handler: Handler) -> Handler:
    async def varied(request: Request) -> Response:
        try:
            response = await handler(request)
        except HTTPException as error:
            given = [(name.lower().encode(), value.encode("latin-1")) for name, value in (error.headers or {}).items()]
            vary = dict(varying(given))[b"vary"].decode("latin-1")
            error.headers = {**{n: v for n, v in (error.headers or {}).items() if n.lower() != "vary"}, "Vary": vary}
            raise
        finally:
            if FOR in request.scope:
                seal_in(request.scope)
        response.raw_headers = varying(response.raw_headers)
        return response

    return varied


def _guardable(handler: SocketHandler) -> SocketHandler:
    async def guardable(websocket: WebSocket) -> None:
        scope = websocket.scope
        around: Guard | None = scope.get(GUARDED)

        async def serve(late: LateGuard) -> None:
            scope[LATE] = late
            await handler(WebSocket(scope, late.receive, late.send))

        try:
            if around is None:
                await serve_late(serve, websocket.receive, websocket.send)
            else:
                await handler(websocket)
        except WebSocketDisconnect:  # so Starlette calls it that nothing goes out any more
            guard = scope[LATE].entered if around is None else around
            if guard is None or guard.ended is None:
                raise

    return guardable

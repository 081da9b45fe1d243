"""What FastAPI's routes do besides, where they ask who is asking: their answers say ``Vary: Cookie, Authorization``.

A dependency cannot do it: it has no hand in an answer that the route makes itself. So the function is replaced that
makes the handler of a route; routes that ask nobody are left as they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response, routing
from fastapi.dependencies.models import Dependant
from starlette.exceptions import HTTPException

from .asgi import varying

Handler = Callable[[Request], Awaitable[Response]]


def install(asks: Callable[[Dependant], bool]) -> None:
    """Have FastAPI make routes so, in every application of this process. ``asks``: whether a route asks us."""
    make_handler = routing.get_request_handler

    def get_request_handler(dependant: Dependant, *args: Any, **more: Any) -> Handler:
        handler: Handler = make_handler(dependant, *args, **more)
        return _varied(handler) if asks(dependant) else handler

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
        response.raw_headers = varying(response.raw_headers)
        return response

    return varied

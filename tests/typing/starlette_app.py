"""A Starlette application that uses everything of its adapter."""

from __future__ import annotations

from typing import assert_type

from starlette.applications import Starlette
from starlette.authentication import requires as starlette_requires
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from coatcheck import Auth, Identity
from coatcheck.starlette import (
    AuthMiddleware,
    CoatcheckBackend,
    Nobody,
    Refusal,
    User,
    current_user,
    fresh,
    lifespans,
    logged_in,
    mount_auth,
    on_error,
    optional_user,
    page_for,
    requires,
)


@logged_in
async def me(request: Request) -> Response:
    assert_type(current_user(request), Identity)
    user: User = request.user
    assert_type(user.identity, Identity)
    assert_type(user.display_name, str)
    return PlainTextResponse(user.display_name)


@requires("admin", "author")
@fresh(minutes=5)
def danger(request: Request) -> Response:
    return PlainTextResponse(current_user(request).subject)


@starlette_requires(["authenticated", "role:admin"])
async def admin(request: Request) -> Response:
    user: User | Nobody = request.user
    assert_type(user.identity, Identity | None)
    assert_type(optional_user(request), Identity | None)
    return PlainTextResponse("")


class Reports(HTTPEndpoint):
    @requires("editor")
    async def get(self, request: Request) -> Response:
        return PlainTextResponse(current_user(request).subject)


def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    page = page_for(request.scope, error.problem)
    return RedirectResponse(page, 303) if page else on_error(request, error)


@logged_in
async def live(websocket: WebSocket) -> None:
    assert_type(current_user(websocket), Identity)
    await websocket.accept()


auth = Auth("memory://")
routes = [Route("/me", me), Route("/danger", danger), Route("/reports", Reports), WebSocketRoute("/live", live)]
app = Starlette(
    routes=routes,
    exception_handlers={Refusal: refused},
    lifespan=lifespans(auth.lifespan),
    middleware=[Middleware(AuthMiddleware, auth=auth, service="/auth")],
)
plain = Starlette(
    routes=[Route("/admin", admin)],
    lifespan=auth.lifespan,
    middleware=[Middleware(AuthenticationMiddleware, backend=CoatcheckBackend(auth), on_error=on_error)],
)
assert_type(mount_auth(Starlette(), "memory://"), Auth)

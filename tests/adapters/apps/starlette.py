"""Starlette: the middleware and the decorators; `mount_auth`, or for a prefix another application around it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from coatcheck import Auth
from coatcheck.starlette import AuthMiddleware, auth_app, current_user, fresh, logged_in, mount_auth, requires
from tests.adapters.apps.asgi import described
from tests.adapters.apps.support import ServedASGI, served
from tests.adapters.suite.contract import Setting


async def public(request: Request) -> Response:
    identity = request.user.identity
    return JSONResponse({"subject": identity.subject if request.user.is_authenticated else None})


class Mine(HTTPEndpoint):
    @logged_in
    async def get(self, request: Request) -> Response:
        return JSONResponse(described(request.user.identity))

    async def post(self, request: Request) -> Response:
        return JSONResponse(described(current_user(request)))


@requires("admin")
def admin(request: Request) -> Response:
    return JSONResponse(described(current_user(request)))


@fresh(minutes=5)
async def danger(request: Request) -> Response:
    return JSONResponse(described(current_user(request)))


async def theirs(request: Request) -> Response:
    return JSONResponse({"authorization": request.headers.get("authorization")})


@logged_in
async def theirs_mine(request: Request) -> Response:
    return JSONResponse(described(request.user.identity))


ROUTES = (
    Route("/theirs", theirs, methods=["GET", "POST"]),
    Route("/theirs/mine", theirs_mine),
    Route("/open", public, methods=["GET", "POST"]),
    Route("/mine", Mine),
    Route("/admin", admin),
    Route("/danger", danger, methods=["POST"]),
)


def serving(setting: Setting) -> AbstractAsyncContextManager[ServedASGI]:
    auth = Auth(**setting.arguments())
    if not setting.prefix:
        app = Starlette(routes=ROUTES)
        mount_auth(app, auth, exclude=["/theirs"])
        return served(app, auth, behind_proxy=setting.behind_proxy)
    # As one does it by hand: the service judges its requests by itself, so the middleware is around the others only.
    guarded = Mount("/", routes=ROUTES, middleware=[Middleware(AuthMiddleware, auth=auth, exclude=["/theirs"])])
    inner = Starlette(routes=[Mount("/auth", auth_app(auth)), guarded])
    app = Starlette(routes=[Mount(setting.prefix, inner)], lifespan=auth.lifespan)
    return served(app, auth, behind_proxy=setting.behind_proxy)

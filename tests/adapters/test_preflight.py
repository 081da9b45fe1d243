"""`OPTIONS`: a browser's preflight carries no credential and is asked for none; whoever handles OPTIONS is guarded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from flask import Blueprint, Flask, request
from flask.views import MethodView
from litestar import Controller, HttpMethod, Litestar, Router, get, post, route
from litestar.config.cors import CORSConfig
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from tests.adapters.apps.django_project import setup

setup()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402 - needs settings
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils.decorators import method_decorator  # noqa: E402
from django.views import View  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

from coatcheck import (  # noqa: E402
    Auth,
    django,
    fastapi,
    flask,
    litestar,
    starlette,
)
from coatcheck.blocking import Auth as BlockingAuth  # noqa: E402
from tests.adapters.apps.django_wsgi import project  # noqa: E402
from tests.adapters.apps.flask import WsgiServed  # noqa: E402
from tests.adapters.apps.support import ServedASGI, served  # noqa: E402
from tests.adapters.suite.contract import Headers  # noqa: E402

SECRET = "a secret of the tests, 32 bytes or more"
ORIGIN = "https://spa.example"
PREFLIGHT: Headers = (
    ("Origin", ORIGIN),
    ("Access-Control-Request-Method", "POST"),
    ("Access-Control-Request-Headers", "authorization"),
    ("Sec-Fetch-Mode", "cors"),
    ("Sec-Fetch-Site", "cross-site"),
)
SHOWN = "handled"
"""What a view says that handles OPTIONS itself."""
CORS = {"allow_origins": [ORIGIN], "allow_methods": ["POST"], "allow_headers": ["authorization"]}

Asked = Any
"""Whatever of these can be asked: a `Served`, or its request alone."""
Serving = Callable[[bool], AbstractAsyncContextManager[Asked]]


async def _starlette_view(request: Request) -> Response:
    return JSONResponse({"said": SHOWN})


class _StarletteOptions(HTTPEndpoint):
    @starlette.logged_in
    async def get(self, request: Request) -> Response:
        return JSONResponse({"said": SHOWN})

    @starlette.logged_in
    async def options(self, request: Request) -> Response:
        return JSONResponse({"said": SHOWN})


@asynccontextmanager
async def _starlette(cors: bool) -> AsyncIterator[Asked]:
    auth = Auth("memory://", secret=SECRET)
    guarded = starlette.logged_in(_starlette_view)
    routes = [
        Route("/group", guarded, methods=["GET", "POST"]),
        Route("/view", guarded, methods=["GET", "POST"]),
        Route("/own", guarded, methods=["GET", "OPTIONS"]),
        Route("/own/class", _StarletteOptions),
    ]
    middleware = [Middleware(starlette.AuthMiddleware, auth=auth)]
    if cors:
        middleware.insert(0, Middleware(CORSMiddleware, **CORS))  # type: ignore[arg-type]
    app = Starlette(routes=[Mount("/", routes=routes)], middleware=middleware, lifespan=auth.lifespan)
    async with served(app, auth) as running:
        yield running


@asynccontextmanager
async def _fastapi(cors: bool) -> AsyncIterator[Asked]:
    auth = Auth("memory://", secret=SECRET)
    router = APIRouter(dependencies=[fastapi.requires("admin")])

    @router.get("/group")
    @router.post("/group")
    def group() -> str:
        return SHOWN

    @router.post("/view")
    def view(user: fastapi.CurrentUser) -> str:
        return SHOWN

    @router.api_route("/own", methods=["GET", "OPTIONS"])
    def own() -> str:
        return SHOWN

    @router.options("/own/class")
    def alone() -> str:
        return SHOWN

    app = FastAPI(lifespan=auth.lifespan)
    app.include_router(router)
    if cors:
        app.add_middleware(CORSMiddleware, **CORS)  # type: ignore[arg-type]
    async with served(app, auth) as running:
        yield running


class _Group(Controller):
    path = "/group"
    guards = (litestar.logged_in,)

    @get()
    async def show(self) -> str:
        return SHOWN

    @post()
    async def change(self) -> str:
        return SHOWN


@asynccontextmanager
async def _litestar(cors: bool) -> AsyncIterator[Asked]:
    auth = Auth("memory://", secret=SECRET)

    @post("/view", guards=[litestar.logged_in])
    async def view() -> str:
        return SHOWN

    @route("/own", http_method=[HttpMethod.GET, HttpMethod.OPTIONS], status_code=200)
    async def own() -> str:
        return SHOWN

    @route("/own/class", http_method=HttpMethod.OPTIONS, status_code=200)
    async def alone() -> str:
        return SHOWN

    router = Router("/", route_handlers=[own, alone, _Group], guards=[litestar.requires("admin")])
    app: Any = Litestar(
        [router, view],
        guards=[litestar.logged_in],
        plugins=[litestar.CoatcheckPlugin(auth)],
        cors_config=CORSConfig(**CORS) if cors else None,  # type: ignore[arg-type]
    )
    async with served(app, auth) as running:
        yield running


class _Method(MethodView):
    decorators = [flask.login_required]  # noqa: RUF012 - as Flask has it

    def get(self) -> str:
        return SHOWN

    def post(self) -> str:
        return SHOWN


class _MethodWithOptions(_Method):
    def options(self) -> str:
        return SHOWN


def _flask_app(auth: BlockingAuth, cors: bool) -> Flask:
    app = Flask(__name__)
    flask.Coatcheck(app, auth)
    group = Blueprint("group", __name__)

    @group.before_request
    @flask.requires("admin")
    def administrators_only() -> None:
        """Nothing else."""

    app.before_request(flask.login_required(lambda: None))

    @group.route("/group", methods=["GET", "POST"])
    def shown() -> str:
        return SHOWN

    @group.route("/own", methods=["GET", "OPTIONS"])
    def own() -> str:
        return SHOWN

    app.add_url_rule("/view", view_func=_Method.as_view("view"))
    group.add_url_rule("/own/class", view_func=_MethodWithOptions.as_view("own_class"))
    app.register_blueprint(group)
    if cors:

        @app.after_request
        def allow(response: Any) -> Any:
            if request.headers.get("Origin") == ORIGIN:
                response.headers["Access-Control-Allow-Origin"] = ORIGIN
            return response

    return app


@asynccontextmanager
async def _flask(cors: bool) -> AsyncIterator[Asked]:
    auth = BlockingAuth("memory://", secret=SECRET)
    try:
        yield WsgiServed(_flask_app(auth, cors), auth)
    finally:
        await asyncio.to_thread(auth.close)


class _Mixed(django.LoginRequiredMixin, View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(SHOWN)

    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(SHOWN)


class _Talks(View):
    """Answers every method in the same way."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse(SHOWN)


class _Chatty(django.LoginRequiredMixin, _Talks):
    """The same, behind the mixin."""


@method_decorator(django.requires("admin"), name="dispatch")
class _Decorated(View):
    async def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(SHOWN)


class _DjangoOptions(_Mixed):
    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse(SHOWN)


@django.login_required
def _function(request: HttpRequest) -> HttpResponse:
    return HttpResponse(SHOWN)


urlpatterns = [
    path("group", csrf_exempt(_Decorated.as_view())),
    path("group/wrapped", csrf_exempt(django.login_required(_Decorated.as_view()))),
    path("view", csrf_exempt(_Mixed.as_view())),
    path("own", _function),
    path("own/dispatch", django.login_required(_Talks.as_view())),
    path("own/dispatch/mixin", _Chatty.as_view()),
    path("own/class", _DjangoOptions.as_view()),
    path("own/wrapped", django.login_required(_DjangoOptions.as_view())),
]


@asynccontextmanager
async def _django_wsgi(cors: bool) -> AsyncIterator[Asked]:
    auth = BlockingAuth("memory://", secret=SECRET)
    with override_settings(ROOT_URLCONF=__name__), project(auth):
        yield WsgiServed(WSGIHandler(), auth)
    await asyncio.to_thread(auth.close)


@asynccontextmanager
async def _django_asgi(cors: bool) -> AsyncIterator[Asked]:
    auth = BlockingAuth("memory://", secret=SECRET)
    with override_settings(ROOT_URLCONF=__name__), project(auth):
        yield ServedASGI(ASGIHandler(), None, {})  # type: ignore[arg-type]  # its Auth is not in this loop
    await asyncio.to_thread(auth.close)


KINDS: dict[str, Serving] = {
    "starlette": _starlette, "fastapi": _fastapi, "litestar": _litestar, "flask": _flask,
    "django_wsgi": _django_wsgi, "django_asgi": _django_asgi,
}  # fmt: skip
DJANGO = ("django_wsgi", "django_asgi")


@pytest.mark.parametrize("cors", [True, False], ids=["cors", "no-cors"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_preflight_is_asked_for_nothing(kind: str, cors: bool) -> None:
    """Guards of groups, routers, applications and classes answer a preflight as the framework does without them: it
    carries no credential. What it asks about stays guarded."""
    async with KINDS[kind](cors) as app:
        paths = ["/group", "/view", *(["/group/wrapped"] if kind in DJANGO else [])]
        for where in paths:
            answer = await app.request("OPTIONS", where, headers=PREFLIGHT)
            assert answer.status in ((200, 204) if cors or kind not in ("starlette", "fastapi") else (405,)), answer
            assert not answer.header("www-authenticate")
            assert SHOWN.encode() not in answer.body
            assert (await app.request("POST", where)).status == 401


@pytest.mark.parametrize("kind", KINDS)
async def test_who_handles_options_is_guarded(kind: str) -> None:
    """A view that handles OPTIONS itself is not run for strangers."""
    async with KINDS[kind](False) as app:
        paths = ["/own", "/own/class"]
        if kind in DJANGO:
            paths += ["/own/wrapped", "/own/dispatch", "/own/dispatch/mixin"]
        for where in paths:
            for headers in ((), PREFLIGHT):
                answer = await app.request("OPTIONS", where, headers=headers)
                assert SHOWN.encode() not in answer.body, (where, answer)
                assert answer.status in ((401,) if "dispatch" not in where else (200, 401)), (where, answer)

"""Applications of every framework that keep something for people in the framework's own session, of each kind that it
has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.adapters.apps.django_project import MIDDLEWARE, setup

setup()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402 - needs settings
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.urls import include, path  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from flask import Flask, jsonify, session  # noqa: E402
from flask import request as flask_request  # noqa: E402
from flask_session import Session as ServerSideSessions  # noqa: E402
from litestar import Litestar  # noqa: E402
from litestar import Request as LitestarRequest  # noqa: E402
from litestar import Response as LitestarResponse  # noqa: E402
from litestar import get as litestar_get  # noqa: E402
from litestar.middleware.session.client_side import CookieBackendConfig  # noqa: E402
from litestar.middleware.session.server_side import ServerSideSessionConfig  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.middleware.authentication import AuthenticationMiddleware  # noqa: E402
from starlette.middleware.sessions import SessionMiddleware  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import JSONResponse, Response  # noqa: E402
from starlette.routing import Mount, Route  # noqa: E402

from coatcheck import Auth, blocking  # noqa: E402
from coatcheck import django as django_service  # noqa: E402
from coatcheck import fastapi as fastapi_service  # noqa: E402
from coatcheck import flask as flask_service  # noqa: E402
from coatcheck import litestar as litestar_service  # noqa: E402
from coatcheck import starlette as starlette_service  # noqa: E402
from coatcheck.adapters.asgi import AuthMiddleware as PlainMiddleware  # noqa: E402
from coatcheck.asgi import auth_app  # noqa: E402
from coatcheck.litestar import OptionalUser  # noqa: E402
from coatcheck.starlette import CoatcheckBackend  # noqa: E402
from coatcheck.testing.clock import TravelClock  # noqa: E402
from tests.adapters.apps.support import served  # noqa: E402
from tests.adapters.test_no_circles import Threads  # noqa: E402
from tests.service.visitor import OTHER, PASSWORD  # noqa: E402

BASE = "https://app.example"
ANN = {"email": "ann@example.com", "password": PASSWORD}
BOB = {"email": "bob@example.com", "password": OTHER}
SECRET = "a secret of the framework's own"


@dataclass
class Site:
    """A running application: ``/put?what=`` keeps something, ``/got`` shows what is kept, ``/enter?subject=&mode=`` is
    a login of its own that delivers, and all three ask who is asking."""

    transport: httpx.AsyncBaseTransport
    auth: Any
    """Of either kind."""
    clock: TravelClock = field(default_factory=TravelClock)
    place: tuple[Making, str] | None = None
    """Which of `PLACES` it is."""

    async def run(self, work: Callable[[Auth], Awaitable[Any]]) -> Any:
        return await (self.auth.arun(work) if isinstance(self.auth, blocking.Auth) else work(self.auth))


def shown(kept: Any) -> dict[str, Any]:
    """What the application has kept, without what its framework and we have."""
    return {"kept": [value for name, value in sorted(kept.items()) if name.startswith("what")]}


@asynccontextmanager
async def in_starlette(arguments: dict[str, Any], how: str) -> AsyncIterator[Site]:
    auth = Auth(**arguments)

    async def put(request: Request) -> Response:
        request.session[request.query_params.get("as", "what")] = request.query_params["what"]
        return Response()

    async def got(request: Request) -> Response:
        return JSONResponse(shown(request.session))

    async def enter(request: Request) -> Response:
        made = await auth.login(request.query_params["subject"])
        return starlette_service.deliver(Response(), request.scope, made, mount="/auth")

    routes: list[Any] = [Route("/put", put), Route("/got", got), Route("/enter", enter)]
    around = [Middleware(SessionMiddleware, secret_key=SECRET, https_only=True)]
    if how == "mounted":
        app = Starlette(routes=routes, middleware=around)
        starlette_service.mount_auth(app, auth)
    else:
        if how == "plain":
            around.append(Middleware(PlainMiddleware, auth=auth))
        else:
            around.append(Middleware(AuthenticationMiddleware, backend=CoatcheckBackend(auth)))
        app = Starlette(routes=[*routes, Mount("/auth", auth_app(auth))], middleware=around, lifespan=auth.lifespan)
    async with served(app, auth) as running:
        yield Site(httpx.ASGITransport(running._with_state), auth)


@asynccontextmanager
async def in_fastapi(arguments: dict[str, Any], how: str) -> AsyncIterator[Site]:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key=SECRET)
    auth = fastapi_service.mount_auth(app, Auth(**arguments))

    @app.get("/put")
    async def put(request: Request, user: fastapi_service.OptionalUser, what: str) -> None:
        request.session["what"] = what

    @app.get("/got")
    async def got(request: Request, user: fastapi_service.OptionalUser) -> dict[str, Any]:
        return shown(request.session)

    @app.get("/enter")
    async def enter(request: Request, subject: str, user: fastapi_service.OptionalUser) -> Response:
        return fastapi_service.deliver(Response(), request.scope, await auth.login(subject), mount="/auth")

    async with served(app, auth) as running:
        yield Site(httpx.ASGITransport(running._with_state), auth)


@dataclass
class Basket:
    """What Litestar may keep in the place of a dictionary."""

    what: str


@asynccontextmanager
async def in_litestar(arguments: dict[str, Any], how: str) -> AsyncIterator[Site]:
    auth = Auth(**arguments)
    in_cookie = how in ("cookie", "a model")
    config = CookieBackendConfig(secret=b"k" * 32) if in_cookie else ServerSideSessionConfig()
    own = [config.middleware]

    @litestar_get("/put", middleware=own if how == "of a handler" else None)
    async def put(request: LitestarRequest[Any, Any, Any]) -> None:
        what = request.query_params["what"]
        if how.startswith("a model"):
            request.set_session(Basket(what=what))
        else:
            request.session["what"] = what

    @litestar_get("/got", middleware=own if how == "of a handler" else None)
    async def got(request: LitestarRequest[Any, Any, Any], optional_user: OptionalUser) -> dict[str, Any]:
        return shown(request.session)

    @litestar_get("/enter", middleware=own if how == "of a handler" else None)
    async def enter(request: LitestarRequest[Any, Any, Any]) -> LitestarResponse[str]:
        made = await auth.login(request.query_params["subject"])
        return litestar_service.deliver(LitestarResponse(""), request, made)

    plugins = [litestar_service.ServicePlugin(auth)]
    app: Any = Litestar([put, got, enter], plugins=plugins, middleware=[] if how == "of a handler" else own)
    async with served(app, auth) as running:
        yield Site(httpx.ASGITransport(running._with_state), auth)


@asynccontextmanager
async def in_flask(arguments: dict[str, Any], how: str) -> AsyncIterator[Site]:
    app = Flask(__name__)
    app.secret_key = SECRET

    def put() -> str:
        session["what"] = flask_request.args["what"]
        return ""

    def enter() -> Any:
        return flask_service.deliver(Flask.response_class(""), auth.login(flask_request.args["subject"]))

    with blocking.Auth(**arguments) as auth:
        flask_service.mount_auth(app, auth)
        if how == "server":
            from cachelib import SimpleCache

            app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=SimpleCache())
            ServerSideSessions(app)
        app.add_url_rule("/put", "put", put)
        app.add_url_rule("/got", "got", lambda: jsonify(shown(session)))
        app.add_url_rule("/enter", "enter", enter)
        yield Site(Threads(app), auth)


@asynccontextmanager
async def in_django(arguments: dict[str, Any], how: str) -> AsyncIterator[Site]:
    def put(request: HttpRequest) -> HttpResponse:
        request.session["what"] = request.GET["what"]
        return HttpResponse()

    def got(request: HttpRequest) -> HttpResponse:
        return JsonResponse(shown(request.session))

    async def put_async(request: HttpRequest) -> HttpResponse:
        await request.session.aset("what", request.GET["what"])
        return HttpResponse()

    async def got_async(request: HttpRequest) -> HttpResponse:
        return JsonResponse(shown(dict(await request.session.aitems())))

    def enter(request: HttpRequest) -> Any:
        return django_service.deliver(request, HttpResponse(), auth.login(request.GET["subject"]))

    is_async = how == "asgi"
    routes = (
        path("put", put_async if is_async else put),
        path("got", got_async if is_async else got),
        path("enter", enter),
        path("auth/", include("coatcheck.django.urls")),
    )
    await asyncio.to_thread(call_command, "migrate", verbosity=0)
    engine = f"django.contrib.sessions.backends.{'db' if is_async else how}"
    with blocking.Auth(**arguments) as auth:
        given = {"users": "coatcheck", "auth": auth}
        with override_settings(
            COATCHECK=given, ROOT_URLCONF=routes, LOGIN_URL="/auth/login", SESSION_ENGINE=engine, MIDDLEWARE=MIDDLEWARE
        ):
            app: Any = ASGIHandler() if is_async else WSGIHandler()
            yield Site(httpx.ASGITransport(app) if is_async else Threads(app), auth)
    await asyncio.to_thread(connections.close_all)


Making = Callable[[dict[str, Any], str], AbstractAsyncContextManager[Site]]
PLACES: list[tuple[Making, str]] = [
    (in_starlette, "mounted"),
    (in_starlette, "plain"),
    (in_starlette, "backend"),
    (in_fastapi, ""),
    (in_litestar, "cookie"),
    (in_litestar, "server"),
    (in_litestar, "of a handler"),
    (in_litestar, "a model"),
    (in_litestar, "a model on the server"),
    (in_flask, "cookie"),
    (in_flask, "server"),
    (in_django, "db"),
    (in_django, "cached_db"),
    (in_django, "cache"),
    (in_django, "file"),
    (in_django, "signed_cookies"),
    (in_django, "asgi"),
]

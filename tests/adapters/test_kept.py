"""What a framework keeps for a person in a session of its own is not handed to whoever comes next to that browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

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
from coatcheck.accounts import PasswordHasher  # noqa: E402
from coatcheck.adapters.asgi import AuthMiddleware as PlainMiddleware  # noqa: E402
from coatcheck.adapters.litestar import OptionalUser  # noqa: E402
from coatcheck.adapters.starlette import CoatcheckBackend  # noqa: E402
from coatcheck.clock import Clock  # noqa: E402
from coatcheck.service import auth_app  # noqa: E402
from coatcheck.service import django as django_service  # noqa: E402
from coatcheck.service import fastapi as fastapi_service  # noqa: E402
from coatcheck.service import flask as flask_service  # noqa: E402
from coatcheck.service import litestar as litestar_service  # noqa: E402
from coatcheck.service import starlette as starlette_service  # noqa: E402
from coatcheck.stores.memory import MemoryStore  # noqa: E402
from coatcheck.testing.clock import TravelClock  # noqa: E402
from tests.adapters.apps.support import served  # noqa: E402
from tests.adapters.suite.contract import CHEAP  # noqa: E402
from tests.adapters.test_no_circles import Threads  # noqa: E402
from tests.service.visitor import OTHER, OWN, PASSWORD, Page  # noqa: E402

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
    is_seen: bool = True
    """Whether the framework's session is there at the service's routes too."""

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


@asynccontextmanager
async def in_litestar(arguments: dict[str, Any], how: str) -> AsyncIterator[Site]:
    auth = Auth(**arguments)
    config = CookieBackendConfig(secret=b"k" * 32) if how == "cookie" else ServerSideSessionConfig()
    own = [config.middleware]

    @litestar_get("/put", middleware=own if how == "of a handler" else None)
    async def put(request: LitestarRequest[Any, Any, Any]) -> None:
        request.session["what"] = request.query_params["what"]

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
        yield Site(httpx.ASGITransport(running._with_state), auth, is_seen=how != "of a handler")


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
        path("auth/", include("coatcheck.service.django")),
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
    (in_flask, "cookie"),
    (in_flask, "server"),
    (in_django, "db"),
    (in_django, "cached_db"),
    (in_django, "cache"),
    (in_django, "file"),
    (in_django, "signed_cookies"),
    (in_django, "asgi"),
]


@pytest.fixture(params=PLACES, ids=lambda place: f"{place[0].__name__}-{place[1]}")
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """An application of each framework, with each kind of session that it has."""
    clock = TravelClock()
    making, how = request.param
    arguments = {
        "url": "memory://",
        "sessions": MemoryStore(wall=clock),
        "clock": Clock(monotonic=clock.monotonic, wall=clock.now),
        "password_hasher": PasswordHasher(CHEAP, concurrency=1),
    }
    async with making(arguments, how) as site:
        site.clock = clock
        browser = Browser(site)
        for person in (ANN, BOB):
            assert (await browser.http.post("/auth/register", json=person)).status_code == 201
        yield site


class Browser:
    """One browser, which one person after the other sits down at."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.http = httpx.AsyncClient(transport=site.transport, base_url=BASE, headers=OWN)

    async def put(self, what: str) -> None:
        assert (await self.http.get("/put", params={"what": what})).status_code == 200

    async def kept(self) -> list[str]:
        answer = await self.http.get("/got")
        assert answer.status_code == 200, answer.text
        found: list[str] = answer.json()["kept"]
        return found

    async def log_in(self, person: dict[str, str], how: str = "json", **more: Any) -> None:
        if how == "json":
            answer = await self.http.post("/auth/login", json={**person, "mode": "session", **more})
            assert answer.status_code == 200
        elif how == "page":
            answer = await self.http.post("/auth/login", data=person)
            assert answer.status_code == 303
        else:
            account = await self.site.run(lambda auth: auth.accounts.find_by_email(person["email"]))
            assert (await self.http.get("/enter", params={"subject": account.id})).status_code in (200, 201)

    async def log_out(self, how: str) -> None:
        if how == "json":
            assert (await self.http.post("/auth/logout")).status_code == 204
        elif how == "everywhere":
            assert (await self.http.post("/auth/logout/everywhere")).status_code == 204
        else:
            form = Page((await self.http.get("/auth/account")).text).form("/auth/logout")
            assert (await self.http.post("/auth/logout", data=form.fields)).status_code == 303

    @property
    def credential(self) -> str:
        found = self.http.cookies.get("__Host-coatcheck")
        assert found
        return found


@pytest.mark.parametrize("how", ["json", "page", "everywhere"])
async def test_logout(site: Site, how: str) -> None:
    """It ends with a logout: the next person does not read it, nor does nobody, nor, where the service sees the
    framework's session, the same person again."""
    for after in (None, BOB, *([ANN] if site.is_seen else [])):
        browser = Browser(site)
        await browser.log_in(ANN)
        await browser.put("of ann")
        assert await browser.kept() == ["of ann"]
        await browser.log_out(how)
        if after is not None:
            await browser.log_in(after)
        assert await browser.kept() == []


@pytest.mark.parametrize("how", ["json", "page", "deliver"])
async def test_a_login_over_a_login(site: Site, how: str) -> None:
    """Somebody else's login ends it; one's own does not."""
    browser = Browser(site)
    await browser.log_in(ANN)
    await browser.put("of ann")
    await browser.log_in(ANN, how)
    assert await browser.kept() == ["of ann"]
    await browser.log_in(BOB, how)
    assert await browser.kept() == []
    await browser.put("of bob")
    await browser.log_in(ANN, how)
    assert await browser.kept() == []


@pytest.mark.parametrize("how", ["json", "page", "deliver"])
async def test_the_first_login(site: Site, how: str) -> None:
    """What a visitor has kept stays theirs when they log in, and is nobody else's from then on: neither of whoever has
    planted the framework's cookie in their browser, nor of whoever logs in next."""
    browser = Browser(site)
    await browser.put("of a visitor")
    before = dict(browser.http.cookies)
    await browser.log_in(ANN, how)
    assert await browser.kept() == ["of a visitor"]
    planted = Browser(site)
    for name, value in before.items():
        planted.http.cookies.set(name, value)
    await browser.put("of ann")
    assert "of ann" not in await planted.kept()
    await browser.log_in(BOB, how)
    assert await browser.kept() == []


@pytest.mark.parametrize("how", ["elsewhere", "in time", "cookies gone"])
async def test_an_end_that_was_made_elsewhere(site: Site, how: str) -> None:
    """Where the session has ended without this browser, the next request finds it out, whoever's it is."""
    for after in (None, BOB):
        browser = Browser(site)
        await browser.log_in(ANN)
        await browser.put("of ann")
        if how == "elsewhere":
            account = await site.run(lambda auth: auth.accounts.find_by_email(ANN["email"]))
            await site.run(lambda auth, subject=account.id: auth.revoke_subject(subject))
        elif how == "in time":
            site.clock.advance(1801)
        else:
            browser.http.cookies.delete("__Host-coatcheck")
        if after is not None:
            await browser.log_in(after)
        assert await browser.kept() == []


async def test_what_was_kept_first_is_bound(site: Site) -> None:
    """Also what a person kept before anybody had read it, and what they kept in several steps."""
    browser = Browser(site)
    await browser.log_in(ANN)
    await browser.put("one")
    await browser.put("two")
    held = browser.credential
    browser.http.cookies.delete("__Host-coatcheck")
    other = Browser(site)
    await other.log_in(BOB)
    browser.http.cookies.set("__Host-coatcheck", other.credential)
    assert await browser.kept() == []
    browser.http.cookies.delete("__Host-coatcheck")
    browser.http.cookies.set("__Host-coatcheck", held)
    assert await browser.kept() == []


async def test_proving_again_ends_nothing(site: Site) -> None:
    """A new session in the place of the old is the same person's: what was kept stays."""
    browser = Browser(site)
    await browser.log_in(ANN)
    await browser.put("of ann")
    assert (await browser.http.post("/auth/reauthenticate", json={"password": PASSWORD})).status_code == 200
    assert await browser.kept() == ["of ann"]
    change = {"current_password": PASSWORD, "new_password": "seven grey herons"}
    assert (await browser.http.post("/auth/password", json=change)).status_code == 200
    assert await browser.kept() == ["of ann"]


async def test_refreshing(site: Site) -> None:
    """So does a refresh; one that is refused ends it."""
    browser = Browser(site)
    await browser.log_in(ANN, mode="jwt-cookie")
    await browser.put("of ann")
    assert (await browser.http.post("/auth/refresh")).status_code == 200
    assert await browser.kept() == ["of ann"]
    account = await site.run(lambda auth: auth.accounts.find_by_email(ANN["email"]))
    await site.run(lambda auth: auth.revoke_subject(account.id))
    assert (await browser.http.post("/auth/refresh")).status_code == 401
    assert await browser.kept() == []


async def test_before_a_refresh(site: Site) -> None:
    """A browser whose access token has expired reads nothing until it has refreshed, and then what was there."""
    browser = Browser(site)
    await browser.log_in(ANN, mode="jwt-cookie")
    await browser.put("of ann")
    site.clock.advance(901)
    assert await browser.kept() == []
    assert (await browser.http.post("/auth/refresh")).status_code == 200
    assert await browser.kept() == ["of ann"]
    site.clock.advance(901)
    assert await browser.kept() == []
    await browser.log_in(BOB)
    assert await browser.kept() == []


async def test_nobody_is_bothered(site: Site) -> None:
    """Whoever keeps nothing gets no cookie of the framework for being logged in, and visitors keep what they have."""
    browser = Browser(site)
    await browser.log_in(ANN)
    assert await browser.kept() == []
    others = set(browser.http.cookies) - {"__Host-coatcheck"}
    assert others <= {"session"}
    visitor = Browser(site)
    await visitor.put("of a visitor")
    assert await visitor.kept() == ["of a visitor"]

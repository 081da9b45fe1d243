"""Nobody is sent in a circle: a client that follows at most five redirects always arrives, in every framework."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest

from tests.adapters.apps.django_project import setup

setup()

from django.contrib.auth.decorators import permission_required, user_passes_test  # noqa: E402 - needs settings
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.urls import include, path  # noqa: E402
from fastapi import FastAPI, Request  # noqa: E402
from flask import Flask  # noqa: E402
from flask import redirect as flask_redirect  # noqa: E402
from litestar import Litestar  # noqa: E402
from litestar import Request as LitestarRequest  # noqa: E402
from litestar import get as litestar_get  # noqa: E402
from litestar.response import Redirect  # noqa: E402
from litestar.response import Response as LitestarResponse  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.authentication import requires as starlette_requires  # noqa: E402
from starlette.responses import PlainTextResponse, RedirectResponse, Response  # noqa: E402
from starlette.routing import Route  # noqa: E402

from coatcheck import Auth, blocking  # noqa: E402
from coatcheck import django as django_adapter  # noqa: E402
from coatcheck import fastapi as fastapi_service  # noqa: E402
from coatcheck import flask as flask_service  # noqa: E402
from coatcheck import starlette as starlette_service  # noqa: E402
from coatcheck.accounts import PasswordHasher  # noqa: E402
from coatcheck.clock import Clock  # noqa: E402
from coatcheck.errors import CoatcheckError  # noqa: E402
from coatcheck.litestar import ServicePlugin, page_for  # noqa: E402
from coatcheck.litestar import fresh as litestar_fresh  # noqa: E402
from coatcheck.litestar import logged_in as litestar_logged_in  # noqa: E402
from coatcheck.litestar import on_refusal as litestar_on_refusal  # noqa: E402
from coatcheck.testing.clock import TravelClock  # noqa: E402
from tests.adapters.apps.support import served  # noqa: E402
from tests.adapters.suite.contract import CHEAP  # noqa: E402
from tests.service.visitor import EMAIL, OWN, PASSWORD, Page  # noqa: E402

BASE = "https://app.example"
Making = Callable[[dict[str, Any]], AbstractAsyncContextManager[httpx.AsyncBaseTransport]]


class Threads(httpx.AsyncBaseTransport):
    """A WSGI application for an asynchronous client."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.WSGITransport(app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return await asyncio.to_thread(self._handle, request)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        answer = self._inner.handle_request(request)
        body = answer.read()
        return httpx.Response(answer.status_code, headers=answer.headers.multi_items(), content=body)


@contextmanager
def threads(arguments: dict[str, Any]) -> Iterator[blocking.Auth]:
    with blocking.Auth(**arguments) as auth:
        yield auth


@asynccontextmanager
async def with_django(arguments: dict[str, Any]) -> AsyncIterator[httpx.AsyncBaseTransport]:
    """What is natural in a project: its own decorators send people to ``LOGIN_URL``, whether logged in or not."""

    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse("the page")

    routes = [
        path("mine", django_adapter.login_required(page)),
        path("fresh", django_adapter.fresh(minutes=5)(page)),
        path("again", django_adapter.fresh(minutes=5, renew_url="/auth/login")(page)),
        path("right", permission_required("shop.rule")(page)),
        path("test", user_passes_test(lambda user: False)(page)),
        path("signup", user_passes_test(lambda user: False, login_url="/auth/signup")(page)),
        path("proof", user_passes_test(lambda user: False, login_url="/auth/reauthenticate")(page)),
        path("auth/", include("coatcheck.django.urls")),
    ]
    auth = blocking.Auth(**arguments)
    given = {"users": "coatcheck", "auth": auth}
    with auth, override_settings(COATCHECK=given, ROOT_URLCONF=tuple(routes), LOGIN_URL="/auth/login"):
        yield Threads(WSGIHandler())


@asynccontextmanager
async def with_flask(arguments: dict[str, Any]) -> AsyncIterator[httpx.AsyncBaseTransport]:
    def page() -> str:
        return "the page"

    with threads(arguments) as auth:
        app = Flask(__name__)
        flask_service.mount_auth(app, auth)
        views: dict[str, Callable[[], Any]] = {
            "mine": flask_service.login_required(page),
            "fresh": flask_service.fresh(minutes=5)(page),
            "again": flask_service.fresh(minutes=5, renew_view="/auth/login")(page),
            "right": lambda: flask_redirect("/auth/login?next=/right"),
            "test": lambda: flask_redirect("/auth/login?next=/test"),
            "signup": lambda: flask_redirect("/auth/signup?next=/signup"),
            "proof": lambda: flask_redirect("/auth/reauthenticate?next=/proof"),
        }
        for name, view in views.items():
            app.add_url_rule(f"/{name}", name, view)
        yield Threads(app)


@asynccontextmanager
async def with_starlette(arguments: dict[str, Any]) -> AsyncIterator[httpx.AsyncBaseTransport]:
    async def page(request: Request) -> Response:
        return PlainTextResponse("the page")

    def sent_to(name: str, where: str) -> Route:
        async def sent(request: Request) -> Response:
            return RedirectResponse(f"/auth/{where}?next=/{name}")

        return Route(f"/{name}", sent)

    async def login(request: Request) -> Response:
        return RedirectResponse(f"/auth/login?{request.url.query}")

    def refused(request: Any, error: Exception) -> Response:
        assert isinstance(error, starlette_service.Refusal)
        where = starlette_service.page_for(request.scope, error.problem)
        return RedirectResponse(where, 303) if where else starlette_service.on_error(request, error)

    routes = [
        Route("/mine", starlette_service.logged_in(page)),
        Route("/fresh", starlette_service.fresh(minutes=5)(page)),
        Route("/right", starlette_requires("role:rule", redirect="login")(page)),
        Route("/login", login, name="login"),
        sent_to("again", "login"), sent_to("test", "login"), sent_to("signup", "signup"),
        sent_to("proof", "reauthenticate"),
    ]  # fmt: skip
    app = Starlette(routes=routes, exception_handlers={starlette_service.Refusal: refused})
    auth = starlette_service.mount_auth(app, Auth(**arguments))
    async with served(app, auth) as running:
        yield httpx.ASGITransport(running._with_state)


@asynccontextmanager
async def with_fastapi(arguments: dict[str, Any]) -> AsyncIterator[httpx.AsyncBaseTransport]:
    app = FastAPI()

    @app.exception_handler(fastapi_service.Refusal)
    async def refused(request: Request, error: fastapi_service.Refusal) -> Response:
        where = fastapi_service.page_for(request.scope, error.problem)
        return RedirectResponse(where, 303) if where else await fastapi_service.on_refusal(request, error)

    @app.get("/mine")
    async def mine(user: fastapi_service.CurrentUser) -> str:
        return "the page"

    @app.get("/fresh", dependencies=[fastapi_service.fresh(minutes=5)])
    async def lately() -> str:
        return "the page"

    for name, where in (
        ("again", "login"), ("right", "login"), ("test", "login"), ("signup", "signup"), ("proof", "reauthenticate"),
    ):  # fmt: skip
        app.add_api_route(f"/{name}", lambda to=f"/auth/{where}?next=/{name}": RedirectResponse(to))
    auth = fastapi_service.mount_auth(app, Auth(**arguments))
    async with served(app, auth) as running:
        yield httpx.ASGITransport(running._with_state)


@asynccontextmanager
async def with_litestar(arguments: dict[str, Any]) -> AsyncIterator[httpx.AsyncBaseTransport]:
    @litestar_get("/mine", guards=[litestar_logged_in])
    async def mine() -> str:
        return "the page"

    @litestar_get("/fresh", guards=[litestar_fresh(minutes=5)])
    async def lately() -> str:
        return "the page"

    def sent_to(name: str, where: str) -> Any:
        @litestar_get(f"/{name}")
        async def sent() -> Redirect:
            return Redirect(f"/auth/{where}?next=/{name}")

        return sent

    def refused(request: LitestarRequest[Any, Any, Any], error: CoatcheckError) -> LitestarResponse[Any]:
        where = page_for(request.scope, error)
        return Redirect(where, status_code=303) if where else litestar_on_refusal(request, error)

    sent = [
        sent_to("again", "login"), sent_to("right", "login"), sent_to("test", "login"), sent_to("signup", "signup"),
        sent_to("proof", "reauthenticate"),
    ]  # fmt: skip
    auth = Auth(**arguments)
    app: Any = Litestar(
        [mine, lately, *sent], plugins=[ServicePlugin(auth)], exception_handlers={CoatcheckError: refused}
    )
    async with served(app, auth) as running:
        yield httpx.ASGITransport(running._with_state)


FRAMEWORKS = {
    "django": with_django,
    "flask": with_flask,
    "starlette": with_starlette,
    "fastapi": with_fastapi,
    "litestar": with_litestar,
}


class Person:
    """A browser that gives up after five redirects."""

    def __init__(self, transport: httpx.AsyncBaseTransport, clock: TravelClock) -> None:
        self.clock = clock
        self.http = httpx.AsyncClient(transport=transport, base_url=BASE, headers=OWN, max_redirects=5)
        self.at = ""

    async def go(self, path: str) -> Page:
        return self._arrived(await self.http.get(path, follow_redirects=True))

    async def submit(self, page: Page, action: str, **fields: str) -> Page:
        form = page.form(action)
        return self._arrived(await self.http.post(action, data=form.fields | fields, follow_redirects=True))

    def _arrived(self, answer: httpx.Response) -> Page:
        self.at = answer.url.raw_path.decode()
        assert answer.status_code == 200, answer.text
        return Page(answer.text if "<html" in answer.text else f"<body>{answer.text}</body>")


@pytest.fixture(params=FRAMEWORKS)
async def person(request: pytest.FixtureRequest) -> AsyncIterator[Person]:
    """Somebody with an account, at an application of this framework."""
    clock = TravelClock()
    making: Making = FRAMEWORKS[request.param]
    arguments = {
        "url": "memory://",
        "clock": Clock(monotonic=clock.monotonic, wall=clock.now),
        "password_hasher": PasswordHasher(CHEAP, concurrency=1),
    }
    async with making(arguments) as transport:
        person = Person(transport, clock)
        async with person.http:
            body = {"email": EMAIL, "password": PASSWORD}
            assert (await person.http.post("/auth/register", json=body)).status_code == 201
            yield person


async def test_the_way_in(person: Person) -> None:
    """Nobody is sent to the login page and comes back."""
    page = await person.go("/mine?a=1")
    assert person.at.startswith("/auth/login?next=")
    page = await person.submit(page, "/auth/login", email=EMAIL, password=PASSWORD)
    assert "the page" in page.text
    assert person.at == "/mine?a=1"


@pytest.mark.parametrize("where", ["right", "test", "signup", "again"])
async def test_a_right_that_is_missing(person: Person, where: str) -> None:
    """Whoever is logged in, and is sent to log in or sign up, is told who they are and offered to go on, to prove it
    again, or to be somebody else; none of it happens by itself."""
    await log_in(person)
    person.clock.advance(301)
    page = await person.go(f"/{where}")
    assert person.at.startswith("/auth/signup?" if where == "signup" else "/auth/login?")
    assert f"You are logged in as {EMAIL}" in page.text
    links = {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    # Starlette's decorator says a whole address, which is no path of this site.
    assert links & {f"/{where}", "/auth/account"}
    assert any((link or "").startswith("/auth/reauthenticate") for link in links)
    form = page.form("/auth/signup" if where == "signup" else "/auth/login")
    assert "password" in form.inputs


async def test_a_login_over_the_login(person: Person) -> None:
    """To be somebody else ends nobody's way either: the page is told anew who it is."""
    await log_in(person)
    other = {"email": "other@example.com", "password": PASSWORD}
    assert (await person.http.post("/auth/register", json=other)).status_code == 201
    page = await person.go("/test")
    page = await person.submit(page, "/auth/login", **other)
    assert "You are logged in as other@example.com" in page.text


async def test_fresh(person: Person) -> None:
    """A person whose login is too old proves again who they are, by their password, and is served."""
    await log_in(person)
    assert "the page" in (await person.go("/fresh")).text
    person.clock.advance(301)
    page = await person.go("/fresh?a=1")
    assert person.at == "/auth/reauthenticate?next=%2Ffresh%3Fa%3D1"
    held = person.http.cookies.get("__Host-coatcheck")
    page = await person.submit(page, "/auth/reauthenticate", password=PASSWORD)
    assert person.at == "/fresh?a=1"
    assert "the page" in page.text
    assert person.http.cookies.get("__Host-coatcheck") not in (None, held)
    answer = await person.http.get("/fresh", headers={"accept": "application/json"})
    assert answer.status_code == 200


async def test_a_program_is_sent_nowhere(person: Person) -> None:
    """Whoever does not read pages gets a status."""
    for where in ("/mine", "/fresh"):
        answer = await person.http.get(where, headers={"accept": "application/json"})
        assert answer.status_code == 401
    await log_in(person)
    person.clock.advance(301)
    answer = await person.http.get("/fresh", headers={"accept": "application/json"})
    assert answer.status_code == 401
    assert "login_too_old" in answer.text


async def test_proving_it_where_it_does_not_help(person: Person) -> None:
    """A page that is never content leads to the question again, and no further."""
    await log_in(person)
    page = await person.go("/proof")
    assert person.at.startswith("/auth/reauthenticate?")
    await person.submit(page, "/auth/reauthenticate", password=PASSWORD)
    assert person.at.startswith("/auth/reauthenticate?")


async def log_in(person: Person) -> None:
    page = await person.go("/auth/login")
    await person.submit(page, "/auth/login", email=EMAIL, password=PASSWORD)
    assert person.at == "/auth/account"

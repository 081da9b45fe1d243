"""Nobody is sent in a circle: a client that follows at most five redirects always arrives, in every framework."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.adapters.apps.django_project import setup

setup()

from django.contrib.auth.decorators import permission_required, user_passes_test  # noqa: E402 - needs settings
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from fastapi import Depends, FastAPI, Request  # noqa: E402
from flask import Flask  # noqa: E402
from flask import redirect as flask_redirect  # noqa: E402
from litestar import Litestar  # noqa: E402
from litestar import get as litestar_get  # noqa: E402
from litestar import post as litestar_post  # noqa: E402
from litestar.response import Redirect  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.authentication import requires as starlette_requires  # noqa: E402
from starlette.exceptions import HTTPException  # noqa: E402
from starlette.responses import PlainTextResponse, RedirectResponse, Response  # noqa: E402
from starlette.routing import Mount, Route  # noqa: E402

from coatcheck import Auth, blocking  # noqa: E402
from coatcheck import django as django_adapter  # noqa: E402
from coatcheck import fastapi as fastapi_service  # noqa: E402
from coatcheck import flask as flask_service  # noqa: E402
from coatcheck import starlette as starlette_service  # noqa: E402
from coatcheck.accounts import PasswordHasher  # noqa: E402
from coatcheck.adapters.visits import here  # noqa: E402
from coatcheck.clock import Clock  # noqa: E402
from coatcheck.errors import ConfigurationError  # noqa: E402
from coatcheck.litestar import ServicePlugin  # noqa: E402
from coatcheck.litestar import fresh as litestar_fresh  # noqa: E402
from coatcheck.litestar import logged_in as litestar_logged_in  # noqa: E402
from coatcheck.testing.clock import TravelClock  # noqa: E402
from tests.adapters.apps.support import served  # noqa: E402
from tests.adapters.suite.contract import CHEAP  # noqa: E402
from tests.service.visitor import EMAIL, OWN, PASSWORD, Page  # noqa: E402

BASE = "https://app.example"
LOGIN_URL = "/auth/login"
Making = Callable[..., AbstractAsyncContextManager[httpx.AsyncBaseTransport]]


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
async def with_django(arguments: dict[str, Any], **mount: Any) -> AsyncIterator[httpx.AsyncBaseTransport]:
    """What is natural in a project: its own decorators send people to ``LOGIN_URL``, whether logged in or not."""

    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse("the page")

    routes = [
        path("mine", django_adapter.login_required(page)),
        path("order", csrf_exempt(django_adapter.login_required(page))),
        path("fresh", django_adapter.fresh(minutes=5)(page)),
        path("again", django_adapter.fresh(minutes=5, renew_url="/auth/login")(page)),
        path("right", permission_required("shop.rule")(page)),
        path("test", user_passes_test(lambda user: False)(page)),
        path("signup", user_passes_test(lambda user: False, login_url="/auth/signup")(page)),
        path("proof", user_passes_test(lambda user: False, login_url="/auth/reauthenticate")(page)),
        path("auth/", include("coatcheck.django.urls")),
    ]
    auth = blocking.Auth(**arguments)
    given = {"users": "coatcheck", "auth": auth, **mount}
    with auth, override_settings(COATCHECK=given, ROOT_URLCONF=tuple(routes), LOGIN_URL=LOGIN_URL):
        yield Threads(WSGIHandler())


@asynccontextmanager
async def with_flask(arguments: dict[str, Any], **mount: Any) -> AsyncIterator[httpx.AsyncBaseTransport]:
    def page() -> str:
        return "the page"

    with threads(arguments) as auth:
        app = Flask(__name__)
        flask_service.mount_auth(app, auth, **mount)
        app.post("/order", endpoint="order")(flask_service.login_required(page))
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
async def with_starlette(arguments: dict[str, Any], **mount: Any) -> AsyncIterator[httpx.AsyncBaseTransport]:
    async def page(request: Request) -> Response:
        return PlainTextResponse("the page")

    def sent_to(name: str, where: str) -> Route:
        async def sent(request: Request) -> Response:
            return RedirectResponse(f"/auth/{where}?next=/{name}")

        return Route(f"/{name}", sent)

    async def login(request: Request) -> Response:
        return RedirectResponse(f"/auth/login?{request.url.query}")

    routes = [
        Route("/mine", starlette_service.logged_in(page)),
        Route("/fresh", starlette_service.fresh(minutes=5)(page)),
        Route("/order", starlette_service.logged_in(page), methods=["POST"]),
        Route("/right", starlette_requires("role:rule", redirect="login")(page)),
        Route("/login", login, name="login"),
        sent_to("again", "login"), sent_to("test", "login"), sent_to("signup", "signup"),
        sent_to("proof", "reauthenticate"),
    ]  # fmt: skip
    app = Starlette(routes=routes)
    auth = starlette_service.mount_auth(app, Auth(**arguments), **mount)
    async with served(app, auth) as running:
        yield httpx.ASGITransport(running._with_state)


@asynccontextmanager
async def with_fastapi(arguments: dict[str, Any], **mount: Any) -> AsyncIterator[httpx.AsyncBaseTransport]:
    app = FastAPI()

    @app.get("/mine")
    async def mine(user: fastapi_service.CurrentUser) -> str:
        return "the page"

    @app.post("/order")
    async def order(user: fastapi_service.CurrentUser) -> str:
        return "the page"

    @app.get("/fresh", dependencies=[fastapi_service.fresh(minutes=5)])
    async def lately() -> str:
        return "the page"

    for name, where in (
        ("again", "login"), ("right", "login"), ("test", "login"), ("signup", "signup"), ("proof", "reauthenticate"),
    ):  # fmt: skip
        app.add_api_route(f"/{name}", lambda to=f"/auth/{where}?next=/{name}": RedirectResponse(to))
    auth = fastapi_service.mount_auth(app, Auth(**arguments), **mount)
    async with served(app, auth) as running:
        yield httpx.ASGITransport(running._with_state)


@asynccontextmanager
async def with_litestar(arguments: dict[str, Any], **mount: Any) -> AsyncIterator[httpx.AsyncBaseTransport]:
    @litestar_get("/mine", guards=[litestar_logged_in])
    async def mine() -> str:
        return "the page"

    @litestar_get("/fresh", guards=[litestar_fresh(minutes=5)])
    async def lately() -> str:
        return "the page"

    @litestar_post("/order", guards=[litestar_logged_in], status_code=200)
    async def order() -> str:
        return "the page"

    def sent_to(name: str, where: str) -> Any:
        @litestar_get(f"/{name}")
        async def sent() -> Redirect:
            return Redirect(f"/auth/{where}?next=/{name}")

        return sent

    sent = [
        sent_to("again", "login"), sent_to("right", "login"), sent_to("test", "login"), sent_to("signup", "signup"),
        sent_to("proof", "reauthenticate"),
    ]  # fmt: skip
    auth = Auth(**arguments)
    app: Any = Litestar([mine, lately, order, *sent], plugins=[ServicePlugin(auth, **mount)])
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


@asynccontextmanager
async def somebody(name: str, **mount: Any) -> AsyncIterator[Person]:
    clock = TravelClock()
    making: Making = FRAMEWORKS[name]
    arguments = {
        "url": "memory://",
        "clock": Clock(monotonic=clock.monotonic, wall=clock.now),
        "password_hasher": PasswordHasher(CHEAP, concurrency=1),
    }
    async with making(arguments, **mount) as transport:
        person = Person(transport, clock)
        async with person.http:
            body = {"email": EMAIL, "password": PASSWORD}
            assert (await person.http.post("/auth/register", json=body)).status_code == 201
            yield person


@pytest.fixture(params=FRAMEWORKS)
async def person(request: pytest.FixtureRequest) -> AsyncIterator[Person]:
    """Somebody with an account, at an application of this framework."""
    async with somebody(request.param) as person:
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


async def test_a_form(person: Person) -> None:
    """Nobody who sends a form is sent to the login page, and from there to the page that the form is on. Where that is
    not known, or is of another host, they end at their account."""
    for referer, back in (
        (f"{BASE}/shop?a=1", "?next=%2Fshop%3Fa%3D1"), ("", ""), ("https://evil.example/x", ""),
        (f"{BASE}.evil.example/x", ""), (f"{BASE}//evil.example", ""),
    ):  # fmt: skip
        answer = await person.http.post("/order", data={"a": "1"}, headers={"referer": referer})
        location = answer.headers["location"].removeprefix(BASE)
        assert (answer.status_code // 100, location) == (3, f"/auth/login{back}")
        assert answer.headers["cache-control"] == "no-store"
    for headers in ({"accept": "application/json"}, {"sec-fetch-mode": "cors"}):
        assert (await person.http.post("/order", data={"a": "1"}, headers=headers)).status_code == 401
    assert (await person.http.post("/order", json={})).status_code == 401


@pytest.mark.parametrize("name", FRAMEWORKS)
async def test_nobody_is_sent(name: str) -> None:
    """One setting turns it off: everybody gets the refusal."""
    async with somebody(name, send_to_login=False) as person:
        for where in ("/mine", "/fresh"):
            answer = await person.http.get(where)
            assert (answer.status_code, "location" in answer.headers) == (401, False)
        assert (await person.http.post("/order", data={"a": "1"})).status_code == 401
        await log_in(person)
        person.clock.advance(301)
        answer = await person.http.get("/fresh")
        assert (answer.status_code, "login_too_old" in answer.text) == (401, True)


@pytest.mark.parametrize("name", FRAMEWORKS)
async def test_without_pages(name: str) -> None:
    """Where there are no pages, nobody is sent to one."""
    async with somebody(name, pages=False) as person:
        answer = await person.http.get("/mine")
        sent = answer.headers.get("location")
        assert (answer.status_code, sent) == ((302, "/auth/login?next=%2Fmine") if name == "django" else (401, None))


@pytest.mark.parametrize("token", [{}, {"csrf_token": "of the application"}, {"csrfmiddlewaretoken": "x"}])
async def test_a_logout_button(person: Person, token: dict[str, str]) -> None:
    """A form in a page of the application's own logs out, without any token of ours, and leads to ``next`` or to the
    application; one of another site does not, and one that was made for another login of ours does not."""

    async def leave(fields: dict[str, str], where: str = "", **headers: str) -> httpx.Response:
        content_type = {"content-type": "application/x-www-form-urlencoded"}
        return await person.http.post(where or action, content=urlencode(fields), headers=content_type | headers)

    for action in ("/auth/logout", "/auth/logout/everywhere"):
        await log_in(person)
        for site in ("cross-site", "same-site", ""):
            assert (await leave(token, **{"sec-fetch-site": site})).status_code == 403
        assert (await leave({"csrf_token": "ccf_x"})).status_code == 403
        assert (await person.http.get("/mine")).status_code == 200
        answer = await leave(token)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert (await person.http.get("/mine")).status_code in (302, 303)
        await log_in(person)
        assert (await leave(token | {"next": "/bye?a=1"})).headers["location"] == "/bye?a=1"
        await log_in(person)
        assert (await leave(token, f"{action}?next=/bye")).headers["location"] == "/bye"
        await log_in(person)
        assert (await leave(token | {"next": "//evil.example"})).headers["location"] == "/"
        nobody = (await leave(token)).headers["location"]
        assert nobody == ("/" if action == "/auth/logout" else "/auth/login?next=%2Fauth%2Faccount&done=needed")


async def test_logging_out_elsewhere(person: Person) -> None:
    """A form ends all other sessions, and leads on."""
    await log_in(person)
    held = dict(person.http.cookies)
    person.http.cookies.clear()
    await log_in(person)
    answer = await person.http.post("/auth/logout/others", data={"next": "/mine"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/mine")
    assert (await person.http.get("/mine")).status_code == 200
    person.http.cookies.clear()
    person.http.cookies.update(held)
    assert (await person.http.get("/mine")).status_code in (302, 303)
    answer = await person.http.post("/auth/logout/others", data={"next": "/mine"})
    assert answer.headers["location"].startswith("/auth/login?next=%2Fauth%2Faccount")


@pytest.mark.parametrize("name", FRAMEWORKS)
async def test_home(name: str) -> None:
    """Where the application says where it is, a login without ``next`` leads there, and so does a logout."""
    async with somebody(name, site={"name": "The Shop", "home": "/mine"}) as person:
        page = await person.go("/auth/login")
        assert page.title == "Log in · The Shop"
        page = await person.submit(page, "/auth/login", email=EMAIL, password=PASSWORD)
        assert person.at == "/mine"
        assert "the page" in page.text
        account = await person.go("/auth/account")
        assert "Go on to The Shop" in account.text
        assert "/mine" in [attrs.get("href") for tag, attrs in account.tags if tag == "a"]
        assert (await person.http.post("/auth/logout", data={"a": "b"})).headers["location"] == "/mine"


async def test_a_login_that_has_ended(person: Person) -> None:
    """Whoever is nobody by now has logged nobody out everywhere, and is not told that they had."""
    await log_in(person)
    phone = await person.http.post("/auth/login", json={"email": EMAIL, "password": PASSWORD, "mode": "jwt"})
    bearer = {"authorization": f"Bearer {phone.json()['access_token']}"}
    await person.http.post("/auth/logout", data={"next": "/"}, headers={"cookie": await cookies_of(person)})
    answer = await person.http.post("/auth/logout/everywhere", data={"next": "/bye"})
    assert answer.headers["location"].startswith("/auth/login?")
    assert (await person.http.get("/auth/session", headers=bearer)).status_code == 200


async def cookies_of(person: Person) -> str:
    return "; ".join(f"{name}={value}" for name, value in person.http.cookies.items())


async def test_a_program_with_a_form(person: Person) -> None:
    """What comes with a bearer token is a program's, whatever its body is called: its token ends, and others do."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    for action in ("/auth/logout", "/auth/logout/others", "/auth/logout/everywhere"):
        made = await person.http.post("/auth/login", json={"email": EMAIL, "password": PASSWORD, "mode": "jwt"})
        bearer = form | {"authorization": f"Bearer {made.json()['access_token']}", "sec-fetch-site": ""}
        answer = await person.http.post(action, content=b"", headers=bearer)
        assert answer.status_code == 204
        ended = action != "/auth/logout/others"
        assert (await person.http.get("/auth/session", headers=bearer)).status_code == (401 if ended else 200)


async def test_a_script_that_reads_pages(person: Person) -> None:
    """It gets a status and no login page in the place of what it asked for; so does whoever wants no HTML."""
    for headers in (
        {"sec-fetch-mode": "cors"}, {"sec-fetch-mode": "same-origin"}, {"accept": "application/json, text/html;q=0"},
        {"accept": "*/*"}, {"accept": "text/htmlx"},
    ):  # fmt: skip
        assert (await person.http.get("/mine", headers=headers)).status_code == 401, headers
    for accept in ("TEXT/HTML", "application/xml, text/html; q=0.5", "text/html;level=1, */*"):
        assert (await person.http.get("/mine", headers={"accept": accept})).status_code in (302, 303), accept


async def test_a_program_that_reads_pages(person: Person) -> None:
    """Whoever has a bearer token is a program, however it asks, and is told that the token is refused or too old."""
    made = await person.http.post("/auth/login", json={"email": EMAIL, "password": PASSWORD, "mode": "jwt"})
    good, bad = ({"authorization": f"Bearer {token}"} for token in (made.json()["access_token"], "x.y.z"))
    assert (await person.http.get("/mine", headers=good)).status_code == 200
    assert (await person.http.get("/mine", headers=bad)).status_code == 401
    assert (await person.http.post("/order", data={"a": "1"}, headers=bad)).status_code == 401
    person.clock.advance(301)
    answer = await person.http.get("/fresh", headers=good)
    assert (answer.status_code, "login_too_old" in answer.text) == (401, True)


PLACES = ("/", "", "auth", "/auth/", "//auth", "/a//b", "/{tenant}/auth", "/a?b", "/a#b", "/a\\b", "/a b", None, 7)


@pytest.mark.parametrize("prefix", PLACES)
def test_no_place(prefix: Any) -> None:
    """A prefix from which people would be sent to another host, or to nothing, is refused at once."""
    mounts: list[Callable[[], Any]] = [
        lambda: fastapi_service.mount_auth(FastAPI(), "memory://", prefix=prefix),
        lambda: starlette_service.mount_auth(Starlette(), "memory://", prefix=prefix),
        lambda: flask_service.mount_auth(Flask("shop"), "memory://", prefix=prefix),
        lambda: ServicePlugin("memory://", prefix),
    ]
    for mount in mounts:
        with pytest.raises(ConfigurationError, match="begin with a slash and not end with one"):
            mount()


HTML = {"accept": "text/html"}


async def within(app: Any, auth: Auth, path: str, **scope: Any) -> httpx.Response:
    async with served(app, auth) as running:
        transport = httpx.ASGITransport(running._with_state, **scope)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            return await client.get(path, headers=HTML)


async def test_applications_in_it(caplog: pytest.LogCaptureFixture) -> None:
    """From what is mounted in an application people are sent to its login page too, whatever handlers are there."""

    async def own(request: Any, error: Any) -> Response:
        return PlainTextResponse(f"Error {error.status_code}", error.status_code)

    async def mine(request: Request) -> Response:
        return PlainTextResponse("the page")

    sub = FastAPI()
    sub.add_exception_handler(HTTPException, own)
    sub.add_api_route("/mine", lambda user: "the page", dependencies=[Depends(fastapi_service.current_user)])
    outer = FastAPI()
    outer.mount("/sub", sub)
    auth = fastapi_service.mount_auth(outer, "memory://")
    answer = await within(outer, auth, "/sub/mine")
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/login?next=%2Fsub%2Fmine")
    route = Route("/mine", starlette_service.logged_in(mine))
    inner = Starlette(routes=[route], exception_handlers={HTTPException: own})
    plain = Starlette(exception_handlers={HTTPException: own})
    plain.mount("/sub", inner)
    auth = starlette_service.mount_auth(plain, "memory://")
    answer = await within(plain, auth, "/sub/mine")
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/login?next=%2Fsub%2Fmine")


async def test_litestar_in_another(caplog: pytest.LogCaptureFixture) -> None:
    """Its login page is below it, wherever it is."""

    @litestar_get("/mine", guards=[litestar_logged_in])
    async def mine() -> str:
        return "the page"

    auth = Auth("memory://")
    app: Any = Litestar([mine], plugins=[ServicePlugin(auth)])
    async with served(app, auth) as running:
        outer = Starlette(routes=[Mount("/shop", running._with_state)])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url=BASE) as client:
            answer = await client.get("/shop/mine", headers=HTML)
            assert answer.headers["location"] == "/shop/auth/login?next=%2Fshop%2Fmine"
            assert (await client.get(answer.headers["location"])).status_code == 200


@pytest.mark.parametrize("root", ["//evil.example", "/shop", "//"])
async def test_a_root_path(root: str) -> None:
    """What a proxy says of the place of an application makes no other host of it."""
    app = FastAPI()
    app.add_api_route("/mine", lambda: "the page", dependencies=[Depends(fastapi_service.current_user)])
    auth = fastapi_service.mount_auth(app, "memory://")
    answer = await within(app, auth, f"{root.rstrip('/')}/mine", root_path=root)
    location = answer.headers["location"]
    assert location.startswith("/")
    assert not location.startswith("//")


async def test_a_path_that_begins_alike() -> None:
    """A path that begins like the root path is another one, with or without it in front."""
    app = FastAPI()
    app.add_api_route("/apples", lambda: "the page", dependencies=[Depends(fastapi_service.current_user)])
    auth = fastapi_service.mount_auth(app, "memory://")
    answer = await within(app, auth, "/app/apples", root_path="/app")
    assert answer.headers["location"] == "/app/auth/login?next=%2Fapp%2Fapples"
    assert (
        here({"root_path": "/app", "path": "/apples", "query_string": b"q=\xc3\xa9&\xff"}) == "/app/apples?q=%C3%A9&%FF"
    )

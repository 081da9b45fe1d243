"""Starlette beyond the behaviour suite: request.user, scopes, Starlette's own parts, WebSockets, mount_auth."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.authentication import requires as starlette_requires
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from coatcheck import Auth, Mode, SubjectFacts
from coatcheck.starlette import (
    AuthMiddleware,
    CoatcheckBackend,
    current_user,
    fresh,
    lifespans,
    logged_in,
    mount_auth,
    on_error,
    optional_user,
    requires,
)
from coatcheck.testing.clock import TravelClock
from tests.adapters.apps.support import ServedASGI, sent, served
from tests.adapters.suite.contract import Answer, Headers, Setting
from tests.support.issuer import issuing

OWN = ("Sec-Fetch-Site", "same-origin")
JSON = ("Content-Type", "application/json")


@pytest.fixture
def setting() -> Setting:
    return Setting(clock=TravelClock())


def facts(subject: str) -> SubjectFacts:
    """Subjects are called what their roles are; the claim ``name`` of 7 is no text."""
    return SubjectFacts(roles=frozenset(filter(None, subject.split(","))), claims={"name": 7} if subject == "7" else {})


@pytest.fixture
def auth(setting: Setting) -> Auth:
    arguments = setting.arguments()
    del arguments["password_hasher"]
    return Auth(**arguments, subjects=facts)


async def who(request: Request) -> Response:
    user = request.user
    return JSONResponse(
        {
            "user": type(user).__name__,
            "is": user.is_authenticated,
            "name": user.display_name,
            "subject": user.identity and user.identity.subject,
            "same": user.identity is optional_user(request),
            "scopes": request.auth.scopes,
        }
    )


def either(auth: Auth, routes: list[BaseRoute], own: bool) -> Starlette:
    """An application with our middleware, or with Starlette's own and our backend."""
    middleware = Middleware(AuthMiddleware, auth=auth)
    if own:
        middleware = Middleware(AuthenticationMiddleware, backend=CoatcheckBackend(auth), on_error=on_error)
    return Starlette(routes=routes, middleware=[middleware], lifespan=auth.lifespan)


EITHER = pytest.mark.parametrize("own", [False, True], ids=["AuthMiddleware", "CoatcheckBackend"])


def is_problem(answer: Answer, status: int, code: str) -> bool:
    assert answer.header("content-type") == "application/problem+json", answer
    assert answer.header("cache-control") == "no-store"
    challenge = answer.header("www-authenticate")
    if code == "forbidden":  # RFC 6750 §3.1
        assert challenge == 'Bearer error="insufficient_scope"'
    else:
        assert bool(challenge) == (status == 401)
    return (answer.status, answer.json()["status"], answer.json()["code"]) == (status, status, code)


@EITHER
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_request_user(auth: Auth, own: bool, method: str) -> None:
    """Who it is, by Starlette's names; nobody is a user too."""
    async with served(either(auth, [Route("/", who, methods=["GET", "POST"])], own), auth) as web:
        for subject, name in (("b,a", "b,a"), ("7", "7")):
            headers = [*sent(await auth.login(subject, mode=Mode.SESSION)), OWN]
            roles = [f"role:{role}" for role in sorted(subject.split(","))]
            assert (await web.request(method, "/", headers=headers)).json() == {
                "user": "User", "is": True, "name": name, "subject": subject, "same": True,
                "scopes": ["authenticated", *roles],
            }  # fmt: skip
        assert (await web.request(method, "/")).json() == {
            "user": "Nobody", "is": False, "name": "", "subject": None, "same": True, "scopes": [],
        }  # fmt: skip


@EITHER
async def test_display_name(setting: Setting, own: bool) -> None:
    """It is the claim ``name`` where there is a text."""
    arguments = setting.arguments()
    del arguments["password_hasher"]
    auth = Auth(**arguments, subjects=lambda subject: SubjectFacts(claims={"name": "Ann Owl"}))
    async with served(either(auth, [Route("/", who)], own), auth) as web:
        answer = await web.request("GET", "/", headers=sent(await auth.login("7", mode=Mode.JWT)))
        assert answer.json()["name"] == "Ann Owl"


@EITHER
async def test_starlettes_requires(auth: Auth, own: bool) -> None:
    """Starlette's own decorator knows who is authenticated and has a role; a role that is called "authenticated" or
    like another role's scope is neither."""
    routes: list[BaseRoute] = [
        Route("/in", starlette_requires("authenticated")(who)),
        Route("/admin", starlette_requires(["authenticated", "role:admin"])(who)),
        Route("/role", starlette_requires("role:authenticated")(who)),
        Route("/bare", starlette_requires("admin")(who)),
    ]
    async with served(either(auth, routes, own), auth) as web:
        for subject, allowed in (
            ("admin", {"/in", "/admin"}),
            ("authenticated", {"/in", "/role"}),
            ("role:admin", {"/in"}),
            (",", {"/in"}),
            (None, set[str]()),
        ):
            headers = sent(await auth.login(subject, mode=Mode.JWT)) if subject is not None else ()
            for path in ("/in", "/admin", "/role", "/bare"):
                answer = await web.request("GET", path, headers=headers)
                assert answer.status == (200 if path in allowed else 403), (subject, path)


@EITHER
async def test_middleware_refuses(auth: Auth, setting: Setting, own: bool) -> None:
    """A bad bearer token: 401, a cross-site change on a cookie: 403, cannot tell: 503. An ended cookie is nobody's."""
    async with served(either(auth, [Route("/", who, methods=["GET", "POST"])], own), auth) as web:
        made = await auth.login("admin", mode=Mode.SESSION)
        bad = await web.request("GET", "/", headers=[("Authorization", "Bearer nonsense")])
        assert is_problem(bad, 401, "invalid_credential")
        assert bad.header("www-authenticate") == 'Bearer error="invalid_token"'
        assert is_problem(await web.request("POST", "/", headers=sent(made)), 403, "cross_site")
        await auth.revoke(made.session.id)
        assert (await web.request("GET", "/", headers=sent(made))).json()["user"] == "Nobody"
        made = await auth.login("admin", mode=Mode.SESSION)
        setting.sessions.fail("events", "find")
        auth.follower.lease.deadline = float("-inf")
        assert is_problem(await web.request("GET", "/", headers=sent(made)), 503, "unavailable")


class Methods(HTTPEndpoint):
    @requires("admin")
    async def get(self, request: Request) -> Response:
        return JSONResponse(current_user(request).subject)

    @fresh(minutes=5)
    def post(self, request: Request) -> Response:
        return JSONResponse(current_user(request).subject)


@logged_in
async def coroutine(request: Request) -> Response:
    """Its docstring."""
    return JSONResponse(current_user(request).subject)


@requires("admin")
@fresh(minutes=5)
def thread(request: Request) -> Response:
    return JSONResponse(current_user(request).subject)


async def asking(request: Request) -> Response:
    return JSONResponse(current_user(request).subject)


@EITHER
async def test_decorators(auth: Auth, setting: Setting, own: bool) -> None:
    """On coroutines, functions and methods, one on the other: met, or refused with our problem."""
    assert (coroutine.__name__, coroutine.__doc__) == ("coroutine", "Its docstring.")
    routes: list[BaseRoute] = [
        Route("/methods", Methods), Route("/coroutine", coroutine), Route("/thread", thread), Route("/asking", asking),
    ]  # fmt: skip
    needs = {
        "GET /methods": "role", "POST /methods": "fresh", "GET /coroutine": "", "GET /asking": "",
        "GET /thread": "role fresh",
    }  # fmt: skip
    async with served(either(auth, routes, own), auth) as web:

        async def ask(what: str, headers: Headers) -> Answer:
            method, path = what.split()
            return await web.request(method, path, headers=headers)

        admin, plain = [sent(await auth.login(subject, mode=Mode.JWT)) for subject in ("admin", "plain")]
        for what, need in needs.items():
            assert is_problem(await ask(what, ()), 401, "not_logged_in")
            assert (await ask(what, admin)).json() == "admin"
            answer = await ask(what, plain)
            assert is_problem(answer, 403, "forbidden") if "role" in need else answer.json() == "plain"
        setting.clock.advance(301)
        for what, need in needs.items():
            answer = await ask(what, admin)
            assert is_problem(answer, 401, "login_too_old") if "fresh" in need else answer.json() == "admin"


def test_no_class() -> None:
    """A class is no endpoint to decorate: its methods are."""
    with pytest.raises(TypeError, match="methods of Methods"):
        logged_in(Methods)


async def test_no_request() -> None:
    """What takes no request is no endpoint: nothing of it is called."""
    called = list[bool]()
    with pytest.raises(TypeError, match="request"):
        logged_in(lambda: called.append(True))()
    assert not called


@logged_in
async def live(websocket: WebSocket) -> None:
    await websocket.accept(headers=[(b"who", current_user(websocket).subject.encode())])


class Live(WebSocketEndpoint):
    @requires("admin")
    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()


async def opened(web: ServedASGI, path: str, headers: Headers) -> Any:
    """What a handshake comes to: the code that it is closed with, or accepted."""
    answers = await web.handshake(path, headers=headers)
    return answers[0].get("code", "accepted")


@EITHER
async def test_websocket(auth: Auth, setting: Setting, own: bool) -> None:
    """Decorated endpoints close with 4000 + status. So does our middleware; Starlette's says 1000 by itself."""
    routes: list[BaseRoute] = [WebSocketRoute("/live", live), WebSocketRoute("/admin", Live)]
    async with served(either(auth, routes, own), auth) as web:
        admin, plain = [sent(await auth.login(subject, mode=Mode.JWT)) for subject in ("admin", "plain")]
        assert await opened(web, "/live", plain) == "accepted"
        assert await opened(web, "/admin", admin) == "accepted"
        assert await opened(web, "/live", ()) == 4401
        assert await opened(web, "/admin", plain) == 4403
        cookie = sent(await auth.login("admin", mode=Mode.SESSION))
        assert await opened(web, "/live", [*cookie, ("Origin", "https://app.example")]) == "accepted"
        refused = (1000,) * 3 if own else (4401, 4403, 4503)
        assert await opened(web, "/live", [("Authorization", "Bearer nonsense")]) == refused[0]
        assert await opened(web, "/live", [*cookie, ("Origin", "https://evil.example")]) == refused[1]
        setting.sessions.fail("events", "find")
        auth.follower.lease.deadline = float("-inf")
        assert await opened(web, "/live", plain) == refused[2]


async def test_without_the_middleware(auth: Auth) -> None:
    """An endpoint that asks who it is where nobody has looked is a fault, not a visit by nobody."""
    app = Starlette(routes=[Route("/a", asking), Route("/c", coroutine)], lifespan=auth.lifespan)
    async with served(app, auth) as web:
        for path in ("/a", "/c"):
            with pytest.raises(RuntimeError, match="Middleware\\(AuthMiddleware, auth=auth\\)"):
                await web.request("GET", path)


@EITHER
async def test_without_lifespan(auth: Auth, own: bool) -> None:
    """An `Auth` that nobody started says what to write."""
    app = either(auth, [Route("/", who)], own)
    app.router.lifespan_context = Starlette().router.lifespan_context
    async with served(app, auth) as web:
        with pytest.raises(RuntimeError, match=r"lifespan=auth\.lifespan"):
            await web.request("GET", "/", headers=[("Authorization", "Bearer nonsense")])


@pytest.mark.parametrize("prefix", ["", "/below"])
async def test_the_service_is_left_alone(setting: Setting, prefix: str) -> None:
    """A client whose token has ended can refresh and log in, although it sends the token along; what only begins like
    the service's path, or ends like it, is no part of it."""
    auth = Auth(**setting.arguments())
    app = inner = Starlette(routes=[Route("/authors", who), Mount("/site", routes=[Route("/auth/x", who)])])
    if prefix:
        app = Starlette(routes=[Mount(prefix, inner)], lifespan=auth.lifespan)
    mount_auth(inner, auth)
    async with served(app, auth) as web:
        account = await auth.accounts.register("ann@example.com", "nine brown owls")
        made = await auth.login(account.id, mode=Mode.JWT)
        ended = [*sent(made), JSON]
        setting.clock.advance(auth.policy.access_lifetime + 1)
        for path in ("/authors", "/site/auth/x"):
            assert is_problem(await web.request("GET", prefix + path, headers=ended), 401, "invalid_credential")
        body = f'{{"refresh_token": "{made.refresh_token}"}}'.encode()
        assert (await web.request("POST", f"{prefix}/auth/refresh", headers=ended, body=body)).status == 200
        body = b'{"email": "ann@example.com", "password": "nine brown owls", "mode": "jwt"}'
        assert (await web.request("POST", f"{prefix}/auth/login", headers=ended, body=body)).status == 200


async def test_mount_auth_is_inside_of_other_middleware(setting: Setting) -> None:
    """A single-page app of another origin can read a refusal."""
    app = Starlette(middleware=[Middleware(CORSMiddleware, allow_origins=["https://spa.example"])])
    auth = mount_auth(app, Auth(**setting.arguments()))
    async with served(app, auth) as web:
        headers = [("Origin", "https://spa.example"), ("Authorization", "Bearer nonsense")]
        answer = await web.request("GET", "/", headers=headers)
        assert is_problem(answer, 401, "invalid_credential")
        assert answer.header("access-control-allow-origin") == "https://spa.example"


async def test_mount_auth_and_a_lifespan_of_its_own() -> None:
    """Both run, ours around the other, and what that hands on is there."""
    seen = list[bool]()

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[dict[str, int]]:
        seen.append(made.is_running)
        yield {"answer": 42}
        seen.append(made.is_running)

    async def answer(request: Request) -> Response:
        return JSONResponse(request.state.answer)

    app = Starlette(lifespan=own, routes=[Route("/", answer)])
    made = mount_auth(app, "memory://", prefix="/door", pages=False)
    async with served(app, made) as web:
        assert (await web.request("GET", "/")).json() == 42
        assert (await web.request("GET", "/door/session")).status == 401
        with pytest.raises(RuntimeError, match="before the application starts"):
            mount_auth(app, "memory://")
    assert seen == [True, True]
    assert not made.is_running


async def test_lifespans_end_in_turn() -> None:
    """They end in the other order, also when one of them fails to begin."""
    said = list[str]()

    def part(name: str, fails: bool = False) -> Any:
        @asynccontextmanager
        async def one(app: object) -> AsyncIterator[dict[str, str]]:
            said.append(f"+{name}")
            if fails:
                raise ValueError(name)
            try:
                yield {name: name, "last": name}
            finally:
                said.append(f"-{name}")

        return one

    async with lifespans(part("a"), part("b"))(None) as state:
        assert state == {"a": "a", "b": "b", "last": "b"}
    assert said == ["+a", "+b", "-b", "-a"]
    said.clear()
    with pytest.raises(ValueError, match="b"):
        async with lifespans(part("a"), part("b", fails=True))(None):
            pass
    assert said == ["+a", "+b", "-a"]


async def test_remote() -> None:
    """A `RemoteVerifier` serves all of it."""
    async with issuing(roles={"ann": frozenset({"admin"})}) as issuer:
        remote = issuer.remote()
        app = Starlette(
            routes=[Route("/", thread)],
            middleware=[Middleware(AuthMiddleware, auth=remote)],
            lifespan=remote.lifespan,
        )
        async with served(app, issuer.auth) as web:
            for subject, status in (("ann", 200), ("bob", 403)):
                made, _ = await issuer.login(subject=subject)
                assert (await web.request("GET", "/", headers=sent(made))).status == status
            assert (await web.request("GET", "/")).status == 401

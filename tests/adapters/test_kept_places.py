"""Where what a framework keeps is bound to people, and where it cannot be: each as the documentation says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from flask import Flask, session
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from litestar.middleware.session.client_side import CookieBackendConfig
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from coatcheck import ApplicationSubjects, Auth, Credentials, Mode, blocking
from coatcheck.adapters.asgi import AuthMiddleware as PlainMiddleware
from coatcheck.adapters.kept import OWNER, bind, binding, mark_of, turn
from coatcheck.errors import ConfigurationError
from coatcheck.fastapi import CurrentUser, mount_auth
from coatcheck.flask import Coatcheck, exempt
from coatcheck.litestar import ServicePlugin
from coatcheck.starlette import AuthMiddleware
from coatcheck.starlette import mount_auth as mount_on_starlette
from tests.adapters.apps.support import ServedASGI, served

BASE = "https://app.example"
KEPT = {"what": "of ann"}


async def put(request: Request) -> Response:
    request.session.update(KEPT)
    return Response()


async def got(request: Request) -> Response:
    return JSONResponse(request.session.get("what"))


@asynccontextmanager
async def browsing(app: Any, auth: Auth) -> AsyncIterator[tuple[httpx.AsyncClient, ServedASGI]]:
    async with served(app, auth) as running:
        transport = httpx.ASGITransport(running._with_state)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as browser:
            yield browser, running


def hold(browser: httpx.AsyncClient, made: Credentials) -> None:
    browser.cookies.set("__Host-coatcheck", made.session_token or "")


def auth_of_tests() -> Auth:
    return Auth("memory://", subjects=ApplicationSubjects())


def test_the_mark_is_nobodys_name() -> None:
    """What stands in the framework's cookie for a person does not say who they are, and is theirs alone."""
    marks = [mark_of(subject) for subject in ("ann@example.com", "bob@example.com", "", "\ud800")]
    assert len(set(marks)) == len(marks)
    assert not any("ann" in (mark or "") for mark in marks)
    assert mark_of(None) is None


async def test_paths_that_are_left_out() -> None:
    """On a path that is left out nobody is known, and the session is what it is: neither shown apart nor emptied."""
    app = Starlette(
        routes=[Route("/put", put), Route("/got", got), Route("/hooks/got", got)],
        middleware=[Middleware(SessionMiddleware, secret_key="k" * 32)],
    )
    auth = mount_on_starlette(app, auth_of_tests(), exclude=["/hooks"])
    async with browsing(app, auth) as (browser, _):
        hold(browser, await auth.login("ann"))
        await browser.get("/put")
        await auth.revoke_subject("ann")
        assert (await browser.get("/hooks/got")).json() == "of ann"
        assert (await browser.get("/got")).json() is None
        assert (await browser.get("/hooks/got")).json() is None


@pytest.mark.parametrize("middleware", [AuthMiddleware, PlainMiddleware])
@pytest.mark.parametrize("kind", [SessionMiddleware, type("Own", (SessionMiddleware,), {})])
async def test_the_wrong_order(middleware: type[PlainMiddleware], kind: type[SessionMiddleware]) -> None:
    """A session middleware that stands inside of ours is not seen by it: such an application serves nobody."""
    auth = auth_of_tests()
    around = [
        Middleware(middleware, auth=auth),
        Middleware(GZipMiddleware),
        Middleware(kind, secret_key="k" * 32),
    ]
    app = Starlette(routes=[Route("/got", got)], middleware=around, lifespan=auth.lifespan)
    with pytest.raises(ConfigurationError, match="add AuthMiddleware first"):
        async with browsing(app, auth) as (browser, _):
            await browser.get("/got")


@pytest.mark.parametrize("first", ["sessions", "ours"])
async def test_either_order(first: str) -> None:
    """With ``mount_auth`` ours stands inside, whichever was added first."""
    app = Starlette(routes=[Route("/put", put), Route("/got", got)])
    if first == "sessions":
        app.add_middleware(SessionMiddleware, secret_key="k" * 32)
    auth = mount_on_starlette(app, auth_of_tests())
    if first == "ours":
        app.add_middleware(SessionMiddleware, secret_key="k" * 32)
    async with browsing(app, auth) as (browser, _):
        hold(browser, await auth.login("ann"))
        await browser.get("/put")
        await auth.revoke_subject("ann")
        assert (await browser.get("/got")).json() is None


async def test_around_a_mounted_application() -> None:
    """A session middleware around one of several mounted applications is inside of ours, and not seen."""
    around = [Middleware(SessionMiddleware, secret_key="k" * 32)]
    app = Starlette(routes=[Mount("/shop", routes=[Route("/put", put), Route("/got", got)], middleware=around)])
    auth = mount_on_starlette(app, auth_of_tests())
    async with browsing(app, auth) as (browser, _):
        hold(browser, await auth.login("ann"))
        await browser.get("/shop/put")
        await auth.revoke_subject("ann")
        assert (await browser.get("/shop/got")).json() == "of ann"


class OldSessions:
    """Starlette's middleware as it was when its session was a plain dictionary, which went out with every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.kept = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"] = json.loads(self.kept or "{}")

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.kept = json.dumps(scope["session"])
            await send(message)

        await self._app(scope, receive, sending)


async def test_plain_dictionaries() -> None:
    """They are kept apart as well, but what would be hidden until a refresh is deleted."""
    auth = auth_of_tests()
    app = Starlette(
        routes=[Route("/put", put), Route("/got", got)],
        middleware=[Middleware(OldSessions), Middleware(AuthMiddleware, auth=auth)],
        lifespan=auth.lifespan,
    )
    async with browsing(app, auth) as (browser, _):
        made = await auth.login("ann", mode=Mode.JWT_COOKIE)
        for token, seen in ((made.access_token, "of ann"), ("of.before.it", None), (made.access_token, None)):
            browser.cookies.set("__Host-coatcheck-access", made.access_token or "")
            if seen:
                await browser.get("/put")
            browser.cookies.set("__Host-coatcheck-access", token or "")
            assert (await browser.get("/got")).json() == seen
        hold(browser, await auth.login("ann"))
        browser.cookies.delete("__Host-coatcheck-access")
        await browser.get("/put")
        await auth.revoke_subject("ann")
        assert (await browser.get("/got")).json() is None


async def test_handshakes() -> None:
    """A WebSocket of somebody else, or of nobody, is not shown it either."""
    seen: list[Any] = []

    async def socket(websocket: WebSocket) -> None:
        seen.append(websocket.session.get("what"))
        await websocket.close()

    app = Starlette(
        routes=[Route("/put", put), WebSocketRoute("/socket", socket)],
        middleware=[Middleware(SessionMiddleware, secret_key="k" * 32)],
    )
    auth = mount_on_starlette(app, auth_of_tests())
    async with browsing(app, auth) as (browser, running):
        hold(browser, await auth.login("ann"))
        await browser.get("/put")
        for _ in range(2):
            cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
            await running.handshake("/socket", headers=[("Cookie", cookies), ("Origin", BASE)])
            await auth.revoke_subject("ann")
    assert seen == ["of ann", None]


@pytest.mark.parametrize("with_middleware", [False, True])
async def test_routes_that_do_not_ask(with_middleware: bool) -> None:
    """In FastAPI a route that does not ask who is asking is shown what is there, until one has asked; with the
    middleware, every route asks."""
    app = FastAPI()
    auth = auth_of_tests()
    if with_middleware:
        app.add_middleware(AuthMiddleware, auth=auth, service="/auth")
    app.add_middleware(SessionMiddleware, secret_key="k" * 32)
    mount_auth(app, auth)
    app.add_route("/got", got)

    @app.get("/put")
    async def keep(request: Request, user: CurrentUser) -> None:
        request.session.update(KEPT)

    async with browsing(app, auth) as (browser, _):
        hold(browser, await auth.login("ann"))
        await browser.get("/put")
        await auth.revoke_subject("ann")
        assert (await browser.get("/got")).json() == (None if with_middleware else "of ann")
        assert (await browser.get("/put")).status_code == 401
        assert (await browser.get("/got")).json() is None


async def test_what_is_kept_where_it_fails() -> None:
    """What a FastAPI route has kept before it raised is marked as well."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key="k" * 32)
    auth = mount_auth(app, auth_of_tests())

    @app.get("/put")
    async def keep(request: Request, user: CurrentUser) -> None:
        request.session.update(KEPT)
        from fastapi import HTTPException

        raise HTTPException(409)

    @app.get("/all")
    async def everything(request: Request) -> dict[str, Any]:
        return dict(request.session)

    async with browsing(app, auth) as (browser, _):
        hold(browser, await auth.login("ann"))
        assert (await browser.get("/put")).status_code == 409
        assert (await browser.get("/all")).json() == {**KEPT, OWNER: mark_of("ann")}


async def test_litestar_handlers_that_are_left_out() -> None:
    """With ``exclude_from_auth`` nobody is known, and the session is what it is."""

    @litestar_get("/put")
    async def keep(request: LitestarRequest[Any, Any, Any]) -> None:
        request.session.update(KEPT)

    @litestar_get("/got")
    async def shown(request: LitestarRequest[Any, Any, Any]) -> dict[str, Any]:
        return {"what": request.session.get("what")}

    @litestar_get("/hook", exclude_from_auth=True)
    async def hook(request: LitestarRequest[Any, Any, Any]) -> dict[str, Any]:
        return {"what": request.session.get("what")}

    auth = auth_of_tests()
    middleware = [CookieBackendConfig(secret=b"k" * 32).middleware]
    app: Any = Litestar([keep, shown, hook], plugins=[ServicePlugin(auth)], middleware=middleware)
    async with browsing(app, auth) as (browser, _):
        hold(browser, await auth.login("ann"))
        await browser.get("/put")
        await auth.revoke_subject("ann")
        assert (await browser.get("/hook")).json() == {"what": "of ann"}
        assert (await browser.get("/got")).json() == {"what": None}


def test_flask() -> None:
    """A view that does not use the session answers as if it were not there; one that is left out is shown nobody's, and
    where it is not known who is asking, says so."""
    app = Flask(__name__)
    app.secret_key = "a secret of the framework's own"

    def keep() -> str:
        session.update(KEPT)
        return ""

    with blocking.Auth("memory://", subjects=ApplicationSubjects()) as auth:
        Coatcheck(app, auth)
        app.add_url_rule("/put", "put", keep)
        app.add_url_rule("/plain", "plain", lambda: "")
        app.add_url_rule("/hook", "hook", exempt(lambda: {"what": session.get("what")}))
        browser = app.test_client()
        browser.set_cookie("__Host-coatcheck", auth.login("ann").session_token or "", domain="app.example", secure=True)
        assert browser.get("/put", base_url=BASE).status_code == 200
        answer = browser.get("/plain", base_url=BASE)
        assert "Vary" not in answer.headers
        assert "Set-Cookie" not in answer.headers
        foreign = {"Authorization": "Bearer of.somebody.else"}
        assert browser.get("/hook", base_url=BASE, headers=foreign).status_code == 401
        assert browser.get("/hook", base_url=BASE).json == KEPT
        auth.revoke_subject("ann")
        assert browser.get("/hook", base_url=BASE).json == {"what": None}


@pytest.mark.parametrize("is_later", [False, True])
def test_what_is_kept_after_the_view(is_later: bool) -> None:
    """In Flask what an ``after_request`` has kept is marked where that was registered after ours."""
    app = Flask(__name__)
    app.secret_key = "a secret of the framework's own"

    def keep(response: Any) -> Any:
        session.update(KEPT)
        return response

    if not is_later:
        app.after_request(keep)
    with blocking.Auth("memory://", subjects=ApplicationSubjects()) as auth:
        Coatcheck(app, auth)
        if is_later:
            app.after_request(keep)
        app.add_url_rule("/", "home", lambda: "")
        browser = app.test_client()
        browser.set_cookie("__Host-coatcheck", auth.login("ann").session_token or "", domain="app.example", secure=True)
        assert browser.get("/", base_url=BASE).status_code == 200
        with browser.session_transaction(base_url=BASE) as kept:
            assert (OWNER in kept) is is_later


class _NotLoaded:
    """A session of another library, which may not be asked anything yet."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("not loaded")


async def test_a_session_that_has_not_been_loaded_is_left_alone() -> None:
    """It is no mapping, and a login beside it goes on."""
    scope: dict[str, Any] = {"session": _NotLoaded()}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    turn(scope, "ann")
    turn(scope, None)
    bind(scope, None)
    await binding(scope, None, send)({"type": "http.response.start", "status": 200, "headers": []})
    assert set(scope) == {"session"}
    assert len(sent) == 1


def test_another_librarys_session_middleware_inside_of_ours() -> None:
    """It is refused as Starlette's is."""
    other = type("SessionMiddleware", (), {"app": None, "__module__": "starsessions.middleware"})
    with pytest.raises(ConfigurationError, match="stands inside of AuthMiddleware"):
        PlainMiddleware(other(), Auth("memory://"))


def test_a_middleware_of_the_same_name() -> None:
    """One for sessions of a database is no concern of ours."""
    other = type("SessionMiddleware", (), {"app": None, "__module__": "shop.database"})
    PlainMiddleware(other(), Auth("memory://"))

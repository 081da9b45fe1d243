"""FastAPI applications that were given to us are looked at wherever what asks stands in them, and whenever it came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.routing import Host, Mount, Route, Router

from coatcheck import Auth, ConfigurationError, Mode, SubjectFacts
from coatcheck.fastapi import (
    CurrentUser,
    Identity,
    OptionalUser,
    attach,
    auth_app,
    current_user,
    lifespans,
    mount_auth,
    requires,
)
from coatcheck.starlette import CoatcheckBackend, on_error
from coatcheck.testing.clock import TravelClock
from tests.adapters.apps.support import sent, served
from tests.adapters.suite.contract import Setting
from tests.support.patience import SOON

Put = Callable[[Any], Any]
"""Makes an application of a router with ``/asked``."""
LESS = Annotated[Identity, requires("admin"), Depends(current_user)]
"""FastAPI asks the last one only."""


class Opaque:
    """A middleware that calls what is inside of it something of its own."""

    def __init__(self, app: Any) -> None:
        self._inside = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._inside(dict(scope), receive, send)


def application(router: APIRouter) -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    return app


def around(inner: Any, path: str = "/in") -> FastAPI:
    app = FastAPI()
    app.mount(path, inner)
    return app


def in_itself(router: APIRouter) -> FastAPI:
    app = application(router)
    app.mount("/in", app)
    return app


SEEN: dict[str, Put] = {
    "a router that is mounted": around,
    "a router in a router": lambda router: around(Router([Mount("/", router)])),
    "a router in Starlette": lambda router: Starlette(routes=[Mount("/in", around(router, "/"))]),
    "at a host": lambda router: Starlette(routes=[Mount("/in", Router([Host("app.example", application(router))]))]),
    "a route's endpoint": lambda router: Starlette(
        routes=[Mount("/in", routes=[Route("/asked", application(router))])]
    ),
    "behind middleware of a mount": lambda router: FastAPI(
        routes=[Mount("/in", application(router), middleware=[Middleware(Opaque)])]
    ),
    "in itself": in_itself,
}
HIDDEN: dict[str, Put] = {"behind a middleware": lambda router: around(Opaque(application(router)))}


def asking(annotation: Any) -> APIRouter:
    router = APIRouter()

    async def asked(user: Any) -> Any:
        return user.subject

    asked.__annotations__["user"] = annotation
    router.get("/asked")(asked)
    return router


def fresh_auth() -> Auth:
    return Auth(**Setting(clock=TravelClock()).arguments() | {"subjects": lambda _: SubjectFacts()})


@pytest.mark.parametrize("put", SEEN.values(), ids=SEEN.keys())
async def test_a_demand_that_nobody_asks_is_refused_at_start(put: Put) -> None:
    """In whatever is mounted, a router as well as an application."""
    with pytest.raises(ConfigurationError, match="asks the last Depends"):
        async with fresh_auth().lifespan(put(asking(LESS))):
            pass


@pytest.mark.parametrize("put", (SEEN | HIDDEN).values(), ids=(SEEN | HIDDEN).keys())
async def test_who_is_asking_is_known_there(put: Put) -> None:
    """And the answer says that it depends on it."""
    app, auth = put(asking(CurrentUser)), fresh_auth()
    app.router.lifespan_context = lifespans(auth.lifespan, app.router.lifespan_context)
    async with served(app, auth) as web:
        credentials = await auth.login("ann", mode=Mode.JWT)
        for _ in range(2):
            answer = await web.request("GET", "/in/asked", headers=sent(credentials))
            assert answer.json() == "ann"
            assert answer.header("vary") == "Cookie, Authorization"
            assert (await web.request("GET", "/in/asked")).status == 401


@pytest.mark.parametrize("put", HIDDEN.values(), ids=HIDDEN.keys())
async def test_what_nobody_saw_lets_nobody_in(put: Put) -> None:
    """It is looked at when somebody is asked for, and serves nobody when it is wrong."""
    app, auth = put(asking(LESS)), fresh_auth()
    app.router.lifespan_context = auth.lifespan
    async with served(app, auth) as web:
        credentials = await auth.login("ann", mode=Mode.JWT)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="asks the last Depends"):
                await web.request("GET", "/in/asked", headers=sent(credentials))


@pytest.mark.parametrize("how", ["beside ours", "around it", "mounted"])
async def test_routes_that_a_lifespan_adds(how: str) -> None:
    """They are looked at before anybody is served: when the application starts, or at the first request."""
    auth = fresh_auth()

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[None]:
        if how == "mounted":
            app.mount("/in", asking(LESS))
        else:
            app.include_router(asking(LESS))
        yield

    @asynccontextmanager
    async def both(app: FastAPI) -> AsyncIterator[Any]:
        async with auth.lifespan(app) as state, own(app):
            yield state

    lifespan = both if how == "around it" else lifespans(auth.lifespan, own)
    with pytest.raises((ConfigurationError, RuntimeError), match="asks the last Depends"):
        async with served(FastAPI(lifespan=lifespan), auth) as web:
            await web.request("GET", "/asked", headers=sent(await auth.login("ann", mode=Mode.JWT)))


@pytest.mark.parametrize("where", ["route", "router", "application", "dependency"])
async def test_scopes_that_nobody_asks_for_are_refused(where: str) -> None:
    """Security(current_user, scopes=...) would let in whoever is logged in."""
    wrong = Security(current_user, scopes=["admin"])
    given = {where: [wrong]}
    router = APIRouter(dependencies=given.get("router"))

    def mine(user: Identity = wrong) -> str:
        return user.subject

    dependencies = [Depends(mine)] if where == "dependency" else given.get("route")
    router.get("/asked", dependencies=dependencies)(lambda: None)
    app = FastAPI(dependencies=given.get("application"))
    app.include_router(router)
    with pytest.raises(ConfigurationError, match=r"write requires\(\"admin\"\)"):
        async with fresh_auth().lifespan(app):
            pass


async def test_a_second_service_that_is_mounted_is_refused() -> None:
    """An application with an `Auth` of its own, in another one: nobody would start it. The same one may stand twice."""
    app, other, auth = FastAPI(), FastAPI(), fresh_auth()
    mount_auth(other, fresh_auth())
    app.mount("/other", other)
    with pytest.raises(ConfigurationError, match="an Auth already"):
        async with auth.lifespan(_with_service(app, auth)):
            pass
    async with auth.lifespan(_with_service(around(_with_service(FastAPI(), auth)), auth)):
        assert auth.is_running


def _with_service(app: FastAPI, auth: Auth) -> FastAPI:
    app.mount("/auth", auth_app(auth))
    return app


@pytest.mark.parametrize("annotation", [CurrentUser, OptionalUser])
async def test_under_the_middleware_of_starlette(annotation: Any) -> None:
    """It only says who is asking; answers still say that they depend on it, and WebSockets end with the session."""
    auth = fresh_auth()
    app = application(asking(annotation))
    app.router.lifespan_context = auth.lifespan
    app.add_middleware(AuthenticationMiddleware, backend=CoatcheckBackend(auth), on_error=on_error)

    async def listen(socket: WebSocket, user: Any) -> None:
        await socket.accept()
        await auth.revoke(user.session_id)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), SOON)
        await socket.send_text("still there")

    listen.__annotations__.update(socket=WebSocket, user=annotation)
    app.websocket("/listen")(listen)
    async with served(app, auth) as web:
        headers = sent(await auth.login("ann", mode=Mode.JWT))
        assert (await web.request("GET", "/asked", headers=headers)).header("vary") == "Cookie, Authorization"
        said = await web.handshake("/listen", headers=headers)
        assert [(message["type"], message.get("code")) for message in said[1:]] == [("websocket.close", 4401)]


async def test_whoever_else_stands_around_the_router_stays() -> None:
    """The first request takes away nothing but our second look."""
    auth = fresh_auth()
    app = application(asking(CurrentUser))
    app.router.lifespan_context = auth.lifespan
    attach(app)
    passed: list[str] = []
    ours = app.router.middleware_stack

    async def around(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["type"])
        await ours(scope, receive, send)

    app.router.middleware_stack = around
    async with served(app, auth) as web:
        for _ in range(2):
            assert (await web.request("GET", "/asked")).status == 401
    assert passed == ["lifespan", "http", "http"]

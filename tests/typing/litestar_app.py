"""A Litestar application that uses everything of its adapter."""

from __future__ import annotations

from typing import Any, assert_type

from litestar import Controller, Litestar, Request, Response, WebSocket, get, post, websocket
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.types import ControllerRouterHandler

from coatcheck import Auth, Identity, RemoteVerifier
from coatcheck.errors import NotLoggedIn
from coatcheck.litestar import (
    CoatcheckPlugin,
    CurrentUser,
    OptionalUser,
    ServicePlugin,
    auth_of,
    auth_routes,
    deliver,
    fresh,
    logged_in,
    page_for,
    requires,
)

AnyRequest = Request[Identity | None, Identity | None, State]


@get("/me")
async def me(current_user: CurrentUser) -> str:
    assert_type(current_user, Identity)
    return current_user.subject


@get("/")
async def home(optional_user: OptionalUser) -> str:
    assert_type(optional_user, Identity | None)
    return optional_user.subject if optional_user else "stranger"


@get("/request", guards=[logged_in])
async def by_request(request: AnyRequest) -> str:
    assert_type(request.user, Identity | None)
    assert_type(auth_of(request), Auth)
    return ""


class Reports(Controller):
    path = "/reports"
    guards = (requires("editor", "admin"), fresh(minutes=5))

    @get()
    async def show(self) -> list[str]:
        return []


async def team(current_user: CurrentUser) -> str:
    return str(current_user.claims["team"])


@get("/team", dependencies={"team": team})
async def of_team(team: NamedDependency[str]) -> str:
    return team


@websocket("/live", guards=[logged_in])
async def live(socket: WebSocket[Any, Any, Any], current_user: CurrentUser) -> None:
    assert_type(current_user, Identity)
    await socket.accept()


@post("/enter")
async def enter(request: AnyRequest) -> Response[dict[str, str]]:
    made = await auth_of(request).login("ann")
    return deliver(Response({"hello": "ann"}), request, made, mount="/auth")


def to_login(request: AnyRequest, error: NotLoggedIn) -> Response[None]:
    page = page_for(request.scope, error)
    assert_type(page, str | None)
    return Response(None, status_code=303, headers={"location": page or "/"})


auth = Auth("memory://")
handlers: list[ControllerRouterHandler] = [me, home, by_request, Reports, of_team, live, enter]
whole = Litestar(handlers, plugins=[ServicePlugin("memory://", "/account")], exception_handlers={NotLoggedIn: to_login})
parts = Litestar([*handlers, auth_routes(auth, "/login")], plugins=[CoatcheckPlugin(auth)])
remote = RemoteVerifier("https://auth.example.com/auth", service_key="k" * 32)
elsewhere = Litestar([me], plugins=[CoatcheckPlugin(remote)])

"""The suite's application in Litestar: a dependency, guards on handlers and on a controller, the service's plugin."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from litestar import Controller, HttpMethod, Litestar, Request, get, post, route

from coatcheck import Auth, Identity
from coatcheck.litestar import CurrentUser, OptionalUser, ServicePlugin, fresh, requires
from tests.adapters.apps.support import ServedASGI, served
from tests.adapters.suite.contract import Setting


def described(identity: Identity) -> dict[str, Any]:
    return {
        "subject": identity.subject,
        "session": identity.session_id,
        "mode": identity.mode.value,
        "roles": sorted(identity.roles),
    }


@route("/open", http_method=[HttpMethod.GET, HttpMethod.POST], status_code=200)
async def open_to_all(optional_user: OptionalUser) -> dict[str, str | None]:
    return {"subject": optional_user.subject if optional_user else None}


@route("/mine", http_method=[HttpMethod.GET, HttpMethod.POST], status_code=200)
async def mine(current_user: CurrentUser) -> dict[str, Any]:
    return described(current_user)


@route("/theirs", http_method=[HttpMethod.GET, HttpMethod.POST], status_code=200, exclude_from_auth=True)
async def theirs(request: Request[Any, Any, Any]) -> dict[str, str]:
    return {"authorization": request.headers["authorization"]}


@get("/theirs/mine", exclude_from_auth=True)
async def theirs_mine(current_user: CurrentUser) -> dict[str, Any]:
    return described(current_user)


class Administration(Controller):
    path = "/admin"
    guards = (requires("admin"),)

    @get()
    async def show(self, request: Request[Identity, Identity, Any]) -> dict[str, Any]:
        return described(request.user)


@post("/danger", guards=[fresh(minutes=5)], status_code=200)
async def danger(current_user: CurrentUser) -> dict[str, Any]:
    return described(current_user)


ROUTES = (open_to_all, mine, theirs, theirs_mine, Administration, danger)


def serving(setting: Setting) -> AbstractAsyncContextManager[ServedASGI]:
    """See `contract.Serving`."""
    auth = Auth(**setting.arguments())
    app: Any = Litestar(ROUTES, path=setting.prefix, plugins=[ServicePlugin(auth)])
    return served(app, auth, behind_proxy=setting.behind_proxy)

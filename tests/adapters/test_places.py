"""Where our middleware stands among others: before whatever wants to know who is asking, and the service left alone."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coatcheck import Auth, ConfigurationError, Mode
from coatcheck.adapters import asgi
from coatcheck.starlette import AuthMiddleware, logged_in, mount_auth, optional_user
from coatcheck.testing.clock import TravelClock
from tests.adapters.apps.support import sent, served
from tests.adapters.suite.contract import Setting
from tests.adapters.suite.visitor import PASSWORD

JSON = ("Content-Type", "application/json")


async def who(request: Request) -> Response:
    return JSONResponse(request.user.display_name)


async def theirs(request: Request) -> Response:
    return JSONResponse(request.user.is_authenticated)


def application(*middleware: Middleware) -> Starlette:
    routes = [Route("/", logged_in(who)), Route("/hooks", theirs)]
    return Starlette(routes=routes, middleware=[*middleware, Middleware(GZipMiddleware)])


class Noting(BaseHTTPMiddleware):
    """As an application's own: a log or a limit that goes by who asks."""

    def __init__(self, app: Any, notes: list[str | None]) -> None:
        super().__init__(app)
        self.notes = notes

    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        identity = optional_user(request)
        assert request.user.is_authenticated == (identity is not None)
        self.notes.append(None if identity is None else identity.subject)
        return await call_next(request)


@pytest.fixture
def auth() -> Auth:
    return Auth(**Setting(clock=TravelClock()).arguments())


def _listed(auth: Auth, notes: list[str | None]) -> Starlette:
    app = application(Middleware(AuthMiddleware, auth=auth), Middleware(Noting, notes=notes))
    mount_auth(app, auth, exclude=["/hooks"])
    return app


def _listed_with_its_own(auth: Auth, notes: list[str | None]) -> Starlette:
    mine = Middleware(AuthMiddleware, auth=auth, exclude=["/hooks"])
    app = application(mine, Middleware(Noting, notes=notes))
    mount_auth(app, auth, prefix="/auth")
    return app


def _added_later(auth: Auth, notes: list[str | None]) -> Starlette:
    app = application()
    mount_auth(app, auth, exclude=["/hooks"])
    app.add_middleware(Noting, notes=notes)
    app.add_middleware(AuthMiddleware, auth=auth)
    return app


PLACES = (_listed, _listed_with_its_own, _added_later)


@pytest.mark.parametrize("make", PLACES)
async def test_other_middleware_sees_who_is_asking(auth: Auth, make: Callable[..., Starlette]) -> None:
    """Where an application puts it, whatever is further in sees who is asking; the service and what is left out are as
    they are with `mount_auth` alone."""
    notes: list[str | None] = []
    async with served(make(auth, notes), auth) as app:
        account = await app.run(lambda auth: auth.accounts.register("ann@example.com", PASSWORD))
        made = await app.run(lambda auth: auth.login(account.id, mode=Mode.JWT))
        assert (await app.request("GET", "/", headers=sent(made))).json() == account.id
        assert (await app.request("GET", "/")).status == 401
        assert notes == [account.id, None]
        bad = ("Authorization", "Bearer none")
        assert (await app.request("GET", "/", headers=[bad])).status == 401
        assert (await app.request("GET", "/hooks", headers=[bad])).json() is False
        body = f'{{"refresh_token": "{made.refresh_token}"}}'.encode()
        answer = await app.request("POST", "/auth/refresh", headers=[bad, JSON], body=body)
        assert answer.status == 200, "a client whose token has ended can refresh"
        assert notes == [account.id, None, None, None], "and below the service nobody is known"


@pytest.mark.parametrize("later", [False, True])
async def test_too_far_in(auth: Auth, later: bool) -> None:
    """Whatever asks before it has looked is told so, and what to do; doing that helps."""
    notes: list[str | None] = []
    if later:
        app = application()
        mount_auth(app, auth)
        app.add_middleware(Noting, notes=notes)
    else:
        app = application(Middleware(Noting, notes=notes))
        mount_auth(app, auth)
    async with served(app, auth) as running:
        with pytest.raises(RuntimeError, match="or stands further in") as raised:
            await running.request("GET", "/")
    advice = str(raised.value)
    assert "middleware=[Middleware(AuthMiddleware, auth=auth), ...]" in advice
    assert "mount_auth" in advice
    assert "AuthMiddleware" in (inspect.getdoc(mount_auth) or "")


async def test_one_place_only(auth: Auth) -> None:
    """One of another Auth is refused, wherever it stands, and so is a plain one, which gives no user."""
    other = Auth("memory://")
    app = application(Middleware(AuthMiddleware, auth=other))
    with pytest.raises(ConfigurationError):
        mount_auth(app, auth)
    assert len(app.user_middleware) == 2
    plain = application(Middleware(asgi.AuthMiddleware, auth=auth))
    with pytest.raises(ConfigurationError, match=r"coatcheck\.starlette"):
        mount_auth(plain, auth)

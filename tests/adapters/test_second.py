"""A second `Auth` in one application is never silently the first: it is refused at the latest when the application
starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from litestar import Litestar
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from coatcheck import Auth, ConfigurationError, Mode, SubjectFacts, starlette
from coatcheck import fastapi as with_fastapi
from coatcheck import flask as with_flask
from coatcheck import starlette as with_starlette
from coatcheck.adapters import asgi
from coatcheck.blocking import Auth as BlockingAuth
from coatcheck.fastapi import CurrentUser
from coatcheck.fastapi import lifespans as fastapi_lifespans
from coatcheck.litestar import CoatcheckPlugin, ServicePlugin
from coatcheck.testing.clock import TravelClock
from tests.adapters.apps.support import sent, served
from tests.adapters.suite.contract import Setting

FACTS = SubjectFacts()


def auth() -> Auth:
    return Auth(**Setting(clock=TravelClock()).arguments() | {"subjects": lambda _: FACTS})


async def nothing(scope: Any, receive: Any, send: Any) -> None: ...


def mounted_twice(module: Any, kind: Any) -> Callable[[], Any]:
    def make() -> Any:
        app = kind()
        module.mount_auth(app, auth(), prefix="/staff")
        module.mount_auth(app, auth(), prefix="/auth")
        return app

    return make


def mounted_beside(module: Any, kind: Any) -> Callable[[], Any]:
    def make() -> Any:
        app = kind(lifespan=auth().lifespan)
        module.mount_auth(app, auth())
        return app

    return make


def in_flask() -> Any:
    app = Flask(__name__)
    with_flask.mount_auth(app, BlockingAuth("memory://"), prefix="/staff")
    with_flask.mount_auth(app, BlockingAuth("memory://"))
    return app


def one_around_another() -> Any:
    layers = [Middleware(starlette.AuthMiddleware, auth=auth()), Middleware(GZipMiddleware)]
    return Starlette(
        middleware=[*layers, Middleware(starlette.AuthMiddleware, auth=(own := auth()))], lifespan=own.lifespan
    )


def two_plugins(first: Any, second: Any) -> Callable[[], Any]:
    return lambda: Litestar(plugins=[first(auth()), second(auth())])


MADE: dict[str, Callable[[], Any]] = {
    "fastapi, mounted twice": mounted_twice(with_fastapi, FastAPI),
    "starlette, mounted twice": mounted_twice(with_starlette, Starlette),
    "fastapi, beside a lifespan": mounted_beside(with_fastapi, FastAPI),
    "starlette, beside a lifespan": mounted_beside(with_starlette, Starlette),
    "fastapi, two lifespans": lambda: FastAPI(lifespan=fastapi_lifespans(auth().lifespan, auth().lifespan)),
    "starlette, two lifespans": lambda: Starlette(lifespan=starlette.lifespans(auth().lifespan, auth().lifespan)),
    "starlette, one middleware around another": one_around_another,
    "plain, one middleware around another": lambda: asgi.AuthMiddleware(asgi.AuthMiddleware(nothing, auth()), auth()),
    "litestar, two plugins": two_plugins(CoatcheckPlugin, CoatcheckPlugin),
    "litestar, two services": two_plugins(lambda one: ServicePlugin(one, "/staff"), ServicePlugin),
    "litestar, one of each": two_plugins(CoatcheckPlugin, ServicePlugin),
    "flask": in_flask,
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE.keys())
async def test_a_second_is_refused(make: Callable[[], Any]) -> None:
    """When it is said, or when the application starts; nobody is let in before."""
    with pytest.raises((ConfigurationError, RuntimeError), match="given"):
        async with served(make(), auth()) as web:
            await web.request("GET", "/")  # Starlette makes its middleware when it is first called, whatever for


async def test_one_is_enough() -> None:
    """The same one may be named in several places."""
    app, one = FastAPI(), auth()
    with_fastapi.mount_auth(app, one)
    app.add_middleware(asgi.AuthMiddleware, auth=one)
    asgi.AuthMiddleware(asgi.AuthMiddleware(nothing, one), one)

    @app.get("/me")
    async def me(user: CurrentUser) -> str:
        return user.subject

    async with served(app, one) as web:
        answer = await web.request("GET", "/me", headers=sent(await one.login("ann", mode=Mode.JWT)))
        assert answer.json() == "ann"

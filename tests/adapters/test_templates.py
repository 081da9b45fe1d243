"""What a template is told of who is asking: ``is_authenticated`` is true for somebody and false for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask, render_template, render_template_string
from jinja2 import DictLoader, Environment, StrictUndefined
from litestar import Litestar, Request, get
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.template import TemplateConfig
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from coatcheck import Auth, Mode, SubjectFacts, fastapi, flask, litestar, starlette
from coatcheck.blocking import Auth as BlockingAuth
from tests.adapters.apps.flask import WsgiServed
from tests.adapters.apps.support import sent, served

SECRET = "a secret of the tests, 32 bytes or more"
SAID = "{%% if %s.is_authenticated %%}somebody{%% else %%}nobody{%% endif %%}"


def _facts(subject: str) -> SubjectFacts:
    return SubjectFacts()


def _auth() -> Auth:
    return Auth("memory://", secret=SECRET, subjects=_facts)


def _templates(name: str) -> Jinja2Templates:
    return Jinja2Templates(
        env=Environment(loader=DictLoader({"page": SAID % name}), autoescape=True, undefined=StrictUndefined)
    )


@asynccontextmanager
async def _starlette() -> AsyncIterator[Any]:
    auth, templates = _auth(), _templates("request.user")

    async def page(request: StarletteRequest) -> Response:
        return templates.TemplateResponse(request, "page")

    middleware = [Middleware(starlette.AuthMiddleware, auth=auth)]
    app = Starlette(routes=[Route("/", page)], middleware=middleware, lifespan=auth.lifespan)
    async with served(app, auth) as running:
        yield running


@asynccontextmanager
async def _fastapi() -> AsyncIterator[Any]:
    auth, templates = _auth(), _templates("(user or {'is_authenticated': false})")
    app = FastAPI(lifespan=auth.lifespan)

    @app.get("/")
    async def page(request: StarletteRequest, user: fastapi.OptionalUser) -> Response:
        return templates.TemplateResponse(request, "page", {"user": user})

    async with served(app, auth) as running:
        yield running


@asynccontextmanager
async def _litestar(folder: Path) -> AsyncIterator[Any]:
    auth = _auth()
    (folder / "page").write_text(SAID % "request.user")

    @get("/")
    async def page(request: Request[Any, Any, Any]) -> Template:
        return Template("page")

    app: Any = Litestar(
        [page],
        plugins=[litestar.CoatcheckPlugin(auth)],
        template_config=TemplateConfig(directory=folder, engine=JinjaTemplateEngine),
    )
    async with served(app, auth) as running:
        yield running


@asynccontextmanager
async def _flask(folder: Path, written: bool) -> AsyncIterator[Any]:
    """``written``: the proxy itself, which an application may hand to a template under a name of its own."""
    auth = BlockingAuth("memory://", secret=SECRET, subjects=_facts)
    app = Flask(__name__, template_folder=folder)
    (folder / "page").write_text(SAID % ("who" if written else "current_user"))
    flask.Coatcheck(app, auth)

    @app.get("/")
    def page() -> str:
        assert render_template_string(SAID % "current_user") == render_template("page", who=flask.current_user)
        return render_template("page", who=flask.current_user)

    try:
        yield WsgiServed(app, auth)
    finally:
        await asyncio.to_thread(auth.close)


@pytest.mark.parametrize("kind", ["starlette", "fastapi", "litestar", "flask", "flask proxy"])
async def test_is_authenticated(kind: str, tmp_path: Path) -> None:
    """Templates ask as they do everywhere else, and are told the truth about somebody and about nobody."""
    kinds: dict[str, Callable[[], AbstractAsyncContextManager[Any]]] = {
        "starlette": _starlette,
        "fastapi": _fastapi,
        "litestar": lambda: _litestar(tmp_path),
        "flask": lambda: _flask(tmp_path, False),
        "flask proxy": lambda: _flask(tmp_path, True),
    }
    async with kinds[kind]() as app:
        for mode in (Mode.SESSION, Mode.JWT):
            made = await app.run(lambda auth, mode=mode: auth.login("ann", mode=mode))
            answer = await app.request("GET", "/", headers=sent(made))
            assert (answer.status, answer.body) == (200, b"somebody")
        for headers in ((), [("Cookie", "__Host-coatcheck=ccs_none")]):
            answer = await app.request("GET", "/", headers=headers)
            assert (answer.status, answer.body) == (200, b"nobody")

"""An answer that depends on who asks says so, and no cache hands one person's page to another."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse, StreamingResponse
from flask import Flask, render_template_string
from litestar import Litestar, Request, Response, get
from litestar.config.response_cache import ResponseCacheConfig
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from coatcheck import Auth, ConfigurationError, Mode, SubjectFacts, fastapi, flask, litestar, starlette
from coatcheck.adapters import asgi
from coatcheck.blocking import Auth as BlockingAuth
from coatcheck.flask import Coatcheck
from coatcheck.testing.clock import TravelClock
from tests.adapters.apps import django_wsgi
from tests.adapters.apps.flask import WsgiServed
from tests.adapters.apps.support import sent, served
from tests.adapters.suite.contract import Served, Setting

KEPT = {"Cache-Control": "max-age=60", "Vary": "Accept-Language"}
FACTS = SubjectFacts()
CONSTANT = PlainTextResponse("the same", headers=KEPT)
"""An answer that the application keeps and sends again."""


@asynccontextmanager
async def with_asgi(auth: Auth) -> AsyncIterator[Served]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with auth.lifespan() as state:
                scope["state"].update(state)
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        user = scope[asgi.IDENTITY]
        given = CONSTANT if scope["path"] == "/constant" else PlainTextResponse(user.subject if user else "nobody")
        await given(scope, receive, send)

    async with served(asgi.AuthMiddleware(app, auth), auth) as web:
        yield web


@asynccontextmanager
async def with_starlette(auth: Auth) -> AsyncIterator[Served]:
    async def page(request: Any) -> Any:
        if request.url.path == "/constant":
            return CONSTANT
        user = request.user.identity
        return PlainTextResponse(user.subject if user else "nobody", headers=KEPT)

    middleware = [
        Middleware(CORSMiddleware, allow_origins=["https://spa.example"]),
        Middleware(starlette.AuthMiddleware, auth=auth),
    ]
    routes = [Route("/constant", page), Route("/page", page)]
    async with served(Starlette(routes=routes, lifespan=auth.lifespan, middleware=middleware), auth) as web:
        yield web


@asynccontextmanager
async def with_fastapi(auth: Auth) -> AsyncIterator[Served]:
    app, router = FastAPI(lifespan=auth.lifespan), APIRouter()

    @app.get("/page")
    async def page(user: fastapi.OptionalUser) -> HTMLResponse:
        return HTMLResponse(user.subject if user else "nobody", headers=KEPT)

    @router.get("/value")
    async def value(user: fastapi.OptionalUser) -> str:
        return user.subject if user else "nobody"

    @router.get("/stream")
    async def stream(user: fastapi.OptionalUser) -> StreamingResponse:
        return StreamingResponse(iter(["a"]))

    @app.get("/missing")
    async def missing(user: fastapi.OptionalUser) -> None:
        raise HTTPException(404, headers={"vary": "Accept"})

    @app.get("/constant")
    async def constant(user: fastapi.OptionalUser) -> Any:
        return CONSTANT

    async def deep(user: fastapi.OptionalUser) -> str:
        return user.subject if user else "nobody"

    @app.get("/deep")
    async def deeper(text: str = Depends(deep)) -> str:
        return text

    @app.get("/public")
    async def public() -> str:
        return "the same"

    app.include_router(router)
    async with served(app, auth) as web:
        yield web


@asynccontextmanager
async def with_litestar(auth: Auth) -> AsyncIterator[Served]:
    @get("/page", cache=60)
    async def page(request: Request[Any, Any, Any]) -> Response[str]:
        return Response(request.user.subject if request.user else "nobody", headers=KEPT)

    @get("/value")
    async def value(optional_user: litestar.OptionalUser) -> str:
        return optional_user.subject if optional_user else "nobody"

    @get("/public", exclude_from_auth=True)
    async def public() -> str:
        return "the same"

    async with served(Litestar([page, value, public], plugins=[litestar.CoatcheckPlugin(auth)]), auth) as web:
        yield web


@asynccontextmanager
async def with_flask(auth: BlockingAuth) -> AsyncIterator[Served]:
    app = Flask(__name__)
    Coatcheck(app, auth)

    @app.get("/page")
    def page() -> Any:
        user = flask.optional_user()
        return (user.subject if user else "nobody"), 200, KEPT

    @app.get("/value")
    def value() -> str:
        return flask.current_user.subject if flask.current_user else "nobody"

    @app.get("/template")
    def template() -> str:
        return render_template_string("{{ current_user.subject if current_user else 'nobody' }}")

    @app.get("/mine")
    @flask.login_required
    def mine() -> str:
        return "yours"

    @app.get("/public")
    def public() -> str:
        return "the same"

    yield WsgiServed(app, auth)


@asynccontextmanager
async def with_django(auth: BlockingAuth) -> AsyncIterator[Served]:
    from django.core.cache import cache
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.test import override_settings
    from django.urls import path
    from django.views.decorators.cache import cache_page

    from coatcheck.django import current_user, login_required, optional_user

    def page(request: Any) -> HttpResponse:
        user = optional_user(request)
        return HttpResponse(user.subject if user else "nobody", headers={"Vary": "Accept-Language"})

    def by_user(request: Any) -> HttpResponse:
        return HttpResponse(request.user.pk or "nobody")

    def mine(request: Any) -> HttpResponse:
        return HttpResponse(current_user(request).subject)

    async def later(request: Any) -> HttpResponse:
        return page(request)

    routes: Any = types.ModuleType("routes")
    routes.urlpatterns = [
        path("page", cache_page(60)(page)),
        path("value", cache_page(60)(by_user)),
        path("mine", cache_page(60)(login_required(mine))),
        path("inside", login_required(cache_page(60)(mine))),
        path("plain", page),
        path("later", cache_page(60)(later)),
    ]
    cache.clear()
    with django_wsgi.project(auth), override_settings(ROOT_URLCONF=routes):
        yield WsgiServed(WSGIHandler(), auth)


@asynccontextmanager
async def with_django_site_cache(auth: BlockingAuth) -> AsyncIterator[Served]:
    from django.conf import settings
    from django.test import override_settings

    before, after = "django.middleware.cache.UpdateCacheMiddleware", "django.middleware.cache.FetchFromCacheMiddleware"
    with override_settings(MIDDLEWARE=[before, *settings.MIDDLEWARE, after]):
        async with with_django(auth) as web:
            yield web


@asynccontextmanager
async def with_django_cache_outside(auth: BlockingAuth) -> AsyncIterator[Served]:
    from django.conf import settings
    from django.test import override_settings

    before, after = "django.middleware.cache.UpdateCacheMiddleware", "django.middleware.cache.FetchFromCacheMiddleware"
    with override_settings(MIDDLEWARE=[before, after, *settings.MIDDLEWARE]):
        async with with_django(auth) as web:
            yield web


KINDS: dict[str, tuple[Any, list[str]]] = {
    "asgi": (with_asgi, ["/page"]),
    "starlette": (with_starlette, ["/page"]),
    "fastapi": (with_fastapi, ["/page", "/value", "/deep"]),
    "litestar": (with_litestar, ["/page", "/value"]),
    "flask": (with_flask, ["/page", "/value", "/template"]),
    "django": (with_django, ["/page", "/value", "/plain", "/later"]),
    "django, whole site": (with_django_site_cache, ["/page", "/value", "/plain"]),
    "django, outside": (with_django_cache_outside, ["/page", "/value", "/plain"]),
}
PUBLIC = ("fastapi", "litestar", "flask")


def vary(answer: Any) -> list[str]:
    """What an answer depends on. Caches, and what adds to it, understand one line best."""
    lines = [value for name, value in answer.headers if name == "vary"]
    assert len(lines) <= 1, lines
    return [name.strip() for line in lines for name in line.split(",")]


@pytest.mark.parametrize("mode", [Mode.SESSION, Mode.JWT], ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_everybody_gets_their_own_page(kind: str, mode: Mode) -> None:
    """Whoever comes first, second, anonymous, logged out: each sees their own, and answers say on what they depend."""
    serving, paths = KINDS[kind]
    blocking = kind.startswith(("flask", "django"))
    auth: Any = (BlockingAuth if blocking else Auth)(
        **Setting(clock=TravelClock()).arguments() | {"subjects": lambda _: FACTS}
    )
    try:
        async with serving(auth) as web:
            for at in paths:
                made = {
                    who: await web.run(lambda inner, who=who: inner.login(who, mode=mode)) for who in ("ann", "bob")
                }
                for who in ("ann", "bob", "nobody", "ann", "nobody", "bob"):
                    headers = sent(made[who]) if who in made else ()
                    answer = await web.request("GET", at, headers=headers)
                    assert answer.body.decode().strip('"') == who, at
                    assert {"Cookie", "Authorization"} <= set(vary(answer)), (at, who)
                    assert len(vary(answer)) == len(set(vary(answer)))
                await web.run(lambda inner, made=made: inner.revoke(made["ann"].session.id))
                if mode is Mode.SESSION:
                    answer = await web.request("GET", at, headers=sent(made["ann"]))
                    assert answer.body.decode().strip('"') == "nobody", at
            if kind in PUBLIC:
                assert "Cookie" not in vary(await web.request("GET", "/public", headers=sent(made["bob"])))
    finally:
        if blocking:
            auth.close()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("django")], ids=str)
async def test_at_another_port(kind: str) -> None:
    """In development, where the cookies are called by the port, everybody sees their own page too."""
    auth: Any = BlockingAuth(**Setting(clock=TravelClock()).arguments() | {"subjects": lambda _: FACTS})
    serving, (at, *_) = KINDS[kind]
    try:
        async with serving(auth) as web:
            for who in ("nobody", "ann", "nobody", "bob", "ann"):
                made = await web.run(lambda inner, who=who: inner.login(who, mode=Mode.SESSION))
                headers = () if who == "nobody" else [("Cookie", f"a=b; coatcheck-5000={made.session_token}")]
                answer = await web.request("GET", at, headers=headers, base="http://localhost:5000")
                assert answer.body.decode().strip('"') == who
    finally:
        auth.close()


async def test_what_else_is_answered() -> None:
    """Answers that a route makes itself, streams and errors say it too; what another middleware says stays; an answer
    that the application keeps does not grow."""
    auth = Auth(**Setting(clock=TravelClock()).arguments())
    async with with_fastapi(auth) as web:
        for at in ("/stream", "/constant", "/constant", "/missing"):
            seen = vary(await web.request("GET", at))
            assert {"Cookie", "Authorization"} <= set(seen)
            assert len(seen) == len(set(seen)) <= 3
        assert "Accept" in vary(await web.request("GET", "/missing"))
    for serving in (with_starlette, with_asgi):
        auth = Auth(**Setting(clock=TravelClock()).arguments())
        async with serving(auth) as web:
            for _ in range(3):
                seen = vary(await web.request("GET", "/constant", headers=[("Origin", "https://spa.example")]))
                assert {"Accept-Language", "Cookie", "Authorization"} <= set(seen)
                assert len(seen) == len(set(seen)) <= 4
            if serving is with_starlette:
                assert "Origin" in seen


async def test_demands_in_django_caches() -> None:
    """A cache around a demand of ours, or within one, lets nobody in and shows nobody's page to somebody else."""
    auth = BlockingAuth(**Setting(clock=TravelClock()).arguments() | {"subjects": lambda _: FACTS})
    try:
        async with with_django(auth) as web:
            made = {
                who: await web.run(lambda inner, who=who: inner.login(who, mode=Mode.SESSION)) for who in ("ann", "bob")
            }
            for at in ("/mine", "/inside"):
                for who in ("ann", "bob", "ann"):
                    answer = await web.request("GET", at, headers=sent(made[who]))
                    assert (answer.status, answer.body.decode()) == (200, who)
                assert (await web.request("GET", at)).status == 401
    finally:
        auth.close()


def test_litestar_refuses_a_guarded_cache() -> None:
    """A guarded handler whose answers would be kept for everybody is refused, unless it tells people apart itself."""

    async def page() -> str:
        return "secret"

    for options in ({"guards": [litestar.logged_in]}, {"guards": [litestar.requires("admin")]}):
        with pytest.raises(ConfigurationError, match="cache"):
            Litestar([get("/", cache=60, **options)(page)], plugins=[litestar.CoatcheckPlugin(Auth("memory://"))])
        own = get("/", cache=60, cache_key_builder=lambda request: request.user.subject, **options)(page)
        Litestar([own], plugins=[litestar.CoatcheckPlugin(Auth("memory://"))])


async def test_litestar_keeps_what_it_may() -> None:
    """What anonymous requests get is kept, as ever; and so is everything where the application tells people apart."""
    calls: list[str] = []

    @get("/", cache=60)
    async def page(request: Request[Any, Any, Any]) -> str:
        calls.append("page")
        return "kept"

    @get("/own", cache=60, cache_key_builder=lambda request: f"{request.user and request.user.subject}")
    async def own(request: Request[Any, Any, Any]) -> str:
        calls.append("own")
        return f"{request.user and request.user.subject}"

    for config in (ResponseCacheConfig(), ResponseCacheConfig(key_builder=lambda request: request.url.path)):
        calls.clear()
        auth = Auth(**Setting(clock=TravelClock()).arguments() | {"subjects": lambda _: FACTS})
        app = Litestar([page, own], plugins=[litestar.CoatcheckPlugin(auth)], response_cache_config=config)
        async with served(app, auth) as web:
            ann = sent(await auth.login("ann", mode=Mode.SESSION))
            for _ in range(2):
                await web.request("GET", "/")
                assert (await web.request("GET", "/own", headers=ann)).body == b"ann"
            assert calls == ["page", "own"]

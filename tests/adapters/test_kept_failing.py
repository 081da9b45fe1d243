"""What a framework keeps is bound to people where a request fails as well."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from coatcheck import Mode
from coatcheck.adapters.asgi import AuthMiddleware as PlainMiddleware
from coatcheck.fastapi import CurrentUser
from coatcheck.starlette import AuthMiddleware
from tests.adapters.test_kept_places import KEPT, auth_of_tests, browsing, got, hold


class Answering:
    """Answers what fails further in, as many applications do: outside of whoever knows who is asking."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except LookupError:
            await Response(status_code=500)(scope, receive, send)


async def put_and_fail(request: Request) -> Response:
    request.session.update(KEPT)
    raise LookupError


@pytest.mark.parametrize("how", ["plain", "starlette", "fastapi"])
@pytest.mark.parametrize("known", [False, True], ids=["a miss", "a hit"])
async def test_what_is_kept_by_a_request_that_fails(how: str, known: bool) -> None:
    """It is that person's too, where a middleware further out makes an answer of the failure."""
    auth = auth_of_tests()
    middleware = [Middleware(SessionMiddleware, secret_key="k" * 32), Middleware(Answering)]
    app: Any
    if how == "fastapi":
        app = FastAPI(lifespan=auth.lifespan, middleware=middleware)
        app.get("/got")(_as_current_user(got))
        app.get("/fail")(_as_current_user(put_and_fail))
    else:
        ours: Any = PlainMiddleware if how == "plain" else AuthMiddleware
        routes = [Route("/got", got), Route("/fail", put_and_fail)]
        app = Starlette(routes=routes, middleware=[*middleware, Middleware(ours, auth=auth)], lifespan=auth.lifespan)
    async with browsing(app, auth) as (browser, _):
        hold(browser, await auth.login("ann", mode=Mode.SESSION))
        if known:
            await browser.get("/got")
        assert (await browser.get("/fail")).status_code == 500
        hold(browser, await auth.login("bob", mode=Mode.SESSION))
        assert (await browser.get("/got")).json() is None


def _as_current_user(endpoint: Any) -> Any:
    async def asked(request: Request, user: CurrentUser) -> Any:
        return await endpoint(request)

    return asked

"""An application with users of its own: its login, our cookies, and the service mounted beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from coatcheck import ApplicationSubjects, Auth, Mode
from coatcheck.asgi import auth_app, deliver
from coatcheck.fastapi import CurrentUser

ORIGIN = {"origin": "https://app.example"}


@pytest.fixture
async def web() -> AsyncIterator[httpx.AsyncClient]:
    auth = Auth("memory://", subjects=ApplicationSubjects())
    app = FastAPI(lifespan=auth.lifespan)
    app.mount("/accounts/auth", auth_app(auth))

    @app.post("/login/{mode}", status_code=204)
    async def login(request: Request, mode: Mode) -> Response:
        made = await auth.login("own-7", mode=mode)
        return deliver(Response(status_code=204), request.scope, made, mount="/accounts/auth")

    @app.get("/me")
    async def me(user: CurrentUser) -> dict[str, Any]:
        return {"subject": user.subject, "mode": user.mode}

    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            scope["state"] = dict(state or {})
            await app(scope, receive, send)

        transport = httpx.ASGITransport(app=with_state)
        async with httpx.AsyncClient(transport=transport, base_url="https://app.example") as client:
            yield client


async def test_session(web: httpx.AsyncClient) -> None:
    """Its own login sets our session cookie, and our logout ends it."""
    assert (await web.post("/login/session")).status_code == 204
    assert (await web.get("/me")).json() == {"subject": "own-7", "mode": "session"}
    assert (await web.post("/accounts/auth/logout", headers=ORIGIN)).status_code == 204
    assert (await web.get("/me")).status_code == 401


async def test_tokens_in_cookies(web: httpx.AsyncClient) -> None:
    """The refresh cookie goes to the mounted refresh route and nowhere else, and refreshing works."""
    answer = await web.post("/login/jwt-cookie")
    (refresh,) = [value for value in answer.headers.get_list("set-cookie") if value.startswith("__Secure-")]
    assert "Path=/accounts/auth/refresh;" in refresh
    assert (await web.get("/me")).json()["mode"] == "jwt-cookie"
    again = await web.post("/accounts/auth/refresh", headers=ORIGIN)
    assert again.status_code == 200
    (rotated,) = [value for value in again.headers.get_list("set-cookie") if value.startswith("__Secure-")]
    assert "Path=/accounts/auth/refresh;" in rotated
    assert rotated != refresh
    assert (await web.get("/me")).status_code == 200


async def test_no_accounts_of_ours(web: httpx.AsyncClient) -> None:
    """What needs our own accounts is not there."""
    for path in ("/register", "/login", "/password", "/signup"):
        assert (await web.post(f"/accounts/auth{path}", json={}, headers=ORIGIN)).status_code in (404, 405)

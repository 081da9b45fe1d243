"""`RemoteVerifier` in the place of an `Auth`: the middleware and FastAPI's dependencies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from coatcheck import Identity, Mode, Policy, RemoteVerifier
from coatcheck.adapters.asgi import IDENTITY, AuthMiddleware
from coatcheck.credentials.cookies import names_for
from coatcheck.fastapi import CurrentUser, OptionalUser
from tests.support.issuer import Issuer, issuing, presented, until

BASE = "https://app.example"


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing(roles={"ann": frozenset({"editor"})}) as made:
        yield made


def with_middleware(remote: RemoteVerifier) -> Any:
    async def who(request: Request) -> PlainTextResponse:
        identity: Identity | None = request.scope[IDENTITY]
        return PlainTextResponse(f"{identity.subject} {sorted(identity.roles)}" if identity else "nobody")

    routes = [Route("/", who, methods=["GET", "POST"])]
    return Starlette(routes=routes, middleware=[Middleware(AuthMiddleware, auth=remote)], lifespan=remote.lifespan)


def with_fastapi(remote: RemoteVerifier) -> Any:
    app = FastAPI(lifespan=remote.lifespan)

    @app.api_route("/", methods=["GET", "POST"])
    async def who(user: OptionalUser) -> str:
        return f"{user.subject} {sorted(user.roles)}" if user else "nobody"

    @app.get("/mine")
    async def mine(user: CurrentUser) -> str:
        return user.subject

    return app


APPS = pytest.mark.parametrize("make", [with_middleware, with_fastapi])


class Web:
    """An application that has been started as a server starts it, and a client of it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> httpx.AsyncClient:
        state = await self._stack.enter_async_context(self._app.router.lifespan_context(self._app))

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await self._app({**scope, "state": dict(state or {})}, receive, send)

        client = httpx.AsyncClient(transport=httpx.ASGITransport(app=with_state), base_url=BASE)
        return await self._stack.enter_async_context(client)

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()


def headers_of(credential: Any) -> dict[str, str]:
    return {"cookie" if credential.carrier.is_cookie else "authorization": credential.key.decode()}


@APPS
@pytest.mark.parametrize("mode", [Mode.JWT, Mode.JWT_COOKIE])
async def test_who_is_asking(issuer: Issuer, make: Callable[[RemoteVerifier], Any], mode: Mode) -> None:
    """A credential is known with its roles, and after its revocation it is not."""
    made, credential = await issuer.login(mode)
    remote = issuer.remote()
    async with Web(make(remote)) as web:
        assert "nobody" in (await web.get("/")).text
        for _ in range(2):
            assert "ann ['editor']" in (await web.get("/", headers=headers_of(credential))).text
        await issuer.auth.revoke(made.session.id)
        await until(lambda: remote.known(credential.key) is None)
        answer = await web.get("/", headers=headers_of(credential))
        if mode is Mode.JWT:
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        else:
            assert (answer.status_code, "nobody" in answer.text) == (200, True)


async def test_protected_route(issuer: Issuer) -> None:
    """CurrentUser: 401 for nobody and for a session token, which only the issuing service can verify."""
    _, session = await issuer.login(Mode.SESSION)
    _, token = await issuer.login(Mode.JWT)
    async with Web(with_fastapi(issuer.remote())) as web:
        assert (await web.get("/mine")).status_code == 401
        refused = await web.get("/mine", headers=headers_of(session))
        assert (refused.status_code, refused.json()["detail"]) == (401, "invalid_credential")
        assert (await web.get("/mine", headers=headers_of(token))).json() == "ann"


@APPS
@pytest.mark.parametrize(
    ("extra", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": BASE}, 200),
        ({"origin": "https://front.example"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
        ({"x-csrf-token": "right"}, 403),
        ({"x-csrf-token": "right", "sec-fetch-site": "same-origin"}, 200),
    ],
)
async def test_change_that_rides_on_a_cookie(
    issuer: Issuer, make: Callable[[RemoteVerifier], Any], extra: dict[str, str], status: int
) -> None:
    """It must show where it comes from by the browser's own headers: nobody here can judge a CSRF token."""
    made, credential = await issuer.login(Mode.JWT_COOKIE)
    sent = {name: (made.csrf_token or "") if value == "right" else value for name, value in extra.items()}
    policy = Policy(origins=("https://front.example",))
    async with Web(make(issuer.remote(policy=policy))) as web:
        for _ in range(2):  # at first sight, and from memory
            assert (await web.post("/", headers=sent | headers_of(credential))).status_code == status
            assert (await web.get("/", headers=sent | headers_of(credential))).status_code == 200


@APPS
async def test_silent_service_is_503(issuer: Issuer, make: Callable[[RemoteVerifier], Any]) -> None:
    """When it cannot be known who asks, nobody is let in and nobody is called anonymous."""
    _, credential = await issuer.login(Mode.JWT)
    remote = issuer.remote()
    async with Web(make(remote)) as web:
        assert (await web.get("/", headers=headers_of(credential))).status_code == 200
        issuer.store.fail("events")
        await until(lambda: not remote.follower.is_live())
        assert (await web.get("/", headers=headers_of(credential))).status_code == 503


@APPS
async def test_changed_roles(issuer: Issuer, make: Callable[[RemoteVerifier], Any]) -> None:
    """The older token is refused as stale; a refresh brings the new roles."""
    made, credential = await issuer.login(Mode.JWT)
    remote = issuer.remote()
    async with Web(make(remote)) as web:
        assert "editor" in (await web.get("/", headers=headers_of(credential))).text
        issuer.roles["ann"] = frozenset({"admin"})
        await issuer.auth.revocation.subject_changed("ann")
        await until(lambda: remote.known(credential.key) is None)
        assert (await web.get("/", headers=headers_of(credential))).status_code == 401
        renewed = presented(await issuer.auth.refresh(made.refresh_token or ""))
        assert "ann ['admin']" in (await web.get("/", headers=headers_of(renewed))).text


@APPS
async def test_one_login_at_two_ports(issuer: Issuer, make: Callable[[RemoteVerifier], Any]) -> None:
    """In development a browser that is logged in at the service at 8000 is known at an application at another port, to
    which that of a service elsewhere means nothing."""
    made, _ = await issuer.login(Mode.JWT_COOKIE)
    other = await issuer.login(Mode.JWT_COOKIE, "bob")
    issued = names_for("http", b"localhost:8000")
    assert issued is not None
    remote = issuer.remote()
    async with Web(make(remote)) as web:
        web.base_url = httpx.URL("http://localhost:5000")
        own = {"sec-fetch-site": "same-origin"}
        assert "nobody" in (await web.get("/", headers={"cookie": "coatcheck-access=ey.J.x"})).text
        assert (
            "nobody"
            in (await web.get("/", headers={"cookie": f"coatcheck-access-9000={other[0].access_token}; a=b"})).text
        )
        for cookie in (f"{issued.access}={made.access_token}", f"a=b; {issued.access}={made.access_token}"):
            assert "ann ['editor']" in (await web.get("/", headers={"cookie": cookie})).text
            assert "ann ['editor']" in (await web.post("/", headers={"cookie": cookie} | own)).text
            refused = await web.post("/", headers={"cookie": cookie, "sec-fetch-site": "cross-site"})
            assert refused.status_code == 403
        await issuer.auth.revoke(made.session.id)
        await until(lambda: remote.known(cookie.partition("; ")[2].encode()) is None)
        assert "nobody" in (await web.get("/", headers={"cookie": cookie})).text

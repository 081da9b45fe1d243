"""`login_as`, `logout` and `assert_refused_after_revoke` at every test client. Django's are in `test_django`."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from flask import Flask
from litestar import Litestar, get, post
from litestar.testing import AsyncTestClient
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from coatcheck import Auth, InvalidLogin, Mode, RemoteVerifier, SubjectFacts
from coatcheck import blocking as threads
from coatcheck import flask as in_flask
from coatcheck import litestar as in_litestar
from coatcheck.adapters.asgi import IDENTITY, AuthMiddleware
from coatcheck.adapters.problems import NOT_LOGGED_IN
from coatcheck.asgi import auth_app
from coatcheck.fastapi import CurrentUser, current_user
from coatcheck.testing.client import assert_refused_after_revoke, login_as, logout
from coatcheck.testing.clock import TravelClock
from coatcheck.testing.lifespan import Running, running
from coatcheck.testing.memory import blocking_memory_auth, memory_auth
from coatcheck.verifier import STATE_KEY

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would rather have httpx2 under its client; both are the same to us
    from starlette.testclient import TestClient

MODES = pytest.mark.parametrize("mode", list(Mode), ids=str)


def with_fastapi(auth: Auth) -> FastAPI:
    app = FastAPI(lifespan=auth.lifespan)
    app.mount("/auth", auth_app(auth))
    kept: dict[str, Any] = {}

    @app.api_route("/mine", methods=["GET", "POST"])
    async def mine(user: CurrentUser) -> dict[str, Any]:
        age = auth.clock.now() - user.auth_time
        return {"subject": user.subject, "roles": sorted(user.roles), "mode": user.mode, "age": age}

    @app.get("/public")
    async def public() -> str:
        return "everybody"

    @app.get("/forgetful")
    async def forgetful(request: Request) -> str:
        """A mistake that people make: whoever was let in once is let in for ever."""
        sent = request.headers.get("cookie", "") + request.headers.get("authorization", "")
        if sent not in kept:
            await current_user(request)
            kept[sent] = True
        return "in"

    return app


def with_starlette(auth: Auth) -> Starlette:
    async def mine(request: Request) -> JSONResponse:
        user = request.scope[IDENTITY]
        if user is None:
            return JSONResponse({}, NOT_LOGGED_IN.status)
        return JSONResponse({"subject": user.subject, "roles": sorted(user.roles), "mode": user.mode})

    app = Starlette(routes=[Route("/mine", mine, methods=["GET", "POST"])], lifespan=auth.lifespan)
    app.add_middleware(AuthMiddleware, auth=auth)
    return app


def with_litestar(auth: Auth) -> Litestar:
    def told(user: in_litestar.CurrentUser) -> dict[str, Any]:
        return {"subject": user.subject, "roles": sorted(user.roles), "mode": user.mode.value}

    @get("/mine")
    async def mine(current_user: in_litestar.CurrentUser) -> dict[str, Any]:
        return told(current_user)

    @post("/mine", status_code=200)
    async def change(current_user: in_litestar.CurrentUser) -> dict[str, Any]:
        return told(current_user)

    return Litestar([mine, change], plugins=[in_litestar.CoatcheckPlugin(auth)])


def with_flask(auth: threads.Auth) -> Flask:
    app = Flask(__name__)
    in_flask.Coatcheck(app, auth)

    @app.route("/mine", methods=["GET", "POST"])
    @in_flask.login_required
    def mine() -> dict[str, Any]:
        user = in_flask.current_user
        return {"subject": user.subject, "roles": sorted(user.roles), "mode": user.mode.value}

    return app


@contextmanager
def at_fastapi(clock: TravelClock) -> Iterator[Any]:
    with TestClient(with_fastapi(memory_auth(clock))) as client:
        yield client


@contextmanager
def at_starlette(clock: TravelClock) -> Iterator[Any]:
    with TestClient(with_starlette(memory_auth(clock)), base_url="http://localhost:8000") as client:
        yield client


@contextmanager
def at_litestar(clock: TravelClock) -> Iterator[Any]:
    with LitestarClient(with_litestar(memory_auth(clock))) as client:
        yield client


@contextmanager
def at_flask(clock: TravelClock) -> Iterator[Any]:
    with blocking_memory_auth(clock) as auth:
        yield with_flask(auth).test_client()


@contextmanager
def at_wsgi(clock: TravelClock) -> Iterator[Any]:
    with blocking_memory_auth(clock) as auth:
        transport = httpx.WSGITransport(with_flask(auth))  # type: ignore[arg-type]  # Flask's types of WSGI are its own
        with httpx.Client(transport=transport, base_url="https://app.example") as client:
            yield client


SYNC = pytest.mark.parametrize("at", [at_fastapi, at_starlette, at_litestar, at_flask, at_wsgi])


@asynccontextmanager
async def at_httpx(clock: TravelClock) -> AsyncIterator[Any]:
    async with (
        running(with_fastapi(memory_auth(clock))) as served,
        httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://testserver") as client,
    ):
        yield client


@asynccontextmanager
async def at_async_litestar(clock: TravelClock) -> AsyncIterator[Any]:
    async with AsyncTestClient(with_litestar(memory_auth(clock))) as client:
        yield client


ASYNC = pytest.mark.parametrize("at", [at_httpx, at_async_litestar])


def body_of(answer: Any) -> Any:
    return answer.json if isinstance(answer.json, dict) else answer.json()


@SYNC
@MODES
def test_login_and_logout(at: Any, mode: Mode, coatcheck_clock: TravelClock) -> None:
    """Logged in, a client reads and changes as somebody with these roles; logged out, as nobody."""
    with at(coatcheck_clock) as client:
        assert client.get("/mine").status_code == 401
        made = login_as(client, "ann", roles=["admin"], mode=mode)
        expected = {"subject": made.session.subject, "roles": ["admin"], "mode": mode.value}
        for ask in (client.get, client.post):
            answer = ask("/mine")
            assert answer.status_code == 200
            assert body_of(answer).items() >= expected.items()
        logout(client)
        for ask in (client.get, client.post):
            assert ask("/mine").status_code == 401
        logout(client)


@ASYNC
@MODES
async def test_async_login_and_logout(at: Any, mode: Mode, coatcheck_clock: TravelClock) -> None:
    """The same with clients that are awaited."""
    async with at(coatcheck_clock) as client:
        made = await login_as(client, "ann", roles=["admin"], mode=mode)
        for ask in (client.get, client.post):
            answer = await ask("/mine")
            assert answer.status_code == 200
            assert answer.json()["subject"] == made.session.subject
        await logout(client)
        assert (await client.get("/mine")).status_code == 401
        await assert_refused_after_revoke(client, "GET", "/mine", mode=mode)
        await assert_refused_after_revoke(client, "POST", "/mine", mode=mode)


@SYNC
def test_refused_after_revoke(at: Any, coatcheck_clock: TravelClock) -> None:
    """A protected route stands the test in every mode, whatever its method."""
    with at(coatcheck_clock) as client:
        assert_refused_after_revoke(client, "GET", "/mine")
        assert_refused_after_revoke(client, "POST", "/mine", subject="bob", roles=["writer"])
        assert client.get("/mine").status_code == 401


def test_what_is_not_refused_is_found(coatcheck_clock: TravelClock) -> None:
    """A public route, one that remembers whom it let in, and one that is not there do not stand it."""
    with at_fastapi(coatcheck_clock) as client:
        with pytest.raises(AssertionError, match="200 to nobody"):
            assert_refused_after_revoke(client, "GET", "/public")
        with pytest.raises(AssertionError, match="404 to nobody"):
            assert_refused_after_revoke(client, "GET", "/nowhere")
        for mode in Mode:
            with pytest.raises(AssertionError, match="still answers 200"):
                assert_refused_after_revoke(client, "GET", "/forgetful", mode=mode)


@SYNC
@MODES
def test_time_travel(at: Any, mode: Mode, coatcheck_clock: TravelClock) -> None:
    """Past the lease requests go on being served; past its time the credential is refused."""
    with at(coatcheck_clock) as client:
        login_as(client, "ann", mode=mode)
        assert client.get("/mine").status_code == 200
        coatcheck_clock.advance(60)
        assert client.get("/mine").status_code == 200
        coatcheck_clock.advance(3600)
        assert client.get("/mine").status_code == 401


@MODES
def test_a_login_that_is_not_fresh(mode: Mode, coatcheck_clock: TravelClock) -> None:
    """It is a day old, in what the application sees and in what is returned."""
    with at_fastapi(coatcheck_clock) as client:
        made = login_as(client, "ann", mode=mode, fresh=False)
        assert client.get("/mine").json()["age"] == coatcheck_clock.now() - made.session.authenticated == 86400
        login_as(client, "ann", mode=mode)
        assert client.get("/mine").json()["age"] == 0


@MODES
def test_the_service_takes_the_cookies_for_its_own(mode: Mode, coatcheck_clock: TravelClock) -> None:
    """What the client was given can be refreshed and logged out of as if the service had sent it."""
    with at_fastapi(coatcheck_clock) as client:
        made = login_as(client, "ann", mode=mode)
        assert client.get("/auth/session").json()["subject"]["email"] == "ann@example.com"
        if mode is Mode.JWT_COOKIE:
            assert client.post("/auth/refresh").status_code == 200
            assert client.cookies["__Host-coatcheck-access"] != made.access_token
        assert client.post("/auth/logout").status_code == 204
        assert not client.cookies
        assert client.get("/mine").status_code == 401


def test_somebody_who_is_there_already(coatcheck_clock: TravelClock) -> None:
    """An account is found by its address and by its id; its roles change only where they are named."""
    with at_flask(coatcheck_clock) as client:
        first = login_as(client, "ann", roles=["writer"])
        for name in ("ann", "ann@example.com", first.session.subject):
            made = login_as(client, name)
            assert (made.session.subject, made.facts.roles) == (first.session.subject, {"writer"})
        assert login_as(client, "ann", roles=[]).facts.roles == frozenset()


@MODES
def test_users_of_the_application(mode: Mode, coatcheck_clock: TravelClock) -> None:
    """The application's own users keep their roles and claims, or get the named ones; a stranger cannot log in."""
    people = {"7": SubjectFacts(roles=frozenset({"editor"}), claims={"team": "reports"})}
    with blocking_memory_auth(coatcheck_clock, subjects=people.get) as auth:
        client = with_flask(auth).test_client()
        made = login_as(client, "7", mode=mode)
        assert client.get("/mine").json["roles"] == ["editor"]
        made = login_as(client, "7", roles=["admin"], mode=mode)
        assert client.get("/mine").json["roles"] == ["admin"]
        assert made.facts.claims == {"team": "reports"}
        with pytest.raises(InvalidLogin):
            login_as(client, "8", roles=["admin"], mode=mode)


def test_a_second_login_takes_the_place_of_the_first(coatcheck_clock: TravelClock) -> None:
    """Whatever their modes: a client is one person at a time, and the sessions of before have ended."""
    with blocking_memory_auth(coatcheck_clock) as auth:
        client = with_flask(auth).test_client()
        sessions = []
        for number, mode in enumerate([*Mode, *Mode]):
            made = login_as(client, f"person{number}", mode=mode)
            assert client.get("/mine").json["subject"] == made.session.subject
            sessions.append(made.session.id)
        now = auth.clock.now()
        live = [auth.run(partial(find, session=session, now=now)) for session in sessions]
        assert live == [False] * 5 + [True]


async def find(auth: Auth, session: str, now: float) -> bool:
    return await auth.sessions.find(session, now=now) is not None


def test_what_cannot_be(coatcheck_clock: TravelClock) -> None:
    """A client without its application, without https to another machine, or of no known kind is told so."""
    app = with_fastapi(memory_auth(coatcheck_clock))
    with pytest.raises(ValueError, match="pass auth="):
        login_as(TestClient(app), "ann")
    with blocking_memory_auth(coatcheck_clock) as auth, httpx.Client(base_url="http://app.example") as client:
        with pytest.raises(ValueError, match="no cookies are read"):
            login_as(client, "ann", auth=auth)
        login_as(client, "ann", auth=auth, mode="jwt")
        assert client.headers["authorization"].startswith("Bearer ")
        client.headers.clear()
        logout(client)
    with pytest.raises(TypeError, match="not a test client"):
        login_as(object(), "ann")  # type: ignore[call-overload]  # that is what is tried


async def test_an_application_that_only_verifies(coatcheck_auth: Auth) -> None:
    """Its `RemoteVerifier` logs nobody in; the `Auth` that issues for it does, and the client has what that gave."""
    verifier = RemoteVerifier("https://issuer.example", service_key="x" * 32)
    served = Running(with_fastapi(coatcheck_auth), {STATE_KEY: verifier})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="https://x.example") as client:
        with pytest.raises(ValueError, match="only verifies: pass auth="):
            await login_as(client, "ann", mode=Mode.JWT)
        made = await login_as(client, "ann", mode=Mode.JWT, auth=coatcheck_auth)
        assert client.headers["authorization"] == f"Bearer {made.access_token}"


async def test_an_auth_in_the_test(coatcheck_auth: Auth) -> None:
    """The fixture's `Auth` runs in the test's own loop, and serves an application there."""
    served = AuthMiddleware(with_starlette(coatcheck_auth), coatcheck_auth)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="https://x.example") as client:
        assert (await login_as(client, "ann")).session.mode is Mode.SESSION
        assert (await client.get("/mine")).status_code == 200
    with httpx.Client(base_url="https://x.example") as waiting, pytest.raises(RuntimeError, match="event loop"):
        login_as(waiting, "ann", auth=coatcheck_auth)

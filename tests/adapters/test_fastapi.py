"""FastAPI beyond the behaviour suite: combinations, WebSockets, mounting, the lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse

from coatcheck import Auth, Identity, Mode
from coatcheck.adapters.asgi import AuthMiddleware, Receive, Scope, Send
from coatcheck.fastapi import (
    CurrentUser,
    OptionalUser,
    Refusal,
    auth_app,
    auth_of,
    current_user,
    fresh,
    lifespans,
    mount_auth,
    on_refusal,
    requires,
)
from coatcheck.testing.clock import TravelClock
from tests.adapters.apps.support import sent, served
from tests.adapters.suite.contract import Headers, Setting
from tests.support.issuer import issuing, presented

OWN = ("Sec-Fetch-Site", "same-origin")
Admin = Annotated[Identity, requires("admin")]


@pytest.fixture
def setting() -> Setting:
    return Setting(clock=TravelClock())


@pytest.fixture
def auth(setting: Setting) -> Auth:
    return Auth(**setting.arguments())


async def login(auth: Auth, *roles: str, mode: Mode = Mode.JWT) -> Headers:
    """The headers of somebody with these roles."""
    account = await auth.accounts.register(f"{len(roles)}{mode}@example.com", "nine brown owls")
    await auth.accounts.set_roles(account.id, roles)
    return sent(await auth.login(account.id, mode=mode))


async def test_demands_add_up(auth: Auth, setting: Setting) -> None:
    """What the application, its router, the route and the parameter ask for must all be met."""
    app = FastAPI(lifespan=auth.lifespan, dependencies=[requires("staff")])
    router = APIRouter(prefix="/reports", dependencies=[requires("editor")])

    @router.get("/all", dependencies=[fresh(minutes=5)])
    def all_of_them(user: Admin, same: CurrentUser, anybody: OptionalUser) -> bool:
        return user is same is anybody

    app.include_router(router, prefix="/api")
    async with served(app, auth) as web:
        chief = await login(auth, "staff", "editor", "admin")
        assert (await web.request("GET", "/api/reports/all", headers=chief)).json() is True
        for roles in ((), ("staff",), ("staff", "editor")):
            answer = await web.request("GET", "/api/reports/all", headers=await login(auth, *roles))
            assert (answer.status, answer.json()) == (403, {"detail": "forbidden"})
        setting.clock.advance(301)
        answer = await web.request("GET", "/api/reports/all", headers=chief)
        assert (answer.status, answer.json()) == (401, {"detail": "login_too_old"})
        assert 'max_age="300"' in answer.header("www-authenticate")


async def test_one_verification_per_request(auth: Auth, setting: Setting) -> None:
    """However many dependencies ask, the store is asked once for a credential that is not in memory."""
    app = FastAPI(lifespan=auth.lifespan, dependencies=[requires("staff")])

    @app.post("/")
    async def change(user: CurrentUser, recent: Annotated[Identity, fresh(minutes=5)], any_: OptionalUser) -> bool:
        return user is recent is any_

    async with served(app, auth) as web:
        headers = [*(await login(auth, "staff", mode=Mode.SESSION)), OWN]
        before = setting.sessions.calls["find"]
        assert (await web.request("POST", "/", headers=headers)).json() is True
        assert setting.sessions.calls["find"] == before + 1


async def test_refusal_is_an_http_exception(auth: Auth) -> None:
    """It goes through the application's own handler, which sees the problem; or through ours, as problem+json."""
    app, ours = FastAPI(lifespan=auth.lifespan), FastAPI()

    async def handler(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refusal)
        return JSONResponse({"oops": error.problem.code}, error.status_code, error.headers)

    app.add_exception_handler(HTTPException, handler)
    ours.add_exception_handler(Refusal, on_refusal)
    for each in (app, ours):
        each.get("/", dependencies=[requires("admin")])(lambda: None)
    app.mount("/ours", ours)
    async with served(app, auth) as web:
        answer = await web.request("GET", "/")
        assert (answer.status, answer.json()) == (401, {"oops": "not_logged_in"})
        assert (answer.header("www-authenticate"), answer.header("cache-control")) == ("Bearer", "no-store")
        for status, headers in ((401, ()), (403, await login(auth))):
            answer = await web.request("GET", "/ours/", headers=headers)
            assert (answer.status, answer.json()["status"]) == (status, status)
            assert answer.header("content-type") == "application/problem+json"
            assert answer.header("cache-control") == "no-store"


async def test_websocket(auth: Auth, setting: Setting) -> None:
    """A handshake is refused with 4000 + status, and never with a fault of ours."""
    app = FastAPI(lifespan=auth.lifespan)

    @app.websocket("/mine")
    async def mine(websocket: WebSocket, user: CurrentUser) -> None:
        await websocket.accept(headers=[(b"who", user.subject.encode())])

    @app.websocket("/open")
    async def public(websocket: WebSocket, user: OptionalUser) -> None:
        await websocket.accept(headers=[(b"who", user.subject.encode() if user else b"nobody")])

    @app.websocket("/admin", dependencies=[requires("admin"), fresh(minutes=5)])
    async def admin(websocket: WebSocket) -> None:
        await websocket.accept()

    async with served(app, auth) as web:

        async def closed(path: str, headers: Headers) -> tuple[int, str]:
            (answer,) = await web.handshake(path, headers=headers)
            assert answer["type"] == "websocket.close", answer
            return answer["code"], answer["reason"]

        bearer, chief = await login(auth), await login(auth, "admin")
        cookie = await login(auth, mode=Mode.SESSION)
        for headers in (bearer, [*cookie, ("Origin", "https://app.example")]):
            (accepted,) = await web.handshake("/mine", headers=headers)
            assert accepted["type"] == "websocket.accept"
        (accepted,) = await web.handshake("/open")
        assert accepted["headers"] == [(b"who", b"nobody")]
        (accepted,) = await web.handshake("/admin", headers=chief)
        assert accepted["type"] == "websocket.accept"

        assert await closed("/mine", ()) == (4401, "not_logged_in")
        for path in ("/mine", "/open"):
            assert await closed(path, [("Authorization", "Bearer nonsense")]) == (4401, "invalid_credential")
            assert await closed(path, [*cookie, ("Origin", "https://evil.example")]) == (4403, "cross_site")
            assert await closed(path, cookie) == (4403, "cross_site")
        assert await closed("/admin", bearer) == (4403, "forbidden")
        setting.clock.advance(301)
        assert await closed("/admin", chief) == (4401, "login_too_old")
        setting.sessions.fail("events", "find")
        auth.follower.lease.deadline = float("-inf")
        for path in ("/mine", "/open"):
            assert await closed(path, bearer) == (4503, "unavailable")


@pytest.mark.parametrize("root_path", ["", "/behind"])
async def test_mounted(auth: Auth, root_path: str) -> None:
    """A mounted application has the state of the outermost one's lifespan, with whatever root path; its own lifespan
    is none that anybody runs."""
    inner = FastAPI(lifespan=auth.lifespan)

    @inner.get("/me")
    async def me(request: Request, user: CurrentUser) -> str:
        assert auth_of(request) is auth
        return user.subject

    app = FastAPI()
    mount_auth(app, auth)
    app.mount("/site", inner)

    async def below(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "root_path": root_path}, receive, send)

    async with served(below, auth) as web:
        headers = await login(auth)
        assert (await web.request("GET", f"{root_path}/site/me", headers=headers)).status == 200
        assert (await web.request("GET", f"{root_path}/site/me")).status == 401
        made = await web.request(
            "POST", f"{root_path}/auth/login", headers=[("Content-Type", "application/json"), OWN],
            body=b'{"email": "0jwt@example.com", "password": "nine brown owls", "mode": "jwt-cookie"}',
        )  # fmt: skip
        assert f"Path={root_path}/auth/refresh;" in made.header("set-cookie")


async def test_under_the_middleware(auth: Auth) -> None:
    """Where the ASGI middleware has looked already, the dependencies give what it found, and refuse an ended cookie."""
    app = FastAPI(lifespan=auth.lifespan)

    @app.get("/")
    async def who(user: OptionalUser) -> str:
        return "somebody" if user else "nobody"

    @app.get("/mine")
    async def mine(user: CurrentUser) -> str:
        return user.session_id

    async with served(AuthMiddleware(app, auth), auth) as web:
        headers = await login(auth, mode=Mode.SESSION)
        assert (await web.request("GET", "/", headers=headers)).json() == "somebody"
        session = (await web.request("GET", "/mine", headers=headers)).json()
        await auth.revoke(session)
        assert (await web.request("GET", "/", headers=headers)).json() == "nobody"
        answer = await web.request("GET", "/mine", headers=headers)
        assert (answer.status, answer.json()) == (401, {"detail": "not_logged_in"})


async def test_what_the_nearest_middleware_says_counts(auth: Auth, setting: Setting) -> None:
    """Who is nobody to an application's own middleware is nobody to its dependencies too, whoever they are to the Auth
    of the application around it."""
    inner = FastAPI()
    inner.get("/subject")(_subject)
    inner.get("/admin", dependencies=[requires("admin")])(_subject)
    outer = FastAPI(lifespan=auth.lifespan)
    outer.get("/subject")(_subject)
    async with Auth(**setting.arguments()) as others, served(outer, auth) as web:
        inner.add_middleware(AuthMiddleware, auth=others)
        outer.mount("/inner", inner)
        headers = await login(auth, "admin", mode=Mode.SESSION)
        assert (await web.request("GET", "/subject", headers=headers)).status == 200
        for path in ("/inner/subject", "/inner/admin"):
            answer = await web.request("GET", path, headers=headers)
            assert (answer.status, answer.json()) == (401, {"detail": "not_logged_in"})


async def test_dependency_overrides(auth: Auth) -> None:
    """FastAPI's way to say in a test who asks works for all that is a dependency."""
    app = FastAPI(lifespan=auth.lifespan)
    app.get("/")(_subject)
    app.get("/admin", dependencies=[requires("admin")])(_subject)
    async with served(app, auth) as web:
        account = await auth.accounts.register("ann@example.com", "nine brown owls")
        ann = await auth.verify(presented(await auth.login(account.id, mode=Mode.JWT)))
        app.dependency_overrides[current_user] = lambda: ann
        assert (await web.request("GET", "/")).json() == ann.subject
        assert (await web.request("GET", "/admin")).status == 401
        admin = requires("admin").dependency
        assert admin is not None
        app.dependency_overrides[admin] = lambda: ann
        assert (await web.request("GET", "/admin")).json() == ann.subject


def _subject(user: CurrentUser) -> str:
    return user.subject


async def test_remote() -> None:
    """A `RemoteVerifier` serves all of it; what needs an `Auth` says that there is none."""
    async with issuing(roles={"ann": frozenset({"admin"})}) as issuer:
        remote = issuer.remote()
        app = FastAPI(lifespan=remote.lifespan)

        @app.get("/admin", dependencies=[fresh(minutes=5)])
        async def admin(user: Admin) -> str:
            return user.subject

        @app.get("/auth")
        async def with_auth(request: Request) -> None:
            auth_of(request)

        async with served(app, issuer.auth) as web:
            for subject, status in (("ann", 200), ("bob", 403)):
                made, _ = await issuer.login(subject=subject)
                assert (await web.request("GET", "/admin", headers=sent(made))).status == status
            assert (await web.request("GET", "/admin")).status == 401
            with pytest.raises(RuntimeError, match="only verifies"):
                await web.request("GET", "/auth")


@pytest.mark.parametrize("path", ["/optional", "/current", "/admin"])
async def test_without_lifespan(auth: Auth, path: str) -> None:
    """An application that forgot the lifespan, or has one that hands nothing on, is told what to write; nobody is
    called anonymous."""

    @asynccontextmanager
    async def forgetful(app: FastAPI) -> AsyncIterator[None]:
        async with auth:
            yield

    app = FastAPI(lifespan=forgetful)

    @app.get("/optional")
    async def optional(user: OptionalUser) -> None: ...

    @app.get("/current")
    async def current(user: CurrentUser) -> None: ...

    @app.get("/admin", dependencies=[requires("admin")])
    async def admin() -> None: ...

    async with served(app, auth) as web:
        with pytest.raises(RuntimeError, match=r"lifespan=auth\.lifespan.*lifespans\(auth\.lifespan, your_own\)"):
            await web.request("GET", path)


@pytest.mark.parametrize("way", ["lifespans", "mount_auth"])
async def test_with_a_lifespan_of_its_own(auth: Auth, way: str) -> None:
    """Ours and the application's are one: what both hand on is there, and ours runs around the other."""
    seen = list[bool]()

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        seen.append(auth.is_running)
        yield {"answer": 42}
        seen.append(auth.is_running)

    if way == "lifespans":
        app = FastAPI(lifespan=lifespans(auth.lifespan, own))
        app.mount("/auth", auth_app(auth))
    else:
        app = FastAPI(lifespan=own)
        assert mount_auth(app, auth) is auth

    @app.get("/")
    async def home(request: Request, user: CurrentUser) -> int:
        answer: int = request.state.answer
        return answer

    async with served(app, auth) as web:
        assert (await web.request("GET", "/", headers=await login(auth))).json() == 42
    assert seen == [True, True]
    assert not auth.is_running


async def test_mount_auth_from_a_url() -> None:
    """The whole set-up in one line: log in at /auth, and be known."""
    app = FastAPI()
    auth = mount_auth(app, "memory://", prefix="/door", pages=False)
    app.get("/")(_subject)
    async with served(app, auth) as web:
        assert (await web.request("GET", "/door/login")).status == 405  # the API is there, the page is not
        assert (await web.request("GET", "/", headers=await login(auth))).status == 200

"""The ASGI middleware, and FastAPI's dependencies on it, over real requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from coatcheck import Auth, ConfigurationError, Credentials, Identity, Mode, SubjectFacts
from coatcheck.adapters.asgi import IDENTITY, AuthMiddleware
from coatcheck.credentials.cookies import DEVELOPMENT, SECURE
from coatcheck.fastapi import CurrentUser, OptionalUser, attach
from coatcheck.starlette import AuthMiddleware as StarletteMiddleware
from coatcheck.stores.memory import MemoryStore
from tests.adapters.apps.support import served
from tests.support.gates import GatedStore
from tests.support.issuer import presented

SECRET = "a secret of the tests, 32 bytes or more"
MODES = pytest.mark.parametrize("mode", list(Mode))


@pytest.fixture
def store() -> GatedStore:
    return GatedStore(MemoryStore())


@pytest.fixture
async def auth(store: GatedStore) -> AsyncIterator[Auth]:
    async with Auth(store, secret=SECRET, subjects=lambda subject: SubjectFacts()) as running:  # type: ignore[arg-type]
        yield running


def plain(auth: Auth) -> Any:
    """Raw ASGI: answers with the subject, or 'nobody'."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        identity: Identity | None = scope[IDENTITY]
        body = (identity.subject if identity else "nobody").encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return AuthMiddleware(app, auth)


@pytest.mark.parametrize("paths", ["/hooks", ["hooks"], ["/"], [""], ["//"]])
async def test_what_can_be_left_out(auth: Auth, paths: Any) -> None:
    """Paths to leave out are a list of paths; a text, a relative path and the whole application are refused."""
    for made in (AuthMiddleware, StarletteMiddleware):
        with pytest.raises(ConfigurationError, match="list such as"):
            made(plain(auth), auth, exclude=paths)


@pytest.mark.parametrize("path", ["/hooks", "/hooks/", "/hooks/a/b"])
async def test_a_path_that_is_left_out_knows_nobody(auth: Auth, path: str) -> None:
    """Nobody is known there, whatever is presented and whether or not it is in memory; beside it all is as ever."""
    made = await auth.login("ann", mode=Mode.JWT)
    await auth.verify(presented(made))
    middleware = AuthMiddleware(plain(auth).app, auth, exclude=["/hooks"])
    async with served(middleware, auth) as web:
        for token in (made.access_token, "theirs"):
            for method in ("GET", "POST"):
                answer = await web.request(method, path, headers=[("Authorization", f"Bearer {token}")])
                assert (answer.status, answer.body) == (200, b"nobody")
        for beside in ("/", "/hook", "/hookss", "/a/hooks", "/Hooks"):
            answer = await web.request("GET", beside, headers=[("Authorization", f"Bearer {made.access_token}")])
            assert answer.body == b"ann"
            answer = await web.request("GET", beside, headers=[("Authorization", "Bearer theirs")])
            assert answer.status == 401


def with_fastapi(auth: Auth) -> Any:
    """FastAPI, with nothing but its dependencies."""
    app = FastAPI()

    @app.api_route("/", methods=["GET", "POST", "HEAD", "OPTIONS"])
    async def who(user: OptionalUser) -> str:
        return user.subject if user else "nobody"

    @app.api_route("/mine", methods=["GET", "POST"])
    async def mine(user: CurrentUser) -> str:
        return user.subject

    attach(app)

    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {"coatcheck": auth}
        await app(scope, receive, send)

    return with_state


APPS = pytest.mark.parametrize("make", [plain, with_fastapi])


def client(app: Any, base: str = "https://app.example") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=base)


def headers_of(made: Credentials) -> dict[str, str]:
    if made.session.mode is Mode.SESSION:
        return {"cookie": f"{SECURE.session}={made.session_token}"}
    if made.session.mode is Mode.JWT:
        return {"authorization": f"Bearer {made.access_token}"}
    return {"cookie": f"{SECURE.access}={made.access_token}"}


@APPS
@MODES
@pytest.mark.parametrize("base", ["https://app.example", "http://app.example"])
async def test_a_cookie_is_no_authorization(auth: Auth, make: Callable[[Auth], Any], mode: Mode, base: str) -> None:
    """What is known from a cookie counts in a cookie only, in memory or not; over plain http nowhere."""
    made = await auth.login("ann", mode=mode)
    async with client(make(auth)) as web:
        assert "ann" in (await web.get("/", headers=headers_of(made))).text
    if mode is Mode.JWT:
        return
    async with client(make(auth), base) as web:
        for method in ("GET", "POST"):
            answer = await web.request(method, "/", headers={"authorization": headers_of(made)["cookie"]})
            assert (answer.status_code, "nobody" in answer.text) == (200, True)


@APPS
@MODES
async def test_what_is_known_counts_under_its_own_name_only(
    auth: Auth, make: Callable[[Auth], Any], mode: Mode
) -> None:
    """What was seen under the names of loopback counts under no others, alone in its header or not; nor does a bearer
    token in a cookie's place."""
    made = await auth.login("ann", mode=mode)
    near, far = client(make(auth), "http://127.0.0.1:8000"), client(make(auth))
    names = (DEVELOPMENT.session, SECURE.session) if mode is Mode.SESSION else (DEVELOPMENT.access, SECURE.access)
    token = made.session_token or made.access_token
    async with near, far:
        if mode is Mode.JWT:
            assert "ann" in (await near.get("/", headers=headers_of(made))).text
            presented = [(near, f"Bearer {token}"), (far, f"Bearer {token}")]
        else:
            assert "ann" in (await near.get("/", headers={"cookie": f"{names[0]}={token}"})).text
            assert "ann" in (await far.get("/", headers={"cookie": f"{names[1]}={token}"})).text
            assert "ann" in (await near.get("/", headers={"cookie": f"{names[0]}={token}"})).text
            # The other names last, so that each is in memory when it comes to the wrong place.
            presented = [(far, f"{names[0]}={token}")]
        for web, cookies in presented:
            for text in (cookies, f"{cookies}; other=1"):
                answer = await web.get("/", headers={"cookie": text})
                assert (answer.status_code, "nobody" in answer.text) == (200, True)
        if mode is not Mode.JWT:
            assert "ann" in (await far.get("/", headers={"cookie": f"{names[1]}={token}"})).text
            answer = await near.get("/", headers={"cookie": f"{names[1]}={token}"})
            assert "nobody" in answer.text


@APPS
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_cookie_that_is_there_twice_counts_as_none(
    auth: Auth, make: Callable[[Auth], Any], method: str
) -> None:
    """Like every cookie that is refused: whoever plants one cannot break a public page."""
    made = await auth.login("ann", mode=Mode.SESSION)
    cookie = headers_of(made)["cookie"]
    async with client(make(auth)) as web:
        await web.get("/", headers={"cookie": cookie})
        answer = await web.request(method, "/", headers={"cookie": f"{cookie}; {SECURE.session}=x"})
        assert (answer.status_code, "nobody" in answer.text) == (200, True)


@APPS
@MODES
async def test_who_is_asking(auth: Auth, make: Callable[[Auth], Any], mode: Mode) -> None:
    """A credential is known, and after its revocation it is not."""
    made = await auth.login("ann", mode=mode)
    async with client(make(auth)) as web:
        assert "nobody" in (await web.get("/")).text
        for _ in range(2):
            assert "ann" in (await web.get("/", headers=headers_of(made))).text
        await auth.revoke(made.session.id)
        answer = await web.get("/", headers=headers_of(made))
        if mode is Mode.JWT:
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        else:
            assert (answer.status_code, "nobody" in answer.text) == (200, True)


@MODES
async def test_protected_route(auth: Auth, mode: Mode) -> None:
    """A route with CurrentUser answers 401 to nobody and to a credential that has ended."""
    made = await auth.login("ann", mode=mode)
    async with client(with_fastapi(auth)) as web:
        anonymous = await web.get("/mine")
        assert (anonymous.status_code, anonymous.headers["www-authenticate"]) == (401, "Bearer")
        assert (await web.get("/mine", headers=headers_of(made))).json() == "ann"
        await auth.revoke(made.session.id)
        assert (await web.get("/mine", headers=headers_of(made))).status_code == 401


@APPS
@pytest.mark.parametrize("mode", [Mode.SESSION, Mode.JWT_COOKIE])
@pytest.mark.parametrize(
    ("extra", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://app.example"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
        ({"x-csrf-token": "right"}, 200),
        ({"x-csrf-token": "other"}, 403),
        ({"x-csrf-token": "right", "sec-fetch-site": "cross-site"}, 403),
    ],
)
async def test_change_that_rides_on_a_cookie(
    auth: Auth, make: Callable[[Auth], Any], mode: Mode, extra: dict[str, str], status: int
) -> None:
    """A state-changing request with a cookie must show where it comes from; reading need not."""
    made, other = await auth.login("ann", mode=mode), await auth.login("ann", mode=mode)
    tokens = {"right": made.csrf_token, "other": other.csrf_token}
    sent = {name: tokens.get(value, value) for name, value in extra.items()} | headers_of(made)
    async with client(make(auth)) as web:
        for _ in range(2):  # at first sight, and from memory
            assert (await web.post("/", headers=sent)).status_code == status
            assert (await web.get("/", headers=sent)).status_code == 200


@APPS
async def test_bearer_needs_no_origin(auth: Auth, make: Callable[[Auth], Any]) -> None:
    """A bearer token is not sent by browsers on their own, so it may come from anywhere."""
    made = await auth.login("ann", mode=Mode.JWT)
    async with client(make(auth)) as web:
        answer = await web.post("/", headers=headers_of(made) | {"sec-fetch-site": "cross-site"})
        assert answer.status_code == 200


@APPS
async def test_silent_store_is_503(auth: Auth, store: GatedStore, make: Callable[[Auth], Any]) -> None:
    """When it cannot be known who asks, nobody is let in and nobody is called anonymous."""
    made = await auth.login("ann", mode=Mode.SESSION)
    store.fail("events", "find")
    auth.follower.lease.deadline = float("-inf")
    async with client(make(auth)) as web:
        answer = await web.get("/", headers=headers_of(made))
        assert answer.status_code == 503
        assert "made to fail" not in answer.text


@APPS
async def test_cookies_in_the_clear(auth: Auth, make: Callable[[Auth], Any]) -> None:
    """Over plain http to another machine no cookie is read; on loopback only the unprefixed ones are."""
    made = await auth.login("ann", mode=Mode.SESSION)
    secure, relaxed = headers_of(made), {"cookie": f"coatcheck={made.session_token}"}
    for base, headers, subject in [
        ("http://app.example", secure, "nobody"),
        ("http://app.example", relaxed, "nobody"),
        ("https://app.example", relaxed, "nobody"),
        ("http://localhost:8000", secure, "nobody"),
        ("http://localhost:8000", relaxed, "ann"),
    ]:
        async with client(make(auth), base) as web:
            assert subject in (await web.get("/", headers=headers)).text


async def handshake(app: Any, headers: dict[str, str]) -> list[dict[str, Any]]:
    """What an application answers to a WebSocket handshake."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "websocket", "scheme": "wss", "path": "/", "query_string": b"", "subprotocols": [],
        "headers": [(b"host", b"app.example"), *((k.encode(), v.encode()) for k, v in headers.items())],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def test_websocket_handshake(auth: Auth) -> None:
    """A WebSocket with a cookie must come from our own origin; a bad bearer token is closed with 4401."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept", "who": scope[IDENTITY]})

    guarded = AuthMiddleware(app, auth)
    made = headers_of(await auth.login("ann", mode=Mode.SESSION))
    (accepted,) = await handshake(guarded, made | {"origin": "https://app.example"})
    assert accepted["who"].subject == "ann"
    for headers, code in [
        (made | {"origin": "https://evil.example"}, 4403),
        (made | {"origin": "null"}, 4403),
        (made, 4403),
        ({"authorization": "Bearer nonsense"}, 4401),
    ]:
        (closed,) = await handshake(guarded, headers)
        assert (closed["type"], closed["code"]) == ("websocket.close", code)


async def test_without_lifespan_it_says_so() -> None:
    """An application that forgot the lifespan is told what to write."""
    app = FastAPI()

    @app.get("/")
    async def mine(user: CurrentUser) -> str:
        return user.subject

    async with client(app) as web:
        with pytest.raises(RuntimeError, match=r"lifespan=auth\.lifespan"):
            await web.get("/")

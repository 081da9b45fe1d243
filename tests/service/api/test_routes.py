"""What holds for every route, generated from the routes themselves."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from openapi_spec_validator import validate

from coatcheck import Auth, Credentials, Mode, Policy
from coatcheck.credentials.cookies import SECURE
from coatcheck.service.app import auth_app
from coatcheck.stores.memory import MemoryStore
from tests.service.api.conftest import running
from tests.service.api.test_bodies import BODIES
from tests.service.api.world import (
    MODES,
    OWN,
    PASSWORD,
    SECRET,
    SERVICE_KEY,
    World,
    carried,
    check_secrets,
    code,
    set_cookies,
)
from tests.support.gates import GatedStore

_SERVICE = auth_app(Auth("memory://", secret=SECRET), service_keys=[SERVICE_KEY])
_DOCUMENT = _SERVICE.openapi()
OPERATIONS = [(method.upper(), path) for path, item in _DOCUMENT["paths"].items() for method in item]
PATHS = sorted(_DOCUMENT["paths"])
UNSAFE = [(method, path) for method, path in OPERATIONS if method != "GET"]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "MADEUP")
OPEN = {"/healthz", "/readyz", "/.well-known/jwks.json"}
"""Paths that serve anybody."""

FOREIGN = {
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "same-site": {"Sec-Fetch-Site": "same-site"},
    "null origin": {"Origin": "null"},
    "evil origin": {"Origin": "https://evil.test"},
    "suffix": {"Origin": "https://auth.test.evil.test"},
    "prefix": {"Origin": "https://evilauth.test"},
    "other port": {"Origin": "https://auth.test:8443"},
    "other scheme": {"Origin": "http://auth.test"},
    "own origin, said to be cross-site": {"Origin": "https://auth.test", "Sec-Fetch-Site": "cross-site"},
    "two answers": [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
    "two origins": [("Origin", "https://auth.test"), ("Origin", "https://evil.test")],
    "wrong token": {"Origin": "https://evil.test", "X-CSRF-Token": "ccf_nonsense"},
}


async def attempt(
    world: World, method: str, path: str, credentials: Credentials | None, headers: Any = (), body: Any = None
) -> httpx.Response:
    """One request to a route, right in everything but what a test changes."""
    given = list(headers.items() if isinstance(headers, dict) else headers)
    if credentials is not None:
        given += carried(credentials).items()
        if path == "/refresh" and credentials.session.mode is Mode.JWT_COOKIE:
            given = [pair for pair in given if pair[0] != "Cookie"]
            given.append(("Cookie", f"{SECURE.refresh}={credentials.refresh_token}"))
    session_id = credentials.session.id if credentials else "A" * 24
    url = path.format(id=session_id if path.startswith("/sessions") else world.account.id)
    async with world.client(browser=False) as client:
        if path in ("/introspect", "/revoke"):
            return await client.request(method, url, data={"token": "nonsense"}, headers=given)
        if body is None:
            body = BODIES.get((method, path))
        if (method, path) == ("PATCH", "/admin/subjects/{id}"):
            body = {"roles": ["admin"]}
        if path == "/refresh":
            token = credentials.refresh_token if credentials and credentials.session.mode is Mode.JWT else None
            body = {"refresh_token": token}
        return await client.request(method, url, json=body, headers=given)


async def administrator(world: World, mode: Mode) -> Credentials:
    await world.auth.accounts.set_roles(world.account.id, ["admin"])
    return await world.login(mode)


def test_the_document_is_valid() -> None:
    """The OpenAPI document is one, says how to authenticate, and every route is in it."""
    validate(_DOCUMENT)  # type: ignore[arg-type]
    schemes = {"sessionCookie", "accessCookie", "refreshCookie", "bearer", "serviceKey"}
    assert _DOCUMENT["components"]["securitySchemes"].keys() == schemes
    assert "HTTPValidationError" not in json.dumps(_DOCUMENT)
    served = {
        (method, route.path)
        for route in _SERVICE.routes
        for method in getattr(route, "methods", None) or ()
        if getattr(route, "include_in_schema", False)
    }
    assert served == set(OPERATIONS)


def test_every_operation_says_enough() -> None:
    """A name of its own, a summary, who may, and every refusal as a problem."""
    names = set()
    for method, path in OPERATIONS:
        operation = _DOCUMENT["paths"][path][method.lower()]
        assert operation["description"]
        assert "security" in operation
        assert operation["operationId"] not in names
        names.add(operation["operationId"])
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"]
        if method != "GET":
            assert {"403", "413", "415"} <= set(operation["responses"])
        assert {"500", "503"} <= set(operation["responses"])


async def test_the_document_is_served_where_it_is_mounted(gated: World) -> None:
    """At openapi.json, naming the prefix as its server."""
    transport = httpx.ASGITransport(gated.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://auth.test") as client:
        response = await client.get("/auth/openapi.json")
    check_secrets(response)
    document = response.json()
    assert document["servers"] == [{"url": "/auth"}]
    assert document["paths"].keys() == _DOCUMENT["paths"].keys()


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
async def test_no_page_loads_foreign_scripts(gated: World, path: str) -> None:
    """There is no documentation page that would load scripts from elsewhere."""
    async with gated.client() as client:
        assert code(await client.get(path)) == "404 not_found"


@pytest.mark.parametrize("path", PATHS)
async def test_methods(gated: World, path: str) -> None:
    """Every method that a path does not have is 405, and Allow names exactly those that it has."""
    page = {"GET"} if path in ("/login", "/reauthenticate") else set()
    allowed = {method for method, known in OPERATIONS if known == path} | page
    allowed |= {"HEAD"} if "GET" in allowed else set()
    async with gated.client() as client:
        for method in METHODS:
            if method not in allowed:
                response = await client.request(method, path.format(id="A" * 24))
                assert code(response) == "405 method_not_allowed" if method != "HEAD" else response.status_code == 405
                assert set(response.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", [path for method, path in OPERATIONS if method == "GET"])
async def test_head(gated: World, path: str) -> None:
    """HEAD is answered like GET, without the body."""
    credentials = await administrator(gated, Mode.SESSION)
    async with gated.holder(credentials) as client:
        url = path.format(id=gated.account.id)
        full, bare = await client.get(url), await client.head(url)
    assert (bare.status_code, bare.content) == (full.status_code, b"")
    assert full.content
    if path != "/metrics":
        assert bare.headers == full.headers


async def test_head_sends_no_byte(gated: World) -> None:
    """The answer to HEAD has no body for a server to drop, and announces the length that GET has."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "HEAD", "path": "/auth/healthz", "raw_path": b"/auth/healthz", "query_string": b"",
        "headers": [(b"host", b"auth.test")], "scheme": "https", "http_version": "1.1", "root_path": "",
        "server": ("auth.test", 443), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await gated.app(scope, receive, send)
    assert (b"content-length", b"15") in sent[0]["headers"]
    assert b"".join(message.get("body", b"") for message in sent[1:]) == b""


@pytest.mark.parametrize("path", ["/nowhere", "/session/", "/SESSION", "/sessions/a/b", "/admin", "/.well-known", "//"])
async def test_no_such_path(gated: World, path: str) -> None:
    """404 as a problem; nothing is redirected."""
    async with gated.client() as client:
        for method in ("GET", "POST"):
            assert code(await client.request(method, path)) == "404 not_found"


@pytest.mark.parametrize(("method", "path"), UNSAFE)
@pytest.mark.parametrize("mode", [Mode.SESSION, Mode.JWT_COOKIE])
async def test_a_change_from_elsewhere_is_refused(gated: World, method: str, path: str, mode: Mode) -> None:
    """Riding on a cookie: 403 for every sign of another site, and also without any sign; nothing has happened."""
    credentials = await administrator(gated, mode)
    rides = path not in ("/register", "/login", "/introspect", "/revoke") and not (
        path == "/refresh" and mode is Mode.SESSION
    )
    signs: dict[str, Any] = FOREIGN | ({"none": {}, "empty": {"X-CSRF-Token": ""}} if rides else {})
    before = gated.store.calls.copy()
    for sign, headers in signs.items():
        response = await attempt(gated, method, path, credentials, headers)
        assert code(response) == "403 cross_site", sign
        assert not set_cookies(response)
    changed = {"create", "rotate", "update", "revoke", "revoke_subject", "insert", "set_roles", "set_disabled"}
    assert {name for name in changed if gated.store.calls[name] != before[name]} == set()


@pytest.mark.parametrize(("method", "path"), UNSAFE)
@pytest.mark.parametrize("headers", [
    OWN, {"Sec-Fetch-Site": "none"}, {"Origin": "https://auth.test"}, {"Origin": "https://app.example"},
    {"Origin": "https://app.example", "Sec-Fetch-Site": "same-site"},
], ids=["same-origin", "typed", "own origin", "listed", "listed and same-site"])  # fmt: skip
async def test_a_change_from_our_own_pages_is_not(method: str, path: str, headers: Any) -> None:
    """The same requests from the same origin or a listed one are not refused as cross-site."""
    async with running("memory://", policy=Policy(origins=("https://app.example",))) as world:
        response = await attempt(world, method, path, await administrator(world, Mode.SESSION), headers)
        assert response.status_code != 403


@pytest.mark.parametrize(("method", "path"), UNSAFE)
@pytest.mark.parametrize("mode", [Mode.SESSION, Mode.JWT_COOKIE])
async def test_a_program_shows_the_token(gated: World, method: str, path: str, mode: Mode) -> None:
    """Without any browser's header the session's CSRF token serves, and only this session's."""
    credentials, other = await administrator(gated, mode), await gated.login(mode)
    if path not in ("/register", "/login", "/introspect", "/revoke") and (path, mode) != ("/refresh", Mode.SESSION):
        response = await attempt(gated, method, path, credentials, {"X-CSRF-Token": other.csrf_token})
        assert code(response) == "403 cross_site"
    response = await attempt(gated, method, path, credentials, {"X-CSRF-Token": credentials.csrf_token})
    assert response.status_code != 403


@pytest.mark.parametrize(("method", "path"), UNSAFE)
async def test_a_bearer_token_needs_no_sign(gated: World, method: str, path: str) -> None:
    """A request that no browser sends by itself is not refused, whatever Origin it has, once it rides on no cookie."""
    credentials = await administrator(gated, Mode.JWT)
    assert (await attempt(gated, method, path, credentials)).status_code != 403
    if path not in ("/register", "/login", "/introspect", "/revoke", "/refresh"):
        credentials = await gated.login(Mode.JWT)
        response = await attempt(gated, method, path, credentials, {"Origin": "https://evil.test"})
        assert response.status_code != 403


@pytest.mark.parametrize("path", ["/login", "/logout"])
@pytest.mark.parametrize("sign", FOREIGN)
async def test_forms_from_elsewhere(gated: World, path: str, sign: str) -> None:
    """A form on another site neither logs anyone in nor out."""
    credentials = await gated.login()
    given = FOREIGN[sign]
    headers = list(given.items() if isinstance(given, dict) else given) + list(carried(credentials).items())
    transport = httpx.ASGITransport(gated.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://auth.test/auth") as client:
        form = {"email": gated.account.email, "password": PASSWORD, "csrf_token": credentials.csrf_token}
        response = await client.post(path, data=form, headers=headers)
    assert response.status_code == 403
    assert "set-cookie" not in response.headers
    assert await gated.is_live(credentials)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_nobody_gets_nothing(gated: World, method: str, path: str) -> None:
    """Without a credential a route is 401, unless it is there for everybody."""
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Cookie": "__Host-coatcheck=nonsense"} | OWN):
        response = await attempt(gated, method, path, None, headers)
        if path in OPEN:
            assert response.status_code == 200
        elif path in ("/register", "/login", "/logout") or (path == "/revoke" and "Authorization" not in headers):
            assert response.status_code in (200, 201, 204, 409)
        else:
            assert response.status_code == 401


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("mode", MODES)
async def test_an_ended_session_gets_nothing(gated: World, method: str, path: str, mode: Mode) -> None:
    """With a credential whose session has ended, the same."""
    credentials = await administrator(gated, mode)
    await gated.auth.revoke(credentials.session.id)
    response = await attempt(gated, method, path, credentials, OWN)
    if path not in OPEN | {"/register", "/login", "/logout", "/revoke"}:
        assert response.status_code == 401
        assert "subject" not in response.json()


STORE_CALLS = sorted(
    name for name in dir(MemoryStore) if not name.startswith("_") and name not in ("open", "close", "announce_keys")
)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("remembered", [False, True])
async def test_without_a_store_nobody_is_anybody(
    gated: World, method: str, path: str, mode: Mode, remembered: bool
) -> None:
    """When no store call answers, every route that says or changes anything is 503 (or 401), and no cookie is set;
    also for a credential that this process has verified already."""
    credentials = await administrator(gated, mode)
    if remembered:
        assert await gated.is_live(credentials)
    gated.store.fail(*STORE_CALLS)
    response = await attempt(gated, method, path, credentials, OWN)
    if path in OPEN - {"/readyz"}:
        assert response.status_code == 200
    elif path == "/revoke" and response.status_code == 200:
        pass  # a made-up token is known to be none without asking
    else:
        assert response.status_code in (401, 503)
        assert not set_cookies(response)
        assert "subject" not in response.json()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_each_store_call_may_fail(method: str, path: str) -> None:
    """Whichever single call fails, the answer is the right one or 503; and a change that was confirmed is done."""
    store = GatedStore(MemoryStore())
    async with running(store) as world:
        for name in STORE_CALLS:
            store.fail()
            credentials = await administrator(world, Mode.SESSION)
            email = f"{name.replace('_', '-')}@example.test"
            body = {"email": email, "password": PASSWORD} if path == "/register" else None
            if path == "/password":
                body = {"current_password": PASSWORD, "new_password": PASSWORD}
            store.fail(name)
            response = await attempt(world, method, path, credentials, OWN, body)
            assert response.status_code < 300 or response.status_code in (401, 503), name
            store.fail()
            if response.status_code < 300 and path in ("/logout", "/logout/everywhere"):
                assert not await world.is_live(credentials)


class Broken(RuntimeError):
    """Nobody expected this."""


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_the_unexpected(gated: World, method: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that nobody thought of is 500 with a code and nothing else, and all the headers."""
    credentials = await administrator(gated, Mode.SESSION)

    async def broken(*args: Any, **kwargs: Any) -> Any:
        raise Broken("postgresql://user:hunter2@db/ SELECT * FROM accounts")

    for name in STORE_CALLS:
        if name != "events":
            monkeypatch.setattr(gated.store, name, broken, raising=False)
    response = await attempt(gated, method, path, credentials, OWN)
    if response.status_code >= 500:
        assert code(response) == "500 internal_error"
        assert not re.search("Traceback|Broken|hunter2|SELECT|File ", response.text)
    else:
        assert path in OPEN | {"/revoke", "/refresh", "/introspect", "/events", "/metrics"}


async def test_the_framework_hides_nothing_in_debug() -> None:
    """The application is never in debug mode, where a fault would show the source."""
    assert not _SERVICE.debug
    host = FastAPI()
    host.mount("/auth", _SERVICE)
    transport = httpx.ASGITransport(host, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://auth.test/auth") as client:
        response = await client.get("/session", headers={"Authorization": "Bearer x"})
    assert code(response) == "500 internal_error"

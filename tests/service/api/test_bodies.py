"""What is refused in a request's body, whatever the route."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coatcheck.web.envelope import MAX_BODY
from tests.service.api.world import OTHER_PASSWORD, PASSWORD, SERVICE_KEY, World, code

LOGIN = {"email": "ada@example.test", "password": PASSWORD}
JSON = "application/json"

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/register"): {"email": "eve@example.test", "password": OTHER_PASSWORD, "mode": "jwt"},
    ("POST", "/login"): LOGIN | {"mode": "jwt", "remember": False, "device": "desk"},
    ("POST", "/refresh"): {"refresh_token": "ccr_x"},
    ("POST", "/logout"): {},
    ("POST", "/logout/others"): {},
    ("POST", "/logout/everywhere"): {},
    ("PATCH", "/sessions/{id}"): {"label": "desk"},
    ("DELETE", "/sessions/{id}"): {},
    ("POST", "/admin/invitations"): {"email": "bob@example.test"},
    ("POST", "/reauthenticate"): {"password": PASSWORD},
    ("POST", "/password"): {"current_password": PASSWORD, "new_password": OTHER_PASSWORD},
    ("PATCH", "/admin/subjects/{id}"): {"roles": ["editor"], "status": "active"},
    ("POST", "/admin/subjects/{id}/logout"): {},
}
ROUTES = list(BODIES)
WRONG = [None, True, False, 0, 1, -1, 1.5, 10**400, "", "x", [], {}, [[]], ["x"], {"$ne": None}, {"": ""}, "\x00", "é"]
OPTIONAL = {"mode", "refresh_token"}


async def send(world: World, method: str, path: str, content: bytes | Any, **headers: str) -> Any:
    """As an administrator who is logged in, so that the body is what is judged."""
    await world.auth.accounts.set_roles(world.account.id, ["admin"])
    credentials = await world.login()
    async with world.holder(credentials) as client:
        path = path.format(id=credentials.session.id if path.startswith("/sessions") else world.account.id)
        return await client.request(method, path, content=content, headers={"Content-Type": JSON} | headers)


def test_the_table_has_every_body(gated: World) -> None:
    """Every route that reads JSON is in the table above."""
    documented = {
        (method, path)
        for method, path, operation in gated.contract.operations()
        if JSON in operation.get("requestBody", {}).get("content", {})
    }
    assert documented == set(BODIES)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_types_are_not_converted(gated: World, method: str, path: str) -> None:
    """A value of another type in any field is refused by the field's name, and never 500."""
    for name, right in BODIES[method, path].items():
        for wrong in WRONG:
            if type(wrong) is type(right) or (wrong is None and name in OPTIONAL):
                continue
            body = json.dumps(BODIES[method, path] | {name: wrong})
            response = await send(gated, method, path, body.encode())
            assert code(response) == "422 invalid_request", (name, wrong)
            # A number of 400 digits is refused before anyone knows whose it is.
            assert name in response.json()["detail"] or wrong == 10**400


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_texts_of_any_kind(gated: World, method: str, path: str) -> None:
    """Whatever text stands in a text's place, the answer is one that the document knows, and never 500."""
    for name, right in BODIES[method, path].items():
        if isinstance(right, str):
            for text in ("", "\0", "x" * 60000, "\u202e", "\ud83d\ude00", "'; DROP TABLE accounts --", "\x1b[31m", "ﬃ"):
                response = await send(gated, method, path, json.dumps(BODIES[method, path] | {name: text}).encode())
                assert response.status_code < 500, (name, text)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("content", [
    b"null", b"true", b"1", b'"x"', b"[]", b"[{}]", b"{", b"}", b"", b"{} {}", b"{'a':1}", b'{"a":1,}', b"\xff\xfe{}",
    b"\xef\xbb\xbf{}", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1e999}', b'{"email":"\\ud800"}', b'{"\\ud800":1}',
    b'{"a":' * 9000 + b"1", b"[" * 60000, b'{"a":' + b"[" * 30000 + b"]" * 30000 + b"}", b"{" * 60000,
    b'{"a":' + b"9" * 60000 + b"}", b'{"email":"a","email":"b"}', b'{"x":{"a":1,"a":2}}', b"\x00", b"// {}", b"\n" * 50,
], ids=lambda content: content[:12].decode("latin-1"))  # fmt: skip
async def test_what_is_not_json(gated: World, method: str, path: str, content: bytes) -> None:
    """Not an object, twice the same member, not UTF-8, nested without end: 422, and nothing changes."""
    response = await send(gated, method, path, content)
    if content == b"" and not BODIES[method, path]:
        assert response.status_code == 204
    elif content == b"" and path == "/refresh":
        assert code(response) == "401 not_logged_in"
    else:
        assert code(response) == "422 invalid_request"


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_unknown_fields(gated: World, method: str, path: str) -> None:
    """A field that the route does not know is refused by name, without its value."""
    for name in ("roles2", "id", "subject", "__proto__", "constructor", "epoch", "amr"):
        body = BODIES[method, path] | {name: "a value that must not come back"}
        response = await send(gated, method, path, json.dumps(body).encode())
        assert code(response) == "422 invalid_request"
        assert name in response.json()["detail"]
        assert "must not come back" not in response.text


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("kind", [
    "text/plain", "text/json", "multipart/form-data; boundary=x", "application/xml", "application/jsonx", "", "json",
    "application/problem+json", "application/x-www-form-urlencoded2", "text/plain; a=application/json",
])  # fmt: skip
async def test_other_content_types(gated: World, method: str, path: str, kind: str) -> None:
    """Only JSON is read as JSON: what a form of another site can send is not."""
    response = await send(gated, method, path, json.dumps(BODIES[method, path]).encode(), **{"Content-Type": kind})
    assert code(response) == "415 wrong_content_type"


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
async def test_json_by_any_name(gated: World, kind: str) -> None:
    """Media types ignore case and may have parameters."""
    response = await send(gated, "POST", "/login", json.dumps(LOGIN).encode(), **{"Content-Type": kind})
    assert response.status_code == 200


async def _chunks(size: int) -> AsyncIterator[bytes]:
    yield b'{"email":"'
    for _ in range(size // 1024):
        yield b"x" * 1024
    yield b'"}'


@pytest.mark.parametrize(("method", "path"), [*ROUTES, ("POST", "/introspect"), ("POST", "/revoke")])
async def test_large_bodies(gated: World, method: str, path: str) -> None:
    """More than 64 KiB is 413, whether the length was announced or not; an announced one is not even read."""
    form = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Bearer {SERVICE_KEY}"}
    headers = {} if (method, path) in BODIES else form
    assert code(await send(gated, method, path, b"x" * (MAX_BODY + 1), **headers)) == "413 too_large"
    assert code(await send(gated, method, path, _chunks(MAX_BODY), **headers)) == "413 too_large"
    assert (await send(gated, method, path, b"x" * MAX_BODY, **headers)).status_code != 413


async def test_an_announced_length_is_believed_only_to_refuse(gated: World) -> None:
    """A length that is none, or smaller than what comes, changes nothing."""
    async with gated.client() as client:
        for length in (b"abc", b"-1", b"1", b"\xb2", b"9" * 5000):
            headers = {"Content-Type": JSON.encode(), "Content-Length": length}
            response = await client.post("/login", content=_chunks(MAX_BODY), headers=headers)
            assert code(response) == "413 too_large"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.fixed_dictionaries({}, optional=dict.fromkeys((*LOGIN, "mode", "remember", "device"), JSON_VALUES)))
async def test_any_object(gated: World, body: dict[str, Any]) -> None:
    """Any object at all is answered as the document says, and none but the right one logs in."""
    async with gated.client() as client:
        response = await client.post("/login", content=json.dumps(body).encode(), headers={"Content-Type": JSON})
    assert response.status_code in (401, 422, 429)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
async def test_any_bytes(gated: World, content: bytes) -> None:
    """So are any bytes."""
    async with gated.client() as client:
        response = await client.post("/login", content=content, headers={"Content-Type": JSON})
    assert response.status_code == 422

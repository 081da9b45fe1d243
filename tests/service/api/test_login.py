"""POST /register and /login."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from coatcheck import Mode, Policy
from coatcheck.stores.memory import MemoryStore
from tests.service.api.conftest import running
from tests.service.api.world import BASE, MODES, OTHER_PASSWORD, PASSWORD, World, code, set_cookies
from tests.support.gates import GatedStore

EMAIL = "ada@example.test"
LOGIN = {"email": EMAIL, "password": PASSWORD}
LOOPBACK = "http://localhost:8000"
REMOTE = "http://auth.test"

COMMON = {"subject", "session", "mode"}
FIELDS = {
    "session": COMMON | {"csrf_token"},
    "jwt": COMMON | {"access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in"},
    "jwt-cookie": COMMON | {"csrf_token", "expires_in"},
}


@pytest.mark.parametrize("mode", MODES)
async def test_each_mode_answers_what_it_should(world: World, mode: Mode) -> None:
    """A login answers subject, session and mode, and exactly the credentials of its mode."""
    async with world.client() as client:
        response = await client.post("/login", json=LOGIN | {"mode": mode.value})
        body = response.json()
        assert response.status_code == 200
        assert set(body) == FIELDS[mode.value]
        assert body["subject"] == {"id": world.account.id, "email": EMAIL, "roles": []}
        assert body["mode"] == mode.value
        if mode is Mode.JWT:
            assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
            assert body["refresh_expires_in"] == 7 * 86400
            client.headers["Authorization"] = f"Bearer {body['access_token']}"
        session = await client.get("/session")
        assert session.status_code == 200
        assert session.json()["session"]["id"] == body["session"]["id"]


def _attributes(response: httpx.Response) -> dict[str, Any]:
    """name → attributes with the value's prefix; deleted ones are only named."""
    return {
        name: "deleted" if attributes.get("Max-Age") == "0" else (value[:4], attributes)
        for name, (value, attributes) in set_cookies(response).items()
    }


HOST = {"Path": "/", "HttpOnly": "", "SameSite": "Lax", "Secure": ""}
STRICT = {"Path": "/auth/refresh", "HttpOnly": "", "SameSite": "Strict", "Secure": ""}
PLAIN = {"Path": "/", "HttpOnly": "", "SameSite": "Lax"}
WEEK = {"Max-Age": "604800"}
COOKIES = [
    (BASE, "session", False, {
        "__Host-coatcheck": ("ccs_", HOST), "__Host-coatcheck-access": "deleted",
        "__Secure-coatcheck-refresh": "deleted",
    }),
    (BASE, "session", True, {
        "__Host-coatcheck": ("ccs_", HOST | {"Max-Age": "2592000"}), "__Host-coatcheck-access": "deleted",
        "__Secure-coatcheck-refresh": "deleted",
    }),
    (BASE, "jwt-cookie", False, {
        "__Host-coatcheck-access": ("eyJh", HOST | WEEK), "__Secure-coatcheck-refresh": ("ccr_", STRICT | WEEK),
        "__Host-coatcheck": "deleted",
    }),
    (BASE, "jwt", True, {}),
    (REMOTE, "jwt", False, {}),
    (LOOPBACK, "session", False, {
        "coatcheck": ("ccs_", PLAIN), "coatcheck-access": "deleted", "coatcheck-refresh": "deleted",
    }),
    (LOOPBACK, "jwt-cookie", False, {
        "coatcheck-access": ("eyJh", PLAIN | WEEK),
        "coatcheck-refresh": ("ccr_", {"Path": "/auth/refresh", "HttpOnly": "", "SameSite": "Strict"} | WEEK),
        "coatcheck": "deleted",
    }),
]  # fmt: skip


@pytest.mark.parametrize(("base", "mode", "remember", "expected"), COOKIES)
async def test_cookie_attributes(gated: World, base: str, mode: str, remember: bool, expected: Any) -> None:
    """Names, values and attributes of the cookies of each mode, over TLS and in development; never a Domain."""
    async with gated.client(base=base) as client:
        response = await client.post("/login", json=LOGIN | {"mode": mode, "remember": remember})
    assert response.status_code == 200
    assert _attributes(response) == expected


@pytest.mark.parametrize("mode", ["session", "jwt-cookie"])
@pytest.mark.parametrize("path", ["/login", "/register"])
async def test_cookies_need_tls(gated: World, mode: str, path: str) -> None:
    """Over plain http to another machine a cookie mode is refused, and neither account nor session is made."""
    email = "new@example.test" if path == "/register" else EMAIL
    async with gated.client(base=REMOTE) as client:
        response = await client.post(path, json={"email": email, "password": PASSWORD, "mode": mode})
    assert code(response) == "400 cookies_need_tls"
    assert gated.store.calls["create"] == 0
    assert await gated.auth.accounts.find_by_email("new@example.test") is None


async def test_refusals_are_alike(world: World) -> None:
    """Unknown address, wrong password and disabled account cannot be told apart."""
    await world.auth.accounts.register("off@example.test", PASSWORD)
    off = await world.auth.accounts.find_by_email("off@example.test")
    assert off is not None
    await world.auth.accounts.disable(off.id)
    tries = [
        {"email": "nobody@example.test", "password": PASSWORD},
        {"email": EMAIL, "password": OTHER_PASSWORD},
        {"email": "off@example.test", "password": PASSWORD},
        {"email": "not an address", "password": PASSWORD},
        {"email": EMAIL, "password": "x" * 5000},
        {"email": EMAIL, "password": ""},
    ]
    async with world.client() as client:
        answers = [await client.post("/login", json=body) for body in tries]
    assert {code(answer) for answer in answers} == {"401 invalid_login"}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(answer.headers.multi_items()) for answer in answers}) == 1


async def test_too_many_tries(gated: World) -> None:
    """After ten wrong passwords even the right one waits, and the answer says how long."""
    async with gated.client() as client:
        for _ in range(10):
            assert code(await client.post("/login", json=LOGIN | {"password": "wrong"})) == "401 invalid_login"
        response = await client.post("/login", json=LOGIN)
    assert code(response) == "429 throttled"
    assert 1 <= int(response.headers["retry-after"]) <= 900


async def test_a_mode_that_is_not_offered() -> None:
    """A known mode that the policy leaves out is refused by name, and the first one is the default."""
    async with running("memory://", policy=Policy(modes=(Mode.JWT,))) as world, world.client() as client:
        assert code(await client.post("/login", json=LOGIN | {"mode": "session"})) == "422 mode_not_allowed"
        assert (await client.post("/login", json=LOGIN)).json()["mode"] == "jwt"
        assert (await client.get("/login")).status_code == 405


async def test_the_device_is_recorded(gated: World) -> None:
    """Address, label and a bounded user agent without control characters."""
    async with gated.client(ip="192.0.2.7") as client:
        agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)\x01 Gecko/20100101 Firefox/140.0" + " " * 300 + "end"
        headers = {"User-Agent": agent.encode("latin-1").decode("latin-1")}
        await client.post("/login", json=LOGIN | {"device": "Ada’s laptop"}, headers=headers)
        [session] = (await client.get("/sessions")).json()["sessions"]
    device = session["device"]
    assert (device["ip"], device["label"], device["name"]) == ("192.0.2.7", "Ada’s laptop", "Firefox on Linux")
    assert len(device["user_agent"]) == 256
    assert device["user_agent"].isprintable()


@pytest.mark.parametrize("mode", ["session", "jwt-cookie"])
async def test_a_browser_has_one_session(world: World, mode: str) -> None:
    """A login in a browser that has a session of this subject and mode makes a new id and ends the old session."""
    async with world.client() as client:
        first = (await client.post("/login", json=LOGIN | {"mode": mode})).json()["session"]["id"]
        second = (await client.post("/login", json=LOGIN | {"mode": mode})).json()["session"]["id"]
        listed = [item["id"] for item in (await client.get("/sessions")).json()["sessions"]]
    assert first != second
    assert listed == [second]


async def test_whoevers_session_it_was(world: World) -> None:
    """What the replaced cookies named ends, whosever it was, of whichever mode and whatever sent them; what rides on no
    cookie goes on."""
    other = await world.auth.accounts.register("bob@example.test", PASSWORD)
    theirs, kept, mine = (
        await world.login(account=other), await world.login(Mode.JWT_COOKIE), await world.login(Mode.SESSION),
    )  # fmt: skip
    for credentials, browser in ((theirs, True), (kept, True), (mine, False)):
        async with world.holder(credentials, browser=browser) as client:
            assert (await client.post("/login", json=LOGIN)).status_code == 200
        assert not await world.is_live(credentials)


@pytest.mark.parametrize("moment", ["by_id", "create"])
async def test_a_login_loses_against_logout_everywhere(gated: World, moment: str) -> None:
    """When all sessions are ended after the account was read, or just before the new session is made, the login fails
    like a wrong password."""
    gate = gated.store.hold_before(moment)
    async with gated.client() as client:
        login = asyncio.create_task(client.post("/login", json=LOGIN))
        await gate.reached()
        await gated.auth.revoke_subject(gated.account.id)
        gate.open()
        assert code(await login) == "401 invalid_login"


async def test_register(world: World) -> None:
    """Without a mode only the subject; it can log in then."""
    async with world.client() as client:
        body = {"email": "Eve@Example.test", "password": OTHER_PASSWORD}
        response = await client.post("/register", json=body)
        assert response.status_code == 201
        assert set(response.json()) == {"subject"}
        assert response.json()["subject"]["roles"] == []
        assert not set_cookies(response)
        assert (await client.post("/login", json=body)).status_code == 200


@pytest.mark.parametrize("mode", MODES)
async def test_register_and_log_in(world: World, mode: Mode) -> None:
    """With a mode it answers 201 with all that a login gives."""
    async with world.client() as client:
        body = {"email": "eve@example.test", "password": OTHER_PASSWORD, "mode": mode.value}
        response = await client.post("/register", json=body)
    assert response.status_code == 201
    assert set(response.json()) == FIELDS[mode.value]
    assert bool(set_cookies(response)) is (mode is not Mode.JWT)


REFUSED = [
    ({"email": EMAIL, "password": OTHER_PASSWORD}, "409 email_taken"),
    ({"email": "ADA@EXAMPLE.test", "password": OTHER_PASSWORD, "mode": "jwt"}, "409 email_taken"),
    ({"email": "nonsense", "password": OTHER_PASSWORD}, "422 invalid_email"),
    ({"email": "eve@example.test", "password": "short"}, "422 weak_password"),
    ({"email": "eve@example.test", "password": "password1"}, "422 weak_password"),
    ({"email": "eve@example.test", "password": "eve@example.test"}, "422 weak_password"),
    ({"email": "eve@example.test", "password": "control\x07character!"}, "422 weak_password"),
]


@pytest.mark.parametrize(("body", "expected"), REFUSED)
async def test_register_refuses(gated: World, body: Any, expected: str) -> None:
    """Taken addresses, what is no address, and passwords that everybody guesses."""
    async with gated.client() as client:
        assert code(await client.post("/register", json=body)) == expected
    assert gated.store.calls["insert"] <= 1 + (expected[:3] == "409")


@pytest.mark.parametrize("extra", [
    {"roles": ["admin"]}, {"id": "1"}, {"disabled": False}, {"claims": {}}, {"email_key": "x"}, {"epoch": 0},
    {"password_hash": "x"}, {"remember": True}, {"device": "x"},
])  # fmt: skip
async def test_nobody_registers_with_more(gated: World, extra: Any) -> None:
    """Any field that is not one of three is refused by name, and no account is made."""
    async with gated.client() as client:
        response = await client.post(
            "/register", json={"email": "eve@example.test", "password": OTHER_PASSWORD, **extra}
        )
    assert code(response) == "422 invalid_request"
    assert next(iter(extra)) in response.json()["detail"]
    assert await gated.auth.accounts.find_by_email("eve@example.test") is None


async def test_a_login_whose_answer_is_lost_was_not_confirmed() -> None:
    """A store that fails while the session is made answers 503 and hands out nothing."""
    store = GatedStore(MemoryStore())
    async with running(store) as world, world.client() as client:
        store.fail("create")
        response = await client.post("/login", json=LOGIN)
    assert code(response) == "503 unavailable"
    assert not set_cookies(response)

"""POST /reauthenticate and /password."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from httpx import Response

from coatcheck import Mode
from coatcheck.credentials.cookies import SECURE
from tests.service.api.world import MODES, OTHER_PASSWORD, PASSWORD, Client, World, code, set_cookies


def present_anew(client: Client, response: Response, mode: Mode) -> Any:
    """The client goes on with what a login's answer brought. Returns its body."""
    body = response.json()
    assert body["mode"] == mode.value
    if mode is Mode.JWT:
        client.headers["Authorization"] = f"Bearer {body['access_token']}"
    else:
        name = SECURE.session if mode is Mode.SESSION else SECURE.access
        client.headers["Cookie"] = f"{name}={set_cookies(response)[name][0]}"
    client.cookies.clear()
    return body


@pytest.mark.parametrize("mode", MODES)
async def test_reauthenticate(world: World, mode: Mode) -> None:
    """A new session in place of the old: same mode and device, new id and credentials; the old ones end."""
    credentials = await world.login(mode)
    async with world.holder(credentials) as client:
        await client.patch(f"/sessions/{credentials.session.id}", json={"label": "desk"})
        response = await client.post("/reauthenticate", json={"password": PASSWORD})
        assert response.status_code == 200
        body = present_anew(client, response, mode)
        assert body["session"]["id"] != credentials.session.id
        [item] = (await client.get("/sessions")).json()["sessions"]
    assert (item["id"], item["current"], item["device"]["label"]) == (body["session"]["id"], True, "desk")
    assert not await world.is_live(credentials)


@pytest.mark.parametrize("mode", MODES)
async def test_reauthenticate_refuses(gated: World, mode: Mode) -> None:
    """A wrong password changes nothing; too many are throttled; nobody is nobody."""
    credentials = await gated.login(mode)
    async with gated.holder(credentials) as client:
        for _ in range(10):
            assert code(await client.post("/reauthenticate", json={"password": "wrong"})) == "401 invalid_login"
        assert code(await client.post("/reauthenticate", json={"password": PASSWORD})) == "429 throttled"
    assert await gated.is_live(credentials)
    async with gated.client() as client:
        assert code(await client.post("/reauthenticate", json={"password": PASSWORD})) == "401 not_logged_in"


async def test_reauthenticate_loses_against_a_logout(gated: World) -> None:
    """When the session is ended while its password is checked, no new one takes its place."""
    credentials = await gated.login()
    async with gated.holder(credentials) as client:
        gate = gated.store.hold_before("create")
        task = asyncio.create_task(client.post("/reauthenticate", json={"password": PASSWORD}))
        await gate.reached()
        await gated.auth.revoke(credentials.session.id)
        gate.open()
        assert code(await task) == "401 invalid_credential"
    page = await gated.auth.sessions.sessions_of(gated.account.id, now=gated.auth.clock.now())
    assert not page.sessions


@pytest.mark.parametrize("mode", MODES)
async def test_change_of_password(world: World, mode: Mode) -> None:
    """A new session takes the place of the present one, as with a login; all others end, and every credential of
    before, so that a copy of this session's is worth nothing; only the new password counts."""
    credentials = await world.login(mode)
    others = [await world.login(other) for other in MODES]
    async with world.holder(credentials) as client:
        await client.patch(f"/sessions/{credentials.session.id}", json={"label": "desk"})
        response = await client.post("/password", json={"current_password": PASSWORD, "new_password": OTHER_PASSWORD})
        assert response.status_code == 200
        body = present_anew(client, response, mode)
        assert body["session"]["id"] != credentials.session.id
        [item] = (await client.get("/sessions")).json()["sessions"]
    assert (item["id"], item["current"], item["device"]["label"]) == (body["session"]["id"], True, "desk")
    assert [await world.is_live(other) for other in [credentials, *others]] == [False] * 4
    if credentials.refresh_token:
        async with world.client() as thief:
            answer = await thief.post("/refresh", json={"refresh_token": credentials.refresh_token})
            assert answer.status_code == 401
    async with world.client() as client:
        old = {"email": world.account.email, "password": PASSWORD}
        assert code(await client.post("/login", json=old)) == "401 invalid_login"
        assert (await client.post("/login", json=old | {"password": OTHER_PASSWORD})).status_code == 200


@pytest.mark.parametrize(("body", "expected"), [
    ({"current_password": "wrong", "new_password": OTHER_PASSWORD}, "401 invalid_login"),
    ({"current_password": PASSWORD, "new_password": "short"}, "422 weak_password"),
    ({"current_password": PASSWORD, "new_password": "password123"}, "422 weak_password"),
    ({"current_password": PASSWORD, "new_password": "ada@example.test"}, "422 weak_password"),
    ({"current_password": PASSWORD, "new_password": "x" * 300}, "422 weak_password"),
    ({"current_password": PASSWORD}, "422 invalid_request"),
    ({"new_password": OTHER_PASSWORD}, "422 invalid_request"),
    ({"current_password": PASSWORD, "new_password": OTHER_PASSWORD, "id": "x"}, "422 invalid_request"),
])  # fmt: skip
async def test_change_of_password_refuses(world: World, body: Any, expected: str) -> None:
    """A wrong or missing password or a weak new one: nothing changes, all sessions go on."""
    credentials, other = await world.login(), await world.login(Mode.JWT)
    async with world.holder(credentials) as client:
        assert code(await client.post("/password", json=body)) == expected
        assert (await client.get("/session")).status_code == 200
    assert await world.is_live(other)
    await world.auth.accounts.authenticate(world.account.email, PASSWORD)


async def test_change_of_password_that_races_another(gated: World) -> None:
    """Of two changes at once one is refused as a conflict, and the other's password counts."""
    credentials = await gated.login()
    async with gated.holder(credentials) as client:
        gate = gated.store.hold_before("set_password_hash")
        task = asyncio.create_task(
            client.post("/password", json={"current_password": PASSWORD, "new_password": OTHER_PASSWORD})
        )
        await gate.reached()
        await gated.auth.accounts.set_password(gated.account.id, "three lanterns on the pier")
        gate.open()
        assert code(await task) == "409 conflict"
    await gated.auth.accounts.authenticate(gated.account.email, "three lanterns on the pier")


@pytest.mark.parametrize("how", ["this session", "everywhere"])
async def test_change_of_password_loses_against_a_logout(gated: World, how: str) -> None:
    """When the session is ended while another is made in its place, the password is changed and nobody is logged in."""
    credentials = await gated.login()
    async with gated.holder(credentials) as client:
        gate = gated.store.hold_before("create")
        task = asyncio.create_task(
            client.post("/password", json={"current_password": PASSWORD, "new_password": OTHER_PASSWORD})
        )
        await gate.reached()
        if how == "everywhere":
            await gated.auth.revoke_subject(gated.account.id)
        else:
            await gated.auth.revoke(credentials.session.id)
        gate.open()
        assert code(await task) == "401 invalid_credential"
    page = await gated.auth.sessions.sessions_of(gated.account.id, now=gated.auth.clock.now())
    assert not page.sessions
    await gated.auth.accounts.authenticate(gated.account.email, OTHER_PASSWORD)


async def test_change_of_password_where_no_cookie_can_be(world: World) -> None:
    """Where a browser could not be given the new cookie nothing is changed."""
    credentials = await world.login()
    body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    async with world.holder(credentials, base="http://auth.test") as client:
        assert (await client.post("/password", json=body)).status_code in (400, 401)
    assert await world.is_live(credentials)
    await world.auth.accounts.authenticate(world.account.email, PASSWORD)

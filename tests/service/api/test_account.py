"""POST /reauthenticate and /password."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coatcheck import Mode
from coatcheck.credentials.cookies import SECURE
from tests.service.api.world import MODES, OTHER_PASSWORD, PASSWORD, World, code, set_cookies


@pytest.mark.parametrize("mode", MODES)
async def test_reauthenticate(world: World, mode: Mode) -> None:
    """A new session in place of the old: same mode and device, new id and credentials; the old ones end."""
    credentials = await world.login(mode)
    async with world.holder(credentials) as client:
        await client.patch(f"/sessions/{credentials.session.id}", json={"label": "desk"})
        response = await client.post("/reauthenticate", json={"password": PASSWORD})
        assert response.status_code == 200
        body = response.json()
        assert body["mode"] == mode.value
        assert body["session"]["id"] != credentials.session.id
        if mode is Mode.JWT:
            client.headers["Authorization"] = f"Bearer {body['access_token']}"
        else:
            name = SECURE.session if mode is Mode.SESSION else SECURE.access
            client.headers["Cookie"] = f"{name}={set_cookies(response)[name][0]}"
        client.cookies.clear()
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
    """The present session goes on, all others end, and only the new password counts."""
    credentials = await world.login(mode)
    others = [await world.login(other) for other in MODES]
    async with world.holder(credentials) as client:
        response = await client.post("/password", json={"current_password": PASSWORD, "new_password": OTHER_PASSWORD})
        assert (response.status_code, response.content) == (204, b"")
        assert (await client.get("/session")).status_code == 200
    assert [await world.is_live(other) for other in others] == [False] * 3
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

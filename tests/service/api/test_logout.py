"""POST /logout, /logout/others and /logout/everywhere."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck import Mode
from coatcheck.clock import Clock
from coatcheck.credentials.cookies import SECURE
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import TravelClock
from tests.service.api.conftest import running
from tests.service.api.world import MODES, World, carried, code, set_cookies

ALL = {SECURE.session, SECURE.access, SECURE.refresh}


def forgotten(response: object) -> bool:
    """Whether every cookie of ours is deleted."""
    found = set_cookies(response)  # type: ignore[arg-type]
    return set(found) == ALL and all(rest["Max-Age"] == "0" for _, rest in found.values())


@pytest.mark.parametrize("mode", MODES)
async def test_logout(world: World, mode: Mode) -> None:
    """The session ends at once, with its refresh token, and the cookies are deleted."""
    credentials = await world.login(mode)
    async with world.holder(credentials) as client:
        assert (await client.get("/session")).status_code == 200
        response = await client.post("/logout")
        assert response.status_code == 204
        assert forgotten(response)
        assert code(await client.get("/session")) == "401 invalid_credential"
        assert (await client.post("/logout")).status_code == 204
    if mode is Mode.JWT:
        async with world.client() as client:
            response = await client.post("/refresh", json={"refresh_token": credentials.refresh_token})
            assert code(response) == "401 invalid_credential"


@pytest.mark.parametrize("headers", [
    {}, {"Cookie": "__Host-coatcheck=nonsense"}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Bearer"},
    {"Authorization": "Basic eDp5"}, {"Cookie": "other=1"},
])  # fmt: skip
async def test_nobody_logs_out(gated: World, headers: dict[str, str]) -> None:
    """Without a credential of ours it is 204 all the same, and the cookies are deleted."""
    async with gated.client() as client:
        response = await client.post("/logout", headers=headers)
    assert response.status_code == 204
    assert forgotten(response)
    assert gated.store.calls["revoke"] == 0


@pytest.mark.parametrize("mode", [Mode.JWT, Mode.JWT_COOKIE])
async def test_an_expired_access_token_logs_out(mode: Mode) -> None:
    """It is no longer good for anything else, and still ends its session, and the refresh token with it."""
    travel = TravelClock()
    clock = Clock(monotonic=travel.monotonic, wall=travel)
    async with running(MemoryStore(wall=travel), clock=clock) as world:
        credentials = await world.login(mode)
        travel.advance(3600)
        async with world.holder(credentials) as client:
            assert code(await client.get("/session")) == "401 invalid_credential"
            assert await world.auth.sessions.find(credentials.session.id, now=clock.now()) is not None
            assert (await client.post("/logout")).status_code == 204
        assert await world.auth.sessions.find(credentials.session.id, now=clock.now()) is None


@pytest.mark.parametrize("mode", MODES)
async def test_no_false_logout(gated: World, mode: Mode) -> None:
    """When the store does not confirm, it is 503, no cookie is deleted, and the session is still there."""
    credentials = await gated.login(mode)
    gated.store.fail("revoke", "revoke_subject")
    async with gated.holder(credentials) as client:
        for path in ("/logout", "/logout/others", "/logout/everywhere", f"/sessions/{credentials.session.id}"):
            response = await client.request("DELETE" if path.startswith("/sessions") else "POST", path)
            assert code(response) == "503 unavailable"
            assert not set_cookies(response)
    gated.store.fail()
    assert await gated.is_live(credentials)


async def test_everything_presented_ends(world: World) -> None:
    """A bearer token beside cookies, or a cookie that is there twice: each session they name ends."""
    cookie, token, other = await world.login(), await world.login(Mode.JWT), await world.login(Mode.JWT_COOKIE)
    doubled = carried(cookie)["Cookie"] + "; " + carried(await world.login())["Cookie"]
    async with world.client() as client:
        headers = carried(token) | {"Cookie": f"{doubled}; {carried(other)['Cookie']}"}
        assert (await client.post("/logout", headers=headers)).status_code == 204
    page = await world.auth.sessions.sessions_of(world.account.id, now=world.auth.clock.now())
    assert not page.sessions


async def test_a_twice_presented_cookie_is_nobody(world: World) -> None:
    """Everywhere else such a request is refused, because which one was meant cannot be known."""
    cookie = carried(await world.login())["Cookie"]
    async with world.client() as client:
        assert code(await client.get("/session", headers={"Cookie": f"{cookie}; {cookie}"})) == "401 invalid_credential"


async def test_a_bearer_token_needs_no_origin(world: World) -> None:
    """A page of another origin that holds the token is not a forgery; riding on a cookie it would be."""
    token, cookie = await world.login(Mode.JWT), await world.login()
    evil = {"Origin": "https://elsewhere.test", "Sec-Fetch-Site": "cross-site"}
    async with world.client(browser=False) as client:
        assert code(await client.post("/logout", headers=carried(token) | carried(cookie) | evil)) == "403 cross_site"
        assert (await client.post("/logout", headers=carried(token) | evil)).status_code == 204
    assert await world.is_live(cookie)


@pytest.mark.parametrize("mode", MODES)
async def test_logout_others(world: World, mode: Mode) -> None:
    """All others end, of every mode; this one, its refresh token included, goes on."""
    credentials = await world.login(mode)
    others = [await world.login(other) for other in MODES]
    async with world.holder(credentials) as client:
        response = await client.post("/logout/others")
        assert response.status_code == 204
        assert not set_cookies(response)
        assert [item["current"] for item in (await client.get("/sessions")).json()["sessions"]] == [True]
    assert [await world.is_live(other) for other in others] == [False] * 3


@pytest.mark.parametrize("mode", MODES)
async def test_logout_everywhere(world: World, mode: Mode) -> None:
    """All end, this one too, and the cookies are deleted; another subject is not concerned."""
    bob = await world.auth.accounts.register("bob@example.test", "a boat upon the river")
    theirs = await world.login(account=bob)
    credentials = await world.login(mode)
    others = [await world.login(other) for other in MODES]
    async with world.holder(credentials) as client:
        response = await client.post("/logout/everywhere")
        assert response.status_code == 204
        assert forgotten(response)
    assert [await world.is_live(other) for other in (credentials, *others)] == [False] * 4
    assert await world.is_live(theirs)


async def test_logout_others_of_a_session_that_just_ended(gated: World) -> None:
    """When this session ends while the others are being ended, it is refused and the others are not touched."""
    credentials, other = await gated.login(), await gated.login()
    gate = gated.store.hold_before("revoke_subject")
    async with gated.holder(credentials) as client:
        task = asyncio.create_task(client.post("/logout/others"))
        await gate.reached()
        await gated.auth.revoke(credentials.session.id)
        gate.open()
        assert code(await task) == "401 invalid_credential"
    assert await gated.is_live(other)

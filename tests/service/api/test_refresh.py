"""POST /refresh."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from coatcheck import Credentials, Mode, Policy
from coatcheck.credentials.cookies import SECURE
from tests.service.api.conftest import running
from tests.service.api.world import OWN, Client, World, code, set_cookies

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def refresh_cookie(credentials: Credentials) -> dict[str, str]:
    return {"Cookie": f"{SECURE.refresh}={credentials.refresh_token}"}


async def test_from_the_body(world: World) -> None:
    """A refresh token in the body gives the next pair, and no cookies."""
    credentials = await world.login(Mode.JWT)
    async with world.client() as client:
        response = await client.post("/refresh", json={"refresh_token": credentials.refresh_token})
        body = response.json()
        assert response.status_code == 200
        assert body["mode"] == "jwt"
        assert body["refresh_token"] != credentials.refresh_token
        assert body["session"]["id"] == credentials.session.id
        assert body["subject"]["email"] == world.account.email
        assert not set_cookies(response)
        client.headers["Authorization"] = f"Bearer {body['access_token']}"
        assert (await client.get("/session")).status_code == 200


async def test_from_a_form(world: World) -> None:
    """The same field in a form; any other field is refused."""
    credentials = await world.login(Mode.JWT)
    async with world.client() as client:
        wrong = {"refresh_token": credentials.refresh_token, "roles": "admin"}
        assert code(await client.post("/refresh", data=wrong)) == "422 invalid_request"
        response = await client.post("/refresh", data={"refresh_token": credentials.refresh_token})
    assert response.json()["mode"] == "jwt"


@pytest.mark.parametrize("body", [None, {}, {"refresh_token": None}])
async def test_from_the_cookie(world: World, body: object) -> None:
    """The refresh cookie gives new cookies and no token in the body."""
    credentials = await world.login(Mode.JWT_COOKIE)
    async with world.client() as client:
        response = await client.post("/refresh", headers=refresh_cookie(credentials), json=body)
    assert response.status_code == 200
    assert set(response.json()) == {"subject", "session", "mode", "expires_in", "csrf_token"}
    cookies = set_cookies(response)
    assert cookies[SECURE.refresh][0] not in ("", credentials.refresh_token)
    assert cookies[SECURE.refresh][1]["Path"] == "/auth/refresh"
    assert cookies[SECURE.access][0].startswith("eyJ")


async def test_nothing_presented(gated: World) -> None:
    """Without a token there is nobody to refresh."""
    async with gated.client() as client:
        assert code(await client.post("/refresh")) == "401 not_logged_in"
        assert code(await client.post("/refresh", data={})) == "401 not_logged_in"
        assert code(await client.post("/refresh", headers=FORM)) == "401 not_logged_in"


async def test_a_token_only_counts_in_its_own_transport(world: World) -> None:
    """A cookie mode's token is refused in a body, a bearer mode's in a cookie, a session has none; nothing changes."""
    bearer, cookie, session = [await world.login(mode) for mode in (Mode.JWT, Mode.JWT_COOKIE, Mode.SESSION)]
    made = world.auth.opaque.refresh_token(session.session.id, 0)
    async with world.client() as client:
        for token in (cookie.refresh_token, made, session.session_token, bearer.access_token, "", "ccr_", "x" * 5000):
            response = await client.post("/refresh", json={"refresh_token": token})
            assert code(response) == "401 invalid_credential"
        response = await client.post("/refresh", headers=refresh_cookie(bearer))
        assert code(response) == "401 invalid_credential"
    for credentials in (bearer, cookie, session):
        assert await world.is_live(credentials)


async def test_a_refused_cookie_is_deleted(world: World) -> None:
    """The browser forgets both cookies of the mode, and keeps another mode's."""
    credentials = await world.login(Mode.JWT_COOKIE)
    await world.auth.revoke(credentials.session.id)
    async with world.client() as client:
        for value in (credentials.refresh_token, "nonsense", f"{credentials.refresh_token}; {SECURE.refresh}=again"):
            response = await client.post("/refresh", headers={"Cookie": f"{SECURE.refresh}={value}"})
            assert code(response) == "401 invalid_credential"
            deleted = set_cookies(response)
            assert set(deleted) == {SECURE.access, SECURE.refresh}
            assert all(value == "" and rest["Max-Age"] == "0" for value, rest in deleted.values())
            assert deleted[SECURE.refresh][1]["Path"] == "/auth/refresh"


@pytest.mark.parametrize("mode", [Mode.JWT, Mode.JWT_COOKIE])
async def test_reuse_ends_the_session(mode: Mode) -> None:
    """A replaced token outside the window is refused and takes the session and its newest access token with it."""
    async with running("memory://", policy=Policy(reuse_window=1e-6)) as world:
        credentials = await world.login(mode)
        async with world.client() as client:
            newest = (await _refresh(client, credentials)).json()
            async with world.holder(credentials) as before:
                assert (await before.get("/session")).status_code == 200
                response = await _refresh(client, credentials)
                assert code(response) == "401 invalid_credential"
                assert code(await before.get("/session")) == "401 invalid_credential"
            if mode is Mode.JWT:
                client.headers["Authorization"] = f"Bearer {newest['access_token']}"
                assert code(await client.get("/session")) == "401 invalid_credential"
                response = await client.post("/refresh", json={"refresh_token": newest["refresh_token"]})
                assert code(response) == "401 invalid_credential"


async def _refresh(client: Client, credentials: Credentials):  # type: ignore[no-untyped-def]
    if credentials.session.mode is Mode.JWT:
        return await client.post("/refresh", json={"refresh_token": credentials.refresh_token})
    return await client.post("/refresh", headers=refresh_cookie(credentials))


async def test_a_thousand_at_once_get_the_same_successor(world: World) -> None:
    """However many tabs refresh at the same moment, all get one successor, and it works. Whom a busy machine cannot
    answer in time is told so, and asks again."""
    credentials = await world.login(Mode.JWT)

    async def refreshed() -> httpx.Response:
        while (answer := await _refresh(client, credentials)).status_code == 503:
            assert answer.headers["retry-after"]
        return answer

    async with world.client() as client:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(refreshed()) for _ in range(1000)]
        answers = [task.result() for task in tasks]
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["refresh_token"] for answer in answers}) == 1
        response = await client.post("/refresh", json={"refresh_token": answers[0].json()["refresh_token"]})
        assert response.status_code == 200


async def test_the_cookie_needs_our_own_page(world: World) -> None:
    """A refresh from elsewhere is refused, changes nothing and deletes nothing; a program may show the CSRF token."""
    credentials = await world.login(Mode.JWT_COOKIE)
    cookie = refresh_cookie(credentials)
    async with world.client(browser=False) as client:
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}, {}):
            response = await client.post("/refresh", headers=cookie | headers)
            assert code(response) == "403 cross_site"
            assert not set_cookies(response)
        standing = await world.auth.sessions.find(credentials.session.id, now=world.auth.clock.now())
        assert standing is not None
        assert standing.session.generation == 0
        response = await client.post("/refresh", headers=cookie | {"X-CSRF-Token": credentials.csrf_token})
        assert response.status_code == 200


async def test_the_body_goes_before_the_cookie(world: World) -> None:
    """What a program puts into the body counts, also in a browser that has the cookie of another session."""
    bearer, cookie = await world.login(Mode.JWT), await world.login(Mode.JWT_COOKIE)
    async with world.client() as client:
        response = await client.post(
            "/refresh", json={"refresh_token": bearer.refresh_token}, headers=refresh_cookie(cookie) | OWN
        )
    assert response.json()["session"]["id"] == bearer.session.id


async def test_a_disabled_account_is_not_refreshed(world: World) -> None:
    """Disabling ends the session, so its refresh token is refused like any other."""
    credentials = await world.login(Mode.JWT)
    await world.auth.accounts.disable(world.account.id)
    async with world.client() as client:
        assert code(await _refresh(client, credentials)) == "401 invalid_credential"


async def test_roles_are_new_after_a_refresh(world: World) -> None:
    """A change of roles makes the access token stale; the refresh brings the new ones."""
    credentials = await world.login(Mode.JWT)
    await world.auth.accounts.set_roles(world.account.id, ["editor"])
    async with world.client() as client:
        client.headers["Authorization"] = f"Bearer {credentials.access_token}"
        assert code(await client.get("/session")) == "401 invalid_credential"
        body = (await _refresh(client, credentials)).json()
        assert body["subject"]["roles"] == ["editor"]
        client.headers["Authorization"] = f"Bearer {body['access_token']}"
        assert (await client.get("/session")).json()["roles"] == ["editor"]


async def test_an_answer_that_was_lost_can_be_asked_for_again(gated: World) -> None:
    """When the store fails after the rotation, the same token gives the same successor as soon as it is back."""
    credentials = await gated.login(Mode.JWT)
    async with gated.client() as client:
        gated.store.fail("by_id")
        assert code(await _refresh(client, credentials)) == "503 unavailable"
        gated.store.fail()
        assert (await _refresh(client, credentials)).status_code == 200

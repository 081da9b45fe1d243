"""GET /session, and /sessions."""

from __future__ import annotations

import asyncio
import re

import pytest

from coatcheck import Mode
from tests.service.api.world import MODES, PASSWORD, World, carried, code, set_cookies

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
UNKNOWN = ["A" * 24, "", "x", "A" * 25, "..%2F..", "%00" * 24, "é" * 24, "' OR 1=1 --aaaaaaaaaaaaa"]


@pytest.mark.parametrize("mode", MODES)
async def test_session(world: World, mode: Mode) -> None:
    """Subject, session, mode, roles, amr and auth_time, in RFC 3339."""
    await world.auth.accounts.set_roles(world.account.id, ["reader", "editor"])
    credentials = await world.login(mode)
    async with world.holder(credentials) as client:
        body = (await client.get("/session")).json()
    assert set(body) == {"subject", "session", "mode", "roles", "amr", "auth_time"}
    assert body["subject"] == {
        "id": world.account.id, "email": "ada@example.test", "roles": ["editor", "reader"],
    }  # fmt: skip
    assert (body["mode"], body["roles"], body["amr"]) == (mode.value, ["editor", "reader"], ["pwd"])
    assert body["session"]["id"] == credentials.session.id
    for name in ("created_at", "idle_expires_at", "expires_at"):
        assert RFC3339.fullmatch(body["session"][name])
    assert RFC3339.fullmatch(body["auth_time"])


@pytest.mark.parametrize(("headers", "expected"), [
    ({}, "401 not_logged_in"),
    ({"Authorization": "Basic eDp5"}, "401 not_logged_in"),
    ({"Cookie": "unrelated=1"}, "401 not_logged_in"),
    ({"Authorization": "Bearer nonsense"}, "401 invalid_credential"),
    ({"Authorization": "Bearer"}, "401 invalid_credential"),
    ({"Cookie": "__Host-coatcheck=ccs_nonsense"}, "401 invalid_credential"),
    ({"Cookie": "__Host-coatcheck-access=e.y.J"}, "401 invalid_credential"),
    ({"Cookie": "coatcheck=ccs_nonsense"}, "401 not_logged_in"),
])  # fmt: skip
async def test_nobody(gated: World, headers: dict[str, str], expected: str) -> None:
    """Nothing presented carries no error code (RFC 6750 §3); anything refused reads alike."""
    async with gated.client() as client:
        response = await client.get("/session", headers=headers)
    assert code(response) == expected
    assert ("error" in response.headers["www-authenticate"]) is (expected == "401 invalid_credential")


async def test_tokens_count_in_headers_only(gated: World) -> None:
    """A token in the query is not looked at (RFC 9700 §4.3.2)."""
    credentials = await gated.login(Mode.JWT)
    async with gated.client() as client:
        assert code(await client.get(f"/session?access_token={credentials.access_token}")) == "401 not_logged_in"


async def test_hybrid(world: World) -> None:
    """Three modes are in one list, newest first, with one marked; ending one from another ends it there."""
    logins = [await world.login(mode) for mode in MODES]
    async with world.holder(logins[0]) as client:
        listed = (await client.get("/sessions")).json()
        assert {item["id"]: item["mode"] for item in listed["sessions"]} == {
            login.session.id: login.session.mode.value for login in logins
        }
        created = [item["created_at"] for item in listed["sessions"]]
        assert created == sorted(created, reverse=True)
        assert [item["id"] for item in listed["sessions"] if item["current"]] == [logins[0].session.id]
        assert listed["next"] is None
        assert await world.is_live(logins[1])
        assert (await client.delete(f"/sessions/{logins[1].session.id}")).status_code == 204
        assert not await world.is_live(logins[1])
        response = await client.post("/refresh", json={"refresh_token": logins[1].refresh_token})
        assert code(response) == "401 invalid_credential"
        assert len((await client.get("/sessions")).json()["sessions"]) == 2


async def test_pages(world: World) -> None:
    """Following ``next`` shows every session once."""
    logins = [await world.login(Mode.JWT) for _ in range(7)]
    seen: list[str] = []
    async with world.holder(logins[3]) as client:
        query = "?limit=3"
        while query:
            page = (await client.get(f"/sessions{query}")).json()
            assert len(page["sessions"]) <= 3
            seen += [item["id"] for item in page["sessions"]]
            query = f"?limit=3&cursor={page['next']}" if page["next"] else ""
    assert sorted(seen) == sorted(login.session.id for login in logins)


@pytest.mark.parametrize("query", [
    "limit=0", "limit=201", "limit=-1", "limit=1.5", "limit=x", "limit=", "limit=1e2", "limit=9" + "9" * 400,
    "cursor=nonsense", "cursor=%00", "cursor=%F0%9F%92%A9", "cursor=" + "A" * 600,
])  # fmt: skip
async def test_bad_paging(world: World, query: str) -> None:
    """A limit outside 1 to 200 and a cursor that is not ours are refused."""
    async with world.holder(await world.login()) as client:
        assert (await client.get(f"/sessions?{query}")).status_code == 422


async def test_label(world: World) -> None:
    """A session gets a name, which the list shows then."""
    mine, other = await world.login(), await world.login(Mode.JWT)
    async with world.holder(mine) as client:
        response = await client.patch(f"/sessions/{other.session.id}", json={"label": "Phone 📱"})
        assert response.status_code == 200
        assert (response.json()["device"]["label"], response.json()["current"]) == ("Phone 📱", False)
        labels = {i["id"]: i["device"]["label"] for i in (await client.get("/sessions")).json()["sessions"]}
    assert labels == {mine.session.id: "", other.session.id: "Phone 📱"}


@pytest.mark.parametrize("label", ["x" * 101, "a\nb", "a\0b", "\x7f", "\u2028", "\u202egnp.exe", 1, None, ["x"], {}])
async def test_bad_labels(gated: World, label: object) -> None:
    """Too long, not a text, or with characters that change how a page reads."""
    credentials = await gated.login()
    async with gated.holder(credentials) as client:
        response = await client.patch(f"/sessions/{credentials.session.id}", json={"label": label})
    assert code(response) == "422 invalid_request"
    assert gated.store.calls["update"] == 0


async def test_labels_at_the_same_moment(world: World) -> None:
    """A label written beside other writes is not lost and not refused."""
    credentials = await world.login()
    async with world.holder(credentials) as client:
        path = f"/sessions/{credentials.session.id}"
        answers = await asyncio.gather(*(client.patch(path, json={"label": str(n)}) for n in range(4)))
        assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_what_is_not_ones_own_is_not_there(world: World, method: str) -> None:
    """Someone else's, an ended and an unknown session give the same 404, and someone else's is unharmed."""
    bob = await world.auth.accounts.register("bob@example.test", PASSWORD)
    theirs, ended, mine = await world.login(account=bob), await world.login(), await world.login()
    await world.auth.revoke(ended.session.id)
    answers = []
    async with world.holder(mine) as client:
        for id in (theirs.session.id, ended.session.id, "A" * 24, "x", "A" * 25):
            body = {"label": "mine now"} if method == "PATCH" else {}
            response = await client.request(method, f"/sessions/{id}", json=body)
            assert code(response) == "404 not_found"
            answers.append(response)
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(answer.headers.multi_items()) for answer in answers}) == 1
    async with world.holder(theirs) as client:
        [item] = (await client.get("/sessions")).json()["sessions"]
    assert item["device"]["label"] == ""


@pytest.mark.parametrize("id", UNKNOWN)
async def test_odd_ids(world: World, id: str) -> None:
    """Whatever stands in the place of an id, it is a refusal and nothing breaks."""
    async with world.holder(await world.login()) as client:
        assert (await client.delete(f"/sessions/{id}")).status_code in (404, 405)


@pytest.mark.parametrize("mode", MODES)
async def test_ending_the_present_session(world: World, mode: Mode) -> None:
    """One's own session can be ended in the list too: the cookies are deleted as by a logout."""
    credentials = await world.login(mode)
    async with world.holder(credentials) as client:
        response = await client.delete(f"/sessions/{credentials.session.id}")
        assert response.status_code == 204
        assert len(set_cookies(response)) == 3
        assert code(await client.get("/session")) == "401 invalid_credential"


async def test_a_session_id_is_no_credential(world: World) -> None:
    """The id that answers show cannot be presented in any way."""
    credentials = await world.login()
    id = credentials.session.id
    async with world.client() as client:
        for headers in ({"Cookie": f"__Host-coatcheck={id}"}, {"Authorization": f"Bearer {id}"},
                        {"Cookie": f"__Host-coatcheck=ccs_{id}"}):  # fmt: skip
            assert code(await client.get("/session", headers=headers)) == "401 invalid_credential"


async def test_a_credential_counts_in_its_own_transport(world: World) -> None:
    """A session token as bearer, a cookie's access token as bearer and the other way round are refused."""
    session, token, cookie = [await world.login(mode) for mode in (Mode.SESSION, Mode.JWT, Mode.JWT_COOKIE)]
    wrong = [
        {"Authorization": f"Bearer {session.session_token}"},
        {"Authorization": f"Bearer {cookie.access_token}"},
        {"Authorization": f"Bearer {token.refresh_token}"},
        {"Cookie": f"__Host-coatcheck-access={token.access_token}"},
        {"Cookie": f"__Host-coatcheck={cookie.access_token}"},
        {"Cookie": f"__Host-coatcheck={cookie.refresh_token}"},
    ]
    async with world.client() as client:
        for headers in wrong:
            assert code(await client.get("/session", headers=headers)) == "401 invalid_credential"
        for credentials in (session, token, cookie):
            assert (await client.get("/session", headers=carried(credentials))).status_code == 200

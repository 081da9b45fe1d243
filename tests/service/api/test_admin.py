"""The admin routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from coatcheck import Mode
from tests.service.api.world import MODES, OTHER_PASSWORD, Client, World, code

ROUTES = [
    ("GET", "/admin/subjects", None), ("GET", "/admin/subjects/{id}", None),
    ("PATCH", "/admin/subjects/{id}", {"roles": ["admin"]}), ("PATCH", "/admin/subjects/{id}", {"status": "disabled"}),
    ("POST", "/admin/subjects/{id}/logout", None), ("GET", "/admin/subjects/{id}/sessions", None),
]  # fmt: skip


@asynccontextmanager
async def administrator(world: World, mode: Mode = Mode.SESSION) -> AsyncIterator[Client]:
    root = await world.auth.accounts.register("root@example.test", OTHER_PASSWORD, roles=["admin", "auditor"])
    async with world.holder(await world.login(mode, root)) as client:
        yield client


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_only_administrators(world: World, method: str, path: str, body: Any) -> None:
    """Nobody is 401; a subject without exactly the role is 403, also for itself; nothing changes."""
    path = path.format(id=world.account.id)
    async with world.client() as client:
        assert code(await client.request(method, path, json=body)) == "401 not_logged_in"
    for roles in ([], ["administrator"], ["admin."]):
        await world.auth.accounts.set_roles(world.account.id, roles)
        for mode in MODES:
            credentials = await world.login(mode)
            async with world.holder(credentials) as client:
                assert code(await client.request(method, path, json=body)) == "403 forbidden"
            assert await world.is_live(credentials)
    account = await world.auth.accounts.get(world.account.id)
    assert (account.roles, account.disabled) == (frozenset({"admin."}), False)


@pytest.mark.parametrize("mode", MODES)
async def test_list_search_show(world: World, mode: Mode) -> None:
    """Accounts page by page, newest first, found by a part of the address, one by one; never a hash."""
    for number in range(5):
        await world.auth.accounts.register(f"person{number}@example.test", OTHER_PASSWORD)
    async with administrator(world, mode) as client:
        seen: list[str] = []
        query = "?limit=3"
        while query:
            page = (await client.get(f"/admin/subjects{query}")).json()
            seen += [subject["email"] for subject in page["subjects"]]
            query = f"?limit=3&cursor={page['next']}" if page["next"] else ""
        assert len(seen) == len(set(seen)) == 7
        found = (await client.get("/admin/subjects?search=PERSON3")).json()["subjects"]
        assert [subject["email"] for subject in found] == ["person3@example.test"]
        for nothing in ("%25", "_", "person%25", "%F0%9F%92%A9"):
            assert (await client.get(f"/admin/subjects?search={nothing}")).json()["subjects"] == []
        shown = (await client.get(f"/admin/subjects/{world.account.id}")).json()
        assert set(shown) == {"id", "email", "roles", "status", "created_at"}
        assert (shown["email"], shown["status"]) == ("ada@example.test", "active")
        for query in ("limit=0", "limit=201", "cursor=nonsense", "search=" + "x" * 300, "search=%00"):
            assert (await client.get(f"/admin/subjects?{query}")).status_code == 422


async def test_roles_count_at_once(world: World) -> None:
    """Given roles hold for the next request of a session; taken ones too; an access token has to be refreshed."""
    session, token = await world.login(), await world.login(Mode.JWT)
    path = f"/admin/subjects/{world.account.id}"
    async with administrator(world) as client, world.holder(session) as person:
        assert (await person.get("/session")).json()["roles"] == []
        assert await world.is_live(token)
        response = await client.patch(path, json={"roles": ["editor", "admin"]})
        assert response.json()["roles"] == ["admin", "editor"]
        assert (await person.get("/session")).json()["roles"] == ["admin", "editor"]
        assert (await person.get("/admin/subjects")).status_code == 200
        assert not await world.is_live(token)
        await client.patch(path, json={"roles": []})
        assert code(await person.get("/admin/subjects")) == "403 forbidden"


async def test_disable_and_enable(world: World) -> None:
    """Disabling ends every session and refuses logins; enabling allows new ones, the old stay ended."""
    logins = [await world.login(mode) for mode in MODES]
    path = f"/admin/subjects/{world.account.id}"
    body = {"email": world.account.email, "password": "correct horse battery staple"}
    async with administrator(world) as client, world.client() as person:
        assert (await client.patch(path, json={"status": "disabled"})).json()["status"] == "disabled"
        assert [await world.is_live(login) for login in logins] == [False] * 3
        assert code(await person.post("/login", json=body)) == "401 invalid_login"
        assert (await client.patch(path, json={"status": "active"})).json()["status"] == "active"
        assert [await world.is_live(login) for login in logins] == [False] * 3
        assert (await person.post("/login", json=body)).status_code == 200


async def test_logout_and_sessions_of_a_subject(world: World) -> None:
    """An administrator sees a subject's sessions and ends them all; the administrator's own go on."""
    logins = [await world.login(mode) for mode in MODES]
    path = f"/admin/subjects/{world.account.id}"
    async with administrator(world) as client:
        listed = (await client.get(f"{path}/sessions")).json()["sessions"]
        assert {item["id"] for item in listed} == {login.session.id for login in logins}
        assert not any(item["current"] for item in listed)
        assert (await client.post(f"{path}/logout")).status_code == 204
        assert (await client.get(f"{path}/sessions")).json() == {"sessions": [], "next": None}
        assert (await client.get("/session")).status_code == 200
    assert [await world.is_live(login) for login in logins] == [False] * 3


@pytest.mark.parametrize("body", [
    {"roles": []}, {"roles": ["editor"]}, {"status": "disabled"}, {"roles": ["admin"], "status": "disabled"},
])  # fmt: skip
async def test_nobody_locks_themself_out(world: World, body: Any) -> None:
    """An administrator cannot take the role from, or disable, themself; anything else is fine."""
    async with administrator(world) as client:
        own = (await client.get("/session")).json()["subject"]["id"]
        assert code(await client.patch(f"/admin/subjects/{own}", json=body)) == "409 own_account"
        shown = (await client.get(f"/admin/subjects/{own}")).json()
        assert (shown["roles"], shown["status"]) == (["admin", "auditor"], "active")
        fine = {"roles": ["admin"], "status": "active"}
        assert (await client.patch(f"/admin/subjects/{own}", json=fine)).json()["roles"] == ["admin"]


@pytest.mark.parametrize("body", [
    {}, {"roles": None}, {"roles": "admin"}, {"roles": [1]}, {"roles": [None]}, {"roles": {"admin": True}},
    {"roles": ["Admin"]}, {"roles": ["a b"]}, {"roles": [""]}, {"roles": ["x" * 65]},
    {"roles": [f"r{n}" for n in range(65)]}, {"status": "deleted"}, {"status": True}, {"status": None},
    {"email": "x@y.test"}, {"roles": [], "password": "x"}, {"roles": ["no such thing!"], "status": "disabled"},
])  # fmt: skip
async def test_bad_changes(world: World, body: Any) -> None:
    """What is not a list of role names or a status is refused, and no part of it is done."""
    async with administrator(world) as client:
        assert (await client.patch(f"/admin/subjects/{world.account.id}", json=body)).status_code == 422
    account = await world.auth.accounts.get(world.account.id)
    assert (account.roles, account.disabled) == (frozenset(), False)


@pytest.mark.parametrize(("method", "path", "body"), ROUTES[1:])
async def test_unknown_subjects(world: World, method: str, path: str, body: Any) -> None:
    """404, whatever the id looks like."""
    async with administrator(world) as client:
        for id in ("0" * 32, "x", "%00", "é", "A" * 500, "' OR 1=1 --"):
            response = await client.request(method, path.format(id=id), json=body)
            assert code(response) == "404 not_found"

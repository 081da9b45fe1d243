"""What the API says of access that is no plain login, and what it keeps from it."""

from __future__ import annotations

import pytest

from coatcheck import Access, Kind, Mode, Policy
from tests.service.api.conftest import running
from tests.service.api.test_tokens import INACTIVE, introspect
from tests.service.api.world import PASSWORD

KEY = Access(kind=Kind.KEY, scopes=frozenset({"b", "a"}))
GRANT = Access(kind=Kind.GRANT, client="calendar", audience="https://api.example", scopes=frozenset())
ACTING = Access(kind=Kind.ACTING, actor="root")
BOUND = Access(bound_key="0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")
NEW = {"kind", "client", "audience", "scopes", "scope", "actor", "act", "cnf"}
ANYBODY = Policy(kinds=tuple(Kind))

FOR_PEOPLE = [
    ("GET", "/sessions", None),
    ("POST", "/logout/others", {}),
    ("POST", "/logout/everywhere", {}),
    ("POST", "/password", {"current_password": PASSWORD, "new_password": "eleven brown owls"}),
    ("POST", "/reauthenticate", {"password": PASSWORD}),
    ("PATCH", "/sessions/{id}", {"label": "mine"}),
    ("DELETE", "/sessions/{id}", {}),
    ("GET", "/admin/subjects", None),
]


async def test_the_session_says_what_it_is() -> None:
    """Where it is no plain login, and not a word of it where it is."""
    async with running("memory://", policy=ANYBODY) as world:
        for access, said in (
            (KEY, {"kind": "key", "scopes": ["a", "b"]}),
            (ACTING, {"kind": "acting", "actor": "root"}),
            (Access(client="cli"), {"client": "cli"}),
            (Access(), {}),
        ):
            async with world.holder(await world.login(Mode.JWT, access=access)) as client:
                body = (await client.get("/session")).json()
                assert {name: body[name] for name in NEW & body.keys()} == said


@pytest.mark.parametrize("mode", [Mode.JWT, Mode.SESSION])
async def test_introspection_answers_for_every_kind(mode: Mode) -> None:
    """Also for those that are not let in here: who asks compares audience, scope, kind and key with what it expects."""
    async with running("memory://") as world:
        for access, said in (
            (KEY, {"kind": "key", "scope": "a b"}),
            (GRANT, {"kind": "grant", "scope": ""}),
            (ACTING, {"kind": "acting", "act": {"sub": "root"}}),
            (BOUND, {"cnf": {"jkt": BOUND.bound_key}}),
            (Access(), {}),
        ):
            made = await world.login(mode, access=access)
            for token in filter(None, (made.access_token, made.session_token, made.refresh_token)):
                body = (await introspect(world, token)).json()
                assert {name: body[name] for name in NEW & body.keys()} == said
                assert (body["client_id"], body["aud"]) == (
                    access.client or "coatcheck",
                    access.audience or "coatcheck",
                )
            await world.auth.revoke(made.session.id)
            assert (await introspect(world, made.access_token or made.session_token)).content == INACTIVE


@pytest.mark.parametrize(("method", "path", "body"), FOR_PEOPLE)
@pytest.mark.parametrize("access", [KEY, ACTING, Access(scopes=frozenset({"admin"}))], ids=["key", "acting", "narrow"])
async def test_what_is_for_people_is_for_nobody_else(
    method: str, path: str, body: dict[str, str] | None, access: Access
) -> None:
    """Whoever is let in with less than a person's login changes nothing of an account, and does not administer."""
    async with running("memory://", policy=ANYBODY) as world:
        await world.auth.accounts.set_roles(world.account.id, ["admin"])
        person = await world.login(Mode.JWT)
        made = await world.login(Mode.JWT, access=access)
        async with world.holder(made) as client:
            response = await client.request(method, path.format(id=person.session.id), json=body)
        assert response.status_code == 403
        assert await world.is_live(person)


async def test_logging_out_everywhere_ends_no_key() -> None:
    """The devices do not show it either; another password ends it."""
    async with running("memory://", policy=ANYBODY) as world:
        key = await world.login(Mode.JWT, access=KEY)
        person = await world.login(Mode.JWT)
        async with world.holder(person) as client:
            listed = (await client.get("/sessions")).json()["sessions"]
            assert [session["id"] for session in listed] == [person.session.id]
            assert (await client.post("/logout/everywhere")).status_code == 204
        assert not await world.is_live(person)
        assert await world.is_live(key)
        await world.auth.accounts.set_password(world.account.id, "eleven brown owls")
        assert not await world.is_live(key)

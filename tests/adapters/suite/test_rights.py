"""What somebody who is logged in may do: roles, and logins that are fresh enough."""

from __future__ import annotations

import pytest

from coatcheck import Mode
from tests.adapters.suite.test_who import assert_no_good
from tests.adapters.suite.visitor import OWN, PASSWORD, Person, Site, Visitor, is_refused

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_roles(site: Site, mode: Mode) -> None:
    """Whoever has the role gets in; whoever has others is told 403."""
    admin, writer = await site.person("admin"), await site.person("writer", "administrator")
    answer = await (await admin.at(mode)).get("/admin")
    assert (answer.status, answer.json()["roles"]) == (200, ["admin"])
    assert is_refused(await (await writer.at(mode)).get("/admin"), 403, "forbidden")


async def test_changed_roles(site: Site, ann: Person, mode: Mode) -> None:
    """Changed roles count at the next request: a session shows them, a token of before is refused until a refresh."""
    visitor = await ann.at(mode)
    assert (await visitor.get("/admin")).status == 403
    await ann.set_roles("admin")
    await _see_changes(visitor)
    assert (await visitor.get("/admin")).json()["roles"] == ["admin"]
    await ann.set_roles()
    await _see_changes(visitor)
    assert is_refused(await visitor.get("/admin"), 403, "forbidden")


async def _see_changes(visitor: Visitor) -> None:
    """A session at once; whoever holds tokens fetches new ones."""
    if visitor.mode is not Mode.SESSION:
        await assert_no_good(visitor)
        assert (await visitor.renew()).status == 200


async def test_fresh_login(site: Site, ann: Person, mode: Mode) -> None:
    """A route that asks for a fresh login says so as RFC 9470 does, and after re-authentication it serves."""
    visitor = await ann.at(mode)
    assert (await visitor.ask("POST", "/danger", OWN)).status == 200
    site.pass_time(300)
    assert (await visitor.ask("POST", "/danger", OWN)).status == 200
    site.pass_time(2)
    answer = await visitor.ask("POST", "/danger", OWN)
    assert is_refused(answer, 401, "login_too_old")
    challenge = answer.header("www-authenticate")
    assert challenge == 'Bearer error="insufficient_user_authentication", max_age="300"'
    assert (await visitor.get("/mine")).status == 200
    old = await ann.at(mode)
    old.hold_as(visitor)
    assert (await visitor.post("/auth/reauthenticate", {"password": "not this one"})).status == 401
    assert (await visitor.ask("POST", "/danger", OWN)).status == 401
    assert (await visitor.post("/auth/reauthenticate", {"password": PASSWORD})).status == 200
    assert (await visitor.ask("POST", "/danger", OWN)).status == 200
    await assert_no_good(old)


async def test_a_refresh_is_no_fresh_login(site: Site, ann: Person) -> None:
    """A refreshed token is as old as the login that it hangs from."""
    visitor = await ann.at(Mode.JWT)
    site.pass_time(302)
    assert (await visitor.renew()).status == 200
    assert is_refused(await visitor.ask("POST", "/danger"), 401, "login_too_old")

"""Cookies do not know ports: what two applications in development on one machine do to each other in one browser."""

from __future__ import annotations

import pytest

from coatcheck import Mode
from tests.adapters.suite.visitor import OWN, PASSWORD, Person, Site, Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")

USUAL, FLASK, OTHER = "http://localhost:8000", "http://localhost:5000", "http://localhost:9000"
KEPT = pytest.mark.parametrize("kept", [Mode.SESSION, Mode.JWT_COOKIE], ids=str)


def in_one_browser(*visitors: Visitor) -> None:
    """From now on they have the same cookies."""
    for visitor in visitors:
        visitor.cookies = visitors[0].cookies


async def is_in(person: Person, visitor: Visitor) -> bool:
    """Whether a route that reads knows them and one that changes something lets them in; neither, or both."""
    knows = await visitor.who() == person.subject
    assert (await visitor.ask("POST", "/mine", OWN)).status == (200 if knows else 401)
    return knows


@KEPT
@pytest.mark.parametrize("bases", [(USUAL, OTHER), (OTHER, USUAL), (FLASK, OTHER)], ids=str)
async def test_two_applications(site: Site, neighbour: Site, kept: Mode, bases: tuple[str, str]) -> None:
    """Somebody logged in at both stays so through refreshes, and a logout at one is none at the other."""
    people = await site.person(), await neighbour.person()
    here, there = both = site.visitor(kept, bases[0]), neighbour.visitor(kept, bases[1])
    in_one_browser(*both)
    for person, visitor in zip(people, both, strict=True):
        assert (await person.log_in(visitor)).status == 200
    for _ in range(2):
        assert [await is_in(person, visitor) for person, visitor in zip(people, both, strict=True)] == [True, True]
        if kept is Mode.JWT_COOKIE:
            assert [(await visitor.renew()).status for visitor in both] == [200, 200]
    assert (await there.post("/auth/logout")).status == 204
    assert [await is_in(person, visitor) for person, visitor in zip(people, both, strict=True)] == [True, False]
    if kept is Mode.JWT_COOKIE:
        assert [(await visitor.renew()).status for visitor in both] == [200, 401]
    assert await is_in(people[0], here)
    assert (await people[1].log_in(there)).status == 200
    assert (await here.post("/auth/logout")).status == 204
    assert [await is_in(person, visitor) for person, visitor in zip(people, both, strict=True)] == [False, True]


@KEPT
async def test_one_login_for_a_service_and_an_application(site: Site, kept: Mode) -> None:
    """At another port the login at 8000 counts where its secret is known: it is renewed for both, and ends for both."""
    ann = await site.person()
    here, there = both = site.visitor(kept, USUAL), site.visitor(kept, FLASK)
    in_one_browser(*both)
    assert (await ann.log_in(here)).status == 200
    assert await is_in(ann, there)
    for visitor in (there, here, there):
        if kept is Mode.JWT_COOKIE:
            site.pass_time(60.0)  # later than two tabs refresh
            assert (await visitor.renew()).status == 200
        assert (await visitor.post("/auth/reauthenticate", {"password": PASSWORD})).status == 200
        assert [await is_in(ann, visitor) for visitor in both] == [True, True]
    assert set(here.cookies) <= {here.names.session, here.names.access, here.names.refresh}
    assert (await there.post("/auth/logout")).status == 204
    assert [await is_in(ann, visitor) for visitor in both] == [False, False]


@KEPT
async def test_a_login_at_each_port(site: Site, kept: Mode) -> None:
    """A port's own login goes before that of 8000, which it leaves alone; whoever logs out there is logged out."""
    ann, bob = await site.person(), await site.person()
    here, there = both = site.visitor(kept, USUAL), site.visitor(kept, FLASK)
    in_one_browser(*both)
    assert (await ann.log_in(here)).status == 200
    assert (await bob.log_in(there)).status == 200
    assert await is_in(ann, here)
    assert await is_in(bob, there)
    assert await site.visitor(kept, OTHER).who() is None
    elsewhere = site.visitor(kept, OTHER)
    elsewhere.cookies = {name: held for name, held in here.cookies.items() if name.endswith("-5000")}
    elsewhere.cookies["theme"] = "dark", "/"
    assert not await is_in(bob, elsewhere)
    assert (await there.post("/auth/logout")).status == 204
    assert await there.who() is None
    assert await here.who() is None

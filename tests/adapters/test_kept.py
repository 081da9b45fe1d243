"""What a framework keeps for a person in a session of its own is not handed to whoever comes next to that browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from coatcheck import Mode
from coatcheck.accounts import PasswordHasher
from coatcheck.clock import Clock
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import TravelClock
from tests.adapters.kept_sites import ANN, BASE, BOB, PLACES, Site, in_litestar, in_starlette
from tests.adapters.suite.contract import CHEAP
from tests.service.visitor import OWN, PASSWORD, Page


@pytest.fixture(params=PLACES, ids=lambda place: f"{place[0].__name__}-{place[1]}")
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """An application of each framework, with each kind of session that it has."""
    clock = TravelClock()
    making, how = request.param
    arguments = {
        "url": "memory://",
        "sessions": MemoryStore(wall=clock),
        "clock": Clock(monotonic=clock.monotonic, wall=clock.now),
        "password_hasher": PasswordHasher(CHEAP, concurrency=1),
    }
    async with making(arguments, how) as site:
        site.clock, site.place = clock, request.param
        browser = Browser(site)
        for person in (ANN, BOB):
            assert (await browser.http.post("/auth/register", json=person)).status_code == 201
        yield site


class Browser:
    """One browser, which one person after the other sits down at."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.http = httpx.AsyncClient(transport=site.transport, base_url=BASE, headers=OWN)

    async def put(self, what: str) -> None:
        assert (await self.http.get("/put", params={"what": what})).status_code == 200

    async def kept(self) -> list[str]:
        answer = await self.http.get("/got")
        assert answer.status_code == 200, answer.text
        found: list[str] = answer.json()["kept"]
        return found

    async def log_in(self, person: dict[str, str], how: str = "json", **more: Any) -> None:
        if how == "json":
            answer = await self.http.post("/auth/login", json={**person, "mode": "session", **more})
            assert answer.status_code == 200
        elif how == "page":
            answer = await self.http.post("/auth/login", data=person)
            assert answer.status_code == 303
        else:
            account = await self.site.run(lambda auth: auth.accounts.find_by_email(person["email"]))
            assert (await self.http.get("/enter", params={"subject": account.id})).status_code in (200, 201)

    async def log_out(self, how: str) -> None:
        if how == "json":
            assert (await self.http.post("/auth/logout")).status_code == 204
        elif how == "everywhere":
            assert (await self.http.post("/auth/logout/everywhere")).status_code == 204
        else:
            form = Page((await self.http.get("/auth/account")).text).form("/auth/logout")
            assert (await self.http.post("/auth/logout", data=form.fields)).status_code == 303

    @property
    def credential(self) -> str:
        found = self.http.cookies.get("__Host-coatcheck")
        assert found
        return found


@pytest.mark.parametrize("how", ["json", "page", "everywhere"])
async def test_logout(site: Site, how: str) -> None:
    """It ends with a logout: the next person does not read it, nor does nobody, nor, where the service sees the
    framework's session, the same person again."""
    for after in (None, ANN, BOB):
        browser = Browser(site)
        await browser.log_in(ANN)
        await browser.put("of ann")
        assert await browser.kept() == ["of ann"]
        await browser.log_out(how)
        if after is not None:
            await browser.log_in(after)
        is_left = after is ANN and site.place == (in_litestar, "of a handler")
        assert await browser.kept() == (["of ann"] if is_left else [])


@pytest.mark.parametrize("how", ["json", "page", "deliver"])
async def test_a_login_over_a_login(site: Site, how: str) -> None:
    """Somebody else's login ends it; one's own does not."""
    browser = Browser(site)
    await browser.log_in(ANN)
    await browser.put("of ann")
    await browser.log_in(ANN, how)
    assert await browser.kept() == ["of ann"]
    await browser.log_in(BOB, how)
    assert await browser.kept() == []
    await browser.put("of bob")
    await browser.log_in(ANN, how)
    assert await browser.kept() == []


@pytest.mark.parametrize("how", ["json", "page", "deliver"])
async def test_the_first_login(site: Site, how: str) -> None:
    """What a visitor has kept stays theirs when they log in, and is nobody else's from then on: neither of whoever has
    planted the framework's cookie in their browser, nor of whoever logs in next."""
    browser = Browser(site)
    await browser.put("of a visitor")
    before = dict(browser.http.cookies)
    await browser.log_in(ANN, how)
    assert await browser.kept() == ["of a visitor"]
    planted = Browser(site)
    for name, value in before.items():
        planted.http.cookies.set(name, value)
    await browser.put("of ann")
    assert "of ann" not in await planted.kept()
    await browser.log_in(BOB, how)
    assert await browser.kept() == []


@pytest.mark.parametrize("how", ["elsewhere", "in time", "cookies gone"])
async def test_an_end_that_was_made_elsewhere(site: Site, how: str) -> None:
    """Where the session has ended without this browser, the next request finds it out, whoever's it is."""
    for after in (None, BOB):
        browser = Browser(site)
        await browser.log_in(ANN)
        await browser.put("of ann")
        if how == "elsewhere":
            account = await site.run(lambda auth: auth.accounts.find_by_email(ANN["email"]))
            await site.run(lambda auth, subject=account.id: auth.revoke_subject(subject))
        elif how == "in time":
            site.clock.advance(1801)
        else:
            browser.http.cookies.delete("__Host-coatcheck")
        if after is not None:
            await browser.log_in(after)
        assert await browser.kept() == []


async def test_what_was_kept_first_is_bound(site: Site) -> None:
    """Also what a person kept before anybody had read it, and what they kept in several steps."""
    browser = Browser(site)
    await browser.log_in(ANN)
    await browser.put("one")
    await browser.put("two")
    held = browser.credential
    browser.http.cookies.delete("__Host-coatcheck")
    other = Browser(site)
    await other.log_in(BOB)
    browser.http.cookies.set("__Host-coatcheck", other.credential)
    assert await browser.kept() == []
    browser.http.cookies.delete("__Host-coatcheck")
    browser.http.cookies.set("__Host-coatcheck", held)
    assert await browser.kept() == []


async def test_with_a_token(site: Site) -> None:
    """Somebody else's bearer token beside the framework's cookie is somebody else."""
    browser = Browser(site)
    await browser.log_in(ANN)
    await browser.put("of ann")
    account = await site.run(lambda auth: auth.accounts.find_by_email(BOB["email"]))
    made = await site.run(lambda auth: auth.login(account.id, mode=Mode.JWT))
    browser.http.headers["authorization"] = f"Bearer {made.access_token}"
    assert await browser.kept() == []


async def test_proving_again_ends_nothing(site: Site) -> None:
    """A new session in the place of the old is the same person's: what was kept stays."""
    browser = Browser(site)
    await browser.log_in(ANN)
    await browser.put("of ann")
    assert (await browser.http.post("/auth/reauthenticate", json={"password": PASSWORD})).status_code == 200
    assert await browser.kept() == ["of ann"]
    change = {"current_password": PASSWORD, "new_password": "seven grey herons"}
    assert (await browser.http.post("/auth/password", json=change)).status_code == 200
    assert await browser.kept() == ["of ann"]


async def test_refreshing(site: Site) -> None:
    """So does a refresh; one that is refused ends it."""
    browser = Browser(site)
    await browser.log_in(ANN, mode="jwt-cookie")
    await browser.put("of ann")
    assert (await browser.http.post("/auth/refresh")).status_code == 200
    assert await browser.kept() == ["of ann"]
    account = await site.run(lambda auth: auth.accounts.find_by_email(ANN["email"]))
    await site.run(lambda auth: auth.revoke_subject(account.id))
    assert (await browser.http.post("/auth/refresh")).status_code == 401
    assert await browser.kept() == []


async def test_before_a_refresh(site: Site) -> None:
    """A browser whose access token has expired reads nothing until it has refreshed, and then what was there."""
    browser = Browser(site)
    await browser.log_in(ANN, mode="jwt-cookie")
    await browser.put("of ann")
    site.clock.advance(901)
    assert await browser.kept() == []
    assert (await browser.http.post("/auth/refresh")).status_code == 200
    assert await browser.kept() == ["of ann"]
    site.clock.advance(901)
    assert await browser.kept() == []
    await browser.log_in(BOB)
    assert await browser.kept() == []


async def test_nobody_is_bothered(site: Site) -> None:
    """Whoever keeps nothing gets no cookie of the framework for being logged in, and visitors keep what they have.
    Litestar gives one to everybody, and with Starlette's own middleware for authentication we do to whoever is logged
    in."""
    browser = Browser(site)
    await browser.log_in(ANN)
    assert await browser.kept() == []
    on_the_server = ("server", "of a handler", "a model on the server")
    gives = site.place in ((in_starlette, "backend"), *((in_litestar, how) for how in on_the_server))
    assert set(browser.http.cookies) == {"__Host-coatcheck", *(["session"] if gives else [])}
    visitor = Browser(site)
    await visitor.put("of a visitor")
    assert await visitor.kept() == ["of a visitor"]

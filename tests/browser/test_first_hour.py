"""A person at an application of each framework: sent to log in and back, signing up and back, and its own logout
button. Behind nginx as it is documented, at the root of a host and under a prefix."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, expect

from tests.docs.pages import ROOT, blocks_of
from tests.proxies.programs import served
from tests.support.servers.nginx import nginx
from tests.support.service import PASSWORD, running_service

from .conftest import Elsewhere, People, Person
from .shops import LOGO, NAMES, command, program

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


def documented(prefix: str) -> str:
    """The server block of the documentation, or that for an application under a prefix."""
    found = [block.text for block in blocks_of(ROOT / "docs" / "proxies.md") if block.language == "nginx"]
    [block] = [text for text in found if ("/shop/" in text) == bool(prefix)]
    return block


async def heading(person: Person, text: str) -> None:
    await expect(person.page.get_by_role("heading", name=text, exact=True)).to_be_visible()


async def enter(person: Person, button: str) -> None:
    await person.page.get_by_label("E-mail address").fill(person.email)
    await person.page.get_by_label("Password", exact=True).fill(PASSWORD)
    await person.page.locator("main").get_by_role("button", name=button).click()


@pytest.mark.parametrize("prefix", ["", "/shop"], ids=["root", "prefix"])
@pytest.mark.parametrize("name", NAMES)
async def test_the_first_hour(browser: Browser, name: str, prefix: str, tmp_path: Path) -> None:
    """Nobody is sent to log in, signs up there and is back; the application's own button logs out and leads home; a
    form of somebody who has been logged out leads to the login page and back to its own page."""
    (tmp_path / "logo.svg").write_text(LOGO)
    with (
        served(tmp_path, program(name), command(name, prefix)) as server,
        nginx(documented(prefix), server.where) as site,
    ):
        people = People(browser, f"{site.origin}{prefix}")
        ann = await people(ignore_https_errors=True)

        async def at(path: str) -> None:
            await ann.at(f"{prefix}{path}")

        await ann.go("/")
        await ann.page.get_by_role("link", name="My orders").click()
        await at("/auth/login")
        assert urlsplit(ann.page.url).query == f"next={prefix.replace('/', '%2F')}%2Fmine"
        assert await ann.page.title() == "Log in · The Shop"
        await ann.page.get_by_role("link", name="Sign up").click()
        await enter(ann, "Create account")
        await at("/mine")
        await heading(ann, "My orders")
        await ann.go("/")
        await ann.sees(f"Hello {ann.email}")
        await ann.press("Order")
        await heading(ann, "Ordered")
        await ann.go("/")
        other = await ann.context.new_page()
        await other.goto(f"{site.origin}{prefix}/auth/account")
        await other.locator("header").get_by_role("button", name="Log out").click()
        await expect(other.get_by_text("You have been logged out.")).to_be_visible()
        await ann.press("Order")
        await at("/auth/login")
        await enter(ann, "Log in")
        await at("/")
        await ann.sees(f"Hello {ann.email}")
        await ann.press("Leave")
        await at("/auth/login")
        await ann.go("/auth/login")
        await enter(ann, "Log in")
        await at("/mine")
        await ann.go("/auth/account")
        await ann.page.get_by_role("link", name="Go on to The Shop").click()
        await at("/mine")
        await people.leave()


async def test_an_application_elsewhere(browser: Browser, elsewhere: Elsewhere, tmp_path: Path) -> None:
    """A login at a service that is alone leads to the application on another origin, and so does a logout there."""
    home = elsewhere.url("localhost", "/form", action="http://localhost/")
    with running_service(tmp_path, env={"COATCHECK_SITE_HOME": home, "COATCHECK_SITE_NAME": "The Shop"}) as service:
        people = People(browser, service.base_url)
        ann = await people()
        await ann.go("/auth/signup")
        await enter(ann, "Create account")
        await ann.page.wait_for_url(home)
        await ann.go("/auth/account")
        await ann.page.get_by_role("link", name="Go on to The Shop").click()
        await ann.page.wait_for_url(home)
        await people.leave()


@pytest.mark.parametrize("letters", ["W" * 60, "Verwaltungsgemeinschaftsportal", "An ordinary name of a shop"])
async def test_a_long_name_on_a_phone(browser: Browser, letters: str, tmp_path: Path) -> None:
    """No page is wider than the window, whatever the application is called."""
    site = {"COATCHECK_SITE_NAME": letters, "COATCHECK_SITE_HOME": "/auth/devices"}
    with running_service(tmp_path, env=site) as service:
        people = People(browser, service.base_url)
        ann = await people(viewport={"width": 320, "height": 640})
        await ann.go("/auth/signup")
        await enter(ann, "Create account")
        for path in ("/auth/account", "/auth/devices", "/auth/login?next=/x", "/auth/nowhere"):
            await ann.go(path)
            assert await ann.page.evaluate("document.documentElement.scrollWidth") <= 320, path
        await people.leave()


async def test_the_password_shown(people: People) -> None:
    """Its button shows what was typed and hides it again; without scripts there is none."""
    ann = await people()
    await ann.go("/auth/signup")
    field = ann.page.get_by_label("Password", exact=True)
    await field.fill(PASSWORD)
    await expect(field).to_have_attribute("type", "password")
    await ann.page.get_by_role("button", name="Show the password").click()
    await expect(field).to_have_attribute("type", "text")
    await expect(field).to_have_value(PASSWORD)
    await expect(field).to_be_focused()
    await ann.page.get_by_role("button", name="Hide the password").click()
    await expect(field).to_have_attribute("type", "password")
    plain = await people(java_script_enabled=False)
    await plain.go("/auth/signup")
    await expect(plain.page.get_by_role("button", name="Show the password")).to_have_count(0)
    await plain.sign_up()

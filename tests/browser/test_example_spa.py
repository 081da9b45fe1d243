"""The single-page app among the examples, as people use it: in several tabs, past the end of its access token."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import People, Person
from tests.support.service import PASSWORD, environment, eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

EXAMPLE = Path(__file__).parents[2] / "examples" / "spa"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example under uvicorn, in a copy of its folder; `people` go there."""
    folder = tmp_path_factory.mktemp("spa") / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", "*.db*"))
    log = folder / "log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "uvicorn", "main:app", "--port", "0"]
        server = subprocess.Popen(command, cwd=folder, env=environment(), stderr=output)
        try:
            found = eventually(lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()), what="the example runs")
            yield found[0]
        finally:
            server.terminate()
            server.wait()


async def count(page: Page, number: int) -> None:
    await expect(page.get_by_text(f"You have counted to {number}.")).to_be_visible()


async def sign_up(person: Person) -> None:
    await person.go("/")
    await person.page.get_by_label("E-mail").fill(person.email)
    await person.page.get_by_label("Password", exact=True).fill(PASSWORD)
    await person.press("Sign up")
    await count(person.page, 0)


async def test_several_tabs_refresh_at_once(people: People) -> None:
    """When the access token has gone, every tab refreshes; none is logged out, and no script sees a token."""
    ada = await people()
    await sign_up(ada)
    tabs = [ada.page, *[await ada.context.new_page() for _ in range(3)]]
    for tab in tabs[1:]:
        await tab.goto(ada.base)
        await count(tab, 0)
    for turn in (1, 2):
        before = [await tab.locator("#count").inner_text() for tab in tabs]
        await ada.context.clear_cookies(name=re.compile("coatcheck-access"))
        await asyncio.gather(*(tab.get_by_role("button", name="One more").click() for tab in tabs))
        for tab, number in zip(tabs, before, strict=True):
            await expect(tab.locator("#count")).not_to_have_text(number)
        await ada.page.reload()
        await count(ada.page, turn * len(tabs))
    kept = await ada.page.evaluate("document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)")
    assert kept == "{}{}"


async def test_a_logout_reaches_the_other_tab(people: People) -> None:
    """The other tab's next click shows the form to log in."""
    ada = await people()
    await sign_up(ada)
    other = await ada.context.new_page()
    await other.goto(ada.base)
    await count(other, 0)
    await ada.press("Log out")
    await ada.sees("Logged out.")
    await other.get_by_role("button", name="One more").click()
    await expect(other.get_by_role("button", name="Log in")).to_be_visible()


async def test_a_wrong_password_is_said(people: People) -> None:
    """In words, and the form stays."""
    ada = await people()
    await ada.go("/")
    await ada.page.get_by_label("E-mail").fill(ada.email)
    await ada.page.get_by_label("Password", exact=True).fill("a wrong one")
    await ada.press("Log in")
    await ada.sees("E-mail address or password is wrong.")
    await expect(ada.page.get_by_role("button", name="Log in")).to_be_visible()

"""What only a real browser shows: what its fields take, tabs of two people, and a reload where a form was sent."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import People
from tests.support.service import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.parametrize("address", ["jörg@müller.example", "用户@example.com"])
async def test_addresses_beyond_ascii(people: People, address: str) -> None:
    """An address that the API takes can be typed into the pages, and arrives as it was typed."""
    ada = await people(address)
    await ada.sign_up()
    await ada.sees(address)
    await ada.press("Log out")
    await ada.at("/auth/login")
    await ada.fill_in_login(PASSWORD)
    await ada.at("/auth/account")


async def test_a_tab_of_another_person(people: People) -> None:
    """A tab that was opened as one person does nothing once another has logged in: a page says so, and leads on."""
    ada = await people()
    await ada.sign_up()
    await ada.go("/auth/devices")
    tab = await ada.context.new_page()
    await tab.goto(f"{ada.base}/auth/account")
    await tab.get_by_role("button", name="Log out", exact=True).click()
    await tab.goto(f"{ada.base}/auth/signup")
    await tab.get_by_label("E-mail address").fill(f"eve-{ada.email}")
    await tab.get_by_label("Password", exact=True).fill(PASSWORD)
    await tab.get_by_role("button", name="Create account").click()
    await tab.wait_for_url("**/auth/account?done=welcome")
    await ada.press("Log out everywhere")
    await ada.sees("That was not accepted")
    assert await ada.is_logged_in()
    await ada.page.get_by_role("link", name="Your account").click()
    await ada.sees(f"eve-{ada.email}")


async def test_going_where_a_form_posts(people: People) -> None:
    """Going to the address of a form shows a page that does nothing and leads on."""
    ada = await people()
    await ada.sign_up()
    for path in ("/auth/logout", "/auth/account/password", "/auth/devices/everywhere/logout"):
        await ada.go(path)
        await expect(ada.page.get_by_role("heading", name="Nothing was done")).to_be_visible()
        assert await ada.is_logged_in()
    await ada.page.locator("main").get_by_role("link", name="Devices").click()
    await ada.at("/auth/devices")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
async def test_a_double_click(people: People, scripts: bool) -> None:
    """It makes one account and one session, and ends where one click does."""
    ada = await people(java_script_enabled=scripts)
    await ada.go("/auth/signup")
    await ada.page.get_by_label("E-mail address").fill(ada.email)
    await ada.page.get_by_label("Password", exact=True).fill(PASSWORD)
    await ada.page.get_by_role("button", name="Create account").dblclick()
    await ada.at("/auth/account")
    await ada.go("/auth/devices")
    await ada.sees("You are logged in here and nowhere else.")
    await ada.press("Log out")
    await ada.at("/auth/login")
    await ada.page.get_by_label("E-mail address").fill(ada.email)
    await ada.page.get_by_label("Password", exact=True).fill(PASSWORD)
    await ada.page.locator("main").get_by_role("button", name="Log in").dblclick()
    await ada.at("/auth/account")
    await ada.go("/auth/devices")
    await ada.sees("You are logged in here and nowhere else.")

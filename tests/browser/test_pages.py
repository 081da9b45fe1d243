"""The pages in a real browser, with and without scripts."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Request, expect

from tests.browser.conftest import Elsewhere, People, Person
from tests.support.service import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

OTHER = "bernoulli numbers, eighth"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
XSS = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
async def test_whole_way(people: People, scripts: bool) -> None:
    """Signing up, going out, a wrong and a right password, naming a device, a new password, out everywhere."""
    ada = await people(java_script_enabled=scripts)
    await ada.sign_up()
    await ada.sees("Your account has been made")
    await ada.press("Log out")
    await ada.at("/auth/login")
    await ada.sees("You have been logged out.")

    await ada.fill_in_login("a wrong one")
    await ada.sees("E-mail address or password is wrong.")
    await expect(ada.page.get_by_label("E-mail address")).to_have_value(ada.email)
    await expect(ada.page.get_by_label("Password", exact=True)).to_have_value("")
    await expect(ada.page.get_by_label("Password", exact=True)).to_be_focused()
    await ada.fill_in_login(PASSWORD)
    await ada.at("/auth/account")

    await ada.page.get_by_role("link", name="Your devices").click()
    await ada.sees("You are logged in here and nowhere else.")
    await ada.page.get_by_text("Name and details").click()
    await ada.page.get_by_label("Your name for it").fill("Desk <b>left</b>")
    await ada.press("Save name")
    await expect(ada.page.get_by_role("heading", name="Desk <b>left</b>")).to_be_visible()

    await ada.page.get_by_role("link", name="Account", exact=True).click()
    await ada.page.get_by_label("Current password").fill(PASSWORD)
    await ada.page.get_by_label("New password").fill(OTHER)
    await ada.press("Change password")
    await ada.sees("All other devices have been logged out.")
    await ada.page.get_by_role("link", name="Devices", exact=True).click()
    await ada.press("Log out everywhere")
    await ada.sees("You have been logged out everywhere.")
    await ada.fill_in_login(OTHER)
    await ada.at("/auth/account")


async def test_two_devices(people: People) -> None:
    """A device that is logged out from another one lands on the login page at its next click."""
    desk = await people()
    await desk.sign_up()
    phone = await people(desk.email, user_agent=FIREFOX, viewport={"width": 360, "height": 740})
    await phone.log_in()
    await desk.go("/auth/devices")
    await expect(desk.page.get_by_role("heading", name="Chrome on Linux This device")).to_be_visible()
    await desk.page.get_by_role("button", name="Log out Firefox on Linux").click()
    await desk.sees("The device has been logged out.")
    assert await desk.is_logged_in()
    await phone.page.get_by_role("link", name="Devices", exact=True).click()
    await phone.at("/auth/login")
    await phone.sees("Your login here has ended")
    await phone.fill_in_login(PASSWORD)
    await phone.at("/auth/devices")


async def test_password_change_elsewhere(people: People) -> None:
    """A new password ends the login of the other device, which gets in with the new one only."""
    desk = await people()
    await desk.sign_up()
    phone = await people(desk.email)
    await phone.log_in()
    await desk.page.get_by_label("Current password").fill(PASSWORD)
    await desk.page.get_by_label("New password").fill(OTHER)
    await desk.press("Change password")
    await desk.sees("Your password has been changed.")
    await phone.page.get_by_role("link", name="Devices", exact=True).click()
    await phone.at("/auth/login")
    await phone.fill_in_login(PASSWORD)
    await phone.sees("E-mail address or password is wrong.")
    await phone.fill_in_login(OTHER)
    await phone.at("/auth/devices")


async def test_back_after_logout(people: People) -> None:
    """After logging out, the browser's Back does not bring the account back onto the screen."""
    ada = await people()
    await ada.sign_up()
    await ada.go("/auth/devices")
    await ada.press("Log out")
    await ada.at("/auth/login")
    await ada.page.go_back(wait_until="commit")
    await expect(ada.page.get_by_role("heading", name="Log in")).to_be_visible()
    await expect(ada.page.get_by_text("Your devices")).to_have_count(0)


async def test_nothing_kept_in_the_page(people: People) -> None:
    """Scripts would find no token: nothing in storage, and no cookie that they can read."""
    ada = await people()
    await ada.sign_up()
    for path in ("/auth/account", "/auth/devices"):
        await ada.go(path)
        found = await ada.page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]")
        assert found == ["", 0, 0]
    (cookie,) = await ada.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"


async def test_origin_of_forms(people: People) -> None:
    """Under our referrer policy the browser says where our forms come from, and tells other sites nothing."""
    ada = await people()
    sent: list[Request] = []
    ada.page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    await ada.sign_up()
    await ada.press("Log out")
    await ada.at("/auth/login")
    assert len(sent) == 2
    for request in sent:
        headers = await request.all_headers()
        assert headers["origin"] == ada.base
        assert headers["sec-fetch-site"] == "same-origin"


async def test_markup_is_text(people: People) -> None:
    """Markup in a user agent and in a label is shown as text; nothing of it is loaded or run."""
    ada = await people(user_agent=XSS)
    await ada.sign_up()
    await ada.go("/auth/devices")
    await ada.page.get_by_text("Name and details").click()
    await expect(ada.page.get_by_text(XSS)).to_be_visible()
    await ada.page.get_by_label("Your name for it").fill(XSS)
    await ada.press("Save name")
    await expect(ada.page.get_by_role("heading", name=XSS)).to_be_visible()
    assert await ada.page.locator("img").count() == 1
    assert await ada.page.locator("script").count() == 1


async def test_keyboard(people: People) -> None:
    """The first stop of the keyboard skips to the content, and the login form works without a mouse."""
    ada = await people()
    await ada.sign_up()
    await ada.go("/auth/devices")
    await ada.page.keyboard.press("Tab")
    await expect(ada.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await ada.page.keyboard.press("Enter")
    await expect(ada.page.locator("#main")).to_be_focused()
    await ada.press("Log out")
    await ada.at("/auth/login")
    await expect(ada.page.get_by_label("E-mail address")).to_be_focused()
    await ada.page.keyboard.type(ada.email)
    await ada.page.keyboard.press("Tab")
    await ada.page.keyboard.type(PASSWORD)
    await ada.page.keyboard.press("Enter")
    await ada.at("/auth/account")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 1280])
async def test_fits(people: People, width: int, scheme: str) -> None:
    """No page has to be scrolled sideways, and the style sheet has been applied."""
    ada = await people(viewport={"width": width, "height": 740}, color_scheme=scheme, user_agent="x" * 200)
    ada.email = f"a-rather-long-name-without-any-place-to-break-it@{ada.email.partition('@')[0]}.example.com"
    for path in ("/auth/login", "/auth/signup", "/auth/nowhere"):
        await fits(ada, path)
    await ada.sign_up()
    for path in ("/auth/account", "/auth/devices", "/auth/nowhere"):
        await fits(ada, path)
    dark = await ada.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == ("rgb(17, 23, 21)" if scheme == "dark" else "rgb(244, 245, 243)")


async def fits(person: Person, path: str) -> None:
    await person.go(path)
    for summary in await person.page.locator("summary").all():
        await summary.click()
    wide = await person.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0, path


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["same-site", "cross-site"])
@pytest.mark.parametrize("enctype", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"])
async def test_forms_from_elsewhere(people: People, elsewhere: Elsewhere, host: str, enctype: str) -> None:
    """A form on another origin, of the same site or not, can neither log out nor log in, and the session lives on."""
    ada = await people()
    await ada.sign_up()
    before = await ada.context.cookies()
    for path, fields in (
        ("/auth/logout", {}),
        ("/auth/login", {"email": ada.email, "password": PASSWORD}),
        ("/auth/signup", {"email": f"evil-{ada.email}", "password": PASSWORD}),
        ("/auth/devices/everywhere/logout", {}),
    ):
        action = f"{ada.base}{path}"
        await ada.page.goto(elsewhere.url(host, "/form", action=action, enctype=enctype, **fields))
        async with ada.page.expect_response(action) as answered:
            await ada.press("Win a prize")
        response = await answered.value
        headers = await response.request.all_headers()
        assert headers["sec-fetch-site"] == ("same-site" if host == "127.0.0.1" else "cross-site")
        assert ("cookie" in headers) == (host == "127.0.0.1")
        refused = (403,) if enctype.endswith("urlencoded") else (403, 415)
        if path == "/auth/logout" and host != "127.0.0.1":
            refused = (*refused, 204)  # nobody's cookie came along, so there was nobody to log out
        assert response.status in refused
        assert await ada.context.cookies() == before
        assert await ada.is_logged_in()


async def test_no_frames(people: People, elsewhere: Elsewhere) -> None:
    """Our pages do not show up in a frame of somebody else's."""
    ada = await people()
    await ada.sign_up()
    await ada.page.goto(elsewhere.url("127.0.0.1", "/frame", src=f"{ada.base}/auth/devices"))
    await expect(ada.page.frame_locator("iframe").get_by_text("Your devices")).to_have_count(0)
    assert len(ada.said) == 1
    assert "frame-ancestors" in ada.said.pop()


async def test_way_back(people: People) -> None:
    """After logging in, one is where one was headed; a link that leads elsewhere ends at the account."""
    ada = await people()
    await ada.sign_up()
    for asked, reached in (
        ("/auth/devices?x=1", "/auth/devices"),
        ("//evil.example/", "/auth/account"),
        ("/\\evil.example/", "/auth/account"),
        ("/%09/evil.example", "/auth/account"),
        ("/%2509/evil.example", "/%09/evil.example"),
    ):
        await ada.context.clear_cookies()
        await ada.page.goto(f"{ada.base}/auth/login?next={asked}")
        await ada.fill_in_login(PASSWORD)
        await ada.page.wait_for_url(lambda url, path=reached: urlsplit(url).path == path)  # type: ignore[misc]
        assert ada.page.url.startswith(f"{ada.base}/")
        assert "password" not in parse_qs(urlsplit(ada.page.url).query)

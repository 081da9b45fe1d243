"""People who come another way than by the page before: after the end, after a reload, with a form of another login."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck import Auth
from coatcheck.testing.clock import TravelClock
from coatcheck.web.answers import Problem
from tests.service.visitor import EMAIL, OTHER, PASSWORD, Page, Visitor, live_sessions

POSTED = (
    ("/auth/logout", "/auth/login"),
    ("/auth/logout/others", "/auth/login"),
    ("/auth/account/password", "/auth/account"),
    ("/auth/devices/others/logout", "/auth/devices"),
    ("/auth/devices/everywhere/logout", "/auth/devices"),
    ("/auth/devices/aaaaaaaaaaaaaaaaaaaaaaaa/logout", "/auth/devices"),
    ("/auth/devices/aaaaaaaaaaaaaaaaaaaaaaaa/label", "/auth/devices"),
)
FOREIGN = "eve@example.com"


def links(page: Page) -> list[str]:
    return [attrs["href"] or "" for tag, attrs in page.tags if tag == "a"]


@pytest.mark.parametrize("logged_in", [False, True])
@pytest.mark.parametrize(("path", "way_on"), POSTED)
async def test_going_where_a_form_posts(visitor: Visitor, path: str, way_on: str, logged_in: bool) -> None:
    """Going to the address of a form, as a reload does, does nothing, says so on a page, and leads on."""
    if logged_in:
        await visitor.log_in()
    page = await visitor.get(path)
    assert visitor.response.status_code == 405
    assert visitor.response.headers["content-type"].startswith("text/html")
    assert visitor.response.headers["allow"] == "POST"
    assert "Nothing was done" in page.text
    assert (way_on if way_on != "/auth/login" or not logged_in else "/auth/account") in links(page)
    assert await live_sessions(visitor.auth) == logged_in
    if logged_in:  # the button for what they may have wanted
        page.form("/auth/logout")


async def test_a_program_that_goes_there(visitor: Visitor) -> None:
    """A program is answered as ever."""
    for path, _ in POSTED:
        response = await visitor.http.get(path, headers={"accept": "application/json"})
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert Problem.model_validate_json(response.content).code == "method_not_allowed"


async def test_a_page_that_is_posted_to(visitor: Visitor) -> None:
    """So is a form for a page that takes none."""
    response = await visitor.post("/auth/devices", {"a": "b"})
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert "Nothing was done" in Page(response.text).text


async def test_a_form_too_large(visitor: Visitor) -> None:
    """A form that is larger than any of ours gets a page, whether or not its length was announced."""
    for path in ("/auth/login", "/auth/signup"):
        response = await visitor.post(path, {"email": "a" * 70_000, "password": PASSWORD})
        assert response.status_code == 413
        assert "That is too much" in Page(response.text).text


async def _forms_of(visitor: Visitor) -> list[Any]:
    """All forms that somebody logged in sees, each with its page's token."""
    found = []
    for path in ("/auth/account", "/auth/devices"):
        page = await visitor.get(path)
        found += [form for form in page.forms if "csrf_token" in form.fields]
    return found


async def test_a_form_of_another_login(visitor: Visitor, auth: Auth) -> None:
    """A tab that was opened as one person does nothing once the browser is another's: a page says so."""
    await auth.accounts.register(FOREIGN, PASSWORD)
    other = Visitor(auth)
    await other.log_in(email=EMAIL)
    theirs = await _forms_of(other)
    await visitor.log_in(email=FOREIGN)
    assert len(theirs) >= 6
    for form in theirs:
        page = await visitor.submit(form, current_password=PASSWORD, new_password=OTHER, label="stolen")
        assert visitor.response.status_code == 403, form.action
        assert "That was not accepted" in page.text
        assert "/auth/account" in links(page)
        assert visitor.session_cookie
    assert (await auth.accounts.authenticate(FOREIGN, PASSWORD)).account.email == FOREIGN
    assert await live_sessions(auth) == 1, "and those of the other person are left alone"
    await visitor.get("/auth/account")
    assert visitor.path == "/auth/account"


@pytest.mark.parametrize("gone", ["ended", "cookie", "token"])
async def test_a_form_after_the_end(visitor: Visitor, clock: TravelClock, gone: str) -> None:
    """Whatever is gone when a form is sent, session, cookie or the login that it was made for: a page, and nothing is
    changed."""
    await visitor.log_in()
    forms = await _forms_of(visitor)
    if gone == "ended":
        clock.advance(1801)
    elif gone == "cookie":
        visitor.http.cookies.clear()
    for form in forms:
        fields = form.fields | {"current_password": PASSWORD, "new_password": OTHER}
        response = await visitor.post(form.action, fields if gone != "token" else fields | {"csrf_token": "ccf_x"})
        assert response.status_code == (403 if gone == "token" else 303), (form.action, response.text)
        if response.is_redirect:
            page = await visitor.get(response.headers["location"])
            assert visitor.path.startswith("/auth/login")
            page.form("/auth/login")
        else:
            assert "That was not accepted" in Page(response.text).text
    await visitor.auth.accounts.authenticate(EMAIL, PASSWORD)


ADDRESSES = ("jörg@example.com", "ann@münchen.example", "ann@example.test", "ann+tag@example.com", "用户@例え.example")


@pytest.mark.parametrize("address", ADDRESSES)
async def test_what_an_address_may_be(auth: Auth, address: str) -> None:
    """The pages take every address that the API takes."""
    visitor = Visitor(auth)
    page = await visitor.get("/auth/signup")
    assert page.form("/auth/signup").inputs["email"]["type"] == "text"
    page = await visitor.submit(page.form("/auth/signup"), email=address, password=PASSWORD)
    assert visitor.path == "/auth/account?done=welcome"
    assert page.form("/auth/account/password").inputs["username"]["type"] == "text"
    await visitor.submit(page.form("/auth/logout"))
    page = await visitor.get("/auth/login")
    assert page.form("/auth/login").inputs["email"]["type"] == "text"
    await visitor.log_in(email=address)
    assert visitor.path == "/auth/account"

"""The page of the second step, as a visitor without scripts sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from coatcheck import Auth
from coatcheck.testing.clock import TravelClock
from tests.service.test_pages_twice import cookies, twice
from tests.service.visitor import EMAIL, OTHER, PASSWORD, Page, Visitor, live_sessions, make_auth
from tests.support.second_password import SECOND, OneTime, SecondPassword


@pytest.fixture
def clock() -> TravelClock:
    return TravelClock()


@pytest.fixture
async def auth(clock: TravelClock) -> AsyncIterator[Auth]:
    auth = make_auth(clock)
    first, second = SecondPassword(), OneTime()
    auth.steps.add(first)
    auth.steps.add(second)
    async with auth:
        second.counters = auth.counters
        account = await auth.accounts.register(EMAIL, PASSWORD)
        first.of[account.id], second.of[account.id] = SECOND, "123456"
        yield auth


@pytest.fixture
async def visitor(auth: Auth) -> Visitor:
    return Visitor(auth)


async def begin(visitor: Visitor, path: str = "/auth/login", **fields: str) -> Page:
    form = (await visitor.get(path)).form("/auth/login")
    return await visitor.submit(form, email=EMAIL, password=PASSWORD, **fields)


def step_form(page: Page, method: str = "second_password") -> tuple[str, dict[str, str]]:
    [form] = [form for form in page.forms if form.fields.get("method") == method]
    return form.action, form.fields


async def go_on(visitor: Visitor, page: Page, code: str, method: str = "second_password") -> Page:
    [form] = [form for form in page.forms if form.fields.get("method") == method]
    return await visitor.submit(form, code=code)


@pytest.mark.parametrize(("method", "code"), [("second_password", SECOND), ("one_time", "123456")])
async def test_any_one_of_them(visitor: Visitor, auth: Auth, method: str, code: str) -> None:
    """The password leads to the steps that the person has, any of which completes the login and leads on."""
    page = await begin(visitor, "/auth/login?next=/auth/devices", remember="on")
    assert visitor.path == "/auth/login/step?next=%2Fauth%2Fdevices"
    assert {form.fields["method"] for form in page.forms} == {"second_password", "one_time"}
    assert await live_sessions(auth) == 0
    await go_on(visitor, page, code, method)
    assert visitor.path == "/auth/devices"
    [session] = (await auth.sessions.sessions_of(
        (await auth.accounts.authenticate(EMAIL, PASSWORD)).subject, now=auth.clock.now(), limit=9
    )).sessions  # fmt: skip
    assert (session.remember, "mfa" in session.amr) == (True, True)
    assert "coatcheck-attempt" not in visitor.http.cookies


async def test_wrong_and_empty(visitor: Visitor) -> None:
    """What is wrong is said at its field, which has the focus; the other way in stays open."""
    page = await begin(visitor)
    for code, status, text in (("wrong", 401, "That was not right"), ("", 422, "Fill in this field")):
        page = await go_on(visitor, page, code, "one_time")
        assert visitor.response.status_code == status
        assert text in page.text
        [wrong] = [attrs for tag, attrs in page.tags if tag == "input" and attrs.get("aria-invalid")]
        assert (wrong["id"], "autofocus" in wrong) == ("code-one_time", True)
    await go_on(visitor, page, SECOND)
    assert visitor.path == "/auth/account"


async def test_too_late(visitor: Visitor, clock: TravelClock) -> None:
    """After five minutes the person is told so, and logs in again on the way to the same page."""
    page = await begin(visitor, "/auth/login?next=/auth/devices")
    clock.advance(301)
    page = await go_on(visitor, page, SECOND)
    assert visitor.path == "/auth/login?next=%2Fauth%2Fdevices&done=over"
    assert "was not finished in time" in page.text
    await visitor.get("/auth/login/step")
    assert visitor.path == "/auth/login?done=over"


async def test_nobody_began(visitor: Visitor, auth: Auth) -> None:
    """The page without a login under way leads to the login page; so does another browser with the same form."""
    await visitor.get("/auth/login/step")
    assert visitor.path == "/auth/login?done=over"
    action, fields = step_form(await begin(visitor))
    other = Visitor(auth)
    response = await other.post(action, fields | {"code": SECOND})
    assert response.headers["location"] == "/auth/login?done=over"
    assert await live_sessions(auth) == 0


async def test_too_often(visitor: Visitor) -> None:
    """Too many wrong ones are told how long to wait, and the page stays."""
    page = await begin(visitor)
    for number in range(20):
        page = await go_on(visitor, page, f"wrong {number}")
        if visitor.response.status_code == 429:
            break
    assert "Too many tries" in page.text
    assert "retry-after" in visitor.response.headers


@pytest.mark.parametrize(("method", "code"), [("second_password", SECOND), ("one_time", "123456")])
async def test_a_double_click(visitor: Visitor, auth: Auth, method: str, code: str) -> None:
    """Both answers bring the same cookie, also of a code that counts once."""
    page = await begin(visitor)
    [form] = [form for form in page.forms if form.fields.get("method") == method]
    other = Visitor(auth)  # the same browser, before it has seen the first answer
    other.http.cookies.update(visitor.http.cookies)
    answers = await twice(visitor, form, other, code=code)
    assert [answer.headers.get("location") for answer in answers] == ["/auth/account"] * 2
    assert len({pair for pair in cookies(answers) if pair.startswith("coatcheck=")}) == 1
    assert await live_sessions(auth) == 1


async def test_two_tabs(visitor: Visitor, auth: Auth) -> None:
    """A login that is begun in two tabs goes on with the later one, whichever tab it is finished in."""
    first, second = await begin(visitor), await begin(visitor)
    await go_on(visitor, first, SECOND)
    assert visitor.path == "/auth/account"
    await go_on(visitor, second, SECOND)
    assert visitor.path == "/auth/account" or visitor.path.startswith("/auth/login")
    assert await live_sessions(auth) == 1


async def test_proving_again(visitor: Visitor, auth: Auth) -> None:
    """Proving again who one is takes both, and leads back; the session is another one."""
    await go_on(visitor, await begin(visitor), SECOND)
    before = visitor.session_cookie
    page = await visitor.get("/auth/reauthenticate?next=/auth/devices")
    page = await visitor.submit(page.form("/auth/reauthenticate"), password=PASSWORD)
    assert visitor.path == "/auth/login/step?next=%2Fauth%2Fdevices"
    assert visitor.session_cookie == before
    await go_on(visitor, page, SECOND)
    assert visitor.path == "/auth/devices"
    assert visitor.session_cookie not in (before, None)
    assert await live_sessions(auth) == 1


async def test_a_changed_password_ends_it(visitor: Visitor, auth: Auth) -> None:
    """What ends all sessions ends the login under way."""
    page = await begin(visitor)
    account = (await auth.accounts.authenticate(EMAIL, PASSWORD)).account
    await auth.accounts.set_password(account.id, OTHER)
    await go_on(visitor, page, SECOND)
    assert visitor.path == "/auth/login?done=over"
    assert await live_sessions(auth) == 0


async def test_somebody_without_one(visitor: Visitor, auth: Auth) -> None:
    """Whoever has no second factor, and whoever signs up, never sees the page."""
    form = (await visitor.get("/auth/signup")).form("/auth/signup")
    await asyncio.sleep(0)
    await visitor.submit(form, email="bob@lovelace.example", password=OTHER)
    assert visitor.path == "/auth/account?done=welcome"

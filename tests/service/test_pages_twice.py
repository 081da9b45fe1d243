"""A form that is sent twice, by a double click or by impatience, makes one session and one account."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from coatcheck import Auth
from coatcheck.accounts import Argon2Profile, PasswordHasher
from coatcheck.testing.clock import TravelClock
from tests.service.visitor import EMAIL, OTHER, PASSWORD, Form, Visitor, live_sessions


async def twice(visitor: Visitor, form: Form, others: Visitor | None = None, **fields: str) -> list[httpx.Response]:
    """Both in flight at once, with the cookies from before; ``others``: the second reaches another process."""
    header = {"content-type": "application/x-www-form-urlencoded"}
    content = str(httpx.QueryParams(form.fields | fields))
    sent = [each.http.post(form.action, content=content, headers=header) for each in (visitor, others or visitor)]
    return list(await asyncio.gather(*sent))


def cookies(answers: list[httpx.Response]) -> set[str]:
    return {answer.headers["set-cookie"].partition(";")[0] for answer in answers}


async def test_login(visitor: Visitor, auth: Auth) -> None:
    """Both answers bring the same cookie, and it counts, whichever of them the browser shows."""
    form = (await visitor.get("/auth/login")).form("/auth/login")
    answers = await twice(visitor, form, email=EMAIL, password=PASSWORD)
    assert [answer.headers.get("location") for answer in answers] == ["/auth/account"] * 2
    assert len(cookies(answers)) == 1
    assert await live_sessions(auth) == 1
    await visitor.get("/auth/account")
    assert visitor.path == "/auth/account"


async def test_signing_up(auth: Auth) -> None:
    """One account, one session, and nobody is told that somebody was faster."""
    visitor = Visitor(auth)
    form = (await visitor.get("/auth/signup")).form("/auth/signup")
    answers = await twice(visitor, form, email=EMAIL, password=PASSWORD)
    assert [answer.headers.get("location") for answer in answers] == ["/auth/account?done=welcome"] * 2
    assert len(cookies(answers)) == 1
    assert await live_sessions(auth) == 1


async def test_signing_up_with_another_form(auth: Auth, clock: TravelClock) -> None:
    """Only the form that made the account is taken for sent twice: not one that was shown later, nor the same later."""
    form = (await Visitor(auth).get("/auth/signup")).form("/auth/signup")
    await Visitor(auth).submit(form, email=EMAIL, password=PASSWORD)
    clock.advance(2)
    later = (await Visitor(auth).get("/auth/signup")).form("/auth/signup")
    statuses = []
    for sent, seconds in ((later, 0), (form, 0), (form, auth.policy.reuse_window)):
        clock.advance(seconds)
        statuses.append(
            (await Visitor(auth).post(sent.action, sent.fields | {"email": EMAIL, "password": PASSWORD})).status_code
        )
    assert statuses == [409, 303, 409]
    assert await live_sessions(auth) == 1


async def test_two_processes(tmp_path: Path) -> None:
    """It holds also where two processes are asked."""
    url, hasher = f"sqlite:///{tmp_path}/app.db", PasswordHasher(Argon2Profile(memory=8, passes=1, lanes=1))
    async with Auth(url, password_hasher=hasher) as one, Auth(url, password_hasher=hasher) as two:
        here, there = Visitor(one), Visitor(two)
        form = (await here.get("/auth/signup")).form("/auth/signup")
        answers = await twice(here, form, there, email=EMAIL, password=PASSWORD)
        assert len(cookies(answers)) == 1
        form = (await Visitor(one).get("/auth/login")).form("/auth/login")
        answers = await twice(here, form, there, email=EMAIL, password=PASSWORD)
        assert len(cookies(answers)) == 1
        assert await live_sessions(one) == 1


async def test_over_a_login(visitor: Visitor, auth: Auth) -> None:
    """What the browser had ends, and what both have made does not."""
    form = (await visitor.get("/auth/login")).form("/auth/login")
    await visitor.log_in()
    answers = await twice(visitor, form, email=EMAIL, password=PASSWORD)
    assert len(cookies(answers)) == 1
    assert await live_sessions(auth) == 1


@pytest.mark.parametrize("seconds", [0.0, 31.0, 90_000.0])
async def test_the_form_again_later(visitor: Visitor, auth: Auth, clock: TravelClock, seconds: float) -> None:
    """Sent again after a logout, at once or later, the form logs in as ever: with a session of its own."""
    form = (await visitor.get("/auth/login")).form("/auth/login")
    page = await visitor.submit(form, email=EMAIL, password=PASSWORD)
    first = visitor.session_cookie
    await visitor.submit(page.form("/auth/logout"))
    clock.advance(seconds)
    await visitor.submit(form, email=EMAIL, password=PASSWORD)
    assert visitor.path == "/auth/account"
    assert visitor.session_cookie not in (None, first)
    assert await live_sessions(auth) == 1


async def test_the_value_is_not_enough(visitor: Visitor, auth: Auth) -> None:
    """A form's value logs nobody in without the password, nor tells whether there is an account."""
    form = (await visitor.get("/auth/signup")).form("/auth/signup")
    for _ in range(2):
        answer = await visitor.post(form.action, form.fields | {"email": EMAIL, "password": OTHER})
        assert (answer.status_code, "set-cookie" in answer.headers) == (409, False)
    login = (await visitor.get("/auth/login")).form("/auth/login")
    await visitor.post(login.action, login.fields | {"email": EMAIL, "password": PASSWORD})
    answer = await Visitor(auth).post(login.action, login.fields | {"email": EMAIL, "password": OTHER})
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


@pytest.mark.parametrize("value", ["", "ccd_", "ccd_" + "A" * 56, "x" * 3000])
async def test_values_that_are_none_of_ours(visitor: Visitor, auth: Auth, value: str) -> None:
    """A form without its value, as a program sends it, logs in as ever, each time anew."""
    form = (await visitor.get("/auth/login")).form("/auth/login")
    answers = await twice(visitor, form, email=EMAIL, password=PASSWORD, once=value)
    assert [answer.status_code for answer in answers] == [303, 303]
    assert len(cookies(answers)) == 2


async def test_refused_sign_ups_leave_nothing_behind(visitor: Visitor, auth: Auth) -> None:
    """One form, sent with as many addresses as there are, makes nothing grow but the limits' own counters."""
    form = (await Visitor(auth).get("/auth/signup")).form("/auth/signup")
    kept: Any = auth.counters
    for fields in ({"password": "short"}, {"password": PASSWORD + "x", "email": EMAIL}, {"email": "no address"}):
        for number in range(3):
            before = set(kept._failures)
            given = {"email": f"nobody{number}@example.com", "password": PASSWORD, **fields}
            assert (await Visitor(auth).submit(form, **given)).title.startswith("Error")
            assert not [name for name in set(kept._failures) - before if name.startswith("form:")]

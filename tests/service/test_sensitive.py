"""What a change of something sensitive asks for: the same by JSON and by the pages."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coatcheck import Auth
from coatcheck.testing.clock import TravelClock
from tests.service.visitor import EMAIL, OTHER, PASSWORD, Visitor, make_auth

JSON = {"accept": "application/json"}


@pytest.fixture
async def auth() -> AsyncIterator[Auth]:
    clock = TravelClock()
    async with make_auth(clock) as auth:
        await auth.accounts.register(EMAIL, PASSWORD)
        auth.travel = clock  # type: ignore[attr-defined]
        yield auth


async def change(visitor: Visitor, how: str, current: str) -> int:
    """Change the password. Returns the status, 200 where it was done."""
    if how == "json":
        body = {"current_password": current, "new_password": OTHER}
        answer = await visitor.http.post("/auth/password", json=body, headers=JSON)
        return answer.status_code
    page = await visitor.get("/auth/account")
    await visitor.submit(page.form("/auth/account/password"), current_password=current, new_password=OTHER)
    return visitor.response.status_code


async def auth_time(visitor: Visitor) -> str:
    found: str = (await visitor.http.get("/auth/session", headers=JSON)).json()["auth_time"]
    return found


@pytest.mark.parametrize("how", ["json", "page"])
async def test_the_password_is_the_proof(auth: Auth, how: str) -> None:
    """However old the login is, the current password is asked for, and it makes the login fresh; without it, nothing
    changes, not even right after logging in."""
    visitor = Visitor(auth)
    await visitor.log_in()
    assert await change(visitor, how, "wrong") == 401
    before, cookie = await auth_time(visitor), visitor.session_cookie
    auth.travel.advance(1200)  # type: ignore[attr-defined]
    assert await change(visitor, how, "wrong") == 401
    assert (await auth_time(visitor), visitor.session_cookie) == (before, cookie)
    assert await change(visitor, how, PASSWORD) == 200
    assert await auth_time(visitor) > before
    assert visitor.session_cookie != cookie


@pytest.mark.parametrize(("first", "then"), [("json", "page"), ("page", "json")])
async def test_wrong_passwords_share_one_count(auth: Auth, first: str, then: str) -> None:
    """Who has guessed ten times by one way is refused by the other as well."""
    visitor = Visitor(auth)
    await visitor.log_in()
    for _ in range(5):  # the call that completes a change that was begun tries the new one too
        assert await change(visitor, first, "wrong") == 401
    assert await change(visitor, then, PASSWORD) == 429

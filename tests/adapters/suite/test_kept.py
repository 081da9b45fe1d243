"""No success for a cookie that the browser surely drops: refused with a code of its own, before a session is made."""

from __future__ import annotations

import pytest

from coatcheck import Mode
from tests.adapters.suite.contract import Headers
from tests.adapters.suite.visitor import LISTED, OWN, PASSWORD, Person, Site, is_refused, set_cookies

pytestmark = pytest.mark.asyncio(loop_scope="session")

CROSS_SITE: Headers = [("Origin", LISTED), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors")]


async def sessions_of(site: Site, person: Person) -> int:
    page = await site.run(lambda auth: auth.sessions.sessions_of(person.subject, now=auth.clock.now()))
    return len(page.sessions)


async def test_a_login_from_another_site(site: Site, ann: Person, mode: Mode) -> None:
    """A script of a listed page on another site can be given no cookies: browsers keep none with SameSite there. Mode
    jwt serves it."""
    body = {"email": ann.email, "password": PASSWORD, "mode": mode.value}
    answer = await site.visitor(mode).ask("POST", "/auth/login", CROSS_SITE, body)
    if mode is Mode.JWT:
        assert answer.status == 200
        return
    assert is_refused(answer, 400, "cookies_need_same_site")
    new = {"email": f"new-{mode}-{ann.subject}@example.com", "password": PASSWORD, "mode": mode.value}
    assert is_refused(await site.visitor(mode).ask("POST", "/auth/register", CROSS_SITE, new), 400, "cookies_need_same")
    assert await sessions_of(site, ann) == 0


async def test_a_refresh_from_another_site(site: Site, ann: Person) -> None:
    """Nor is a refresh cookie traded for one that the browser would drop: the old one stays the current one."""
    visitor = await ann.at(Mode.JWT_COOKIE)
    answer = await visitor.ask("POST", "/auth/refresh", CROSS_SITE)
    assert is_refused(answer, 400, "cookies_need_same_site")
    assert (await visitor.renew()).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        [("Origin", LISTED), ("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "cors")],
        [("Origin", LISTED), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")],
        [("Origin", LISTED)],
    ],
    ids=["same-site", "navigation", "not said"],
)
async def test_what_the_browser_keeps(site: Site, ann: Person, mode: Mode, sent: Headers) -> None:
    """A listed page of the same site, and a person who is sent here from another one, get their cookies."""
    body = {"email": ann.email, "password": PASSWORD, "mode": mode.value}
    answer = await site.visitor(mode).ask("POST", "/auth/login", sent, body)
    assert answer.status == 200, answer
    assert bool(set_cookies(answer)) == (mode is not Mode.JWT)


async def test_a_session_too_large_for_its_cookie(site: Site, mode: Mode) -> None:
    """Roles that make a token longer than its cookie may be are refused before a session is made, and at a refresh
    before the token is rotated; what does not carry them in a cookie is served."""
    many = tuple(f"{'long-' * 11}{number:04}" for number in range(64))
    grown, large = await site.person(), await site.person(*many)
    visitor = site.visitor(mode)
    assert (await grown.log_in(visitor)).status == 200
    await grown.set_roles(*many)
    answer = await large.log_in(site.visitor(mode))
    if mode is not Mode.JWT_COOKIE:
        assert answer.status == 200
        return
    assert is_refused(answer, 422, "session_too_large")
    assert await sessions_of(site, large) == 0
    for _ in range(2):
        assert is_refused(await visitor.ask("POST", "/auth/refresh", OWN), 422, "session_too_large")
    assert await sessions_of(site, grown) == 1
    await grown.set_roles("writer")
    site.pass_time(site.setting.policy.reuse_window + 1 if site.setting.policy else 31)
    assert (await visitor.renew()).status == 200, "the token was not rotated"

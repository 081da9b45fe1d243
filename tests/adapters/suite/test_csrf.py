"""A request that changes something and rides on a cookie has to come from our own pages."""

from __future__ import annotations

import pytest

from coatcheck import Mode
from tests.adapters.suite.contract import Headers
from tests.adapters.suite.visitor import HTTPS, LISTED, Person, Site, is_refused

pytestmark = pytest.mark.asyncio(loop_scope="session")

_OURS: list[Headers] = [
    [("Sec-Fetch-Site", "same-origin")],
    [("Sec-Fetch-Site", "none")],
    [("Sec-Fetch-Site", "same-origin"), ("Origin", HTTPS)],
    [("Origin", HTTPS)],
    [("Origin", LISTED)],
    [("Sec-Fetch-Site", "cross-site"), ("Origin", LISTED)],
]
_FOREIGN: list[Headers] = [
    [],
    [("Sec-Fetch-Site", "cross-site")],
    [("Sec-Fetch-Site", "same-site")],
    [("Sec-Fetch-Site", "nonsense")],
    [("Sec-Fetch-Site", "same-site"), ("Origin", HTTPS)],
    [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")],
    [("Origin", "null")],
    [("Origin", "https://evil.example")],
    [("Origin", "http://app.example")],
    [("Origin", "https://app.example:8443")],
    [("Origin", f"{HTTPS}.evil.example")],
    [("Origin", f"{LISTED}/")],
]


async def test_where_a_change_comes_from(site: Site, ann: Person, mode: Mode) -> None:
    """From our origin, a listed one or nowhere (typed) it is served; otherwise 403, also where everybody is served."""
    visitor = await ann.at(mode)
    for sent in _OURS:
        for path in ("/mine", "/open", "/danger"):
            answer = await visitor.ask("POST", path, sent)
            assert (answer.status, answer.json()["subject"]) == (200, ann.subject), (sent, path)
    for sent in _FOREIGN:
        for path in ("/mine", "/open", "/danger"):
            answer = await visitor.ask("POST", path, sent)
            if mode is Mode.JWT:  # no browser sends it by itself
                assert answer.status == 200, (sent, path, answer)
            else:
                assert is_refused(answer, 403, "cross_site"), (sent, path, answer)


async def test_reading_is_free(site: Site, ann: Person, mode: Mode) -> None:
    """A link from elsewhere leads to a page that knows its visitor."""
    visitor = await ann.at(mode)
    for sent in _FOREIGN:
        assert (await visitor.ask("GET", "/mine", sent)).json()["subject"] == ann.subject


async def test_csrf_token(site: Site, ann: Person, mode: Mode) -> None:
    """A program that sends neither header shows its session's CSRF token; another one, or a browser's word, decides."""
    visitor = site.visitor(mode)
    await ann.log_in(visitor)
    other = await ann.at(mode)
    answer = await visitor.ask("POST", "/mine", [("X-CSRF-Token", visitor.csrf or "none is needed")])
    assert answer.status == 200
    wrong: list[Headers] = [
        [("X-CSRF-Token", "x")],
        [("X-CSRF-Token", other.csrf)],
        [("X-CSRF-Token", visitor.csrf), ("Sec-Fetch-Site", "cross-site")],
        [("X-CSRF-Token", visitor.csrf), ("Origin", "null")],
    ]
    for sent in wrong:
        answer = await visitor.ask("POST", "/mine", sent)
        assert answer.status == 200 if mode is Mode.JWT else is_refused(answer, 403, "cross_site"), (sent, answer)


async def test_nothing_to_ride_on(site: Site, ann: Person, mode: Mode) -> None:
    """Nobody's request, and one with a cookie that has ended, is anonymous wherever it comes from."""
    visitor = await ann.at(mode)
    await site.run(lambda auth: auth.revoke(visitor.session))
    asking = [site.visitor(mode)] if mode is Mode.JWT else [site.visitor(mode), visitor]
    for who in asking:
        for sent in _FOREIGN:
            assert (await who.ask("POST", "/open", sent)).json() == {"subject": None}


async def test_login_and_logout(site: Site, ann: Person, mode: Mode) -> None:
    """Nobody is logged in, and nobody with a cookie is logged out, by another site's page."""
    evil = [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")]
    body = {"email": ann.email, "password": "nine brown owls", "mode": mode.value}
    if mode is not Mode.JWT:
        assert is_refused(await site.visitor(mode).ask("POST", "/auth/login", evil, body), 403, "cross_site")
        visitor = await ann.at(mode)
        for path in ("/auth/logout", "/auth/logout/everywhere", "/auth/refresh"):
            if path != "/auth/refresh" or mode is Mode.JWT_COOKIE:
                assert is_refused(await visitor.ask("POST", path, evil), 403, "cross_site")
        assert await visitor.who() == ann.subject


APPS: list[Headers] = [
    [("Origin", "capacitor://localhost")],
    [("Origin", "tauri://localhost"), ("Sec-Fetch-Site", "cross-site")],
    [("Origin", "null"), ("Sec-Fetch-Site", "cross-site")],
    [("Origin", "https://unlisted.example"), ("Sec-Fetch-Site", "cross-site")],
    [("Sec-Fetch-Site", "same-site")],
]
"""Shells of apps, and pages that nobody has listed."""


@pytest.mark.parametrize("sent", APPS)
async def test_where_nothing_rides_on_a_cookie(site: Site, ann: Person, sent: Headers) -> None:
    """Where no cookie came along and none will be set, it does not matter where a request comes from."""
    body = {"email": ann.email, "password": "nine brown owls", "mode": "jwt"}
    answer = await site.visitor(Mode.JWT).ask("POST", "/auth/login", sent, body)
    assert answer.status == 200, answer
    stranger = site.visitor(Mode.JWT)
    answer = await stranger.ask("POST", "/auth/refresh", sent, {"refresh_token": answer.json()["refresh_token"]})
    assert answer.status == 200, answer
    made = answer.json()
    form = [*sent, ("Content-Type", "application/x-www-form-urlencoded")]
    answer = await site.served.request(
        "POST", "/auth/refresh", headers=form, body=f"refresh_token={made['refresh_token']}".encode()
    )
    assert answer.status == 200, answer
    made = answer.json()
    bearing = [*sent, ("Authorization", f"Bearer {made['access_token']}")]
    answer = await stranger.ask("POST", "/auth/reauthenticate", bearing, {"password": "nine brown owls"})
    assert answer.status == 200, answer
    for who in (made["access_token"], None):
        headers = [*sent, ("Authorization", f"Bearer {who}")] if who else sent
        answer = await stranger.ask("POST", "/auth/logout", headers)
        assert (answer.status, answer.header("set-cookie")) == (204, ""), "and no browser is told to forget"
    email = {"email": f"{made['session']['id'].lower()}@example.com", "password": "nine brown owls"}
    assert (await stranger.ask("POST", "/auth/register", sent, email)).status == 201
    assert is_refused(await stranger.ask("POST", "/auth/password", sent), 401, "not_logged_in")


@pytest.mark.parametrize("sent", APPS)
async def test_where_a_cookie_comes_in_or_out(site: Site, ann: Person, mode: Mode, sent: Headers) -> None:
    """Where a cookie of ours came along or one will be set, the same are refused, before a session is made."""
    body = {"email": ann.email, "password": "nine brown owls", "mode": mode.value}
    browser = await ann.at(Mode.SESSION if mode is Mode.JWT else mode)
    before = await sessions_of(site, ann)
    asking = [browser] if mode is Mode.JWT else [browser, site.visitor(mode)]
    for who in asking:
        assert is_refused(await who.ask("POST", "/auth/login", sent, body), 403, "cross_site")
        new = {"email": "new@example.com", "password": "nine brown owls", "mode": mode.value}
        assert is_refused(await who.ask("POST", "/auth/register", sent, new), 403, "cross_site")
    if mode is Mode.JWT_COOKIE:
        assert is_refused(await browser.ask("POST", "/auth/refresh", sent), 403, "cross_site")
    assert await sessions_of(site, ann) == before


async def sessions_of(site: Site, person: Person) -> int:
    page = await site.run(lambda auth: auth.sessions.sessions_of(person.subject, now=auth.clock.now()))
    return len(page.sessions)

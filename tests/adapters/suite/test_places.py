"""Where the application is: under a prefix, behind a proxy, in development, and beside a store that is silent."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from coatcheck import Mode
from coatcheck.errors import StoreUnavailable
from tests.adapters.suite.conftest import started
from tests.adapters.suite.contract import Headers, Serving
from tests.adapters.suite.test_who import assert_no_good
from tests.adapters.suite.visitor import HTTPS, LISTED, OWN, PASSWORD, Person, Site, is_refused, set_cookies

pytestmark = pytest.mark.asyncio(loop_scope="session")

HTTP = "http://app.example"
TLS_ENDED = (("X-Forwarded-Proto", "https"),)


async def test_under_a_prefix(mounted: Site, mode: Mode) -> None:
    """Log in, be known, refresh and log out below the prefix; the refresh cookie's path is below it too."""
    ann = await mounted.person("admin")
    visitor = mounted.visitor(mode)
    assert (await ann.log_in(visitor)).status == 200
    refresh = f"{mounted.setting.prefix}/auth/refresh"
    if mode is Mode.JWT_COOKIE:
        assert visitor.cookies[visitor.names.refresh][1] == refresh
    if mode is not Mode.SESSION:
        mounted.pass_time(1000)
        assert (await visitor.renew()).status == 200
    for path in ("/mine", "/admin", "/open"):
        assert (await visitor.get(path)).json()["subject"] == ann.subject
    assert (await visitor.ask("POST", "/mine", OWN)).status == 200
    held = await ann.at(mode)
    held.hold_as(visitor)
    answer = await visitor.post("/auth/logout")
    assert (answer.status, visitor.cookies) == (204, {})
    assert {rest["path"] for _, _, rest in set_cookies(answer)} == {"/", refresh}
    await assert_no_good(held)


async def test_behind_a_proxy(proxied: Site, mode: Mode) -> None:
    """A proxy that is believed has ended TLS: Secure cookies, and https is the origin."""
    ann = await proxied.person()
    visitor = proxied.visitor(mode, HTTP, TLS_ENDED)
    answer = await ann.log_in(visitor)
    assert answer.status == 200
    assert all("secure" in rest for _, _, rest in set_cookies(answer))
    assert await visitor.who() == ann.subject
    for sent, status in ((OWN, 200), ([("Origin", "https://app.example")], 200), ([("Origin", HTTP)], 403)):
        answer = await visitor.ask("POST", "/mine", sent)
        assert answer.status == (200 if mode is Mode.JWT else status)
    if mode is not Mode.SESSION:
        assert (await visitor.renew()).status == 200
    assert (await visitor.post("/auth/logout")).status == 204


async def test_a_proxy_without_tls(proxied: Site, mode: Mode) -> None:
    """Where the proxy does not say https, it was not: no cookie is set or read."""
    await _has_no_cookies(proxied, mode, ())


async def test_nobody_is_believed_unasked(site: Site, mode: Mode) -> None:
    """An application that was not told of a proxy does not take a client's word for https."""
    await _has_no_cookies(site, mode, TLS_ENDED)


async def _has_no_cookies(site: Site, mode: Mode, more: tuple[tuple[str, str], ...]) -> None:
    """Over plain http between machines, modes with cookies are refused and cookies not read; bearer tokens serve."""
    ann = await site.person()
    body = {"email": ann.email, "password": PASSWORD, "mode": mode.value}
    answer = await site.visitor(mode, HTTP, more).ask("POST", "/auth/login", OWN, body)
    visitor = await ann.at(mode)
    assert await visitor.who() == ann.subject, "over https"
    visitor.base, visitor.more = HTTP, more
    if mode is Mode.JWT:
        assert answer.status == 200
        assert await visitor.who() == ann.subject
        return
    assert is_refused(answer, 400, "cookies_need_tls")
    assert not set_cookies(answer)
    for kept in (visitor.cookies, {name.removeprefix("__Host-"): value for name, value in visitor.cookies.items()}):
        visitor.cookies = dict(kept)
        for method in ("GET", "POST"):
            assert (await visitor.ask(method, "/open", OWN)).json() == {"subject": None}
            assert (await visitor.ask(method, "/mine", OWN)).status == 401


@pytest.mark.parametrize("base", ["http://127.0.0.1:8000", "http://localhost:5000", "http://[::1]:8000"])
async def test_development(site: Site, ann: Person, mode: Mode, base: str) -> None:
    """Over plain http on this machine everything works, with cookies that need no TLS."""
    visitor = site.visitor(mode, base)
    answer = await ann.log_in(visitor)
    assert answer.status == 200
    for name, _, rest in set_cookies(answer):
        assert name.startswith("coatcheck")
        assert "secure" not in rest
        assert "httponly" in rest
    assert await visitor.who() == ann.subject
    assert (await visitor.ask("POST", "/mine", [("Origin", base)])).status == 200
    if mode is not Mode.SESSION:
        assert (await visitor.renew()).status == 200
    assert ((await visitor.post("/auth/logout")).status, visitor.cookies) == (204, {})
    assert (await visitor.get("/mine")).status == 401


SPELLINGS = (
    ("https://app.example:443", "https://app.example"),
    ("https://APP.Example", "https://app.example"),
    ("https://app.example.", "https://app.example"),
    ("https://app.example", "HTTPS://App.Example:443"),
    ("https://app.example:8443", "https://app.example:8443"),
    ("https://xn--mnchen-3ya.example:443", "https://xn--mnchen-3ya.example"),
    ("http://LocalHost:80", "http://localhost"),
)


@pytest.mark.parametrize(("base", "origin"), SPELLINGS)
async def test_spellings_of_the_own_origin(site: Site, ann: Person, mode: Mode, base: str, origin: str) -> None:
    """However Host is spelled, it is the origin that a browser writes; another port is another origin."""
    visitor = await ann.at(mode, base)
    answer = await visitor.ask("POST", "/mine", [("Origin", origin)])
    assert (answer.status, answer.json().get("subject")) == (200, ann.subject), answer
    answer = await visitor.ask("POST", "/mine", [("Origin", f"{origin}1" if origin[-1].isdigit() else f"{origin}:1")])
    assert answer.status == 200 if mode is Mode.JWT else is_refused(answer, 403, "cross_site")
    assert (await ann.log_in(site.visitor(mode, base))).status == 200


@pytest.mark.parametrize(
    "origin", [LISTED, "https://SPA.example:443", "https://app.xn--mnchen-3ya.example", "app://shell"]
)
async def test_spellings_of_listed_origins(site: Site, ann: Person, mode: Mode, origin: str) -> None:
    """So are the listed ones, however the policy spells them; an app's own scheme can be listed."""
    visitor = await ann.at(mode)
    assert (await visitor.ask("POST", "/mine", [("Origin", origin), ("Sec-Fetch-Site", "cross-site")])).status == 200


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What the log tells whoever runs the server. Litestar takes its handlers away from the root's logger."""
    lines = list[str]()

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, handler = logging.getLogger("coatcheck.adapters"), Kept()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


REWRITTEN = (
    (("Origin", HTTPS), ("Sec-Fetch-Site", "same-origin")),
    (("X-Forwarded-Proto", "https"), ("Sec-Fetch-Site", "same-origin")),
    (("X-Forwarded-Host", "app.example"), ("Sec-Fetch-Site", "same-origin")),
    (("X-Forwarded-For", "203.0.113.7"), ("Sec-Fetch-Site", "same-origin")),
    (("Forwarded", "for=203.0.113.7;proto=https"), ("Sec-Fetch-Site", "same-origin")),
    (("Origin", LISTED), ("Sec-Fetch-Site", "cross-site")),
)


@pytest.mark.parametrize("sent", REWRITTEN)
async def test_a_rewritten_host(serving: Serving, mode: Mode, sent: Headers, told: list[str]) -> None:
    """A proxy that makes a public site look like this machine gets no development cookie for it: 400 before a session
    is made, and one line of the log that names the setting."""
    async with started(serving) as site:
        ann = await site.person()
        body = {"email": ann.email, "password": PASSWORD, "mode": mode.value}
        for _ in range(2):
            answer = await site.visitor(mode, "http://127.0.0.1:8000").ask("POST", "/auth/login", sent, body)
            assert not set_cookies(answer)
            assert answer.status == 200 if mode is Mode.JWT else is_refused(answer, 400, "cookies_need_tls"), answer
        if mode is not Mode.JWT:
            assert len(told) == 1
            assert "--trusted-proxies" in told[0]
            page = await site.run(lambda auth: auth.sessions.sessions_of(ann.subject, now=auth.clock.now()))
            assert page.sessions == []


async def test_planted_development_cookies(site: Site, ann: Person, mode: Mode) -> None:
    """Nor is one read there: any sister host could have planted it on the public site."""
    if mode is Mode.JWT:
        return
    visitor = await ann.at(mode, "http://localhost:8000")
    assert await visitor.who() == ann.subject
    for sent in REWRITTEN[:-1]:
        for method in ("GET", "POST"):
            assert (await visitor.ask(method, "/open", sent)).json() == {"subject": None}, sent
    assert await visitor.who() == ann.subject


async def test_tls_that_is_not_believed(serving: Serving, told: list[str]) -> None:
    """Where TLS ends at a proxy that is not believed, the log says so once, and names the setting."""
    async with started(serving) as site:
        ann = await site.person()
        for _ in range(2):
            visitor = site.visitor(Mode.SESSION, HTTP, TLS_ENDED)
            assert is_refused(await ann.log_in(visitor), 400, "cookies_need_tls")
        assert len(told) == 1
        assert "http://app.example" in told[0]
        assert "--trusted-proxies" in told[0]


async def test_silent_store(site: Site, ann: Person, mode: Mode) -> None:
    """Within the lease memory serves; past it, and at first sight, the answer is 503 and never "nobody" or "yes"."""
    visitor, unseen = await ann.at(mode), await ann.at(mode)
    assert await visitor.who() == ann.subject
    store = site.setting.sessions
    try:
        store.fail("find", "events", "standing_of", "create", "rotate", "revoke", "revoke_subject", "time", "touch")
        assert await visitor.who() == ann.subject
        if mode is Mode.SESSION:
            assert is_refused(await unseen.get("/mine"), 503, "unavailable")
        with pytest.raises(StoreUnavailable):
            await site.run(lambda auth: auth.revoke(visitor.session))
        assert (await ann.log_in(site.visitor(mode))).status == 503
        assert (await visitor.post("/auth/logout")).status == 503
        site.pass_time(3)
        for asking in (visitor, unseen):
            for method, path in (("GET", "/open"), ("GET", "/mine"), ("POST", "/mine"), ("POST", "/danger")):
                answer = await asking.ask(method, path, OWN)
                assert is_refused(answer, 503, "unavailable"), (path, answer)
                assert answer.header("retry-after")
        stranger = site.visitor(mode)
        assert await stranger.who() is None
        assert is_refused(await stranger.get("/mine"), 401, "not_logged_in")
    finally:
        store.fail()
    assert await visitor.who() == ann.subject
    assert (await unseen.get("/mine")).status == 200


async def test_no_cache_keeps_it(site: Site, ann: Person, mode: Mode) -> None:
    """What the mounted service answers is kept by no cache, and depends on who asks."""
    visitor = site.visitor(mode)
    for answer in (await ann.log_in(visitor), await visitor.get("/auth/session")):
        assert answer.status == 200
        assert answer.header("cache-control") == "no-store"
        assert {"Cookie", "Authorization"} <= set(answer.header("vary").split(", "))

"""The pages against foreign sites, bad forms, a failing store, and plain http."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from coatcheck import Auth, Mode, Policy
from coatcheck.errors import ConfigurationError
from coatcheck.service import pages
from coatcheck.service.app import auth_app
from tests.service.visitor import EMAIL, OTHER, PASSWORD, Page, Visitor, live_sessions
from tests.support.gates import GatedStore

EVIL = "https://evil.example"
XSS = '"><img src=x onerror=alert(1)>'


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": EVIL},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://other.localhost:8000"},
        {"sec-fetch-site": "", "origin": EVIL},
        {"sec-fetch-site": "", "origin": "null"},
    ],
)
@pytest.mark.parametrize("path", ["/auth/login", "/auth/signup", "/auth/logout", "/auth/devices/everywhere/logout"])
async def test_cross_site(visitor: Visitor, auth: Auth, headers: dict[str, str], path: str) -> None:
    """A form from another site is refused with a page, even with the right token, and changes nothing."""
    page = await visitor.log_in()
    cookie = visitor.session_cookie
    token = page.form("/auth/logout").fields["csrf_token"]
    fields = {"email": "new@example.com", "password": PASSWORD, "csrf_token": token}
    if path == "/auth/login":
        fields["email"] = EMAIL
    sent = {name: value for name, value in headers.items() if value}
    if "sec-fetch-site" not in sent:
        del visitor.http.headers["sec-fetch-site"]
    response = await visitor.post(path, fields, headers=sent)
    assert response.status_code == 403
    assert response.headers["content-type"].startswith("text/html")
    assert "set-cookie" not in response.headers
    assert visitor.session_cookie == cookie
    assert await live_sessions(auth) == 1
    assert await auth.accounts.find_by_email("new@example.com") is None


async def test_form_token(visitor: Visitor, auth: Auth) -> None:
    """Within a session, a form with a forged token or with another session's is refused, although it comes from our own
    origin; and one without any whose browser does not say where it comes from."""
    other = Visitor(auth)
    theirs = (await other.log_in()).form("/auth/logout").fields["csrf_token"]
    page = await visitor.log_in()
    right = page.form("/auth/logout").fields["csrf_token"]
    everything: list[tuple[str, dict[str, str]]] = [
        ("/auth/logout", {}),
        ("/auth/account/password", {"current_password": PASSWORD, "new_password": OTHER}),
        ("/auth/devices/others/logout", {}),
        ("/auth/devices/everywhere/logout", {}),
    ]
    listed = await visitor.get("/auth/devices")
    for form in listed.forms:
        if form.action.endswith("/label"):
            everything += [(form.action, {"label": "mine"}), (form.action.replace("label", "logout"), {})]
    assert len(everything) == 8
    for path, fields in everything:
        for token in (None, "", "another's", "ccf_", right[:-1] + ("A" if right[-1] != "A" else "B"), theirs):
            given = fields if token is None else fields | {"csrf_token": token}
            silent = {} if (token or "").startswith("ccf_") else {"sec-fetch-site": ""}
            response = await visitor.post(path, given, headers=silent)
            assert response.status_code == 403, (path, token)
            assert "reload the page" in Page(response.text).text
    assert await live_sessions(auth) == 2
    await auth.accounts.authenticate(EMAIL, PASSWORD)
    await visitor.post("/auth/logout", {"csrf_token": right})
    assert await live_sessions(auth) == 1


async def test_old_browser(visitor: Visitor, auth: Auth) -> None:
    """Where neither Sec-Fetch-Site nor Origin is sent, the token alone shows that a form is ours."""
    del visitor.http.headers["sec-fetch-site"]
    page = await visitor.log_in()
    assert (await visitor.post("/auth/logout", {})).status_code == 403
    await visitor.submit(page.form("/auth/logout"))
    assert await live_sessions(auth) == 0


async def test_log_out_of_nothing(visitor: Visitor) -> None:
    """Logging out when nobody is logged in, or with a forged cookie, ends at the login page."""
    for _ in range(2):
        response = await visitor.post("/auth/logout", {})
        assert response.status_code == 303
        visitor.http.cookies.set("coatcheck", "ccs_forged")


async def test_log_out_of_everything_carried(visitor: Visitor, auth: Auth) -> None:
    """A browser with the cookies of two modes is logged out of both sessions."""
    page = await visitor.log_in()
    account = await auth.accounts.find_by_email(EMAIL)
    assert account is not None
    app = await auth.login(account.id, mode=Mode.JWT_COOKIE)
    visitor.http.cookies.set("coatcheck-access", app.access_token or "")
    await visitor.submit(page.form("/auth/logout"))
    assert await live_sessions(auth) == 0


async def test_injection(auth: Auth) -> None:
    """Markup in an address, in next and in a message code is text on the page, or is not there at all."""
    visitor = Visitor(auth)
    page = await visitor.get("/auth/login", params={"next": f"/x?{XSS}", "done": XSS})
    page = await visitor.submit(page.form("/auth/login"), email=XSS, password=XSS, next=f"/{XSS}")
    assert page.form("/auth/login").fields["email"] == XSS
    assert [tag for tag, _ in page.tags].count("img") == 1
    page = await visitor.get("/auth/signup")
    page = await visitor.submit(page.form("/auth/signup"), email=f"{XSS}@example.com", password=PASSWORD)
    assert [tag for tag, _ in page.tags].count("img") == 1
    account = await auth.accounts.register("o'brien&co@example.com", PASSWORD)
    page = await visitor.log_in(account.email)
    assert account.email in page.text
    assert "o&#39;brien&amp;co@example.com" in page.html


async def test_store_down(visitor: Visitor, auth: Auth, store: GatedStore) -> None:
    """While the store is away pages say so, nobody is told that they are logged out, and their cookie stays."""
    page = await visitor.log_in()
    store.fail("revoke", "by_email", "by_id")
    await visitor.submit(page.form("/auth/logout"))
    assert visitor.response.status_code == 503
    assert visitor.response.headers["retry-after"] == "1"
    assert "set-cookie" not in visitor.response.headers
    page = await visitor.get("/auth/account")
    assert visitor.response.status_code == 503
    assert "does not work at the moment" in page.text
    assert visitor.session_cookie is not None
    store.fail()
    assert await live_sessions(auth) == 1


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"email=a&email=b&password=c", "application/x-www-form-urlencoded", 400),
        (b"email=%ff", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"f%d=1" % number for number in range(40)), "application/x-www-form-urlencoded", 400),
        (b'{"email": "a"}', "text/plain", 415),
        (b"email=" + b"a" * 70_000, "application/x-www-form-urlencoded", 413),
    ],
)
async def test_bad_forms(visitor: Visitor, content: bytes, kind: str, status: int) -> None:
    """What is no form of ours is refused and changes nothing."""
    visitor.response = await visitor.http.post("/auth/signup", content=content, headers={"content-type": kind})
    assert visitor.response.status_code == status


async def test_endless_form(visitor: Visitor) -> None:
    """A form that does not say how long it is, and is too long, is refused with a page."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield b"a" * 1024

    kind = {"content-type": "application/x-www-form-urlencoded"}
    response = await visitor.http.post("/auth/signup", content=chunks(), headers=kind)
    assert response.status_code == 413
    assert "too much" in Page(response.text).text


async def test_no_tls(auth: Auth) -> None:
    """Over plain http to another machine nobody is logged in, and nothing is made."""
    visitor = Visitor(auth, base="http://app.example")
    response = await visitor.post("/auth/signup", {"email": EMAIL, "password": PASSWORD})
    assert response.status_code == 400
    assert "https" in Page(response.text).text
    assert await auth.accounts.find_by_email(EMAIL) is None


async def test_tls(auth: Auth) -> None:
    """Over TLS the cookie is Secure and bound to the host."""
    visitor = Visitor(auth, base="https://app.example")
    response = await visitor.post("/auth/signup", {"email": EMAIL, "password": PASSWORD})
    cookie = response.headers.get_list("set-cookie")[0]
    assert cookie.startswith("__Host-coatcheck=ccs_")
    assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"} <= set(cookie.split("; "))


async def test_cookie_twice(visitor: Visitor) -> None:
    """With two session cookies nobody is logged in, and one can still log in."""
    await visitor.log_in()
    token = visitor.session_cookie
    visitor.http.cookies.clear()
    page = await visitor.get("/auth/account", headers={"cookie": f"coatcheck={token}; coatcheck={token}"})
    assert "Your login here has ended" in page.text


async def test_secrets_stay_in_cookies(visitor: Visitor) -> None:
    """The session token is in no page, no address and no header but Set-Cookie."""
    await visitor.log_in()
    token = visitor.session_cookie
    assert token is not None
    for path in ("/auth/account", "/auth/devices"):
        page = await visitor.get(path)
        assert token not in page.html
        assert token.removeprefix("ccs_")[24:] not in page.html + str(visitor.response.headers)


@pytest.mark.parametrize("settings", [{"subjects": lambda subject: None}, {"policy": Policy(modes=(Mode.JWT,))}])
def test_no_pages(settings: dict[str, Any]) -> None:
    """Without our own accounts or without mode session there can be no pages."""
    auth = Auth("memory://", **settings)
    with pytest.raises(ConfigurationError, match="the pages need"):
        pages.router(auth, ())
    paths = [getattr(route, "path", "") for route in auth_app(auth).routes]
    assert "/account" not in paths

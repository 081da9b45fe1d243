"""The pages, as a visitor without scripts sees them: getting in and out, the account, what every page has."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from coatcheck import Auth
from coatcheck.accounts import PasswordPolicy
from coatcheck.service.app import auth_app
from coatcheck.testing.clock import TravelClock
from coatcheck.web.render import CSP
from tests.service.visitor import EMAIL, OTHER, PASSWORD, Page, Visitor, live_sessions, make_auth


async def test_sign_up(auth: Auth) -> None:
    """Signing up makes the account, logs in and says so."""
    visitor = Visitor(auth)
    page = await visitor.get("/auth/signup")
    page = await visitor.submit(page.form("/auth/signup"), email=EMAIL, password=PASSWORD)
    assert visitor.path == "/auth/account?done=welcome"
    assert "Your account has been made" in page.text
    assert EMAIL in page.text
    assert (await auth.accounts.authenticate(EMAIL, PASSWORD)).account.email == EMAIL


async def test_log_in_and_out(auth: Auth, visitor: Visitor) -> None:
    """Logging in leads to the account, logging out to the login page, and the session is over."""
    page = await visitor.log_in()
    assert visitor.path == "/auth/account"
    old = visitor.session_cookie
    page = await visitor.submit(page.form("/auth/logout"))
    assert visitor.path == "/auth/login?done=logout"
    assert "You have been logged out." in page.text
    assert visitor.session_cookie is None
    assert await live_sessions(auth) == 0
    visitor.http.cookies.set("coatcheck", old or "", domain="localhost.local")
    await visitor.get("/auth/account")
    assert visitor.path.startswith("/auth/login?")


async def test_home(visitor: Visitor) -> None:
    """The root of the service leads to the login page, or to the account."""
    await visitor.get("/auth/")
    assert visitor.path == "/auth/login"
    await visitor.log_in()
    await visitor.get("/auth/")
    assert visitor.path == "/auth/account"
    for path in ("/auth/login", "/auth/signup"):
        await visitor.get(path)
        assert visitor.path == "/auth/account"


@pytest.mark.parametrize("path", ["/auth/account", "/auth/devices", "/auth/devices?cursor=abc"])
async def test_login_wall(visitor: Visitor, path: str) -> None:
    """Whoever is not logged in is asked to, and goes on to where they were headed."""
    page = await visitor.get(path)
    assert visitor.path.startswith("/auth/login?next=")
    assert "Log in to go on." in page.text
    form = page.form("/auth/login")
    assert form.fields["next"] == path
    response = await visitor.post(form.action, form.fields | {"email": EMAIL, "password": PASSWORD})
    assert response.headers["location"] == path


async def test_ended_session(visitor: Visitor, clock: TravelClock) -> None:
    """Whoever comes back after the session has ended is told so."""
    await visitor.log_in()
    clock.advance(1801)
    page = await visitor.get("/auth/account")
    assert "Your login here has ended" in page.text


async def test_ended_session_and_form(visitor: Visitor, clock: TravelClock) -> None:
    """A form sent after the session has ended changes nothing and leads to the login page, then back to its page."""
    page = await visitor.log_in()
    clock.advance(1801)
    form = page.form("/auth/account/password")
    page = await visitor.submit(form, current_password=PASSWORD, new_password=OTHER)
    assert "Your login here has ended" in page.text
    assert page.form("/auth/login").fields["next"] == "/auth/account"
    await visitor.auth.accounts.authenticate(EMAIL, PASSWORD)


async def test_next_elsewhere(visitor: Visitor) -> None:
    """A next that leads elsewhere is dropped, from the link and from the form."""
    page = await visitor.get("/auth/login", params={"next": "//evil.example"})
    form = page.form("/auth/login")
    assert form.fields["next"] == ""
    response = await visitor.post(form.action, {"email": EMAIL, "password": PASSWORD, "next": "https://evil.example"})
    assert response.headers["location"] == "/auth/account"


async def test_next_on_signup(visitor: Visitor) -> None:
    """The link from one form to the other takes next along, and signing up goes on to it."""
    page = await visitor.get("/auth/login", params={"next": "/shop?a=1&b=2"})
    (link,) = [attrs["href"] for tag, attrs in page.tags if tag == "a" and "signup" in (attrs["href"] or "")]
    page = await visitor.get(link or "")
    form = page.form("/auth/signup")
    response = await visitor.post(form.action, form.fields | {"email": "new@example.com", "password": PASSWORD})
    assert response.headers["location"] == "/shop?a=1&b=2"


async def test_remember(visitor: Visitor, auth: Auth, clock: TravelClock) -> None:
    """Only with the box ticked does the login outlast the browser and the evening."""
    form = (await visitor.get("/auth/login")).form("/auth/login")
    assert "remember" not in form.fields
    response = await visitor.post(form.action, form.fields | {"email": EMAIL, "password": PASSWORD})
    assert "Max-Age" not in response.headers.get_list("set-cookie")[0]
    response = await visitor.post(form.action, {"email": EMAIL, "password": PASSWORD, "remember": "yes"})
    assert "Max-Age=2592000" in response.headers.get_list("set-cookie")[0]
    clock.advance(86400)
    await visitor.get("/auth/account")
    assert visitor.path == "/auth/account"


async def test_log_in_again(visitor: Visitor, auth: Auth) -> None:
    """Logging in while logged in gives a new session and ends the old, also when it is somebody else's."""
    form = (await visitor.get("/auth/login")).form("/auth/login")
    await visitor.log_in()
    first = visitor.session_cookie
    await visitor.post(form.action, form.fields | {"email": EMAIL, "password": PASSWORD})
    assert visitor.session_cookie not in (None, first)
    assert await live_sessions(auth) == 1
    await auth.accounts.register("eve@example.com", OTHER)
    await visitor.post(form.action, form.fields | {"email": "eve@example.com", "password": OTHER})
    assert await live_sessions(auth) == 0


@pytest.mark.parametrize(("email", "password"), [(EMAIL, "wrong"), ("nobody@example.com", PASSWORD)])
async def test_wrong_login(visitor: Visitor, email: str, password: str) -> None:
    """Wrong password and unknown address show the same form: the address kept, the password not, the fields marked."""
    page = await visitor.log_in(email, password, remember="yes")
    assert visitor.response.status_code == 401
    assert visitor.response.headers.get("set-cookie") is None
    assert page.title.startswith("Error: ")
    assert "E-mail address or password is wrong." in page.text
    form = page.form("/auth/login")
    assert form.fields["email"] == email
    assert form.fields["password"] == ""
    assert form.fields["remember"] == "yes"
    for name in ("email", "password"):
        assert form.inputs[name]["aria-invalid"] == "true"
        assert form.inputs[name]["aria-describedby"] == "problem"
    assert f'value="{password}"' not in page.html


async def test_empty_login(visitor: Visitor) -> None:
    """Fields left empty are each told so."""
    page = await visitor.log_in("", "")
    assert visitor.response.status_code == 422
    form = page.form("/auth/login")
    for name in ("email", "password"):
        assert form.inputs[name]["aria-describedby"] == f"{name}-error"
        assert any(attrs.get("id") == f"{name}-error" for _, attrs in page.tags)


async def test_throttled_login(visitor: Visitor) -> None:
    """Too many tries: the form again, 429, and how long to wait."""
    for _ in range(10):
        await visitor.log_in(EMAIL, "wrong")
    page = await visitor.log_in()
    assert visitor.response.status_code == 429
    assert visitor.response.headers["retry-after"] == "900"
    assert "Wait 15 minutes" in page.text
    assert page.form("/auth/login").fields["email"] == EMAIL


@pytest.mark.parametrize(
    ("email", "password", "status", "field", "text"),
    [
        ("no address", PASSWORD, 422, "email", "Enter an e-mail address"),
        ("", PASSWORD, 422, "email", "Enter your e-mail address"),
        (EMAIL, PASSWORD, 409, "email", "There is an account with this address already"),
        (EMAIL.upper(), PASSWORD, 409, "email", "There is an account with this address already"),
        ("new@example.com", "short", 422, "password", "too short"),
        ("new@example.com", "password123", 422, "password", "most common"),
        ("new@example.com", "", 422, "password", "Enter your password"),
    ],
)
async def test_wrong_signup(
    visitor: Visitor, clock: TravelClock, email: str, password: str, status: int, field: str, text: str
) -> None:
    """What is wrong is said at its field; the address is kept and the password is not."""
    clock.advance(2)  # the account is older than the form
    page = await visitor.get("/auth/signup")
    page = await visitor.submit(page.form("/auth/signup"), email=email, password=password)
    assert visitor.response.status_code == status
    form = page.form("/auth/signup")
    assert text in page.text
    assert form.inputs[field]["aria-invalid"] == "true"
    assert f"{field}-error" in (form.inputs[field]["aria-describedby"] or "").split()
    assert form.fields["email"] == email
    assert form.fields["password"] == ""
    assert visitor.session_cookie is None


async def test_length_hint() -> None:
    """The hint and minlength are those of the policy in force."""
    async with make_auth(TravelClock(), password_policy=PasswordPolicy(min_length=15)) as auth:
        page = await Visitor(auth).get("/auth/signup")
    assert "At least 15 characters" in page.text
    assert page.form("/auth/signup").inputs["password"]["minlength"] == "15"


async def test_change_password(visitor: Visitor, auth: Auth) -> None:
    """The new password counts, this browser gets a new session, all others have ended and so has a copy of this one's
    cookie, and the page says so."""
    phone, thief = Visitor(auth), Visitor(auth)
    await phone.log_in()
    page = await visitor.log_in()
    thief.http.cookies.set("coatcheck", visitor.session_cookie or "")
    form = page.form("/auth/account/password")
    page = await visitor.submit(form, current_password=PASSWORD, new_password=OTHER)
    assert visitor.path == "/auth/account?done=password"
    assert "All other devices have been logged out." in page.text
    assert await live_sessions(auth) == 1
    for other in (phone, thief):
        page = await other.get("/auth/account")
        assert "Your login here has ended" in page.text
    await auth.accounts.authenticate(EMAIL, OTHER)


@pytest.mark.parametrize(
    ("current", "new", "status", "field"),
    [
        ("wrong", OTHER, 401, "current_password"),
        ("", OTHER, 422, "current_password"),
        (PASSWORD, "", 422, "new_password"),
        (PASSWORD, "short", 422, "new_password"),
        (PASSWORD, "password123", 422, "new_password"),
    ],
)
async def test_change_password_wrongly(visitor: Visitor, current: str, new: str, status: int, field: str) -> None:
    """What is wrong is said at its field, and the old password still counts."""
    page = await visitor.log_in()
    page = await visitor.submit(
        page.form("/auth/account/password"), current_password=current, new_password=new
    )  # fmt: skip
    assert visitor.response.status_code == status
    form = page.form("/auth/account/password")
    assert form.inputs[field]["aria-invalid"] == "true"
    assert form.fields["current_password"] == form.fields["new_password"] == ""
    await visitor.auth.accounts.authenticate(EMAIL, PASSWORD)


async def test_password_fields(visitor: Visitor) -> None:
    """Passwords are masked, password managers know what they are for, and nothing hinders pasting or length."""
    seen = [await visitor.get("/auth/login"), await visitor.get("/auth/signup"), await visitor.log_in()]
    expected = {"password": ["current-password", "new-password"], "current_password": ["current-password"],
                "new_password": ["new-password"]}  # fmt: skip
    for page in seen:
        for form in page.forms:
            for name, attrs in form.inputs.items():
                if "password" in name:
                    assert attrs["type"] == "password"
                    assert attrs["autocomplete"] in expected[name]
                    assert "maxlength" not in attrs
                    assert "value" not in attrs
                if name == "email":
                    assert attrs["autocomplete"] == "username"
        assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)


async def every_page(visitor: Visitor) -> list[Page]:
    found = []
    for path in ("/auth/login", "/auth/signup", "/auth/nowhere"):
        found.append(await visitor.get(path))
    found.append(await visitor.log_in(EMAIL, "wrong"))
    await visitor.log_in()
    for path in ("/auth/account?done=password", "/auth/devices", "/auth/nowhere"):
        found.append(await visitor.get(path))
    return found


async def test_every_page(visitor: Visitor) -> None:
    """Every page: a language, a title of its own, a viewport, one h1, labels, unique ids, a skip link, the one script
    and nothing else inline; and whoever is logged in can log out on it."""
    found = await every_page(visitor)
    for page in found:
        tags = [tag for tag, _ in page.tags]
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        assert dict(page.tags)["html"]["lang"] == "en"
        assert page.title.endswith(" · Coatcheck")
        assert any(attrs.get("name") == "viewport" for _, attrs in page.tags)
        assert tags.count("h1") == 1
        assert len(ids) == len(set(ids))
        assert page.tags[[tag for tag, _ in page.tags].index("a")][1]["href"] == "#main"
        assert not {"style", "iframe", "object", "embed", "base"} & set(tags)
        assert [attrs for tag, attrs in page.tags if tag == "script"] == [{}]
        assert not any("style" in attrs for _, attrs in page.tags)
        labelled = {attrs["for"] for tag, attrs in page.tags if tag == "label"}
        for form in page.forms:
            for attrs in form.inputs.values():
                assert attrs.get("type") == "hidden" or "hidden" in attrs or attrs["id"] in labelled
        for _, attrs in page.tags:
            assert set((attrs.get("aria-describedby") or "").split()) <= set(ids)
            assert set((attrs.get("aria-labelledby") or "").split()) <= set(ids)
    for page in found[-3:]:
        assert page.form("/auth/logout").fields["csrf_token"].startswith("ccf_")
    assert len({page.title for page in found}) == 6


async def test_headers(visitor: Visitor) -> None:
    """Pages, redirects and refusals carry the same strict headers."""
    responses = []
    for path in ("/auth/", "/auth/login", "/auth/account", "/auth/nowhere", "/auth/devices/x/logout"):
        responses.append(await visitor.http.get(path))
    responses.append(await visitor.post("/auth/login", {"email": EMAIL, "password": "wrong"}))
    responses.append(await visitor.post("/auth/login", {"email": EMAIL, "password": PASSWORD}))
    responses.append(await visitor.http.get("/auth/account"))
    responses.append(await visitor.post("/auth/logout", {"csrf_token": "ccf_x"}))
    for response in responses:
        if response.status_code == 405:
            continue
        assert response.headers["content-security-policy"] == CSP
        assert response.headers["cross-origin-opener-policy"] == "same-origin"
        assert response.headers["referrer-policy"] == "same-origin"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert "Cookie" in response.headers["vary"]
    assert "unsafe" not in CSP
    assert {response.status_code for response in responses} >= {200, 303, 401, 403, 404}


async def test_static(visitor: Visitor) -> None:
    """Style sheet and icon come from here and may be kept for good under their version; nothing else is there."""
    page = await visitor.get("/auth/login")
    links = [attrs["href"] or "" for tag, attrs in page.tags if tag == "link"]
    kinds = []
    for link in links:
        response = await visitor.http.get(link)
        kinds.append(response.headers["content-type"])
        assert "immutable" in response.headers["cache-control"]
        assert response.headers["x-content-type-options"] == "nosniff"
        stale = await visitor.http.get(link.partition("?")[0])
        assert "immutable" not in stale.headers["cache-control"]
    assert kinds == ["text/css; charset=utf-8", "image/svg+xml"]
    for name in ("x", "..%2fapp.py", "%2e%2e/app.py", "coatcheck.css/"):
        assert (await visitor.http.get(f"/auth/static/{name}")).status_code == 404


@pytest.mark.parametrize("prefix", ["/login-service/v1", "/möbel"])
async def test_any_prefix(auth: Auth, prefix: str) -> None:
    """Mounted anywhere, every address of every page is below the mount, but the way back to the application."""
    host = FastAPI()
    host.mount(prefix, auth_app(auth))
    visitor = Visitor(auth, app=host)
    page = await visitor.get(f"{prefix}/signup")
    (form,) = page.forms
    page = await visitor.submit(form, email=EMAIL, password=PASSWORD)
    root = str(visitor.response.url.raw_path.decode()).partition("/account")[0]
    assert root in (prefix, "/m%C3%B6bel")
    page = await visitor.get(f"{root}/devices")
    for _, attrs in page.tags:
        for name in ("href", "src", "action"):
            assert (attrs.get(name) or root).startswith((root, "#")) or attrs == {"class": "brand", "href": "/"}
    page = await visitor.submit(page.form(f"{root}/logout"))
    assert visitor.path == f"{root}/login?done=logout"

"""The page for proving again who one is, and what somebody logged in sees of the pages to log in and sign up."""

from __future__ import annotations

import pytest

from coatcheck import ApplicationSubjects, Auth, Policy, SubjectFacts
from coatcheck.testing.clock import TravelClock
from tests.service.visitor import EMAIL, OTHER, PASSWORD, Visitor, live_sessions, make_auth

PAGE = "/auth/reauthenticate"


async def auth_time(visitor: Visitor) -> str:
    found: str = (await visitor.http.get("/auth/session", headers={"accept": "application/json"})).json()["auth_time"]
    return found


async def test_proving_it(visitor: Visitor, auth: Auth, clock: TravelClock) -> None:
    """The password makes the login fresh, in a new session in the place of the old, and leads on."""
    await visitor.log_in()
    before, old = await auth_time(visitor), visitor.session_cookie
    clock.advance(600)
    page = await visitor.get(PAGE, params={"next": "/auth/devices"})
    assert f"You are logged in as {EMAIL}" in page.text
    page = await visitor.submit(page.form(PAGE), password=PASSWORD)
    assert visitor.path == "/auth/devices"
    assert await auth_time(visitor) > before
    assert visitor.session_cookie not in (None, old)
    assert await live_sessions(auth) == 1
    page = await visitor.submit((await visitor.get(PAGE)).form(PAGE), password=PASSWORD)
    assert visitor.path == "/auth/account?done=proved"
    assert "You have proved again who you are." in page.text


@pytest.mark.parametrize(
    ("password", "status", "said"), [("wrong", 401, "This is not your password."), ("", 422, "Enter your password.")]
)
async def test_not_proving_it(visitor: Visitor, password: str, status: int, said: str) -> None:
    """What is no proof changes nothing, says so at the field, and keeps where one was headed."""
    await visitor.log_in()
    old = visitor.session_cookie
    page = await visitor.get(PAGE, params={"next": "/shop"})
    page = await visitor.submit(page.form(PAGE), password=password)
    assert (visitor.response.status_code, visitor.session_cookie) == (status, old)
    assert page.title.startswith("Error: ")
    assert said in page.text
    assert page.form(PAGE).fields["next"] == "/shop"
    assert page.form(PAGE).fields.get("password", "") == ""


async def test_too_many_tries(visitor: Visitor) -> None:
    """The page shares the count of wrong passwords with the login, and says how long to wait."""
    await visitor.log_in()
    form = (await visitor.get(PAGE)).form(PAGE)
    for _ in range(10):
        await visitor.submit(form, password="wrong")
    page = await visitor.submit(form, password=PASSWORD)
    assert visitor.response.status_code == 429
    assert "Too many tries." in page.text
    assert int(visitor.response.headers["retry-after"]) > 0


async def test_nobody(visitor: Visitor, clock: TravelClock) -> None:
    """Whoever is not logged in, or not any more, logs in, which is as good, and goes on from there."""
    page = await visitor.get(PAGE, params={"next": "/shop"})
    assert page.form("/auth/login").fields["next"] == "/shop"
    await visitor.log_in()
    form = (await visitor.get(PAGE, params={"next": "/shop"})).form(PAGE)
    clock.advance(1801)
    page = await visitor.submit(form, password=PASSWORD)
    assert "Your login here has ended" in page.text
    assert page.form("/auth/login").fields["next"] == "/shop"
    page = await visitor.get(PAGE)
    assert page.form("/auth/login").fields["next"] == "/auth/account"


async def test_ended_in_between(visitor: Visitor, auth: Auth) -> None:
    """A session that ends elsewhere while the password is typed is not brought back by it."""
    await visitor.log_in()
    form = (await visitor.get(PAGE)).form(PAGE)
    account = await auth.accounts.find_by_email(EMAIL)
    assert account is not None
    await auth.revoke_subject(account.id)
    page = await visitor.submit(form, password=PASSWORD)
    assert page.form("/auth/login").action
    assert await live_sessions(auth) == 0


async def test_of_another_session(visitor: Visitor, auth: Auth) -> None:
    """A form that was made for another session proves nothing, nor does one from another site."""
    await visitor.log_in()
    form = (await visitor.get(PAGE)).form(PAGE)
    other = Visitor(auth)
    await other.log_in()
    old = other.session_cookie
    assert (await other.post(PAGE, form.fields | {"password": PASSWORD})).status_code == 403
    own = (await other.get(PAGE)).form(PAGE).fields | {"password": PASSWORD}
    assert (await other.post(PAGE, own, headers={"sec-fetch-site": "cross-site"})).status_code == 403
    assert other.session_cookie == old


@pytest.mark.parametrize("path", ["/auth/login", "/auth/signup", PAGE])
@pytest.mark.parametrize("next", ["//evil.example", "javascript:alert(1)", "/\\evil.example", ""])
async def test_next_elsewhere(visitor: Visitor, path: str, next: str) -> None:
    """A next that leads elsewhere is in no link and no form, and sends nobody anywhere."""
    await visitor.log_in()
    page = await visitor.get(path, params={"next": next})
    assert visitor.path.startswith(f"{path}?")
    links = [attrs["href"] or "" for tag, attrs in page.tags if tag == "a"]
    assert all(link.startswith(("/auth/", "#main")) and "evil" not in link for link in links)
    assert all(form.fields.get("next", "") in ("", "/auth/login?done=logout") for form in page.forms)
    page = await visitor.submit(page.form(path), email="new@example.com", password=PASSWORD, next=next)
    assert visitor.path.startswith("/auth/account") or visitor.response.status_code == 401


async def test_signing_up_as_another(visitor: Visitor, auth: Auth) -> None:
    """Somebody logged in who was sent to sign up is offered to go on, and may make another account."""
    await visitor.log_in()
    page = await visitor.get("/auth/signup", params={"next": "/auth/devices"})
    assert f"You are logged in as {EMAIL}" in page.text
    assert "/auth/devices" in [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    await visitor.submit(page.form("/auth/signup"), email="new@example.com", password=OTHER)
    assert visitor.path == "/auth/devices"
    assert await live_sessions(auth) == 0


async def test_an_invitation() -> None:
    """Somebody logged in who opens an invitation is told who they are, and may make the account all the same."""
    async with make_auth(TravelClock(), policy=Policy(registration="invited")) as auth:
        await auth.accounts.register(EMAIL, PASSWORD)
        visitor = Visitor(auth)
        await visitor.log_in()
        invitation = auth.invite("new@example.com")
        page = await visitor.get("/auth/signup", params={"invitation": invitation})
        assert f"You are logged in as {EMAIL}" in page.text
        await visitor.submit(page.form("/auth/signup"), password=OTHER)
        assert visitor.path == "/auth/account?done=welcome"


async def test_a_login_that_fails(visitor: Visitor) -> None:
    """Who tries to be somebody else and fails is still who they were, and still told so."""
    await visitor.log_in()
    page = await visitor.get("/auth/login", params={"next": "/shop"})
    page = await visitor.submit(page.form("/auth/login"), email="new@example.com", password="wrong")
    assert visitor.response.status_code == 401
    assert f"You are logged in as {EMAIL}" in page.text
    assert "E-mail address or password is wrong." in page.text
    await visitor.get("/auth/account")
    assert visitor.path == "/auth/account"


async def test_where_nobody_here_checks_passwords() -> None:
    """Where the application checks them there is no such page: logging in is the proof, and nobody is promised more.
    Somebody without an address is called what the application calls them."""

    async def check(name: str, password: str) -> str | None:
        return "7" if password == PASSWORD else None

    facts = SubjectFacts(claims={"name": "Ada Lovelace"})
    subjects = ApplicationSubjects(lambda subject: facts, authenticate=check)
    async with make_auth(TravelClock(), subjects=subjects) as auth:
        visitor = Visitor(auth)
        await visitor.log_in("ada")
        page = await visitor.get(PAGE, params={"next": "/shop"})
        assert visitor.response.status_code == 404
        page = await visitor.get("/auth/login", params={"next": "/shop"})
        assert "You are logged in as Ada Lovelace" in page.text
        assert not any(PAGE in (attrs.get("href") or "") for _, attrs in page.tags)
        assert page.form("/auth/login").fields["next"] == "/shop"

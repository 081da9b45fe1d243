"""The pages where the application keeps the users: what is there, what is not, and that it is guarded alike."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from werkzeug.security import generate_password_hash

from coatcheck import ApplicationSubjects, Auth, Mode, Policy, blocking
from coatcheck import fastapi as fastapi_service
from coatcheck import flask as flask_service
from coatcheck import starlette as starlette_service
from coatcheck.flask import login_required
from coatcheck.service.app import auth_app, has_pages
from coatcheck.testing.clock import TravelClock
from tests.service.visitor import FIREFOX, OTHER, OWN, PASSWORD, Page, Visitor, make_auth
from tests.support.users import User, Users

EMAIL = "ada@lovelace.example"
PLACES = ["/auth/account", "/auth/devices"]
WRONG = "E-mail address, user name or password is wrong."


@pytest.fixture
def users() -> Users:
    stored = generate_password_hash(PASSWORD, "scrypt:128:8:1")
    return Users([User("7", ("ada", EMAIL), stored, frozenset({"writer"}))])


def checked(name: str, password: str) -> str | None:
    """As an application checks passwords."""
    return "7" if (name, password) == ("ada", PASSWORD) else None


@pytest.fixture
async def known(users: Users, clock: TravelClock) -> AsyncIterator[Visitor]:
    """A visitor where the application keeps users with hashes."""
    async with make_auth(clock, subjects=users) as auth:
        yield Visitor(auth)


@pytest.fixture
async def asked(clock: TravelClock) -> AsyncIterator[Visitor]:
    """A visitor where a function checks passwords."""
    async with make_auth(clock, subjects=ApplicationSubjects(authenticate=checked)) as auth:
        yield Visitor(auth)


@pytest.fixture(params=["known", "asked"])
def visitor(request: pytest.FixtureRequest) -> Visitor:
    found: Visitor = request.getfixturevalue(request.param)
    return found


async def sessions_of(visitor: Visitor) -> int:
    return len((await visitor.auth.sessions.sessions_of("7", now=visitor.auth.clock.now())).sessions)


async def test_in_and_out(visitor: Visitor) -> None:
    """Logging in by a user name, the account, the devices, and logging out."""
    await visitor.get("/auth/")
    assert visitor.path == "/auth/login"
    page = await visitor.log_in("ada")
    assert visitor.path == "/auth/account"
    await visitor.get("/auth/")
    assert visitor.path == "/auth/account"
    page = await visitor.get("/auth/devices")
    assert "Firefox on Linux This device" in page.text
    page = await visitor.submit(page.form("/auth/logout"))
    assert visitor.path == "/auth/login?done=logout"
    assert await sessions_of(visitor) == 0


async def test_login_form(visitor: Visitor) -> None:
    """The form takes any name, as password managers and keyboards understand it, and keeps it when it is wrong."""
    page = await visitor.log_in(" ada ", "wrong")
    assert visitor.response.status_code == 401
    assert WRONG in page.text
    given = page.form("/auth/login").inputs["email"]
    assert (given["type"], given["autocomplete"], given["autocapitalize"]) == ("text", "username", "none")
    assert given["value"] == "ada"
    assert "inputmode" not in given
    assert "E-mail address or user name" in page.text
    page = await visitor.log_in("", "")
    assert visitor.response.status_code == 422
    assert "Enter your e-mail address or user name." in page.text


@pytest.mark.parametrize("place", [*PLACES, "/auth/devices?cursor=abc"])
async def test_login_wall(visitor: Visitor, place: str) -> None:
    """Whoever is not logged in is asked to, and goes on to where they were headed."""
    page = await visitor.get(place)
    form = page.form("/auth/login")
    response = await visitor.post(form.action, form.fields | {"email": "ada", "password": PASSWORD})
    assert response.headers["location"] == place


async def test_no_signing_up(visitor: Visitor) -> None:
    """There is no page to sign up on, nothing that makes an account, and no link to either."""
    seen = [await visitor.get("/auth/login"), await visitor.log_in("ada", "wrong"), await visitor.get("/auth/nowhere")]
    await visitor.log_in("ada")
    seen += [await visitor.get(place) for place in (*PLACES, "/auth/nowhere")]
    for page in seen:
        assert "sign" not in page.html.lower()
    assert "There is no such page" in (await visitor.get("/auth/signup")).text
    assert visitor.response.status_code == 404
    response = await visitor.post("/auth/signup", {"email": "new@example.com", "password": PASSWORD})
    assert response.status_code == 404


async def test_every_link_leads_somewhere(visitor: Visitor) -> None:
    """Every address on every page is one that is there."""
    await visitor.log_in("ada")
    for place in (*PLACES, "/auth/nowhere"):
        page = await visitor.get(place)
        for _, attrs in page.tags:
            link = attrs.get("href") or attrs.get("src") or "#"
            if not link.startswith("#") and link != "/":  # the application's
                assert (await visitor.http.get(link)).status_code == 200
        for form in page.forms:
            assert (await visitor.post(form.action, {"csrf_token": "ccf_x"})).status_code == 403, form.action


async def test_account(known: Visitor, users: Users) -> None:
    """The account shows what is known of the person."""
    page = await known.log_in("ada")
    assert EMAIL in page.text
    assert "writer" in page.text
    assert "Account since" not in page.text
    users.all[0].names = ("ada", "")
    assert "E-mail" not in (await known.get("/auth/account")).text


async def test_change_password(known: Visitor, users: Users) -> None:
    """The new password counts, and all other sessions have ended; what is wrong is said at its field."""
    phone = Visitor(known.auth)
    await phone.log_in("ada")
    page = await known.log_in("ada")
    path = "/auth/account/password"
    for current, new, status in (("wrong", OTHER, 401), (PASSWORD, "short", 422), ("", "", 422)):
        before = users.all[0].password_hash
        await known.submit(page.form(path), current_password=current, new_password=new)
        assert (known.response.status_code, users.all[0].password_hash) == (status, before)
    await known.submit(page.form(path), current_password=PASSWORD, new_password=OTHER)
    assert known.path == "/auth/account?done=password"
    assert await sessions_of(known) == 1
    assert "Your login here has ended" in (await phone.get("/auth/account")).text
    await known.auth.authenticate("ada", OTHER)


async def test_no_passwords_of_ours(asked: Visitor) -> None:
    """Where the application checks passwords, no page offers to change one, and nothing takes one."""
    page = await asked.log_in("ada")
    assert [form.action for form in page.forms] == ["/auth/logout"]
    assert "E-mail" not in page.text
    devices = await asked.get("/auth/devices")
    assert "change your password" in devices.text
    assert "#change" not in devices.html
    token = page.form("/auth/logout").fields["csrf_token"]
    fields = {"csrf_token": token, "current_password": PASSWORD, "new_password": OTHER}
    assert (await asked.post("/auth/account/password", fields)).status_code == 404


async def test_refusals_are_alike(known: Visitor, users: Users) -> None:
    """An unknown name, a wrong password and a disabled user get the same page, but for the name that was typed."""
    users.all.append(User("8", ("eve",), users.all[0].password_hash, active=False))
    seen = set()
    for name, password in (("nobody", PASSWORD), ("ada", "wrong"), ("eve", PASSWORD)):
        page = await known.log_in(name, password)
        drawn = page.form("/auth/login").fields["once"]  # another one for each form, whoever asks
        seen.add((known.response.status_code, page.html.replace(f'value="{name}"', 'value=""').replace(drawn, "")))
    assert len(seen) == 1


async def test_throttled(visitor: Visitor) -> None:
    """Too many tries: the form again, 429, and how long to wait, before the right password is looked at."""
    for _ in range(10):
        await visitor.log_in("ada", "wrong")
    page = await visitor.log_in("ada")
    assert visitor.response.status_code == 429
    assert visitor.response.headers["retry-after"] == "900"
    assert "Wait 15 minutes" in page.text


async def test_cannot_tell(known: Visitor, users: Users) -> None:
    """While the application's users cannot be read nobody gets in, and the page says that it does not work."""
    users.failing.add("login_of")
    page = await known.log_in("ada")
    assert (known.response.status_code, known.session_cookie) == (503, None)
    assert "This does not work at the moment" in page.text


async def test_cross_site(visitor: Visitor) -> None:
    """A form of another site logs nobody in or out, and one that was made for another login changes nothing."""
    evil = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    fields = {"email": "ada", "password": PASSWORD}
    response = await visitor.post("/auth/login", fields, headers=evil)
    assert (response.status_code, "set-cookie" in response.headers) == (403, False)
    page = await visitor.log_in("ada")
    token = page.form("/auth/logout").fields
    for path in ("/auth/logout", "/auth/devices/everywhere/logout", "/auth/devices/others/logout"):
        assert (await visitor.post(path, token, headers=evil)).status_code == 403
        assert (await visitor.post(path, {"csrf_token": "ccf_x"})).status_code == 403
    assert await sessions_of(visitor) == 1


async def test_markup_in_a_name(visitor: Visitor) -> None:
    """Markup in a name is text on the page."""
    name = '"><img src=x onerror=alert(1)>'
    page = await visitor.log_in(name, PASSWORD)
    assert page.form("/auth/login").fields["email"] == name
    assert [tag for tag, _ in page.tags].count("img") == 1


@pytest.mark.parametrize(
    ("subjects", "modes", "expected"),
    [
        (ApplicationSubjects(authenticate=checked), tuple(Mode), True),
        (ApplicationSubjects(authenticate=checked), (Mode.JWT, Mode.JWT_COOKIE), False),
        (ApplicationSubjects(), tuple(Mode), False),
        (Users([]), (Mode.SESSION,), True),
        (None, tuple(Mode), True),
        (None, (Mode.JWT,), False),
    ],
)
async def test_where_there_are_pages(subjects: object, modes: tuple[Mode, ...], expected: bool) -> None:
    """What says that there are pages agrees with what is served, in every framework."""
    given = {"subjects": subjects, "policy": Policy(modes=modes)}
    auth = Auth("memory://", **given)  # type: ignore[arg-type]  # as the parameters say
    assert has_pages(auth) is expected
    assert auth_app(auth).state.pages is expected
    assert auth_app(auth, pages=False).state.pages is False
    apps = [FastAPI(), Starlette()]
    fastapi_service.mount_auth(apps[0], auth)  # type: ignore[arg-type]  # the first is one
    starlette_service.mount_auth(apps[1], auth)
    async with auth:
        for app in apps:
            web = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost", headers=OWN)
            assert ((await web.get("/auth/login")).status_code == 200) is expected


@pytest.mark.parametrize("pages", [True, False])
@pytest.mark.parametrize("subjects", [ApplicationSubjects(authenticate=checked), ApplicationSubjects(), None])
def test_flask_sends_to_the_login_page_that_is_there(subjects: ApplicationSubjects | None, pages: bool) -> None:
    """A person who is nobody is sent to the login page where there is one, and gets 401 where there is none."""
    app = Flask(__name__)
    auth = flask_service.mount_auth(app, blocking.Auth("memory://", subjects=subjects), prefix="/door", pages=pages)

    @app.get("/mine")
    @login_required
    def mine() -> str:
        return "mine"

    web = app.test_client()
    try:
        answer = web.get("/mine", headers={"Accept": "text/html", "User-Agent": FIREFOX})
        assert has_pages(auth) is auth.can_authenticate
        if pages and auth.can_authenticate:
            assert (answer.status_code, answer.headers["location"]) == (303, "/door/login?next=%2Fmine")
            page = Page(web.get(answer.headers["location"]).text)
            assert page.form("/door/login").fields["next"] == "/mine"
        else:
            assert answer.status_code == 401
            assert web.get("/door/login", headers=OWN).status_code in (404, 405)
    finally:
        auth.close()

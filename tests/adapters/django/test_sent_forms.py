"""Forms of a project's own with Django's token: of a tab that was opened as somebody else, and sent too late."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import override_settings

from coatcheck import Mode
from tests.adapters.django.browser import OWN, PASSWORD, Browser

PERSON = {**OWN, "Origin": "https://app.example", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
MODES = pytest.mark.parametrize("mode", [Mode.SESSION, Mode.JWT_COOKIE], ids=str)


@pytest.fixture
def bob(ann: User) -> User:
    return User.objects.create_user(f"bob-{ann.get_username()}", password=PASSWORD)


def token_of(page: Any) -> str:
    found: str = page.content.decode().partition('value="')[2].partition('"')[0]
    assert found
    return found


def send(browser: Browser, token: str, **more: str) -> Any:
    return browser.post("/form", {"csrfmiddlewaretoken": token}, headers={**PERSON, **more})


def _by_service(browser: Browser, user: User, mode: Mode) -> None:
    assert browser.enter(user, mode).status_code == 200


def _by_page(browser: Browser, user: User, mode: Mode) -> None:
    fields = {"email": user.get_username(), "password": PASSWORD, "next": "/open"}
    kind = "application/x-www-form-urlencoded"
    assert browser.post("/auth/login", urlencode(fields), content_type=kind, headers=PERSON).status_code == 303


def _by_django(browser: Browser, user: User, mode: Mode) -> None:
    token = token_of(browser.get("/accounts/login/"))
    fields = {"username": user.get_username(), "password": PASSWORD, "csrfmiddlewaretoken": token}
    assert browser.post("/accounts/login/", fields, headers=PERSON).status_code == 302


def _out_by_service(browser: Browser) -> None:
    assert browser.post("/auth/logout", content_type="application/json", headers=OWN).status_code == 204


def _out_by_django(browser: Browser) -> None:
    assert browser.post("/accounts/logout/", headers=PERSON).status_code == 302


@MODES
@pytest.mark.parametrize("log_in", [_by_service, _by_page, _by_django])
def test_a_form_of_another_login(browser: Browser, ann: User, bob: User, mode: Mode, log_in: Any) -> None:
    """However the other one logs in, a form of before is refused with Django's page, and theirs is taken."""
    browser.enter(ann, mode)
    of_ann = token_of(browser.get("/form"))
    assert send(browser, of_ann).content == b"posted by somebody"
    log_in(browser, bob, mode)
    refused = send(browser, of_ann)
    assert (refused.status_code, refused["Content-Type"].partition(";")[0]) == (403, "text/html")
    assert send(browser, token_of(browser.get("/form"))).content == b"posted by somebody"


@MODES
def test_a_form_of_a_visitor_who_has_logged_in_since(browser: Browser, ann: User, mode: Mode) -> None:
    """It is of another login too."""
    before = token_of(browser.get("/form"))
    browser.enter(ann, mode)
    assert send(browser, before).status_code == 403


def test_a_form_whose_origin_is_hidden(browser: Browser, ann: User, bob: User) -> None:
    """As by ``Referrer-Policy: no-referrer``: it is taken, as Django's check would refuse all of them."""
    browser.enter(ann)
    of_ann = token_of(browser.get("/form"))
    browser.enter(bob)
    assert send(browser, of_ann, Origin="null").content == b"posted by somebody"


@MODES
@pytest.mark.parametrize("log_out", [_out_by_service, _out_by_django])
def test_a_form_of_before_a_logout(browser: Browser, ann: User, bob: User, mode: Mode, log_out: Any) -> None:
    """It leads to the login, token or not, and is refused once somebody else has logged in."""
    browser.enter(ann, mode)
    of_ann = token_of(browser.get("/form"))
    log_out(browser)
    late = {"csrfmiddlewaretoken": of_ann}
    answer = browser.post("/mine", late, headers={**PERSON, "Referer": "https://app.example/mine"})
    assert (answer.status_code, answer.get("Location")) == (302, "/auth/login?next=%2Fmine")
    browser.enter(bob, mode)
    assert send(browser, of_ann).status_code == 403


@MODES
def test_a_new_proof_leaves_the_persons_forms(browser: Browser, ann: User, mode: Mode) -> None:
    """Proving again who one is changes the session, and not the person."""
    browser.enter(ann, mode)
    token = token_of(browser.get("/form"))
    renewed = browser.post("/auth/reauthenticate", {"password": PASSWORD}, content_type="application/json", headers=OWN)
    assert renewed.status_code == 200
    assert send(browser, token).content == b"posted by somebody"


def test_a_login_makes_no_cookie_of_djangos(browser: Browser, ann: User) -> None:
    """Where no form of Django's was shown."""
    browser.enter(ann)
    assert "csrftoken" not in browser.cookies


@pytest.mark.parametrize(
    ("referer", "target"),
    [
        ("https://app.example/mine?page=2", "/auth/login?next=%2Fmine%3Fpage%3D2"),
        ("https://app.example//evil.example", "/auth/login"),
        ("https://app.example/\\evil.example", "/auth/login"),
        ("https://evil.example/mine", "/auth/login"),
        ("https://app.example", "/auth/login"),
        ("", "/auth/login"),
    ],
)
def test_a_form_that_comes_too_late(browser: Browser, referer: str, target: str) -> None:
    """A person is sent to the login, and from there to the page of the form; a program is told."""
    with override_settings(LOGIN_URL="/auth/login"):
        answer = browser.post("/late", {"x": "1"}, headers={**PERSON, "Referer": referer})
        assert (answer.status_code, answer["Location"]) == (302, target)
        for program in ({"Accept": "application/json"}, {"Sec-Fetch-Mode": "cors"}):
            answer = browser.post("/late", {"x": "1"}, headers={**PERSON, "Referer": referer, **program})
            assert (answer.status_code, answer.json()["code"]) == (401, "not_logged_in")

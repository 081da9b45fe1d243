"""Django's check of where a request comes from, and ours, on the same requests."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from coatcheck import Mode, Policy
from tests.adapters.django.browser import EVIL, OWN, Browser

COOKIES = pytest.mark.parametrize("mode", [Mode.SESSION, Mode.JWT_COOKIE], ids=str)
FOREIGN: list[dict[str, str]] = [
    EVIL,
    {},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://app.example"},
]


@COOKIES
def test_cross_site(browser: Browser, ann: User, mode: Mode) -> None:
    """On a cookie nothing from elsewhere gets through, whatever else it carries of Django's."""
    browser.enter(ann, mode)
    token = browser.get("/form").content.decode().partition('value="')[2].partition('"')[0]
    for sent in FOREIGN:
        for form in ({}, {"csrfmiddlewaretoken": token}):
            answer = browser.post("/form", form, headers={"Referer": "https://app.example/", **sent})
            assert (answer.status_code, answer.json()["code"]) == (403, "cross_site"), (sent, form)


@COOKIES
def test_own_form(browser: Browser, ann: User, mode: Mode) -> None:
    """From our own pages it gets through, with Django's token and without."""
    browser.enter(ann, mode)
    token = browser.get("/form").content.decode().partition('value="')[2].partition('"')[0]
    for form in ({}, {"csrfmiddlewaretoken": token}):
        assert browser.post("/form", form, headers=OWN).content == b"posted by somebody"
        assert browser.post("/form", form, headers={"Origin": "https://app.example"}).status_code == 200


def test_bearer(browser: Browser, ann: User) -> None:
    """A verified bearer token needs neither check; a bad one is refused before both."""
    browser.enter(ann, Mode.JWT)
    for sent in ({}, EVIL):
        assert browser.post("/form", headers=sent).content == b"posted by somebody"
    browser.bearer = "x"
    assert browser.post("/form", headers=OWN).json()["code"] == "invalid_credential"


@pytest.mark.parametrize("ended", [False, True])
def test_nobody(browser: Browser, ann: User, ended: bool) -> None:
    """Nobody's requests, and those with a cookie that has ended, Django judges as ever."""
    if ended:
        browser.enter(ann)
        browser.cookies["__Host-coatcheck"] = "x"
    token = browser.get("/form").content.decode().partition('value="')[2].partition('"')[0]
    origin = {"Origin": "https://app.example"}
    for sent, form in ((OWN, {}), (origin, {}), (EVIL, {"csrfmiddlewaretoken": token})):
        answer = browser.post("/form", form, headers=sent)
        assert answer.status_code == 403
        assert b"cross_site" not in answer.content
    answer = browser.post("/form", {"csrfmiddlewaretoken": token}, headers=origin)
    assert answer.content == b"posted by None"


def test_other_authorization(browser: Browser, ann: User) -> None:
    """An Authorization header that is not ours excuses nothing."""
    for header in ("Basic eDp4", "Token x"):
        assert browser.post("/form", headers={"Authorization": header}).status_code == 403
    browser.enter(ann)
    answer = browser.post("/form", headers={"Authorization": "Basic eDp4", **EVIL})
    assert answer.json()["code"] == "cross_site"


def test_bearer_beside_a_cookie(browser: Browser, ann: User) -> None:
    """What was verified is what counts: a good bearer token beside a cookie is a bearer request, a bad one is none."""
    phone = Browser()
    phone.enter(ann, Mode.JWT)
    browser.enter(ann)
    headers: dict[str, Any] = {"Authorization": f"Bearer {phone.bearer}", **EVIL}
    assert browser.post("/form", headers=headers).content == b"posted by somebody"
    assert browser.post("/form", headers={"Authorization": "Bearer x", **EVIL}).status_code == 401


@pytest.mark.parametrize("chosen", [{"url": "memory://", "policy": Policy(origins=("https://spa.example",))}])
@COOKIES
def test_listed_origin(browser: Browser, ann: User, mode: Mode) -> None:
    """An origin of the policy is one of ours to both checks."""
    browser.enter(ann, mode)
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://spa.example"}
    assert browser.post("/form", headers=headers).status_code == 200


def test_the_service(browser: Browser, ann: User) -> None:
    """The service judges for itself: no token of Django's is asked for, and nobody is logged in from elsewhere."""
    body = {"email": ann.username, "password": "nine brown owls", "mode": "session"}
    answer = browser.post("/auth/login", body, content_type="application/json", headers=EVIL)
    assert answer.json()["code"] == "cross_site"
    browser.enter(ann)
    for sent, status in ((EVIL, 403), (OWN, 204)):
        assert browser.post("/auth/logout", content_type="application/json", headers=sent).status_code == status

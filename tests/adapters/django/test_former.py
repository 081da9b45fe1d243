"""Trading in, in a Django view, what another system has issued."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from coatcheck import Mode
from coatcheck.django import cut_off
from coatcheck.django.urls import Former, trade_in
from tests.adapters.django.browser import EVIL, OWN, Browser
from tests.adapters.django.urls import danger, mine, open_view


@csrf_exempt
def view(request: HttpRequest) -> HttpResponse:
    """``old=<subject>``: genuine, and of long ago."""
    former = Former(subject=request.GET["old"], credential=f"of {request.GET['old']}", auth_time=1, cookies=("old",))
    return trade_in(request, former, mode=Mode(request.GET["mode"]))


urlpatterns: list[Any] = [
    path("open", open_view),
    path("mine", mine),
    path("danger", danger),
    path("trade-in", view),
    path("auth/", include("coatcheck.django.urls")),
]

pytestmark = pytest.mark.usefixtures("routes")


@pytest.fixture
def routes(auth: Any) -> Any:
    with override_settings(ROOT_URLCONF=__name__):
        yield


def trade(browser: Browser, user: User, mode: Mode = Mode.JWT, headers: dict[str, str] = OWN) -> Any:
    return browser.post(f"/trade-in?old={user.pk}&mode={mode.value}", headers=headers)


def test_tokens(browser: Browser, ann: User) -> None:
    """A program gets tokens that work, of a session as old as the former login."""
    answer = trade(browser, ann, headers={})
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    browser.bearer = answer.json()["access_token"]
    assert browser.get("/mine").json()["subject"] == str(ann.pk)
    assert browser.post("/danger").json()["code"] == "login_too_old"
    renewed = browser.post(
        "/auth/refresh", {"refresh_token": answer.json()["refresh_token"]}, content_type="application/json"
    )
    assert renewed.status_code == 200


@pytest.mark.parametrize("mode", [Mode.SESSION, Mode.JWT_COOKIE])
def test_cookies(browser: Browser, ann: User, mode: Mode) -> None:
    """A browser gets our cookies, and forgets the former one."""
    browser.cookies["old"] = "whatever"
    answer = trade(browser, ann, mode)
    assert answer.status_code == 200
    assert (answer.cookies["old"].value, answer.cookies["old"]["max-age"]) == ("", "0")
    assert browser.who() == str(ann.pk)
    if mode is Mode.JWT_COOKIE:
        assert answer.cookies["__Secure-coatcheck-refresh"]["path"] == "/auth/refresh"


def test_never_after_a_logout_everywhere(browser: Browser, ann: User) -> None:
    """Whoever was cut off since is refused, as is whoever is not active."""
    assert trade(browser, ann).status_code == 200
    cut_off(ann)
    answer = trade(browser, ann)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credential")
    assert answer["Cache-Control"] == "no-store"


def test_inactive(browser: Browser, ann: User) -> None:
    """Somebody who may not log in is not let in by what they had before."""
    User.objects.filter(pk=ann.pk).update(is_active=False)
    assert trade(browser, ann).status_code == 401


def test_another_site(browser: Browser, ann: User) -> None:
    """Another site cannot log its visitors in, and uses nothing up."""
    answer = trade(browser, ann, Mode.SESSION, EVIL)
    assert answer.status_code == 403
    assert set(answer.cookies) == set()
    assert browser.who() is None
    assert trade(browser, ann).status_code == 200

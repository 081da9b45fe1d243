"""What Django keeps for a person beside the session: messages, in a cookie of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import override_settings
from django.urls import include, path

from coatcheck.blocking import Auth
from tests.adapters.django.browser import OWN, PASSWORD, Browser


def say(request: HttpRequest) -> HttpResponse:
    messages.info(request, request.GET["what"])
    return HttpResponse()


def shown(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"shown": [str(each) for each in messages.get_messages(request)]})


def leave(request: HttpRequest) -> HttpResponse:
    logout(request)
    messages.info(request, "a farewell")
    return HttpResponse()


def enter(request: HttpRequest) -> HttpResponse:
    login(request, User.objects.get(pk=request.GET["user"]), backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse()


routes = (
    path("say", say),
    path("shown", shown),
    path("leave", leave),
    path("enter", enter),
    path("auth/", include("coatcheck.django.urls")),
)


@pytest.fixture
def browser(auth: Auth) -> Iterator[Browser]:
    with override_settings(ROOT_URLCONF=routes):
        yield Browser()


@pytest.fixture
def bob(ann: User) -> User:
    return User.objects.create_user(f"bob-{ann.get_username()}", password=PASSWORD)


def seen(browser: Browser) -> Any:
    return browser.get("/shown").json()["shown"]


def _out(browser: Browser, auth: Auth, ann: User, bob: User) -> None:
    assert browser.post("/auth/logout", {}, content_type="application/json", headers=OWN).status_code == 204
    browser.enter(bob)


def _out_and_nobody(browser: Browser, auth: Auth, ann: User, bob: User) -> None:
    assert browser.post("/auth/logout", {}, content_type="application/json", headers=OWN).status_code == 204


def _over(browser: Browser, auth: Auth, ann: User, bob: User) -> None:
    browser.enter(bob)


def _over_by_django(browser: Browser, auth: Auth, ann: User, bob: User) -> None:
    browser.get("/enter", {"user": bob.pk})


def _elsewhere(browser: Browser, auth: Auth, ann: User, bob: User) -> None:
    auth.revoke_subject(str(ann.pk), wait=True)


def _elsewhere_and_in(browser: Browser, auth: Auth, ann: User, bob: User) -> None:
    auth.revoke_subject(str(ann.pk), wait=True)
    browser.enter(bob)


@pytest.mark.parametrize("leaving", [_out, _out_and_nobody, _over, _over_by_django, _elsewhere, _elsewhere_and_in])
def test_nobody_is_shown_what_was_said_to_another(
    browser: Browser, auth: Auth, ann: User, bob: User, leaving: Any
) -> None:
    """However the one has gone and the other come."""
    browser.enter(ann)
    browser.get("/say", {"what": "your salary"})
    leaving(browser, auth, ann, bob)
    assert seen(browser) == []
    assert "your salary" not in str(browser.cookies)


def test_a_persons_own_messages(browser: Browser, auth: Auth, ann: User) -> None:
    """They come, also a visitor's after the login, and a farewell after Django's logout."""
    browser.get("/say", {"what": "welcome"})
    browser.enter(ann)
    assert seen(browser) == ["welcome"]
    browser.get("/say", {"what": "saved"})
    assert seen(browser) == ["saved"]
    browser.get("/say", {"what": "your salary"})
    browser.get("/leave")
    assert seen(browser) == ["a farewell"]

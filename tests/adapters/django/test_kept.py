"""Django's sessions: flushed and given another key when Django would do it, and left alone by who does not use them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import include, path

from coatcheck import Mode
from coatcheck.blocking import Auth
from coatcheck.django import AuthMiddleware, exempt
from tests.adapters.apps.django_project import MIDDLEWARE
from tests.adapters.django.browser import OWN, PASSWORD, Browser


def put(request: HttpRequest) -> HttpResponse:
    request.session["what"] = request.GET["what"]
    return HttpResponse()


def got(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"what": request.session.get("what")})


def enter(request: HttpRequest) -> HttpResponse:
    """A login by Django itself."""
    user = User.objects.get(pk=request.GET["user"])
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    request.session["since"] = "the login"
    return HttpResponse()


def leave(request: HttpRequest) -> HttpResponse:
    logout(request)
    request.session["what"] = "a farewell"
    return HttpResponse()


def early(get_response: Any) -> Any:
    """Somebody's middleware, which uses the session before it is known who is asking."""

    def middleware(request: HttpRequest) -> Any:
        request.session.get("what")
        return get_response(request)

    return middleware


routes = (
    path("put", put),
    path("got", got),
    path("enter", enter),
    path("leave", leave),
    path("hook", exempt(got)),
    path("open", lambda request: HttpResponse()),
    path("auth/", include("coatcheck.django.urls")),
)


@pytest.fixture
def browser(auth: Auth) -> Any:
    with override_settings(ROOT_URLCONF=routes):
        yield Browser()


@pytest.fixture
def bob(tables: None, ann: User) -> User:
    return User.objects.create_user(f"bob-of-{ann.username}", password=PASSWORD)


def kept(browser: Browser) -> Any:
    return browser.get("/got").json()["what"]


def test_flushed_and_cycled(browser: Browser, ann: User, bob: User) -> None:
    """As Django's own login: a visitor's session goes under another key, somebody else's row is deleted; after a logout
    there is neither a row nor a cookie."""
    Session.objects.all().delete()
    browser.get("/put?what=visitor")
    first = browser.cookies["sessionid"].value
    browser.enter(ann)
    second = browser.cookies["sessionid"].value
    assert (first != second, kept(browser)) == (True, "visitor")
    assert [row.session_key for row in Session.objects.all()] == [second]
    browser.enter(ann)
    assert (browser.cookies["sessionid"].value, kept(browser)) == (second, "visitor")
    browser.enter(bob)
    assert not Session.objects.exists()
    browser.get("/put?what=bob")
    assert browser.post("/auth/logout", content_type="application/json", headers=OWN).status_code == 204
    assert not Session.objects.exists()
    assert not browser.cookies["sessionid"].value


def test_djangos_login_over_ours(browser: Browser, ann: User, bob: User) -> None:
    """Django looks for what its own login has kept; what was kept under ours goes all the same, and its own stays."""
    browser.enter(ann)
    browser.get("/put?what=ann")
    browser.get(f"/enter?user={bob.pk}")
    assert kept(browser) is None
    assert browser.session["since"] == "the login"
    assert browser.session["_auth_user_id"] == str(bob.pk)
    browser.get("/put?what=bob")
    browser.get(f"/enter?user={bob.pk}")
    assert kept(browser) == "bob"
    browser.enter(ann)
    assert kept(browser) is None


def test_djangos_logout(browser: Browser, ann: User) -> None:
    """It flushes by itself, and what is kept after it in the same request is nobody's."""
    browser.enter(ann)
    browser.get("/put?what=ann")
    browser.get("/leave")
    assert kept(browser) == "a farewell"


def test_an_end_made_by_hand(browser: Browser, ann: User, auth: Auth) -> None:
    """A logout of one's own that only revokes leaves a row, which the next request deletes without showing it."""
    browser.enter(ann)
    browser.get("/put?what=ann")
    auth.revoke_subject(str(ann.pk))
    key = browser.cookies["sessionid"].value
    browser.get("/open")
    assert Session.objects.filter(session_key=key).exists()
    assert kept(browser) is None
    assert not Session.objects.filter(session_key=key).exists()


def test_who_does_not_use_it(browser: Browser, ann: User, bob: User, auth: Auth) -> None:
    """A view that does not use the session costs no query for it, whoever asks, and answers without its cookie."""
    browser.enter(ann)
    browser.get("/put?what=ann")
    browser.get("/open")
    for end in (False, True):
        if end:
            auth.revoke_subject(str(ann.pk))
        with CaptureQueriesContext(connection) as queries:
            answer = browser.get("/open")
        assert len(queries) == 0
        assert "sessionid" not in answer.cookies


def test_used_before_it_is_known(browser: Browser, ann: User, auth: Auth) -> None:
    """What a middleware before ours has read is looked at again once it is known who is asking."""
    with override_settings(MIDDLEWARE=[*MIDDLEWARE[:2], "tests.adapters.django.test_kept.early", *MIDDLEWARE[2:]]):
        browser = Browser()
        browser.get("/put?what=visitor")
        browser.enter(ann)
        assert kept(browser) == "visitor"
        auth.revoke_subject(str(ann.pk))
        assert kept(browser) is None
        browser.enter(ann)
        browser.get("/put?what=ann")
        browser.cookies.pop("__Host-coatcheck")
        assert kept(browser) is None


def test_where_it_is_not_known(browser: Browser, ann: User) -> None:
    """A view that is left out is shown nobody's session: what refuses the request is raised there, and nothing is
    deleted."""
    browser.enter(ann)
    browser.get("/put?what=ann")
    answer = browser.get("/hook", headers={"Authorization": "Bearer of.somebody.else"})
    assert answer.status_code == 401
    assert browser.get("/hook").json() == {"what": "ann"}


def test_with_a_token(browser: Browser, ann: User, bob: User, auth: Auth) -> None:
    """Somebody else's bearer token beside the cookie of a framework's session is somebody else."""
    browser.enter(ann)
    browser.get("/put?what=ann")
    token = auth.login(str(bob.pk), mode=Mode.JWT).access_token
    assert browser.get("/got", headers={"Authorization": f"Bearer {token}"}).json() == {"what": None}
    assert kept(browser) is None


def test_saved_with_every_request(browser: Browser, ann: User) -> None:
    """Also where every request saves its session, what is hidden until a refresh is not written over."""
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
        browser.enter(ann, Mode.JWT_COOKIE)
        browser.get("/put?what=ann")
        held = browser.cookies["__Host-coatcheck-access"].value
        browser.cookies["__Host-coatcheck-access"] = f"{held[:-2]}AA"
        assert kept(browser) is None
        browser.cookies["__Host-coatcheck-access"] = held
        assert kept(browser) == "ann"


def test_without_sessions(auth: Auth, ann: User) -> None:
    """A project without them, and a request whose session is no store of Django's, are served as ever."""
    browser = Browser()
    with override_settings(ROOT_URLCONF=routes, MIDDLEWARE=["coatcheck.django.AuthMiddleware"]):
        assert browser.enter(ann).status_code == 200
        assert browser.get("/open").status_code == 200
        assert browser.post("/auth/logout", content_type="application/json", headers=OWN).status_code == 204
        request: Any = RequestFactory().get("/")
        request.session = {"what": "of a test"}
        assert AuthMiddleware(lambda request: HttpResponse(request.session["what"]))(request).content == b"of a test"

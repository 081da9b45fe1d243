"""Django's own login forms, the admin's among them, give Coatcheck sessions and end them."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User

from coatcheck import Mode, Policy
from coatcheck.blocking import Auth
from tests.adapters.django.browser import OWN, PASSWORD, Browser


@pytest.fixture
def staff(ann: User) -> User:
    ann.is_staff = ann.is_superuser = True
    ann.save()
    return ann


def log_in(browser: Browser, user: User, path: str = "/accounts/login/", password: str = PASSWORD) -> Any:
    """By the form, with the token of its page."""
    page = browser.get(path)
    token = page.content.decode().partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    form = {"username": user.username, "password": password, "csrfmiddlewaretoken": token}
    host = "http" if browser.plain else "https"
    return browser.post(path, form, headers={"Origin": f"{host}://{browser.defaults['HTTP_HOST']}"})


def test_login(browser: Browser, ann: User) -> None:
    """Whoever logs in by Django's form has a Coatcheck session, by its cookie alone."""
    assert log_in(browser, ann, password="nine white owls").status_code == 200
    assert browser.who() is None
    answer = log_in(browser, ann)
    assert (answer.status_code, answer["Location"], answer["Cache-Control"]) == (302, "/open", "no-store")
    cookie = answer.cookies["__Host-coatcheck"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, True, "Lax", "/")
    del browser.cookies["sessionid"]
    assert browser.who() == str(ann.pk)
    assert browser.get("/touched").json()["name"] == ann.username


def test_a_django_session_is_nobody(browser: Browser, ann: User) -> None:
    """Django's own session lets nobody in: what Coatcheck has ended has ended."""
    log_in(browser, ann)
    del browser.cookies["__Host-coatcheck"]
    assert "sessionid" in browser.cookies
    assert browser.who() is None
    assert browser.get("/touched").json()["name"] == ""
    assert browser.get("/admin/").status_code == 302


def test_one_browser_one_session(browser: Browser, ann: User, auth: Auth) -> None:
    """A second login in one browser ends the first session."""
    log_in(browser, ann)
    first = browser.cookies["__Host-coatcheck"].value
    log_in(browser, ann)
    assert browser.cookies["__Host-coatcheck"].value != first
    assert browser.who() == str(ann.pk)
    browser.cookies["__Host-coatcheck"] = first
    assert browser.who() is None


def test_admin(browser: Browser, staff: User) -> None:
    """Staff who logged in at /auth/login or by the admin's form are in the admin; its logout ends their session."""
    phone = Browser()
    assert phone.enter(staff, Mode.SESSION).status_code == 200
    assert phone.get("/admin/").status_code == 200
    assert browser.get("/admin/").status_code == 302
    assert log_in(browser, staff, "/admin/login/?next=/admin/").status_code == 302
    page = browser.get("/admin/")
    assert page.status_code == 200
    assert staff.username in page.content.decode()
    assert browser.get(f"/admin/auth/user/{staff.pk}/change/").status_code == 200
    held = browser.cookies["__Host-coatcheck"].value
    answer = browser.post("/admin/logout/", headers=OWN)
    assert answer.status_code == 200
    assert answer.cookies["__Host-coatcheck"]["max-age"] == 0
    browser.cookies["__Host-coatcheck"] = held
    assert browser.who() is None
    assert phone.who() == str(staff.pk)


def test_admin_refuses_others(browser: Browser, ann: User) -> None:
    """Whoever is no staff is not in the admin."""
    browser.enter(ann)
    assert browser.get("/admin/").status_code == 302


def test_the_admin_ends_sessions(browser: Browser, staff: User) -> None:
    """A user deactivated in the admin is out at once."""
    bob = User.objects.create_user(f"bob-of-{staff.username}", password=PASSWORD)
    phone = Browser()
    phone.enter(bob)
    assert phone.who() == str(bob.pk)
    browser.enter(staff)
    form = {"username": bob.username, "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    answer = browser.post(f"/admin/auth/user/{bob.pk}/change/", form, headers=OWN)
    assert answer.status_code == 302, answer.content.decode()[:3000]
    assert phone.who() is None
    assert browser.who() == str(staff.pk)


def test_changed_meanwhile(browser: Browser, ann: User) -> None:
    """A login that races a password change loses, wherever in between the change comes."""

    def change(*_: Any, **__: Any) -> Any:
        other = User.objects.get(pk=ann.pk)
        other.set_password("seven grey herons")
        other.save()
        return original(*_, **__)

    from django.contrib.auth import views

    for module, name in ((views, "auth_login"), (Auth, "login")):
        ann.set_password(PASSWORD)
        ann.save()
        original = getattr(module, name)
        with patch.object(module, name, change):
            assert log_in(browser, ann).status_code == 403
        assert browser.who() is None


def test_plain_http(browser: Browser, ann: User) -> None:
    """Over plain http to another machine nobody is logged in; to this one, with cookies that need no TLS."""
    browser.plain = True
    answer = log_in(browser, ann)
    assert answer.status_code == 400
    assert not any("coatcheck" in name for name in answer.cookies)
    local = Browser()
    local.plain = True
    local.defaults["HTTP_HOST"] = "127.0.0.1:8000"
    answer = log_in(local, ann)
    assert (answer.status_code, answer.cookies["coatcheck"]["secure"]) == (302, "")
    assert local.who() == str(ann.pk)


def test_ports(browser: Browser, ann: User, staff: User) -> None:
    """At another port than 8000 Django's form sets the port's own cookie, and its logout logs out of both."""
    browser.plain = True
    browser.defaults["HTTP_HOST"] = "localhost:8000"
    assert log_in(browser, ann).status_code == 302
    browser.defaults["HTTP_HOST"] = "localhost:5000"
    assert browser.who() == str(ann.pk)
    assert "coatcheck-5000" in log_in(browser, staff).cookies
    assert browser.who() == str(staff.pk)
    browser.defaults["HTTP_HOST"] = "localhost:8000"
    assert browser.who() == str(ann.pk)
    browser.defaults["HTTP_HOST"] = "localhost:5000"
    assert browser.post("/admin/logout/", headers=OWN).status_code == 200
    assert browser.who() is None


@pytest.mark.parametrize("chosen", [{"url": "memory://", "policy": Policy(modes=(Mode.JWT,))}])
def test_tokens_only(browser: Browser, ann: User) -> None:
    """Where no cookies are allowed, Django's form lets nobody in, and says so."""
    assert log_in(browser, ann).status_code == 403
    assert browser.who() is None

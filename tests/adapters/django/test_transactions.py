"""Projects whose every request is one transaction."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import connections

from coatcheck import Mode
from tests.adapters.django.browser import PASSWORD, Browser
from tests.adapters.django.test_forms import log_in


@pytest.fixture
def atomic(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    yield
    connections.close_all()


@pytest.mark.usefixtures("atomic")
@pytest.mark.parametrize("mode", list(Mode), ids=str)
def test_service(browser: Browser, ann: User, mode: Mode) -> None:
    """The service has no transaction around it, and sees users; a view with one does too."""
    ann.password = make_password(PASSWORD, hasher="pbkdf2_sha256")
    ann.save()
    assert browser.enter(ann, mode).status_code == 200
    assert browser.who() == str(ann.pk)
    assert browser.get("/touched").json()["name"] == ann.username
    ann.refresh_from_db()
    assert ann.password.startswith("argon2")


@pytest.mark.usefixtures("atomic")
def test_renewed_at_djangos_login(browser: Browser, ann: User) -> None:
    """A hash that Django renews at a login ends other sessions, as Django's own do, and not the one that is made."""
    other = Browser()
    other.enter(ann)
    assert other.who() == str(ann.pk)
    User.objects.filter(pk=ann.pk).update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
    assert log_in(browser, ann).status_code == 302
    assert browser.who() == str(ann.pk)
    assert other.who() is None


@pytest.mark.usefixtures("atomic")
def test_own_account(browser: Browser, ann: User) -> None:
    """What a request changes about whoever sends it counts once it is committed."""
    browser.enter(ann)
    assert browser.get("/leave").content == b"bye"
    assert browser.who() is None

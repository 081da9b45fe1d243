"""Django's own TestCase, which rolls everything back, is enough to test an application with."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import TestCase, override_settings

from coatcheck import Mode
from coatcheck.django.conf import auth
from tests.adapters.django.browser import PASSWORD, Browser

URLS = "tests.adapters.django.urls"


@override_settings(COATCHECK={"url": "memory://"}, ROOT_URLCONF=URLS)
class Users(TestCase):
    """A user who is never committed."""

    user: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.user = User.objects.create_user("rolled-back", password=PASSWORD)

    def test_login(self) -> None:
        """They log in by the service and are known, in every mode."""
        for mode in Mode:
            browser = Browser()
            assert browser.enter(self.user, mode).status_code == 200
            assert browser.who() == str(self.user.pk)
            assert browser.get("/touched").json()["name"] == "rolled-back"

    def test_cut_off(self) -> None:
        """What waits for the commit is carried out where the test says so."""
        browser = Browser()
        browser.bearer = auth().login(str(self.user.pk), mode=Mode.JWT).access_token or ""
        assert browser.who() == str(self.user.pk)
        with self.captureOnCommitCallbacks(execute=True):
            self.user.is_active = False
            self.user.save()
        assert browser.who() == 401


def test_rolled_back(tables: None) -> None:
    """Nothing of it is left."""
    assert not User.objects.filter(username="rolled-back").exists()

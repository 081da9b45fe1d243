"""What every request and answer goes through."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from coatcheck.blocking import Auth
from coatcheck.django import AuthMiddleware
from tests.adapters.django.browser import Browser


def test_a_proxy_is_believed_when_the_settings_say_so(browser: Browser, ann: User) -> None:
    """A cookie that only travels over TLS counts for nothing where a proxy that is believed says that there is none."""
    assert browser.enter(ann).status_code == 200

    def subject() -> object:
        return browser.get("/open", headers={"X-Forwarded-Proto": "http"}).json()["subject"]

    for _ in range(2):
        assert [subject(), subject()] == [str(ann.pk)] * 2
        with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
            assert subject() is None


@pytest.mark.parametrize(
    ("own", "sent"),
    [
        (None, "Cookie, Authorization"),
        ("Accept-Language", "Accept-Language, Cookie, Authorization"),
        ("cookie", "cookie, Authorization"),
        ("*", "*"),
    ],
)
def test_vary(auth: Auth, own: str | None, sent: str) -> None:
    """Every answer varies with who asks, besides with whatever the view says."""
    headers = {} if own is None else {"Vary": own}
    answer = AuthMiddleware(lambda request: HttpResponse(headers=headers))(RequestFactory().get("/"))
    assert isinstance(answer, HttpResponse)
    assert answer["Vary"] == sent

"""Nothing secret shows where Django shows much: error pages and mails print settings and the request."""

from __future__ import annotations

import logging
import sys
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User
from django.core.signals import got_request_exception
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.views.debug import ExceptionReporter

from coatcheck.django import conf
from coatcheck.django.middleware import COOKIES, Cookie
from coatcheck.service.wsgi import WsgiAuthApp
from tests.adapters.django.browser import Browser

URL = "postgresql://u:hunter2@db.example/x"


def test_settings() -> None:
    """The password of a database's URL, the secret and the service keys are in no report."""
    given = {"url": URL, "sessions": "redis://:hunter2@r", "secret": "hunter2" * 5, "service_keys": ["hunter2" * 5]}
    with override_settings(COATCHECK=given):
        conf.hide()
        made = conf.made()
        request = RequestFactory().get("/")
        request.META.update({"coatcheck.made": made, COOKIES: [Cookie("n", "hunter2", True)]})
        reporter = ExceptionReporter(request, ValueError, ValueError("x"), None)
        for text in (reporter.get_traceback_text(), reporter.get_traceback_html()):
            assert "COATCHECK" in text
            assert "hunter2" not in text
        assert conf.given()["url"] == URL


def test_faults(browser: Browser, ann: User) -> None:
    """A fault while somebody logs in is reported without what they typed."""
    reports: list[str] = []

    def keep(request: HttpRequest, **_: Any) -> None:
        reports.append(ExceptionReporter(request, *sys.exc_info()).get_traceback_html())

    got_request_exception.connect(keep)
    try:
        with patch.object(WsgiAuthApp, "ask", side_effect=ValueError("a fault")):
            assert browser.enter(ann, password="hunter2 hunter2").status_code == 500
    finally:
        got_request_exception.disconnect(keep)
    assert len(reports) == 1
    assert "a fault" in reports[0]
    assert "hunter2" not in reports[0]


def test_logs(browser: Browser, ann: User, caplog: pytest.LogCaptureFixture) -> None:
    """Neither what was presented nor a password is logged."""
    caplog.set_level(logging.DEBUG)
    browser.enter(ann, password="hunter2 hunter2")
    browser.enter(ann)
    token: Any = browser.cookies["__Host-coatcheck"].value
    browser.who()
    browser.cookies["__Host-coatcheck"] = f"{token}x"
    browser.get("/mine")
    assert caplog.records
    assert "hunter2" not in caplog.text
    assert token not in caplog.text

"""System checks: a project that is set up rightly has none, and each mistake has its own."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from coatcheck import Policy
from tests.adapters.apps.django_project import MIDDLEWARE

OURS = "coatcheck.django.AuthMiddleware"

SECRET = "7Qm0vXr2LkT9dHs4WbNc8YpEf3GzJa6U"


def found(*, deploy: bool = False, **settings: Any) -> list[str]:
    """The ids of our checks under these settings. Each has a hint."""
    with override_settings(
        **{"COATCHECK": {"url": "memory://"}, "ROOT_URLCONF": "tests.adapters.django.urls", **settings}
    ):
        ours = [
            item for item in run_checks(include_deployment_checks=deploy) if (item.id or "").startswith("coatcheck.")
        ]
    assert all(item.hint for item in ours)
    assert all("hunter2" not in f"{item.msg}{item.hint}" for item in ours)
    return [item.id or "" for item in ours]


def without(name: str) -> list[str]:
    return [item for item in MIDDLEWARE if item != name]


def test_none() -> None:
    """A project as startproject makes it, with our two lines."""
    assert found() == []
    assert found(COATCHECK={}) == []
    assert found(COATCHECK={"auth": "tests.adapters.django.test_conf.given"}) == []
    assert found(COATCHECK={"url": "memory://", "subject_field": "username"}) == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"MIDDLEWARE": without(OURS)}, "coatcheck.E001"),
        ({"MIDDLEWARE": [OURS, *without(OURS)]}, "coatcheck.E002"),
        (
            {"MIDDLEWARE": [*without(OURS), "django.contrib.auth.middleware.LoginRequiredMiddleware", OURS]},
            "coatcheck.E002",
        ),
        ({"COATCHECK": {"nonsense": 1}}, "coatcheck.E003"),
        ({"COATCHECK": {"url": "postgresql://u:hunter2@db/x"}}, "coatcheck.E004"),
        ({"COATCHECK": {"url": "postgresql://u:hunter2@db/x", "secret": "hunter2"}}, "coatcheck.E004"),
        ({"COATCHECK": {"url": "memory://", "secret": []}}, "coatcheck.E004"),
        ({"COATCHECK": {"url": "memory://", "secret": "changeme" * 5}}, "coatcheck.E004"),
        ({"COATCHECK": {"url": "memory://", "secret": SECRET}, "SECRET_KEY": SECRET}, "coatcheck.W005"),
        ({"SESSION_COOKIE_NAME": "__Host-coatcheck"}, "coatcheck.E006"),
        ({"CSRF_COOKIE_NAME": "coatcheck-access"}, "coatcheck.E006"),
        ({"LANGUAGE_COOKIE_NAME": "coatcheck-5000"}, "coatcheck.E006"),
        ({"CSRF_TRUSTED_ORIGINS": ["https://spa.example"]}, "coatcheck.W007"),
        ({"COATCHECK": {"url": "memory://", "subject_field": "email"}}, "coatcheck.E011"),
        ({"COATCHECK": {"url": "memory://", "subject_field": "nickname"}}, "coatcheck.E011"),
        ({"PASSWORD_HASHERS": ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]}, "coatcheck.W010"),
    ],
)
def test_mistakes(settings: dict[str, Any], expected: str) -> None:
    """Each is named."""
    assert found(**settings) == [expected]


def test_listed() -> None:
    """What the policy lists is no mistake, however the two spell it."""
    policy = Policy(origins=("https://SPA.example:443",))
    for spelling in ("https://spa.example", "https://Spa.Example", "https://spa.example:443"):
        assert found(CSRF_TRUSTED_ORIGINS=[spelling], COATCHECK={"url": "memory://", "policy": policy}) == []


def test_deployment() -> None:
    """With --deploy: TLS, and a store that the workers share."""
    assert found(deploy=True) == ["coatcheck.W008", "coatcheck.W009"]
    proxy = {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}
    assert found(deploy=True, COATCHECK={}, **proxy) == []
    assert found(deploy=True, COATCHECK={}, SECURE_SSL_REDIRECT=True) == []

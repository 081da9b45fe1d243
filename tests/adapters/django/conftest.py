"""The project of this process with its tables, and an `Auth` over Django's users for each test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.adapters.apps.django_project import setup

setup()

from django.contrib.auth.models import User  # noqa: E402 - needs settings
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.test import override_settings  # noqa: E402

from coatcheck.accounts import PasswordHasher  # noqa: E402
from coatcheck.blocking import Auth  # noqa: E402
from coatcheck.django import conf  # noqa: E402
from tests.adapters.django.browser import PASSWORD, Browser  # noqa: E402
from tests.adapters.suite.contract import CHEAP  # noqa: E402

_NUMBERS = count()


@pytest.fixture(scope="session", autouse=True)
def tables() -> Iterator[None]:
    """Of Django's own applications."""
    call_command("migrate", verbosity=0)
    yield
    connections.close_all()


@pytest.fixture
def chosen() -> dict[str, Any]:
    """``COATCHECK``; a test that wants it otherwise overrides this."""
    return {"url": "memory://", "password_hasher": PasswordHasher(CHEAP, concurrency=1)}


@pytest.fixture
def auth(chosen: dict[str, Any]) -> Iterator[Auth]:
    """What the settings make, over routes of these tests."""
    with override_settings(COATCHECK=chosen, ROOT_URLCONF="tests.adapters.django.urls", LOGIN_URL="/auth/login"):
        yield conf.auth()
    connections.close_all()


@pytest.fixture
def ann(tables: None) -> User:
    """Somebody new."""
    return User.objects.create_user(f"ann{next(_NUMBERS)}", password=PASSWORD)


@pytest.fixture
def browser(auth: Auth) -> Browser:
    """Nobody yet, on a page of the same origin."""
    return Browser()

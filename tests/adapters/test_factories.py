"""Applications made by a factory, once per test: when nobody holds one any more, nothing of it is left behind."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from flask import Flask
from litestar import Litestar
from starlette.applications import Starlette

from tests.adapters.apps.django_project import setup

setup()

from django.test import Client, override_settings  # noqa: E402 - needs settings

from coatcheck import (  # noqa: E402
    Auth,
    fastapi,
    flask,
    starlette,
)
from coatcheck.accounts import PasswordHasher  # noqa: E402
from coatcheck.blocking import Auth as BlockingAuth  # noqa: E402
from coatcheck.django import conf  # noqa: E402
from coatcheck.litestar import ServicePlugin  # noqa: E402
from tests.adapters.apps.support import served  # noqa: E402
from tests.adapters.suite.contract import CHEAP  # noqa: E402

SECONDS = 30.0
MANY = 8
JSON = {"email": "ann@example.com", "password": "nine brown owls", "mode": "session"}
HTTPS = "https://app.example"

Use = Callable[[], None]
"""Registers somebody."""


def _arguments(folder: Path, number: int) -> dict[str, Any]:
    return {"url": f"sqlite:///{folder}/{number}.db", "password_hasher": PasswordHasher(CHEAP, concurrency=1)}


def _asgi(app: Any, auth: Auth, entered: bool) -> None:
    """One application that is served and used, or asked without its lifespan, as a careless test does it."""

    async def use() -> None:
        if not entered:
            response = await httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HTTPS).get("/elsewhere")
            assert response.status_code == 404
            return
        async with served(app, auth) as running:
            answer = await running.request(
                "POST", "/auth/register", headers=[("Content-Type", "application/json")], body=json.dumps(JSON).encode()
            )
            assert answer.status == 201

    asyncio.run(use())


def _starlette(entered: bool, **arguments: Any) -> Use:
    app, auth = Starlette(), Auth(**arguments)
    starlette.mount_auth(app, auth)
    return lambda: _asgi(app, auth, entered)


def _fastapi(entered: bool, **arguments: Any) -> Use:
    app, auth = FastAPI(), Auth(**arguments)
    fastapi.mount_auth(app, auth)
    return lambda: _asgi(app, auth, entered)


def _litestar(entered: bool, **arguments: Any) -> Use:
    auth = Auth(**arguments)
    # The thread of its own logging is Litestar's affair.
    app = Litestar([], plugins=[ServicePlugin(auth)], logging_config=None)
    return lambda: _asgi(app, auth, entered)


def _flask(entered: bool, **arguments: Any) -> Use:
    """It has no lifespan. ``entered``: whoever made it closes it."""
    app, auth = Flask(__name__), BlockingAuth(**arguments)
    flask.mount_auth(app, auth)

    def use() -> None:
        answer = app.test_client().post("/auth/register", json=JSON, base_url=HTTPS)
        assert answer.status_code == 201
        if entered:
            auth.close()

    return use


KINDS: dict[str, Callable[..., Use]] = {
    "starlette": _starlette, "fastapi": _fastapi, "litestar": _litestar, "flask": _flask,
}  # fmt: skip


class Left:
    """What there is more than when it was made: threads, open files, and files in the folder for temporary ones."""

    def __init__(self, temporary: Path) -> None:
        self._temporary = temporary
        self._threads = set(threading.enumerate())
        self._open = self._descriptors()

    def settled(self) -> bool:
        """Whether nothing is left. What ends by itself is given the time that it takes."""
        gc.collect()
        until = time.monotonic() + SECONDS
        for thread in set(threading.enumerate()) - self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        found = sorted(thread.name for thread in set(threading.enumerate()) - self._threads)
        assert found == []
        gc.collect()
        assert self._descriptors() <= self._open
        assert list(self._temporary.iterdir()) == []
        return True

    @staticmethod
    def _descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Left:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.chdir(temporary)
    gc.collect()
    return Left(temporary)


@pytest.mark.parametrize("use", ["never", "entered", "not entered"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left(kind: str, use: str, left: Left, tmp_path: Path) -> None:
    """Neither threads nor open files nor temporary ones, whether the application was used, served or only made."""
    for number in range(MANY):
        used = KINDS[kind](use == "entered", **_arguments(tmp_path, number))
        if use != "never":
            used()
        del used
    assert left.settled()
    if use == "never":
        assert [path.name for path in tmp_path.iterdir()] == ["temporary"]


def test_settings_that_are_overridden(left: Left, tmp_path: Path) -> None:
    """Django's: each of a test's settings has an application of its own, which ends with them."""
    for number in range(MANY):
        with override_settings(
            ROOT_URLCONF="tests.adapters.apps.django_urls",
            COATCHECK={**_arguments(tmp_path, number), "users": "coatcheck"},
        ):
            assert Client().post("/auth/register", JSON, "application/json", secure=True).status_code == 201
            assert conf.auth() is conf.auth()
    assert left.settled()

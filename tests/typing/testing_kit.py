"""Tests of an application that use everything of the testing kit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, assert_type

import httpx
from django.test import AsyncClient as DjangoAsyncClient
from django.test import Client as DjangoClient
from flask.testing import FlaskClient
from litestar import Litestar
from litestar.testing import AsyncTestClient
from litestar.testing import TestClient as LitestarClient
from starlette.testclient import TestClient

from coatcheck import ApplicationSubjects, Auth, Credentials, Mode, Policy
from coatcheck import blocking as threads
from coatcheck.adapters.asgi import ASGIApp
from coatcheck.clock import Clock
from coatcheck.testing.client import assert_refused_after_revoke, login_as, logout
from coatcheck.testing.clock import TravelClock
from coatcheck.testing.lifespan import Running, running
from coatcheck.testing.memory import blocking_memory_auth, memory_auth
from coatcheck.testing.store_contract import SessionContract


def test_waiting(
    web: httpx.Client,
    starlette: TestClient,
    litestar: LitestarClient[Litestar],
    flask: FlaskClient,
    django: DjangoClient,
    auth: threads.Auth,
) -> None:
    assert_type(login_as(web, "ann", roles=["admin"], mode="jwt", fresh=False, auth=auth, mount="/x"), Credentials)
    assert_type(login_as(starlette, "ann", mode=Mode.SESSION), Credentials)
    assert_type(login_as(litestar, "ann"), Credentials)
    assert_type(login_as(flask, "ann"), Credentials)
    assert_type(login_as(django, "ann"), Credentials)
    assert_refused_after_revoke(flask, "POST", "/reports", subject="ann", roles=("editor",), json={"title": "one"})
    logout(django)


async def test_awaited(
    web: httpx.AsyncClient, litestar: AsyncTestClient[Litestar], django: DjangoAsyncClient, app: ASGIApp
) -> None:
    under_way: Awaitable[Credentials] = login_as(web, "ann")
    assert_type(await under_way, Credentials)
    assert_type(await login_as(litestar, "ann"), Credentials)
    assert_type(await login_as(django, "ann"), Credentials)
    await assert_refused_after_revoke(web, "GET", "/reports", mode=Mode.JWT)
    await logout(django)
    async with running(app) as served:
        assert_type(served, Running)
        httpx.ASGITransport(served)


def test_fixtures(
    coatcheck_clock: TravelClock,
    coatcheck_auth: Auth,
    coatcheck_blocking_auth: threads.Auth,
    login_as: Callable[..., Any],
) -> None:
    coatcheck_clock.advance(60)
    assert_type(coatcheck_clock.as_clock(), Clock)
    assert_type(memory_auth(coatcheck_clock, policy=Policy(), subjects=ApplicationSubjects()), Auth)
    assert_type(blocking_memory_auth(), threads.Auth)


class TestMyStore(SessionContract):
    pass

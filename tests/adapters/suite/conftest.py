"""The applications, one of each kind per adapter, and the modes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import pytest
import pytest_asyncio

from coatcheck import Mode, Policy
from coatcheck.testing.clock import TravelClock
from tests.adapters.suite.contract import Served, Serving, Setting
from tests.adapters.suite.visitor import LISTED, Person, Site

ADAPTERS = ("asgi", "starlette", "fastapi", "litestar", "flask", "django_wsgi", "django_asgi", "aiohttp")


@pytest.fixture(scope="session", params=ADAPTERS)
def serving(request: pytest.FixtureRequest) -> Serving:
    """How an adapter's application is started."""
    module = import_module(f"tests.adapters.apps.{request.param}")
    made: Serving = module.serving
    return made


@pytest.fixture(params=list(Mode), ids=str)
def mode(request: pytest.FixtureRequest) -> Mode:
    found: Mode = request.param
    return found


@asynccontextmanager
async def started(serving: Serving, **settings: object) -> AsyncIterator[Site]:
    """The application, entered and left in one task as its server does it; the parts of a fixture run in two."""
    policy = Policy(origins=("HTTPS://SPA.Example:443", "https://app.m\u00fcnchen.example", "app://Shell"))
    assert LISTED in policy.origins
    setting = Setting(clock=TravelClock(), policy=policy, **settings)  # type: ignore[arg-type]
    ready: asyncio.Future[Served] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def serve() -> None:
        async with serving(setting) as served:
            ready.set_result(served)
            await done.wait()

    task = asyncio.create_task(serve())
    either: set[asyncio.Future[Any]] = {ready, task}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield Site(ready.result(), setting)
    finally:
        done.set()
        await task


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(serving: Serving) -> AsyncIterator[Site]:
    """At the root, talked to directly."""
    async with started(serving) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def neighbour(serving: Serving) -> AsyncIterator[Site]:
    """Another application of the same kind, with a secret and people of its own."""
    async with started(serving) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mounted(serving: Serving) -> AsyncIterator[Site]:
    """Under a prefix."""
    async with started(serving, prefix="/site") as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def proxied(serving: Serving) -> AsyncIterator[Site]:
    """Behind a proxy that it believes."""
    async with started(serving, behind_proxy=True) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def ann(site: Site) -> Person:
    """Somebody with an account and no roles."""
    return await site.person()

"""The service on a real store; most tests run on memory and on SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from coatcheck import Auth
from coatcheck.service.app import auth_app
from coatcheck.stores.memory import MemoryStore
from tests.service.api.world import NOBODY, PASSWORD, SECRET, SERVICE_KEY, Contract, World, hasher
from tests.support.gates import GatedStore

_contracts: dict[bool, Contract] = {}
"""Making the document takes longer than most tests; it only depends on whether there are accounts."""


@asynccontextmanager
async def running(url: Any, **more: Any) -> AsyncIterator[World]:
    auth = Auth(url, secret=SECRET, password_hasher=hasher(), **more)
    service = auth_app(auth, service_keys=["another-key-of-the-tests-0123456789", SERVICE_KEY])
    host = FastAPI(openapi_url=None)
    host.mount("/auth", service)
    if auth.has_accounts not in _contracts:
        _contracts[auth.has_accounts] = Contract(service.openapi())
    async with auth:
        account = NOBODY
        if auth.has_accounts:
            account = await auth.accounts.register("ada@example.test", PASSWORD)
        yield World(auth=auth, app=host, account=account, contract=_contracts[auth.has_accounts], store=url)


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """Mounted at /auth in a host application, on each store."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'coatcheck.db'}"
    async with running(url) as world:
        yield world


@pytest.fixture
async def gated() -> AsyncIterator[World]:
    """The same on a store that can be held and made to fail, which is ``world.store``."""
    async with running(GatedStore(MemoryStore())) as world:
        yield world

"""A SQLite store on a file of its own for each test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from coatcheck.stores.sql import SqlStore
from tests.support.databases import emptied, migrated


@pytest_asyncio.fixture
async def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file, made once per test process."""
    return await migrated(tmp_path_factory.getbasetemp())


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(template, tmp_path / "coatcheck.db"))


@pytest_asyncio.fixture
async def store(path: Path) -> AsyncIterator[SqlStore]:
    store = SqlStore.sqlite(path)
    await store.open()
    yield store
    await store.close()


@pytest_asyncio.fixture
async def pg_url() -> str:
    """An empty PostgreSQL database."""
    return await emptied()


@pytest_asyncio.fixture
async def pg(pg_url: str) -> AsyncIterator[SqlStore]:
    """A store in it."""
    store = SqlStore.postgresql(pg_url)
    await store.open()
    yield store
    await store.close()


@pytest_asyncio.fixture
async def admin(pg_url: str) -> AsyncIterator[Any]:
    """The driver's own connection to it, as somebody else's program has it."""
    connection = await asyncpg.connect(pg_url)
    yield connection
    await connection.close()

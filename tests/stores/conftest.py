"""A SQLite store on a file of its own for each test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from coatcheck.stores.sql import SqlStore
from tests.support.databases import migrated


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

"""The SQLite store does what every store must, with two clients on one file and with one in memory."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from coatcheck.stores.sql import SqlStore
from coatcheck.testing.store_contract import StoreContract
from tests.contract.rewind import FileRewinder, RowRewinder
from tests.contract.statements import Statements
from tests.support.databases import migrated


@pytest_asyncio.fixture
async def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file, made once per worker: the tests copy it."""
    return await migrated(tmp_path_factory.getbasetemp())


class TestSqliteFile(StoreContract):
    """Two stores with connections of their own on one file, as two worker processes have them."""

    @pytest.fixture
    def path(self, template: Path, tmp_path: Path) -> Path:
        return Path(shutil.copy(template, tmp_path / "coatcheck.db"))

    @pytest_asyncio.fixture
    async def store(self, path: Path) -> AsyncIterator[SqlStore]:
        store = SqlStore.sqlite(path)
        await store.open()
        yield store
        await store.close()

    @pytest_asyncio.fixture
    async def second(self, path: Path) -> AsyncIterator[SqlStore]:
        store = SqlStore.sqlite(path)
        await store.open()
        # It shall notice the other one's lock at once and not sleep inside SQLite.
        await store.database.write(lambda tx: tx.exec_driver_sql("PRAGMA busy_timeout=0").close())
        yield store
        await store.close()

    @pytest.fixture
    def interleaver(self, store: SqlStore, second: SqlStore) -> Statements:
        return Statements(store, second)

    @pytest.fixture
    def rewinder(self, path: Path) -> FileRewinder:
        return FileRewinder(path)


class TestSqliteMemory(StoreContract):
    """One connection that everyone waits for."""

    @pytest_asyncio.fixture
    async def store(self) -> AsyncIterator[SqlStore]:
        store = SqlStore.sqlite(None)
        await store.open()
        yield store
        await store.close()

    @pytest.fixture
    def rewinder(self, store: SqlStore) -> RowRewinder:
        return RowRewinder(store)

"""The PostgreSQL store does what every store must, with two clients forced into each other at every statement."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from coatcheck.stores.sql import SqlStore
from coatcheck.testing.store_contract import StoreContract
from tests.contract.rewind import RowRewinder
from tests.contract.statements import LockingStatements
from tests.support.databases import emptied, migrated_postgresql


class TestPostgresql(StoreContract):
    """Two stores with connections of their own to one database, as two processes have them."""

    @pytest.fixture
    def url(self) -> str:
        return migrated_postgresql()

    @pytest_asyncio.fixture
    async def store(self) -> AsyncIterator[SqlStore]:
        store = SqlStore.postgresql(await emptied())
        await store.open()
        yield store
        await store.close()

    @pytest_asyncio.fixture
    async def second(self, store: SqlStore, url: str) -> AsyncIterator[SqlStore]:
        second = SqlStore.postgresql(url)
        await second.open()
        yield second
        await second.close()

    @pytest_asyncio.fixture
    async def interleaver(self, store: SqlStore, second: SqlStore, url: str) -> AsyncIterator[LockingStatements]:
        watcher = await asyncpg.connect(url)
        yield LockingStatements(store, second, watcher)
        await watcher.close()

    @pytest.fixture
    def rewinder(self, store: SqlStore) -> RowRewinder:
        return RowRewinder(store)

    def beyond(self, cursor: str) -> str:
        """See `FeedContract.beyond`: a snapshot of transactions that have not begun yet."""
        return re.sub(r"/\d+:\d+:;", "/99999999:99999999:;", cursor)

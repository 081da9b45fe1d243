"""The PostgreSQL store does what every store must, with two clients forced into each other at every statement: on the
server itself, and behind PgBouncer."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio

from coatcheck.stores.sql import SqlStore
from coatcheck.testing.store_contract import StoreContract
from tests.contract.rewind import RowRewinder
from tests.contract.statements import LockingStatements
from tests.support.databases import emptied, migrated_postgresql, shared_postgresql
from tests.support.servers import PgBouncer, pgbouncer


class _OnPostgresql(StoreContract):
    """Two stores with connections of their own to one database, as two processes have them."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest_asyncio.fixture
    async def store(self, url: str) -> AsyncIterator[SqlStore]:
        await emptied()
        store = SqlStore.postgresql(url)
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
    async def interleaver(self, store: SqlStore, second: SqlStore) -> AsyncIterator[LockingStatements]:
        watcher = await asyncpg.connect(migrated_postgresql())
        yield LockingStatements(store, second, watcher)
        await watcher.close()

    @pytest.fixture
    def rewinder(self, store: SqlStore) -> RowRewinder:
        return RowRewinder(store)

    def beyond(self, cursor: str) -> str:
        """See `FeedContract.beyond`: a snapshot of transactions that have not begun yet."""
        return re.sub(r"/\d+:\d+:;", "/99999999:99999999:;", cursor)


class TestPostgresql(_OnPostgresql):
    """The server itself."""

    @pytest.fixture
    def url(self) -> str:
        return migrated_postgresql()


@pytest.fixture(scope="session")
def pooler() -> Iterator[PgBouncer]:
    """One pooler per worker process."""
    with pgbouncer(shared_postgresql()) as pooler:
        yield pooler


class TestPgBouncer(_OnPostgresql):
    """A pooler in transaction mode: each transaction may have another connection of the server's."""

    @pytest.fixture
    def url(self, pooler: PgBouncer) -> str:
        return pooler.url(migrated_postgresql().rpartition("/")[2])

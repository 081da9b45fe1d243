"""Migrations on PostgreSQL: exactly the tables, all or nothing, by any number of processes at once."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from coatcheck.errors import SchemaMismatch, StoreUnavailable
from coatcheck.stores.sql import SchemaState, SqlStore, migrate, schema_state
from coatcheck.stores.sql.tables import VERSION_TABLE, metadata
from tests.support.databases import shared_postgresql


@pytest.fixture
def url() -> str:
    """A database with nothing in it."""
    server = shared_postgresql()
    return server.url(server.create_database())


@pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")
async def test_migrations_make_exactly_the_tables(url: str) -> None:
    """Alembic finds no difference, and whoever migrates at the same time makes the same feed."""
    with pytest.raises(SchemaMismatch, match="run `coatcheck migrate`"):
        await SqlStore.postgresql(url).open()
    assert await schema_state(url) is SchemaState.MISSING
    await asyncio.gather(*(migrate(url) for _ in range(4)))
    assert await schema_state(url) is SchemaState.CURRENT
    store = SqlStore.postgresql(url)
    await store.open()

    def differences(tx: Connection) -> list[object]:
        options = {"version_table": VERSION_TABLE, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(tx, opts=options), metadata))

    assert await store.database.read(differences) == []
    feed = (await store.events(None, wait=0)).feed
    await migrate(url)
    assert (await store.events(None, wait=0)).feed == feed
    await store.close()


async def test_a_newer_database_is_refused(url: str) -> None:
    """Neither opened nor migrated: upgrade the program."""
    await migrate(url)
    await _run(url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    assert await schema_state(url) is SchemaState.NEWER
    for migrating in (False, True):
        with pytest.raises(SchemaMismatch, match="newer Coatcheck; upgrade the program"):
            await SqlStore.postgresql(url).open(migrate=migrating)


async def test_a_migration_that_fails_leaves_the_database_as_it_was(url: str) -> None:
    """A table is in the way: those before it are not there either, and nothing waits for a lock."""
    await _run(url, "CREATE TABLE coatcheck_events (mine int)")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await migrate(url)
    names = await _run(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert [row[0] for row in names] == ["coatcheck_events"]
    await _run(url, "DROP TABLE coatcheck_events")
    await migrate(url)


async def test_identifiers_are_ordered_alike_whatever_the_databases_locale(url: str) -> None:
    """By code points: sessions made at the same moment have one order in every store."""
    await migrate(url)
    found = await _run(
        url,
        "SELECT attrelid::regclass || '.' || attname FROM pg_attribute JOIN pg_collation c ON c.oid = attcollation"
        " WHERE collname = 'C' AND attrelid::regclass::text IN ('coatcheck_sessions', 'coatcheck_accounts') ORDER BY 1",
    )
    assert [row[0] for row in found] == ["coatcheck_accounts.id", "coatcheck_sessions.id", "coatcheck_sessions.subject"]


async def _run(url: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()

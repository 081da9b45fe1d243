"""Migrations make exactly the tables the code works with, all or nothing, and other versions are refused."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect

from coatcheck.errors import SchemaMismatch, StoreUnavailable
from coatcheck.stores.sql import SchemaState, SqlStore, migrate, schema_state
from coatcheck.stores.sql.schema import MIGRATIONS, REVISIONS
from coatcheck.stores.sql.tables import VERSION_TABLE, metadata


async def test_migrations_make_exactly_the_tables(store: SqlStore) -> None:
    """Alembic finds no difference between a migrated database and the metadata."""

    def differences(tx: Connection) -> list[object]:
        options = {
            "version_table": VERSION_TABLE,
            "compare_server_default": True,
            "include_object": lambda thing, name, *_: name != "coatcheck_events_txn",  # is PostgreSQL's alone
        }
        return list(compare_metadata(MigrationContext.configure(tx, opts=options), metadata))

    assert await store.database.read(differences) == []


async def test_migrations_make_the_same_sql_as_the_tables(path: Path, tmp_path: Path) -> None:
    """Also what Alembic does not compare: constraints, AUTOINCREMENT and partial indexes."""
    engine = create_engine(f"sqlite:///{tmp_path / 'direct.db'}")
    metadata.create_all(engine)
    engine.dispose()
    direct, migrated = _shape(tmp_path / "direct.db"), _shape(path)
    migrated.pop(VERSION_TABLE)
    assert migrated == direct


def _shape(path: Path) -> dict[str, list[str]]:
    """The parts of every statement that made the schema, in an order of their own."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL AND name NOT LIKE 'sqlite_%'")
    shape = {name: sorted(part.strip(" \n\t()") for part in sql.split(",")) for name, sql in rows}
    connection.close()
    return {name: sorted(" ".join(parts).split()) for name, parts in shape.items()}


def test_the_newest_revision_is_the_one_the_code_expects() -> None:
    """REVISIONS lists the migrations that are shipped, in order."""
    shipped = [script.revision for script in ScriptDirectory(MIGRATIONS).walk_revisions()]
    assert tuple(reversed(shipped)) == REVISIONS


async def test_migrating_twice_changes_nothing(path: Path) -> None:
    """The feed keeps its identity."""
    before = sqlite3.connect(path)
    identity = before.execute("SELECT identity FROM coatcheck_feed").fetchall()
    await migrate(f"sqlite:///{path}")
    assert before.execute("SELECT identity FROM coatcheck_feed").fetchall() == identity
    before.close()


async def test_a_newer_database_is_refused(path: Path) -> None:
    """Neither opened nor migrated: upgrade the program."""
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    connection.close()
    assert await schema_state(f"sqlite:///{path}") is SchemaState.NEWER
    for migrating in (False, True):
        with pytest.raises(SchemaMismatch, match="newer Coatcheck; upgrade the program"):
            await SqlStore.sqlite(path).open(migrate=migrating)


async def test_an_older_database_is_refused_until_it_is_migrated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the command."""
    monkeypatch.setattr("coatcheck.stores.sql.schema.REVISIONS", (*REVISIONS, "next"))
    assert await schema_state(f"sqlite:///{path}") is SchemaState.OLDER
    with pytest.raises(SchemaMismatch, match="older Coatcheck; run `coatcheck migrate`"):
        await SqlStore.sqlite(path).open()


async def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    """The fourth table is in the way: the three before it are not there either."""
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE coatcheck_events (mine INTEGER)")
    connection.close()
    with pytest.raises(StoreUnavailable):
        await migrate(f"sqlite:///{path}")
    engine = create_engine(f"sqlite:///{path}")
    assert inspect(engine).get_table_names() == ["coatcheck_events"]
    engine.dispose()
    assert await schema_state(f"sqlite:///{path}") is SchemaState.MISSING


@pytest.mark.parametrize("exists", [False, True])
async def test_many_migrations_at_once_are_one(tmp_path: Path, exists: bool) -> None:
    """They wait for each other, and all end with the same feed."""
    path = tmp_path / "new.db"
    if exists:
        path.touch()
    stores = [SqlStore.sqlite(path) for _ in range(6)]
    await asyncio.gather(*(store.open(migrate=True) for store in stores))
    feeds = {(await store.events(None, wait=0)).feed for store in stores}
    assert len(feeds) == 1
    for store in stores:
        await store.close()

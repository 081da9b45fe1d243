"""SQLite files: how they are made, refused, and noticed when they go away."""

# ruff: noqa: ASYNC240 - the files are small, and nobody else waits for this loop
from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from coatcheck.errors import ConfigurationError, SchemaMismatch, StoreUnavailable
from coatcheck.stores import open_store
from coatcheck.stores.sql import SchemaState, SqlStore, migrate, schema_state
from coatcheck.testing.clock import TravelClock
from coatcheck.testing.store_contract.support import logged_in
from tests.support.patience import FOR_EVER, in_time


async def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """Mode 0600, whatever the umask, and so are the files SQLite puts beside it."""
    path = tmp_path / "new.db"
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{path}")
        await store.open(migrate=True)
        await logged_in(store)
        modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in tmp_path.iterdir()}
        await store.close()
    finally:
        os.umask(before)
    assert modes == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}


async def test_what_was_written_is_there_after_a_restart(path: Path) -> None:
    """Sessions, and the identity of the feed."""
    first = SqlStore.sqlite(path)
    await first.open()
    session = await logged_in(first)
    feed = await first.events(None, wait=0)
    await first.close()
    again = SqlStore.sqlite(path)
    await again.open()
    assert await again.find(session.id, now=session.created) is not None
    assert (await again.events(None, wait=0)).feed == feed.feed
    await again.close()


async def test_the_feed_begins_when_the_database_is_made(tmp_path: Path) -> None:
    """By the store's clock, so that a test may travel."""
    clock = TravelClock(5000.0)
    store = open_store(f"sqlite:///{tmp_path / 'new.db'}", wall=clock)
    await store.open(migrate=True)
    clock.advance(10)
    read = await store.events(None, wait=0)
    assert (read.since, read.now, await store.time()) == (5000.0, 5010.0, 5010.0)
    await store.close()


@pytest.mark.parametrize("name", ["missing/new.db", ".", "dir", "file/new.db"])
async def test_an_impossible_place_is_a_configuration_error(tmp_path: Path, name: str) -> None:
    """One line, and nothing is left behind."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError) as caught:
        await migrate(f"sqlite:///{tmp_path}/{name}")
    assert "\n" not in str(caught.value)
    assert {found.name for found in tmp_path.iterdir()} == {"dir", "file"}


async def test_a_directory_that_takes_no_files_is_a_configuration_error() -> None:
    """/proc takes none, not even root's."""
    with pytest.raises(ConfigurationError, match="cannot be made"):
        await migrate("sqlite:////proc/coatcheck.db")


@pytest.mark.parametrize("content", [b"no database, but long enough to be taken for one " * 40, b"short"])
async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """A configuration error, with or without migrating, and not a byte is changed."""
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    for migrating in (False, True):
        with pytest.raises(ConfigurationError, match="not a SQLite database"):
            await SqlStore.sqlite(path).open(migrate=migrating)
    with pytest.raises(ConfigurationError, match="not a SQLite database"):
        await schema_state(f"sqlite:///{path}")
    assert path.read_bytes() == content
    assert [found.name for found in tmp_path.iterdir()] == ["notes.txt"]


async def test_opening_without_migrating_makes_nothing(tmp_path: Path) -> None:
    """A missing file and an empty one are a SchemaMismatch that names the command."""
    path = tmp_path / "new.db"
    assert await schema_state(f"sqlite:///{path}") is SchemaState.MISSING
    with pytest.raises(SchemaMismatch, match="coatcheck migrate"):
        await SqlStore.sqlite(path).open()
    assert list(tmp_path.iterdir()) == []
    path.touch()
    with pytest.raises(SchemaMismatch, match="coatcheck migrate"):
        await SqlStore.sqlite(path).open()


async def test_an_empty_file_can_be_migrated(tmp_path: Path) -> None:
    """As `touch` or another tool may have made it."""
    path = tmp_path / "new.db"
    path.touch()
    await migrate(f"sqlite:///{path}")
    assert await schema_state(f"sqlite:///{path}") is SchemaState.CURRENT


async def test_odd_names_are_only_names(tmp_path: Path) -> None:
    """Characters that mean something in a URI do not change which file it is."""
    path = tmp_path / "a b%20#x&mode=ro;é.db"
    await migrate(f"sqlite:///{path}")
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_goes_away_is_noticed(store: SqlStore, path: Path, template: Path, replaced: bool) -> None:
    """Nobody else would see what is written to it: every operation fails, and none makes it anew."""
    session = await logged_in(store)
    cursor = (await store.events(None, wait=0)).cursor
    path.unlink()
    if replaced:
        shutil.copy(template, path)
    for call in (
        store.find(session.id, now=session.created),
        store.revoke(session.id, now=session.created),
        store.events(cursor, wait=0),
        store.by_id("x"),
    ):
        with pytest.raises(StoreUnavailable):
            await call
    assert path.exists() == replaced


async def test_closing_twice_is_no_error_and_using_a_closed_store_is_one(path: Path) -> None:
    """So is using one that was not opened; a closed one can be opened again."""
    store = SqlStore.sqlite(path)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.find("x", now=1.0)
        with pytest.raises(StoreUnavailable):
            await store.events(None, wait=0)
        await store.open()
        await store.open()
        assert await store.find("x", now=1.0) is None
        await store.close()
        await store.close()


async def test_closing_ends_a_wait(path: Path) -> None:
    """Whoever waits for events is told at once that none will come."""
    store = SqlStore.sqlite(path)
    await store.open()
    cursor = (await store.events(None, wait=0)).cursor
    waiting = [asyncio.create_task(store.events(cursor, wait=FOR_EVER)) for _ in range(3)]
    await asyncio.sleep(0.1)
    await store.close()
    async with in_time():
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 3


async def test_commits_reach_the_disk(store: SqlStore) -> None:
    """Every connection writes ahead and waits for the disk."""
    for engine in store.database.engines:
        async with engine.connect() as connection:
            for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
                assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar() == value


async def test_another_programs_tables_are_left_alone(tmp_path: Path) -> None:
    """An application may keep its own tables in the same file."""
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE sessions (id INTEGER)")
    connection.close()
    await migrate(f"sqlite:///{path}")
    store = SqlStore.sqlite(path)
    await store.open()
    assert await logged_in(store)
    await store.close()

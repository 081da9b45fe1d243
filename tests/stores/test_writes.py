"""A store that answers and takes no writes says so, before anybody has tried to log in where that can be known."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from coatcheck.errors import StoreUnavailable
from coatcheck.stores import refusals
from coatcheck.stores.base import ChecksWrites
from coatcheck.stores.redis import RedisStore, wake
from coatcheck.stores.sql import SqlStore, migrate, sqlite
from coatcheck.testing.store_contract.support import logged_in, new_session
from tests.stores.redis_support import opened, with_prefix
from tests.support.patience import in_time
from tests.support.servers import PostgreSQL, Redis, pgbouncer, postgresql, redis

Store = SqlStore | RedisStore


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store is asked anew each time; what was refused counts for a moment."""
    monkeypatch.setattr(refusals, "_ASK_AGAIN", 0.0)
    monkeypatch.setattr(refusals.Refusals.note, "__defaults__", (0.4,))


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[SqlStore]:
    store = SqlStore.postgresql(url)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def _is_refused(store: Store, match: str) -> None:
    """Writes are refused, which the store says; what is read is answered."""
    with pytest.raises(StoreUnavailable, match=match):
        await store.check_writes()


async def _is_taken(store: Store) -> None:
    """Writes are taken, at last."""
    async with in_time():
        while True:
            try:
                await store.check_writes()
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                break
    await logged_in(store)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with postgresql() as server:
        yield server


def _only_reads(server: PostgreSQL, value: str) -> None:
    server.psql(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    server.psql("SELECT pg_reload_conf()")
    while server.psql("SHOW default_transaction_read_only") != value:
        time.sleep(0.01)


@pytest.mark.parametrize("through", ["the server", "a pooler"])
async def test_a_postgresql_that_only_reads(server: PostgreSQL, through: str) -> None:
    """Known without a write, with a session that is verified meanwhile; and over when it is."""
    name = server.create_database()
    await migrate(server.url(name))
    with pgbouncer(server) as pooler:
        async with _opened(pooler.url(name) if through == "a pooler" else server.url(name)) as store:
            session = await logged_in(store)
            await store.check_writes()
            await asyncio.to_thread(_only_reads, server, "on")
            try:
                await _is_refused(store, "only reads")
                with pytest.raises(StoreUnavailable):
                    await store.create(new_session(session.created), now=session.created)
                assert await store.find(session.id, now=session.created) is not None
                await _is_refused(store, "ReadOnly|only reads")
            finally:
                await asyncio.to_thread(_only_reads, server, "off")
            await _is_taken(store)


async def test_connections_of_a_time_that_only_read_cost_nothing(server: PostgreSQL) -> None:
    """They keep it for as long as they last; what they refused is tried once more on a new one."""
    name = server.create_database()
    await migrate(server.url(name))
    async with _opened(server.url(name)) as store:
        session = await logged_in(store)
        await asyncio.to_thread(server.psql, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        await store.database.engines[0].dispose()
        await asyncio.gather(*(store.find(session.id, now=session.created) for _ in range(20)))
        await asyncio.to_thread(server.psql, f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        await asyncio.gather(*(logged_in(store) for _ in range(10)))


async def test_a_sqlite_file_that_cannot_grow(path: Path) -> None:
    """A refused write is remembered, though a smaller one finds room."""
    store = SqlStore.sqlite(path)
    await store.open()
    session = await logged_in(store)
    await store.check_writes()
    await store.database.write(_no_more_pages)
    with pytest.raises(StoreUnavailable, match="SQLITE_FULL"):
        await _many(store)
    await store.revoke(session.id, now=session.created)
    await _is_refused(store, "SQLITE_FULL")
    await store.database.write(lambda tx: tx.exec_driver_sql("PRAGMA max_page_count = 100000").all())
    await _is_taken(store)
    await store.close()


async def _many(store: SqlStore) -> None:
    for _ in range(1000):
        await logged_in(store)


def _no_more_pages(tx: Connection) -> None:
    count = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
    tx.exec_driver_sql(f"PRAGMA max_page_count = {count}").all()


async def test_a_disk_that_is_full_or_only_reads(store: SqlStore, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Asked of the file system, before anything is written."""
    await store.check_writes()
    with monkeypatch.context() as patched:
        patched.setattr(sqlite, "_ROOM", 1 << 62)
        await _is_refused(store, "full")
    with monkeypatch.context() as patched:
        patched.setattr("os.access", lambda name, mode: Path(name) != path.parent)
        await _is_refused(store, "may not be written")
    await _is_taken(store)


@pytest.fixture
def full() -> Iterator[Redis]:
    with redis() as server:
        yield server


async def test_a_redis_that_is_full(full: Redis) -> None:
    """Its memory, under ``noeviction``: known without a login."""
    async with opened(with_prefix(full.url())) as store:
        session = await logged_in(store)
        await store.check_writes()
        full.cli("CONFIG", "SET", "maxmemory", "1000")
        await _is_refused(store, "OOM")
        assert await store.find(session.id, now=session.created) is not None
        full.cli("CONFIG", "SET", "maxmemory", "0")
        await _is_taken(store)


async def test_a_redis_that_cannot_save(full: Redis) -> None:
    """MISCONF: after a snapshot that failed it refuses writes."""
    async with opened(with_prefix(full.url())) as store:
        await logged_in(store)
        obstacle = await _fails_to_save(full)
        await _is_refused(store, "MISCONF")
        obstacle.rmdir()
        full.cli("BGSAVE")
        await _is_taken(store)


async def test_who_listens_to_a_redis_that_cannot_save(
    full: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It refuses to say whether it is still there, and that is an answer: nobody connects anew over it."""
    monkeypatch.setattr(wake, "_SILENCE", 0.05)
    async with opened(with_prefix(full.url())) as store:
        await logged_in(store)
        await _fails_to_save(full)
        before = _refused_pings(full)
        async with in_time():
            while _refused_pings(full) < before + 5:
                await asyncio.sleep(0.01)
        assert store._wake.listening.is_set()
    assert "not woken" not in caplog.text


def _refused_pings(server: Redis) -> int:
    found = re.search(r"rejected_calls=(\d+)", server.info("commandstats", "cmdstat_ping"))
    return int(found[1]) if found else 0


async def _fails_to_save(server: Redis) -> Path:
    server.cli("CONFIG", "SET", "save", "3600 1")
    obstacle = server.directory / "dump.rdb"
    obstacle.mkdir()  # a file cannot take its place
    server.cli("BGSAVE")
    async with in_time():
        while server.info("persistence", "rdb_last_bgsave_status") != "err":
            await asyncio.sleep(0.01)
    return obstacle


@pytest.mark.parametrize("why", ["OOM", "MISCONF", "NOREPLICAS"])
async def test_a_start_on_a_redis_that_takes_no_writes(full: Redis, why: str) -> None:
    """A process that starts meanwhile verifies, is woken, ends sessions where Redis lets it, and says what is missing;
    and one that is running can open further connections."""
    url = with_prefix(full.url())
    async with opened(url) as running:
        session = await logged_in(running)
        if why == "MISCONF":
            await _fails_to_save(full)
        else:
            setting = ("maxmemory", "1000") if why == "OOM" else ("min-replicas-to-write", "1")
            full.cli("CONFIG", "SET", *setting)
        async with opened(url) as store:
            for each in (store, running):
                finds = [each.find(session.id, now=session.created) for _ in range(20)]
                assert all(found is not None for found in await asyncio.gather(*finds))
            async with in_time():
                await store._wake.listening.wait()
            with pytest.raises(StoreUnavailable, match=why):
                await store.check_writes()


async def test_a_redis_whose_replicas_are_gone(full: Redis) -> None:
    """NOREPLICAS: it was told to refuse writes then; what a login met is remembered."""
    async with opened(with_prefix(full.url())) as store:
        session = await logged_in(store)
        full.cli("CONFIG", "SET", "min-replicas-to-write", "1")
        with pytest.raises(StoreUnavailable, match="NOREPLICAS"):
            await store.create(new_session(session.created), now=session.created)
        await _is_refused(store, "NOREPLICAS")
        full.cli("CONFIG", "SET", "min-replicas-to-write", "0")
        await _is_taken(store)


async def test_an_answer_counts_for_a_while(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a store is asked, it asks its database once in a few seconds."""
    monkeypatch.setattr(refusals, "_ASK_AGAIN", 60.0)
    asked: list[Any] = []

    async def ask() -> str:
        asked.append(None)
        return "full" if len(asked) == 2 else ""

    found = refusals.Refusals()
    for _ in range(5):
        await found.check(ask)
    assert len(asked) == 1
    found.note("", 0.0)
    for _ in range(5):
        with pytest.raises(StoreUnavailable, match="full"):
            await found.check(ask)
    assert len(asked) == 2
    assert isinstance(store, ChecksWrites)


async def test_what_no_question_clears_up_lasts_until_a_write_succeeds() -> None:
    """Silence proves nothing of a disk that was full."""

    async def ask() -> str:
        return ""

    found = refusals.Refusals()
    found.note("full", 0.0, lasts=True)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="full"):
            await found.check(ask)
    found.written()
    await found.check(ask)

"""PostgreSQL's feed: nothing is passed, nothing comes twice, whoever commits when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from coatcheck.errors import ConfigurationError
from coatcheck.stores.base import FeedLost
from coatcheck.stores.sql import SqlStore, migrate, pg_feed
from coatcheck.testing.store_contract.support import events_after, here
from tests.stores.gate import StatementGate
from tests.support.servers import postgresql

NOW = 1_800_000_000.0


@pytest_asyncio.fixture
async def slow(pg: SqlStore, pg_url: str) -> AsyncIterator[SqlStore]:
    """Another process, to be held before its commit."""
    store = SqlStore.postgresql(pg_url)
    await store.open()
    yield store
    await store.close()


async def _token(store: SqlStore, name: str) -> None:
    await store.revoke_token(f"the session of {name}", name, now=NOW)


async def _names(store: SqlStore, cursor: str) -> list[str]:
    return [event.token_id for event in await events_after(store, cursor)]


async def test_an_event_that_commits_late_is_not_passed(pg: SqlStore, slow: SqlStore, admin: Any) -> None:
    """The first draws its id, the second draws and commits, a follower reads, the first commits: it still comes."""
    cursor = await here(pg)
    gate = StatementGate(slow)
    gate.arm(None)
    first = asyncio.ensure_future(_token(slow, "first"))
    assert await gate.reached_or(first)
    await _token(pg, "second")
    read = await pg.events(cursor, wait=0)
    assert [event.token_id for event in read.events] == ["second"]
    gate.open()
    await first
    late = await pg.events(read.cursor, wait=0)
    assert [event.token_id for event in late.events] == ["first"]
    assert await _names(pg, late.cursor) == []
    assert await _names(pg, cursor) == ["first", "second"]
    rows = await admin.fetch("SELECT token_id FROM coatcheck_events ORDER BY id")
    assert [row["token_id"] for row in rows] == ["first", "second"], "the interleaving was not the bad one"


async def test_a_transaction_that_is_undone_leaves_no_event(pg: SqlStore, admin: Any) -> None:
    """Its number is passed, and nobody waits for it."""
    cursor = await here(pg)
    undone = admin.transaction()
    await undone.start()
    await admin.execute(
        "INSERT INTO coatcheck_events (kind, at, subject, session_id, token_id, number, txn)"
        " VALUES ('keys_changed', 0, '', '', 'undone', 0, pg_current_xact_id())"
    )
    await _token(pg, "second")
    read = await pg.events(cursor, wait=0)
    await undone.rollback()
    assert [event.token_id for event in read.events] == ["second"]
    assert await _names(pg, read.cursor) == []


async def test_another_programs_long_transaction_stops_nothing(pg: SqlStore, admin: Any) -> None:
    """Events come at once and once; no cursor is lost, not even by pruning, which waits for what it must."""
    cursor = await here(pg)
    long = admin.transaction()
    await long.start()
    await admin.execute("CREATE TABLE somebody_elses (x int)")
    await admin.fetchval("SELECT pg_current_xact_id()")
    for number in range(5):
        await _token(pg, f"{number}")
        read = await pg.events(cursor, wait=0)
        assert [event.token_id for event in read.events] == [f"{number}"]
        cursor = read.cursor
    assert await pg.prune(now=NOW + 100, keep_events=1) == 0
    assert await _names(pg, cursor) == []
    await long.rollback()
    assert await _names(pg, cursor) == []
    assert await pg.prune(now=NOW + 100, keep_events=1) == 5


async def test_a_long_feed_is_read_in_pages(pg: SqlStore, slow: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of pages ends with a read of its own; what was under way at its beginning, or came since, follows it."""
    monkeypatch.setattr(pg_feed, "FEED_PAGE", 4)
    start = await here(pg)
    await _token(pg, "0")
    gate = StatementGate(slow)
    gate.arm(None)
    late = asyncio.ensure_future(_token(slow, "late"))
    assert await gate.reached_or(late)
    for number in range(1, 11):
        await _token(pg, f"{number}")
    for begin in (None, start):
        read = await pg.events(begin, wait=0)
        names, sizes = [], []
        while True:
            names += [event.token_id for event in read.events]
            sizes.append(len(read.events))
            if not read.more:
                break
            if len(names) == 8:
                gate.open()
                await late
                await _token(pg, "since again" if begin else "since")
            read = await pg.events(read.cursor, wait=5)
        assert sorted(names) == sorted([*map(str, range(11)), "late", "since", *(["since again"] if begin else [])])
        assert max(sizes) == 4
        assert await _names(pg, read.cursor) == []


async def test_events_of_another_servers_backup_are_given_once(pg: SqlStore, admin: Any) -> None:
    """Numbers beyond this server's present: a whole read has them, a cursor does not repeat them, prune takes them."""
    await _token(pg, "restored")
    await admin.execute("UPDATE coatcheck_events SET txn = '999999999999'")
    await admin.execute("UPDATE coatcheck_feed SET pruned_txn = '999999999998'")
    await _token(pg, "new")
    read = await pg.events(None, wait=0)
    assert [event.token_id for event in read.events] == ["new", "restored"]
    assert await _names(pg, read.cursor) == []
    assert await pg.prune(now=NOW + 100, keep_events=1) == 2
    assert await _names(pg, read.cursor) == []


async def test_another_table_is_another_feed(pg: SqlStore, admin: Any) -> None:
    """A backup put back into the same database has made its tables anew."""
    cursor = await here(pg)
    await admin.execute(
        "BEGIN; CREATE TABLE again (LIKE coatcheck_feed INCLUDING ALL); INSERT INTO again SELECT * FROM coatcheck_feed;"
        " ALTER TABLE coatcheck_feed RENAME TO old; ALTER TABLE again RENAME TO coatcheck_feed; COMMIT"
    )
    try:
        with pytest.raises(FeedLost):
            await pg.events(cursor, wait=0)
    finally:
        await admin.execute("DROP TABLE coatcheck_feed; ALTER TABLE old RENAME TO coatcheck_feed")
    assert await _names(pg, cursor) == []


@pytest.mark.parametrize(
    "cursor",
    [
        "{}/1:1:",
        "{}/1:1:/",
        "{}//1:1",
        "{}/1:1:2:3",
        "{}/99999999:1:",
        "{}/1:99999999:",
        "{}/1:1:/9:9:/1:1",
        "{}/1:9:5,3",
        "{}/1:99999999999999999999:",
        "{}/1:9://1:99999999999999999999",
        "{}/9:9://1:1",
    ],
)
async def test_a_snapshot_that_was_never_taken_proves_nothing(pg: SqlStore, cursor: str) -> None:
    """Neither a malformed one nor one from before the tail or beyond the end; never a fault of the database."""
    await _token(pg, "pruned")
    await pg.prune(now=NOW + 100, keep_events=1)
    feed = (await pg.events(None, wait=0)).feed
    with pytest.raises(FeedLost):
        await pg.events(cursor.format(feed), wait=0)


async def test_a_standby_is_refused_and_a_promoted_one_is_another_feed() -> None:
    """It may lag behind; and what its primary had not sent is lost."""
    with postgresql() as primary:
        url = primary.url(primary.create_database())
        await migrate(url)
        store = SqlStore.postgresql(url)
        await store.open()
        cursor = await here(store)
        with postgresql(standby_of=primary) as standby:
            there = SqlStore.postgresql(standby.url(url.rpartition("/")[2]))
            with pytest.raises(ConfigurationError, match=r"is a standby.*name the primary"):
                await there.open()
            standby.psql("SELECT pg_promote()")
            await there.open()
            with pytest.raises(FeedLost):
                await there.events(cursor, wait=0)
            assert (await there.events(None, wait=0)).feed[:-8] == cursor.partition("/")[0][:-8]
            await there.close()
        await store.close()


async def test_a_cursor_with_an_event_that_is_no_more_proves_nothing(pg: SqlStore, admin: Any) -> None:
    """Its transactions may all be over: where the newest event that it saw is missing, the server has lost some."""
    await _token(pg, "kept")
    await _token(pg, "lost")
    cursor = await here(pg)
    await admin.execute("DELETE FROM coatcheck_events WHERE token_id = 'lost'")
    with pytest.raises(FeedLost):
        await pg.events(cursor, wait=0)

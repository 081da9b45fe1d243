"""Several processes on one SQLite file: races, followers, and one that dies in the middle."""

# ruff: noqa: ASYNC240 - the files are small, and nobody else waits for this loop
from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

from coatcheck.model import EventKind
from coatcheck.stores.sql import SqlStore
from coatcheck.testing.store_contract.support import assert_ended, events_after, here, logged_in
from tests.stores.support import Worker, workers

SESSIONS = 40
BOUND = 0.15
"""Seconds within which every process on the machine refuses; the design's "milliseconds" for SQLite."""


async def test_exactly_one_process_rotates_a_generation(store: SqlStore, path: Path) -> None:
    """Every process asks for every session at once; for each, one is Rotated and the others are Replayed."""
    made = [await logged_in(store) for _ in range(SESSIONS)]
    now = made[-1].created + 1
    with workers(path, 3) as others:
        for worker in others:
            worker.send(do="rotate", sessions=[one.id for one in made], now=now)
        answers = await asyncio.to_thread(lambda: [worker.receive() for worker in others])
    for got in zip(*answers, strict=True):
        assert sorted(got) == ["Replayed", "Replayed", "Rotated"]


async def test_a_revocation_beats_what_other_processes_do(store: SqlStore, path: Path) -> None:
    """Whoever comes first, in the end each session is dead, with exactly one event."""
    made = [await logged_in(store) for _ in range(SESSIONS)]
    now = made[-1].created + 1
    cursor = await here(store)
    with workers(path, 3) as others:
        for worker, what in zip(others, ("rotate", "touch", "revoke"), strict=True):
            worker.send(do=what, sessions=[one.id for one in made], now=now)
        answers = await asyncio.to_thread(lambda: [worker.receive() for worker in others])
    assert answers[2] == ["Session"] * SESSIONS
    for one in made:
        await assert_ended(store, one.id, one.subject, now)
    events = await events_after(store, cursor)
    assert [event.session_id for event in events] == [one.id for one in made]
    assert {event.kind for event in events} == {EventKind.SESSION_REVOKED}


async def test_other_processes_learn_of_a_revocation_within_the_bound(store: SqlStore, path: Path) -> None:
    """From revoke's return to a waiting follower's answer in another process."""
    delays = []
    with workers(path, 1) as (follower,):
        for _ in range(20):
            session = await logged_in(store)
            follower.send(do="follow", cursor=await here(store))
            await asyncio.sleep(0.1)
            await store.revoke(session.id, now=session.created)
            done = time.monotonic()
            answer = await asyncio.to_thread(follower.receive)
            assert answer["events"] == 1
            delays.append(answer["at"] - done)
            if delays[-1] < BOUND:
                return
    raise AssertionError(f"never within {BOUND} s: {delays}")


async def test_a_process_killed_inside_a_transaction_leaves_nothing_of_it(store: SqlStore, path: Path) -> None:
    """Its lock is gone with it, its rows never were, and the file is sound."""
    with workers(path, 1) as (worker,):
        worker.send(do="hang")
        assert await asyncio.to_thread(worker.receive) == "inside"
        worker.process.kill()
        worker.process.wait()
    assert (await store.sessions_of("half", now=1_800_000_000.0)).sessions == []
    assert await logged_in(store)
    assert _sound(path)


async def test_a_process_killed_at_work_leaves_rows_and_events_in_step(store: SqlStore, path: Path) -> None:
    """Each session is live without an event, or ended with one."""
    made = [await logged_in(store) for _ in range(300)]
    now = made[-1].created
    cursor = await here(store)
    worker = Worker(path)
    try:
        assert await asyncio.to_thread(worker.receive) == "ready"
        worker.send(do="revoke", sessions=[one.id for one in made], now=now)
        while len(await events_after(store, cursor)) < 20:
            await asyncio.sleep(0)
    finally:
        worker.end()
    ended = {event.session_id for event in await events_after(store, cursor)}
    live = {one.id for one in made if await store.find(one.id, now=now)}
    assert 20 <= len(ended) < len(made)
    assert ended | live == {one.id for one in made}
    assert not ended & live
    assert _sound(path)


async def test_processes_that_start_at_once_make_one_database(tmp_path: Path) -> None:
    """They all find a whole schema and the same feed, and leave no drafts behind."""
    path = tmp_path / "new.db"
    with workers(path, 4) as others:
        store = SqlStore.sqlite(path)
        await store.open()
        session = await logged_in(store)
        for worker in others:
            worker.send(do="touch", sessions=[session.id], now=session.created)
        assert await asyncio.to_thread(lambda: [worker.receive() for worker in others]) == [["frozenset"]] * 4
        await store.close()
    assert {found.name for found in tmp_path.iterdir()} <= {"new.db", "new.db-wal", "new.db-shm"}


def _sound(path: Path) -> bool:
    with sqlite3.connect(path) as connection:
        found = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    return bool(found == [("ok",)])

"""A SQLite store that fails says so, in words that give nothing away; one that was disturbed goes on."""

# ruff: noqa: ASYNC240 - the files are small, and nobody else waits for this loop
from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.util import await_

from coatcheck.errors import Rejected, StoreUnavailable
from coatcheck.model import Session
from coatcheck.stores.sql import SqlStore
from coatcheck.stores.sql.sqlite import SqliteDatabase
from coatcheck.testing.store_contract.support import events_after, here, logged_in, new_session

OPERATIONS: dict[str, Callable[[SqlStore, Session], Awaitable[Any]]] = {
    "create": lambda store, session: store.create(new_session(session.created), now=session.created),
    "rotate": lambda store, session: store.rotate(session.id, 0, window=30.0, now=session.created),
    "update": lambda store, session: store.update(session.id, 0, now=session.created, amr=("otp",)),
    "revoke": lambda store, session: store.revoke(session.id, now=session.created),
    "revoke_subject": lambda store, session: store.revoke_subject(session.subject, now=session.created),
    "find": lambda store, session: store.find(session.id, now=session.created),
    "events": lambda store, session: store.events(None, wait=0),
}


async def test_a_lock_that_stays_is_unavailable_and_one_that_goes_is_waited_for(path: Path) -> None:
    """Writes are tried again for a while; reads never wait; afterwards everything works."""
    store = SqlStore(SqliteDatabase(path, patience=0.05))
    await store.open()
    session = await logged_in(store)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable) as caught:
        await store.revoke(session.id, now=session.created)
    assert isinstance(caught.value.__cause__, Exception)
    assert str(caught.value) == "the database did not answer (OperationalError SQLITE_BUSY)"
    assert await store.find(session.id, now=session.created) is not None
    other.rollback()
    assert await store.revoke(session.id, now=session.created) is not None
    await store.close()
    patient = SqlStore.sqlite(path)
    await patient.open()
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(logged_in(patient))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    other.rollback()
    assert await waiting
    await patient.close()
    other.close()


async def test_a_full_disk_is_unavailable_and_nothing_is_half_written(store: SqlStore) -> None:
    """SQLite's own limit on the file's size stands for the disk."""
    session = await logged_in(store)
    await store.database.write(lambda tx: tx.exec_driver_sql("PRAGMA max_page_count=1").close())
    cursor = await here(store)
    with pytest.raises(StoreUnavailable, match="SQLITE_FULL") as caught:
        await store.create(new_session(session.created, data={"fill": "secret-value " * 100_000}), now=session.created)
    assert "secret-value" not in str(caught.value)
    assert "secret-value" not in str(caught.value.__cause__)
    assert await store.find(session.id, now=session.created) is not None
    assert await events_after(store, cursor) == []


async def test_a_damaged_file_is_unavailable(path: Path) -> None:
    """Neither a crash nor an answer."""
    store = SqlStore.sqlite(path)
    await store.open()
    session = await logged_in(store)
    await store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable):
        await store.open()
    with pytest.raises(StoreUnavailable):
        await store.find(session.id, now=session.created)


async def test_text_no_database_can_keep_is_rejected(store: SqlStore) -> None:
    """Half a surrogate pair, and numbers past 64 bits; nothing is changed."""
    session = await logged_in(store)
    with pytest.raises(Rejected):
        await store.update(session.id, 0, now=session.created, label="\ud800")
    with pytest.raises(Rejected):
        await store.rotate(session.id, 2**70, window=1.0, now=session.created)
    with pytest.raises(Rejected):
        await store.find("\udfff", now=session.created)
    with pytest.raises(Rejected):
        await store.revoke_subject("\udfff", now=session.created)
    found = await store.find(session.id, now=session.created)
    assert found is not None
    assert found.session == session


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_cancelled_caller_leaves_a_whole_operation(store: SqlStore, name: str) -> None:
    """Cancelled at every statement: the operation is done wholly, no connection is lost or left in a transaction."""
    await _interrupt_everywhere(store, name, lambda calling: calling.cancel())


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_transaction_torn_down_with_its_loop_is_whole(store: SqlStore, name: str) -> None:
    """What `asyncio.run` does at its end: the transaction itself is cancelled, at every statement."""
    await _interrupt_everywhere(store, name, lambda _: [task.cancel() for task in list(store.database._running)])


async def test_closing_waits_for_what_is_under_way(store: SqlStore, path: Path) -> None:
    """An operation whose caller has gone is done before the connections go."""
    session = await logged_in(store)
    gate = _Gate(store)
    gate.arm(1)
    calling = asyncio.ensure_future(store.revoke(session.id, now=session.created))
    await gate.reached_or(calling)
    calling.cancel()
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    assert not closing.done()
    gate.open()
    await closing
    await store.open()
    assert await store.find(session.id, now=session.created) is None


async def _interrupt_everywhere(store: SqlStore, name: str, interrupt: Callable[[asyncio.Future[Any]], object]) -> None:
    """Does the operation again and again, interrupted one statement later each time, until none is left."""
    gate = _Gate(store)
    for at in count():
        session = await logged_in(store)
        gate.arm(at)
        calling = asyncio.ensure_future(OPERATIONS[name](store, session))
        await gate.reached_or(calling)
        interrupt(calling)
        await asyncio.gather(calling, return_exceptions=True)
        reached = gate.open()
        await _check_whole(store, session)
        if not reached:
            assert at > 0
            return


async def _check_whole(store: SqlStore, session: Session) -> None:
    """Rows and events are in step, and every connection works."""
    await asyncio.gather(*(store.find(session.id, now=session.created) for _ in range(8)))
    created = await asyncio.gather(*(logged_in(store) for _ in range(2)))
    events = [found for found in (await store.events(None, wait=0)).events if found.subject == session.subject]
    found = await store.find(session.id, now=session.created)
    changed = found is None or found.session.version == 1
    assert len(events) == int(changed)
    for one in created:
        assert await store.revoke(one.id, now=one.created) is not None


class _Gate:
    """Holds the store's n-th statement, BEGIN and COMMIT counted."""

    def __init__(self, store: SqlStore) -> None:
        self._left: int | None = None
        self._reached = asyncio.Event()
        self._go = asyncio.Event()
        for engine in store.database.engines:
            event.listen(engine.sync_engine, "before_cursor_execute", lambda *_: self._step())
            event.listen(engine.sync_engine, "commit", lambda *_: self._step())

    def arm(self, at: int) -> None:
        self._left = at
        self._reached.clear()
        self._go.clear()

    async def reached_or(self, task: asyncio.Future[Any]) -> None:
        reached = asyncio.create_task(self._reached.wait())
        await asyncio.wait({reached, task}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()

    def open(self) -> bool:
        self._left = None
        self._go.set()
        return self._reached.is_set()

    def _step(self) -> None:
        if self._left == 0:
            self._left = None
            self._reached.set()
            await_(self._go.wait())
        elif self._left is not None:
            self._left -= 1

"""Holding one SQL store between two of its statements while another one tries."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.util import await_

from coatcheck.stores.sql import SqlStore
from coatcheck.testing.store_contract.interleave import Client


class Statements:
    """An `Interleaver`: the steps are the statements of a write transaction, BEGIN and COMMIT among them."""

    def __init__(self, first: SqlStore, second: SqlStore) -> None:
        self._first = first
        self._second = second
        self._steps_left: int | None = None
        self._held = asyncio.Event()
        self._let_go = asyncio.Event()
        self._bumped = asyncio.Event()
        writer = first.database.engines[0].sync_engine
        event.listen(writer, "before_cursor_execute", lambda *_: self._step())
        event.listen(writer, "commit", lambda *_: self._step())
        event.listen(second.database.engines[0].sync_engine, "handle_error", self._bump)

    async def race(self, first: Client, second: Client, at: int) -> bool:
        """See `Interleaver.race`."""
        for flag in (self._held, self._let_go, self._bumped):
            flag.clear()
        self._steps_left = at
        one = asyncio.create_task(first(self._first))
        await _first_of(one, self._held)
        self._steps_left = None
        if not self._held.is_set():
            await one
            await second(self._second)
            return False
        other = asyncio.create_task(second(self._second))
        await self._done_or_waiting(other)
        self._let_go.set()
        await asyncio.gather(one, other)
        return True

    def _step(self) -> None:
        if self._steps_left is None:
            return
        if self._steps_left == 0:
            self._steps_left = None
            self._held.set()
            await_(self._let_go.wait())
        else:
            self._steps_left -= 1

    async def _done_or_waiting(self, other: asyncio.Task[None]) -> None:
        """Until the second one is done or has met the first one's lock."""
        await _first_of(other, self._bumped)

    def _bump(self, context: Any) -> None:
        """The second one has met the first one's lock."""
        self._bumped.set()


class LockingStatements(Statements):
    """The same on a server that makes the second one wait: it is asked whether it does."""

    def __init__(self, first: SqlStore, second: SqlStore, watcher: asyncpg.Connection[asyncpg.Record]) -> None:
        super().__init__(first, second)
        self._watcher = watcher

    async def _done_or_waiting(self, other: asyncio.Task[None]) -> None:
        waiting = (
            "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND datname = current_database())"
        )
        while not other.done() and not await self._watcher.fetchval(waiting):
            await asyncio.sleep(0)


async def _first_of(task: asyncio.Task[None], flag: asyncio.Event) -> None:
    waiting = asyncio.create_task(flag.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()

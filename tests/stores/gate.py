"""Holding a SQL store at one of its statements."""

from __future__ import annotations

import asyncio

from sqlalchemy import event
from sqlalchemy.util import await_

from coatcheck.stores.sql import SqlStore


class StatementGate:
    """Holds the store's n-th statement of a write; COMMIT is counted, and BEGIN where it is a statement."""

    def __init__(self, store: SqlStore) -> None:
        self._left: int | None = None
        self.reached = asyncio.Event()
        self._go = asyncio.Event()
        self.at_commit = False
        writer = store.database.engines[0].sync_engine
        event.listen(writer, "before_cursor_execute", lambda *_: self._step(False))
        event.listen(writer, "commit", lambda *_: self._step(True))

    def arm(self, at: int | None) -> None:
        """Hold statement ``at``; None for the COMMIT."""
        self._left = -1 if at is None else at
        self.reached.clear()
        self._go.clear()

    async def reached_or(self, task: asyncio.Future[object]) -> bool:
        """Whether the statement was reached before the task ended."""
        reached = asyncio.create_task(self.reached.wait())
        await asyncio.wait({reached, task}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        return self.reached.is_set()

    def open(self) -> None:
        self._left = None
        self._go.set()

    def _step(self, committing: bool) -> None:
        if self._left is None:
            return
        if self._left == 0 or (self._left == -1 and committing):
            self._left = None
            self.at_commit = committing
            self.reached.set()
            await_(self._go.wait())
        elif self._left > 0:
            self._left -= 1

"""A connection to SQLite of whose statements each takes one trip to the connection's thread.

aiosqlite makes four of each: a cursor, the statement, its rows, and the cursor's end. Every trip wakes the event loop
and waits for the interpreter's lock, and in a busy process that is most of what a statement costs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import aiosqlite


class _Answer(NamedTuple):
    description: Any
    rowcount: int
    lastrowid: int | None
    rows: list[Any]


class Cursor:
    """What SQLAlchemy asks of a cursor. The rows are here when the statement has been run."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._answer = _Answer(None, -1, None, [])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @property
    def description(self) -> Any:
        """See PEP 249."""
        return self._answer.description

    @property
    def rowcount(self) -> int:
        """See PEP 249."""
        return self._answer.rowcount

    @property
    def lastrowid(self) -> int | None:
        """See PEP 249."""
        return self._answer.lastrowid

    async def execute(self, operation: str, parameters: Sequence[Any] = ()) -> Self:
        """Run one statement."""
        self._answer = await self._connection.run(partial(_execute, operation=operation, parameters=parameters))
        return self

    async def executemany(self, operation: str, parameters: Iterable[Sequence[Any]]) -> Self:
        """Run one statement with each of the parameters."""
        self._answer = await self._connection.run(partial(_executemany, operation=operation, parameters=parameters))
        return self

    async def fetchall(self) -> list[Any]:
        """All rows."""
        return self._answer.rows

    async def close(self) -> None:
        """Nothing is left to close."""


class Connection(aiosqlite.Connection):
    """Its `cursor` is ours; all else is aiosqlite's."""

    def cursor(self) -> Cursor:  # type: ignore[override]  # SQLAlchemy asks a cursor for no more than ours has
        """A cursor, without a trip."""
        return Cursor(self)

    async def run(self, work: partial[_Answer]) -> _Answer:
        """Call ``work`` with the driver's connection, in its thread."""
        answer: _Answer = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]  # aiosqlite left it so
        return answer

    async def rollback(self) -> None:
        """Roll back; where nothing was begun, without a trip."""
        if self.in_transaction:
            await super().rollback()


async def connect(name: str, **options: Any) -> aiosqlite.Connection:
    """Connect as `sqlite3.connect` does."""
    connection = Connection(partial(sqlite3.connect, name, **options), iter_chunk_size=64)
    # Nothing waits at the end of a process for a connection that nobody has closed.
    connection._thread.daemon = True  # as SQLAlchemy does where it connects itself
    return await connection


def _execute(connection: sqlite3.Connection, *, operation: str, parameters: Sequence[Any]) -> _Answer:
    return _answer(connection.execute(operation, parameters))


def _executemany(connection: sqlite3.Connection, *, operation: str, parameters: Iterable[Sequence[Any]]) -> _Answer:
    return _answer(connection.executemany(operation, parameters))


def _answer(cursor: sqlite3.Cursor) -> _Answer:
    try:
        rows = cursor.fetchall() if cursor.description else []
        return _Answer(cursor.description, cursor.rowcount, cursor.lastrowid, rows)
    finally:
        cursor.close()

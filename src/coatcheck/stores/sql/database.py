"""Operations as transactions: errors translated, busy tried again, cancellation kept away from the connection.

What a dialect does in its own way is in one subclass of `Database`; everything else is portable SQL.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from ...errors import Rejected, StoreUnavailable

T = TypeVar("T")
Work = Callable[[Connection], T]
"""An operation's statements. It may be run again, so it changes nothing but the database."""

PATIENCE: Final = 5.0
"""Seconds for which a locked database is tried again before it counts as unavailable."""
_PAUSES: Final = (0.002, 0.005, 0.01, 0.02, 0.03)
"""Seconds between two tries; the last one repeats."""

DRIVER_ERRORS: Final = (SQLAlchemyError, sqlite3.Error, OSError)


class Database(ABC):
    """The connections to one database.

    ``engines`` are public for instrumentation: SQLAlchemy's events on them see every statement.
    """

    engines: Sequence[AsyncEngine] = ()
    """The one that writes first; the last one reads."""

    def __init__(self, *, patience: float) -> None:
        self._patience = patience
        self._running: set[asyncio.Task[Any]] = set()

    @abstractmethod
    async def open(self, *, migrate: bool, now: float) -> None:
        """Connect and check the schema. Raises as `SessionStore.open` says, and then leaves nothing behind."""

    async def close(self) -> None:
        """Let what is under way finish, then give back every connection. Idempotent."""
        while self._running:
            await asyncio.wait(self._running)
        engines, self.engines = self.engines, ()
        for engine in engines:
            await engine.dispose()

    @abstractmethod
    def insert(self, table: Table) -> Insert:
        """An INSERT of this dialect, with ``on_conflict_do_update`` and ``on_conflict_do_nothing``."""

    @abstractmethod
    def check(self) -> None:
        """Called before each try: raise `StoreUnavailable` when this no longer is the database that was opened."""

    @abstractmethod
    def is_busy(self, error: BaseException) -> bool:
        """Whether another transaction was in the way, so that the same again may succeed."""

    @abstractmethod
    async def mark(self) -> object:
        """Something that differs once anything was committed after this call."""

    @abstractmethod
    async def changed(self, mark: object, wait: float) -> bool:
        """Wait until something was committed after ``mark`` was taken, or so many seconds. False for the latter."""

    @abstractmethod
    def announce(self) -> None:
        """Wake this process's `changed` at once: an event was committed here."""

    async def read(self, work: Work[T]) -> T:
        """Run work of a single statement, which needs no transaction around it."""
        return await self._protected(self._tries(self._open_engine(-1), work, writes=False))

    async def write(self, work: Work[T]) -> T:
        """Run work as one transaction. It is committed when this returns; any error has rolled it back."""
        return await self._protected(self._tries(self._open_engine(0), work, writes=True))

    def _open_engine(self, index: int) -> AsyncEngine:
        if not self.engines:
            raise StoreUnavailable("the store is not open")
        return self.engines[index]

    async def _protected(self, work: Coroutine[Any, Any, T]) -> T:
        """A cancelled caller leaves; the transaction runs to its end and gives back a clean connection."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait({task})
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()

    async def _tries(self, engine: AsyncEngine, work: Work[T], *, writes: bool) -> T:
        give_up = time.monotonic() + self._patience
        pauses = iter(_PAUSES)
        while True:
            self.check()
            try:
                async with engine.connect() as connection:
                    return await connection.run_sync(_transaction if writes else _statement, work)
            except DRIVER_ERRORS as error:
                if not self.is_busy(error) or time.monotonic() >= give_up:
                    raise unavailable(error) from error
            except (UnicodeEncodeError, OverflowError) as error:
                raise Rejected("text must be valid Unicode and numbers within 64 bits") from error
            await asyncio.sleep(next(pauses, _PAUSES[-1]))


def _transaction(connection: Connection, work: Work[T]) -> T:
    with connection.begin():
        return work(connection)


def _statement(connection: Connection, work: Work[T]) -> T:
    return work(connection)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what a driver raises into `StoreUnavailable`."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise unavailable(error) from error


def unavailable(error: BaseException) -> StoreUnavailable:
    """The error for the caller. Its text names the driver's error by kind only: no SQL, no values, no path."""
    cause = driver_error(error)
    code = getattr(cause, "sqlite_errorname", "")
    return StoreUnavailable(f"the database did not answer ({type(cause).__name__}{f' {code}' if code else ''})")


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error inside SQLAlchemy's."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error

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
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from ...arguments import UNSTORABLE
from ...errors import Rejected, StoreUnavailable
from ..base import FeedRead, Hearer
from ..refusals import Refusals
from .locks import Lock

T = TypeVar("T")
Insert = SqliteInsert | PostgresqlInsert
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
        self.refusals: Refusals = Refusals()

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

    @property
    @abstractmethod
    def insert(self) -> Callable[[Table], Insert]:
        """Makes an INSERT of this dialect, with ``on_conflict_do_update`` and ``on_conflict_do_nothing``. One and the
        same for all databases of the dialect, so that statements can be kept by it."""

    @abstractmethod
    def check(self) -> None:
        """Called before each try: raise `StoreUnavailable` when this no longer is the database that was opened."""

    @abstractmethod
    def is_busy(self, error: BaseException) -> bool:
        """Whether another transaction was in the way, so that the same again may succeed."""

    @abstractmethod
    def is_refusal(self, cause: BaseException) -> bool:
        """Whether a driver's error says that the database takes no writes, or none that need room."""

    @abstractmethod
    async def why_no_writes(self) -> str:
        """Why the database takes no writes now, found out without one; empty as far as it does."""

    def can_tell(self, cause: BaseException) -> bool:
        """Whether `why_no_writes` finds out when this refusal is over."""
        return True

    def is_lost(self, error: BaseException) -> bool:
        """Whether the connection was gone before COMMIT was sent, so that nothing was done. Tried again once."""
        return False

    @abstractmethod
    async def time(self, wall: float) -> float:
        """The store's time; ``wall`` is this machine's clock, which an embedded database has instead of its own."""

    @abstractmethod
    def read_feed(self, tx: Connection, cursor: str | None, now: float) -> FeedRead:
        """Everything after the cursor, in one statement. ``now`` is this machine's clock."""

    @abstractmethod
    def prune_feed(self, tx: Connection, now: float, keep: float, limit: int) -> int:
        """Delete the oldest events, at most ``limit``, up to the first that is not older than ``keep`` seconds."""

    async def read_events(self, cursor: str | None, now: float) -> FeedRead:
        """One read of the feed, without waiting."""
        return await self.read(lambda tx: self.read_feed(tx, cursor, now))

    @abstractmethod
    async def mark(self) -> object:
        """Something that differs once anything was committed after this call."""

    @abstractmethod
    async def changed(self, mark: object, wait: float) -> bool:
        """Wait until something may have been committed after ``mark`` was taken, at most so many seconds. False when
        they are over and nothing was noticed."""

    def tell(self, hearer: Hearer | None) -> None:  # noqa: B027 - nothing is what most do
        """See `Herald.tell`. A database that cannot send messages tells nobody."""

    @abstractmethod
    def announce(self) -> None:
        """Wake this process's `changed` at once: an event was committed here."""

    async def read(self, work: Work[T]) -> T:
        """Run work of a single statement, which needs no transaction around it."""
        return await self._protected(self._tries(partial(self.run_read, self._open_engine(-1), work)))

    async def write(self, work: Work[T], locks: Sequence[Lock] = ()) -> T:
        """Run work as one transaction. It is committed when this returns; any error has rolled it back.

        Transactions with a lock in common come one after the other, and each sees what those before it have done. Where
        there is only one writer at a time anyway, locks are nothing."""
        try:
            result = await self._protected(self._tries(partial(self.run_write, self._open_engine(0), work, locks)))
        except StoreUnavailable as error:
            if error.__cause__ is not None and self.is_refusal(driver_error(error.__cause__)):
                self.refusals.note(str(error), lasts=not self.can_tell(driver_error(error.__cause__)))
            raise
        self.refusals.written()
        return result

    async def run_read(self, engine: AsyncEngine, work: Work[T]) -> T:
        """One try of `read`."""
        async with engine.connect() as connection:
            return await connection.run_sync(work)

    async def run_write(self, engine: AsyncEngine, work: Work[T], locks: Sequence[Lock]) -> T:
        """One try of `write`."""
        async with engine.connect() as connection:
            return await connection.run_sync(_transaction, work)

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

    async def _tries(self, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        give_up = time.monotonic() + self._patience
        pauses = iter(_PAUSES)
        may_reconnect = True
        while True:
            self.check()
            try:
                return await attempt()
            except DRIVER_ERRORS as error:
                if self.is_lost(error) and may_reconnect:
                    may_reconnect = False
                elif not self.is_busy(error) or time.monotonic() >= give_up:
                    raise self.failure(error) from error
            except (UnicodeEncodeError, OverflowError) as error:
                raise Rejected(UNSTORABLE) from error
            await asyncio.sleep(next(pauses, _PAUSES[-1]))

    def failure(self, error: BaseException) -> StoreUnavailable | Rejected:
        """What the caller is told of an error that trying again does not help."""
        return unavailable(error)


def _transaction(connection: Connection, work: Work[T]) -> T:
    with connection.begin():
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
    inner = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    # Of a driver without DBAPI, SQLAlchemy's stand-in is the effect and the driver's own error the cause.
    return inner.__cause__ if hasattr(inner, "pgcode") and inner.__cause__ is not None else inner

"""What PostgreSQL does in its own way: locks that make READ COMMITTED serial, time limits, and being woken."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from ...arguments import UNSTORABLE
from ...errors import CoatcheckError, ConfigurationError, Rejected, StoreUnavailable
from ...model import Event
from ..base import FeedRead, Hearer
from ..turns import Turns
from . import pg_feed, schema
from .database import DRIVER_ERRORS, PATIENCE, Database, Work, driver_error, unavailable
from .feed import APPENDED, clock, given
from .locks import SCHEMA, Lock
from .pg_connect import CONNECT_TIMEOUT, Server, explain, sqlstate
from .pg_link import Link, asyncpg
from .pg_listen import Listener
from .tables import VERSION_TABLE, metadata

T = TypeVar("T")

LOOK: Final = 0.25
"""Seconds after which a reader that waits longer looks by itself, should nobody have woken it."""
OLDEST: Final = 13
"""The first version with transaction numbers that are never given twice."""

_ISOLATION: Final = "READ COMMITTED"
"""Whatever the server's default: a snapshot from before a lock was waited for hides what its holder has done."""
_ROLLED_BACK: Final = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, lock timeout: it surely is undone, and the same again may succeed."""
_READ_ONLY: Final = "25006"
"""A server or connection that only reads: it surely is undone, and a connection stays so for as long as it lasts."""
_NO_PRIMARY: Final = frozenset({"25006", "55000"})
"""A server that only reads, or is still recovering: another connection may find the primary."""

_REFUSALS: Final = frozenset({"25006", "53100", "58030"})
"""A transaction or server that only reads, a full disk, an error of input or output."""


class _Lost(ConnectionError):
    """The other side has closed the connection, and COMMIT had not been sent."""


class PostgresqlDatabase(Database):
    """One PostgreSQL database, named by a URL.

    ``patience``: seconds for which a transaction that lost to another is tried again (default 5)."""

    def __init__(self, url: str, *, patience: float = PATIENCE) -> None:
        super().__init__(patience=patience)
        self._server = Server(url)
        self._listener = Listener(self._server)
        self._turns = Turns(self._server.pool_size, alone=self._listener.step_back, one_more=self._add)
        self._spare: list[Link] = []
        self._fresh_from = 0.0

    async def open(self, *, migrate: bool, now: float) -> None:
        """See `Database.open`."""
        if self.engines:
            return
        try:
            self._connect()
            found = await self.read(_state)
            if found is not schema.SchemaState.CURRENT and migrate:
                await self._migrate()
                found = await self.read(_state)
            schema.require(found)
            await self.read(_check_rights)
            self._listener.start()
        except BaseException as error:
            await self.close()
            if isinstance(error, StoreUnavailable) and (better := explain(driver_error(error.__cause__ or error))):
                raise better from error
            raise

    async def close(self) -> None:
        """See `Database.close`."""
        await self._listener.stop()
        await super().close()
        await self._turns.stop()
        while self._spare:
            self._spare.pop().terminate()

    async def state(self) -> schema.SchemaState:
        """How the schema stands, without changing anything. For `schema_state`."""
        try:
            self._connect()
            return await self.read(_state)
        except StoreUnavailable as error:
            if better := explain(driver_error(error.__cause__ or error)):
                raise better from error
            raise
        finally:
            await self.close()

    @property
    def insert(self) -> type[Insert]:
        """See `Database.insert`."""
        return Insert

    def check(self) -> None:
        """See `Database.check`. Each read of the feed finds out by itself."""

    def is_busy(self, error: BaseException) -> bool:
        """See `Database.is_busy`. A plan that a migration made invalid is made anew."""
        cause = driver_error(error)
        return sqlstate(cause) in _ROLLED_BACK or isinstance(cause, asyncpg.InvalidCachedStatementError)

    def is_lost(self, error: BaseException) -> bool:
        """See `Database.is_lost`. A COMMIT without an answer never comes here, a server that keeps silent neither."""
        return isinstance(error, _Lost) or sqlstate(driver_error(error)) == _READ_ONLY

    def is_refusal(self, cause: BaseException) -> bool:
        """See `Database.is_refusal`."""
        return sqlstate(cause) in _REFUSALS

    def can_tell(self, cause: BaseException) -> bool:
        """See `Database.can_tell`. It does not tell of its disk."""
        return sqlstate(cause) == _READ_ONLY

    async def why_no_writes(self) -> str:
        """See `Database.why_no_writes`."""
        asked = text("SELECT current_setting('transaction_read_only')")
        only_reads = await self.read(lambda tx: tx.execute(asked).scalar_one()) == "on"
        return "the database only reads (transaction_read_only is on)" if only_reads else ""

    def failure(self, error: BaseException) -> StoreUnavailable | Rejected:
        """See `Database.failure`."""
        cause = driver_error(error)
        if isinstance(cause, asyncpg.DataError) or sqlstate(cause).startswith("22"):
            return Rejected(UNSTORABLE)
        return unavailable(error)

    async def time(self, wall: float) -> float:
        """See `Database.time`."""
        return await self.read(_time)

    def read_feed(self, tx: Connection, cursor: str | None, now: float) -> FeedRead:
        """See `Database.read_feed`. Its clock is the server's."""
        return pg_feed.read(tx, cursor)

    def prune_feed(self, tx: Connection, now: float, keep: float, limit: int) -> int:
        """See `Database.prune_feed`."""
        return pg_feed.prune(tx, now, keep, limit)

    async def mark(self) -> int:
        """See `Database.mark`."""
        return self._listener.wakes

    async def changed(self, mark: object, wait: float) -> bool:
        """See `Database.changed`. A notice may be lost, so a long wait has looks in between."""
        assert isinstance(mark, int)  # noqa: S101 - it is what `mark` gave
        return await self._listener.woken(mark, min(wait, LOOK)) or wait > LOOK

    def announce(self) -> None:
        """See `Database.announce`. Nothing is left to do: each transaction that appends does it."""

    def tell(self, hearer: Hearer | None) -> None:
        """See `Database.tell`."""
        self._listener.hearer = hearer

    async def read_events(self, cursor: str | None, now: float) -> FeedRead:
        """See `Database.read_events`."""
        read = await super().read_events(cursor, now)
        self._listener.feed = read.feed
        return read

    async def run_read(self, engine: AsyncEngine, work: Work[T]) -> T:
        """See `Database.run_read`."""
        return await self._on_connection(engine, lambda connection: connection.run_sync(_read, work))

    async def run_write(self, engine: AsyncEngine, work: Work[T], locks: Sequence[Lock]) -> T:
        """See `Database.run_write`."""
        ordered = sorted(set(locks))
        try:
            result, appended = await self._on_connection(
                engine, lambda found: found.run_sync(_write, work, ordered, self._fresh_from)
            )
        except DRIVER_ERRORS as error:
            if sqlstate(driver_error(error)) == _READ_ONLY:
                self._fresh_from = time.monotonic()
            raise
        self._listener.announce(appended)
        return result

    async def _on_connection(self, engine: AsyncEngine, run: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async def work() -> T:
            async with engine.connect() as connection:
                return await run(connection)

        return await self._turns.run(work, PATIENCE)

    async def _link(self) -> Link:
        """A connection for the pool: one that was added, or a new one."""
        while self._spare:
            if not (link := self._spare.pop()).is_closed():
                return link
        return await self._server.connect()

    async def _add(self) -> None:
        self._spare.append(await self._server.connect())

    def _connect(self) -> None:
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._link,
            pool_size=self._server.pool_size,
            max_overflow=0,
            pool_timeout=CONNECT_TIMEOUT,
            isolation_level=_ISOLATION,
            hide_parameters=True,
        )
        # The same pool: a read of one statement needs no BEGIN and no COMMIT.
        self.engines = (engine, engine.execution_options(isolation_level="AUTOCOMMIT"))

    async def _migrate(self) -> None:
        """On a connection without time limits, one process after the other."""
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=partial(self._server.connect, patient=True),
            poolclass=NullPool,
            isolation_level=_ISOLATION,
        )
        try:
            await self.engines[0].dispose()  # its connection may be the only one that there is
            await self._on_connection(
                engine, lambda found: found.run_sync(_write, lambda tx: schema.upgrade(tx, _clock(tx)), [SCHEMA])
            )
        except DRIVER_ERRORS as error:
            raise self.failure(error) from error
        finally:
            await engine.dispose()


def _read(connection: Connection, work: Work[T]) -> T:
    if _raw(connection).pooled:
        # In a transaction, which surely is the primary's.
        connection.execution_options(isolation_level=_ISOLATION)
        return _write(connection, work, ())[0]
    try:
        return work(connection)
    except BaseException as error:
        if _give_up(connection, error):
            raise _Lost from error
        raise


def _write(
    connection: Connection, work: Work[T], locks: Sequence[Lock], fresh_from: float = 0.0
) -> tuple[T, Sequence[Event]]:
    """The result, and the events that were committed with it. On a connection that is no older than this."""
    if _raw(connection).made < fresh_from:
        _raw(connection).terminate()
        connection.invalidate()
    transaction = connection.begin()
    connection.info[APPENDED] = []
    try:
        for lock in locks:
            connection.execute(select(func.pg_advisory_xact_lock(*lock)))
        result = work(connection)
    except BaseException as error:
        lost = _give_up(connection, error)
        transaction.rollback()
        if lost:
            raise _Lost from error
        raise
    try:
        transaction.commit()
    except BaseException as error:
        # Nobody knows whether it was done, so it is not tried again.
        _give_up(connection, error)
        if isinstance(error, DRIVER_ERRORS):
            raise unavailable(error) from error
        raise
    return result, connection.info[APPENDED]


def _give_up(connection: Connection, error: BaseException) -> bool:
    """Throw the connection away, unless the server has answered and it can go on. Whether the other side had done so
    already."""
    if connection.invalidated:
        return isinstance(error, DRIVER_ERRORS)
    raw = _raw(connection)
    lost = isinstance(error, DRIVER_ERRORS) and raw.is_closed()
    answered = isinstance(driver_error(error), asyncpg.PostgresError) or isinstance(error, CoatcheckError)
    if answered and not raw.is_closed() and sqlstate(driver_error(error)) not in _NO_PRIMARY:
        return False
    raw.terminate()  # A polite close would wait for an answer as well.
    connection.invalidate()
    return lost


def _raw(connection: Connection) -> Any:
    """The driver's own connection, a `pg_link.Link`."""
    return connection.connection.driver_connection


def _time(tx: Connection) -> float:
    return max(_clock(tx), given(clock(tx)))


def _clock(tx: Connection) -> float:
    return float(tx.execute(text("SELECT date_part('epoch', clock_timestamp())")).scalar_one())


def _state(tx: Connection) -> schema.SchemaState:
    version = tx.execute(text("SELECT current_setting('server_version_num')::int")).scalar_one()
    if version < OLDEST * 10_000:
        raise ConfigurationError(f"the database server is too old: Coatcheck needs PostgreSQL {OLDEST} or newer")
    if not inspect(tx).has_table(VERSION_TABLE):
        return schema.SchemaState.MISSING
    if not tx.execute(text(f"SELECT has_table_privilege('{VERSION_TABLE}', 'SELECT')")).scalar_one():
        raise ConfigurationError("the database's user may not read Coatcheck's tables; grant it the right to")
    return schema.state(tx)


def _check_rights(tx: Connection) -> None:
    """Raise `ConfigurationError` unless we may do all that operations do: the first login shall be no surprise."""
    tables = [table.name for table in metadata.sorted_tables]
    wanted = text(
        "SELECT name FROM unnest(CAST(:tables AS text[])) name, unnest(ARRAY['SELECT','INSERT','UPDATE','DELETE']) kind"
        " WHERE NOT has_table_privilege(name, kind)"
    )
    if tx.execute(wanted, {"tables": tables}).first() is not None:
        raise ConfigurationError(
            "the database's user may not write Coatcheck's tables: grant it SELECT, INSERT, UPDATE and DELETE on them"
        )

"""What SQLite does in its own way: files, locks, and noticing what another process has committed.

One writer at a time takes the lock before it looks (``BEGIN IMMEDIATE``), so what it decides on is what it changes.
Readers never wait for it (WAL). A commit is on the disk before it is reported (``synchronous=FULL``).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from ...errors import ConfigurationError, SchemaMismatch, StoreUnavailable
from ..base import FeedRead
from . import feed, schema
from .database import DRIVER_ERRORS, PATIENCE, Database, driver_error, translated, unavailable
from .sqlite_connection import connect
from .sqlite_watch import Watch

READERS: Final = 4
"""Connections for reading; each has a thread of its own."""
POLL: Final = 0.03
"""Seconds between two looks for what other processes have committed."""
_LOCK_WAIT: Final = 0.1
"""Seconds SQLite itself waits for a lock before the whole transaction is tried again."""
_ROOM: Final = 1 << 18
"""Bytes that must be free on a disk for it not to be full: some logins' worth of pages."""
_REFUSALS: Final = ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR")

_OURS_TO_FIX: Final = {
    sqlite3.SQLITE_NOTADB: "is not a SQLite database",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; look at its permissions and its directory's",
    sqlite3.SQLITE_READONLY: "cannot be written; look at its permissions and its directory's",
    sqlite3.SQLITE_PERM: "cannot be opened; look at its permissions",
}


class SqliteDatabase(Database):
    """One SQLite file, or, without a path, SQLite in the memory of this process.

    ``patience``: seconds for which a locked file is tried again before it counts as unavailable (default 5)."""

    def __init__(self, path: Path | None, *, patience: float = PATIENCE) -> None:
        super().__init__(patience=patience)
        self._path = path.absolute() if path else None
        self._file: tuple[int, int] | None = None
        self._watch: Watch | None = None
        self._announced = 0
        self._wake = asyncio.Event()

    @property
    def path(self) -> Path | None:
        """The file, None in memory."""
        return self._path

    async def open(self, *, migrate: bool, now: float) -> None:
        """See `Database.open`."""
        if self.engines:
            return
        if self._path is not None:
            await self._prepare_file(self._path, migrate=migrate, now=now)
        try:
            self._connect()
            found = await self.read(schema.state)
            if found is not schema.SchemaState.CURRENT and (migrate or self._path is None):
                await self.write(lambda tx: schema.upgrade(tx, now))
                found = await self.read(schema.state)
            schema.require(found)
            await self.write(lambda tx: None)
            if self._path is not None:
                with translated():
                    self._watch = Watch(_name(self._path))
        except BaseException as error:
            await self.close()
            if isinstance(error, StoreUnavailable):
                self._explain(error)
            raise

    async def close(self) -> None:
        """See `Database.close`."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
        await super().close()

    async def state(self) -> schema.SchemaState:
        """How the schema stands, without changing anything. For `schema_state`."""
        if self._path is None or not _is_there(self._path):
            return schema.SchemaState.MISSING
        self._remember_file(self._path)
        self._connect()
        try:
            return await self.read(schema.state)
        except StoreUnavailable as error:
            self._explain(error)
            raise
        finally:
            await self.close()

    @property
    def insert(self) -> type[Insert]:
        """See `Database.insert`."""
        return Insert

    def check(self) -> None:
        """See `Database.check`. A file that was removed or replaced lives on for those who have it open, and only
        for them: nobody else would see what they write."""
        if self._path is None:
            return
        try:
            found = os.stat(self._path)
        except OSError as error:
            raise StoreUnavailable("the database file is gone; restart") from error
        if (found.st_dev, found.st_ino) != self._file:
            raise StoreUnavailable("the database file was replaced while it was open; restart")

    def is_refusal(self, cause: BaseException) -> bool:
        """See `Database.is_refusal`."""
        return str(getattr(cause, "sqlite_errorname", "")).startswith(_REFUSALS)

    async def why_no_writes(self) -> str:
        """See `Database.why_no_writes`."""
        return await asyncio.to_thread(_why_no_writes, self._path) if self._path is not None else ""

    def read_feed(self, tx: Connection, cursor: str | None, now: float) -> FeedRead:
        """See `Database.read_feed`."""
        return feed.read(tx, cursor, now)

    def prune_feed(self, tx: Connection, now: float, keep: float, limit: int) -> int:
        """See `Database.prune_feed`."""
        return feed.prune(tx, now, keep, limit)

    async def time(self, wall: float) -> float:
        """See `Database.time`."""
        return max(wall, feed.given(await self.read(feed.clock)))

    def is_busy(self, error: BaseException) -> bool:
        """See `Database.is_busy`."""
        return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

    async def mark(self) -> tuple[int, int]:
        """See `Database.mark`: SQLite's data_version changes with every commit of another connection."""
        announced = self._announced
        if self._watch is None:
            return 0, announced
        self.check()
        with translated():
            return self._watch.commits(), announced

    async def read_events(self, cursor: str | None, now: float) -> FeedRead:
        """See `Database.read_events`. What is new since a cursor is little, and is read where it is needed."""
        if self._watch is not None and cursor is not None:
            self.check()
            try:
                return self._watch.read(cursor, now)
            except DRIVER_ERRORS as error:
                if not self.is_busy(error):
                    raise unavailable(error) from error
        return await super().read_events(cursor, now)

    async def changed(self, mark: object, wait: float) -> bool:
        """See `Database.changed`."""
        end = time.monotonic() + wait
        while (left := end - time.monotonic()) > 0:
            wake = self._wake
            if await self.mark() != mark:
                return True
            try:
                async with asyncio.timeout(min(POLL, left)):
                    await wake.wait()
            except TimeoutError:
                pass
        return await self.mark() != mark

    def announce(self) -> None:
        """See `Database.announce`."""
        self._announced += 1
        self._wake.set()
        self._wake = asyncio.Event()

    def _connect(self) -> None:
        if self._path is None:
            # One connection is the whole database, for reading as well.
            self.engines = (_writing(_engine(":memory:", size=1)),)
            return
        name = _name(self._path)
        reader = _engine(name, size=READERS, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)
        self.engines = (_writing(_engine(name, size=1)), reader)

    async def _prepare_file(self, path: Path, *, migrate: bool, now: float) -> None:
        if not _is_there(path):
            if not migrate:
                raise SchemaMismatch(f"there is no database file {path}; run `coatcheck migrate`")
            await _make_file(path, now)
        self._remember_file(path)

    def _remember_file(self, path: Path) -> None:
        try:
            found = os.stat(path)
        except OSError as error:
            raise ConfigurationError(f"the database file {path} cannot be opened: {error.strerror}") from error
        self._file = (found.st_dev, found.st_ino)

    def _explain(self, error: StoreUnavailable) -> None:
        """Raise `ConfigurationError` instead for what only the operator can mend."""
        reason = _OURS_TO_FIX.get(_code(error.__cause__))
        if reason is not None:
            raise ConfigurationError(f"the database file {self._path} {reason}") from error


def _name(path: Path) -> str:
    """The file as a URI for SQLite. mode=rw: one that has gone away must not come back empty."""
    return "file:" + os.fspath(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23") + "?mode=rw"


def _is_there(path: Path) -> bool:
    try:
        if path.is_dir() or not path.parent.is_dir():
            raise ConfigurationError(f"the database file {path} needs a directory that exists and a name of its own")
        return path.exists()
    except OSError as error:
        raise ConfigurationError(f"the database file {path} cannot be reached: {error.strerror}") from error


async def _make_file(path: Path, now: float) -> None:
    """Make the file beside its place and link it there when it is complete: never half-made, never over another's."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            database = SqliteDatabase(draft)
            await database.open(migrate=True, now=now)
            await database.close()
            if draft.with_name(f"{draft.name}-wal").exists():
                raise StoreUnavailable("the new database file was not written out")
            os.link(draft, path)
        finally:
            for suffix in ("", "-wal", "-shm"):
                draft.with_name(draft.name + suffix).unlink(missing_ok=True)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except FileExistsError:
        return  # Another process was faster, and its file is as good.
    except OSError as error:
        raise ConfigurationError(f"the database file {path} cannot be made: {error.strerror}") from error


def _engine(name: str, *, size: int, **options: Any) -> AsyncEngine:
    connecting = partial(connect, name, uri=True, isolation_level=None, timeout=_LOCK_WAIT)
    engine = create_async_engine(
        "sqlite+aiosqlite://",
        async_creator=connecting,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=10.0,
        hide_parameters=True,
        **options,
    )
    event.listen(engine.sync_engine, "connect", _set_up)
    return engine


def _set_up(connection: DBAPIConnection, record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _writing(engine: AsyncEngine) -> AsyncEngine:
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _code(error: BaseException | None) -> int:
    """SQLite's primary result code, 0 for errors that are not its own."""
    code = getattr(driver_error(error), "sqlite_errorcode", 0) if error else 0
    return int(code) & 0xFF


def _why_no_writes(path: Path) -> str:
    """What the file system says."""
    try:
        found = os.statvfs(path)
    except OSError as error:
        return f"the database's file cannot be looked at ({type(error).__name__})"
    if found.f_flag & os.ST_RDONLY:
        return "the disk of the database's file only reads"
    if found.f_bavail * found.f_frsize < _ROOM:
        return "the disk of the database's file is full"
    if not all(os.access(name, os.W_OK) for name in (path, path.parent)):
        return "the database's file or folder may not be written"
    return ""

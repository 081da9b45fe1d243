"""Sessions, accounts and keys in a SQL database, through SQLAlchemy Core."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from ...errors import ConfigurationError
from .. import embedded_path
from .accounts import SqlAccounts
from .database import Database
from .keys import SqlKeys
from .schema import SchemaState
from .sessions import SqlSessions
from .sqlite import SqliteDatabase

__all__ = ["SchemaState", "SqlStore", "migrate", "schema_state"]


class SqlStore(SqlSessions, SqlAccounts, SqlKeys):
    """All three stores in one database. Make it with `open_store`; use it from one event loop.

    ``database`` is public for instrumentation: SQLAlchemy's events on its ``engines`` see every statement.
    """

    def __init__(self, database: Database, *, wall: Callable[[], float] = time.time) -> None:
        self.database = database
        self._wall = wall

    @classmethod
    def sqlite(cls, path: Path | None, *, wall: Callable[[], float] = time.time) -> Self:
        """A store in this file, or in this process's memory when there is none."""
        return cls(SqliteDatabase(path), wall=wall)

    @classmethod
    def postgresql(cls, url: str) -> Self:
        """A store in this PostgreSQL database (``postgresql://user:password@host:port/database``), whose clock is the
        server's. Raises `ConfigurationError` for a URL that is not one."""
        from .postgresql import PostgresqlDatabase

        return cls(PostgresqlDatabase(url))

    async def open(self, *, migrate: bool = False) -> None:
        """See `SessionStore.open`. With ``migrate`` the schema is made or brought up to date first, all or nothing,
        by any number of processes at once. A database in memory always is."""
        await self.database.open(migrate=migrate, now=self._wall())

    async def close(self) -> None:
        """See `SessionStore.close`."""
        await self.database.close()


async def migrate(url: str, *, wall: Callable[[], float] = time.time) -> None:
    """Make the schema or bring it up to date: all or nothing, safe beside itself and beside running processes.

    Raises `ConfigurationError` or `StoreUnavailable`."""
    store = SqlStore.postgresql(url) if _is_postgresql(url) else SqlStore.sqlite(_file(url), wall=wall)
    await store.open(migrate=True)
    await store.close()


async def schema_state(url: str) -> SchemaState:
    """How the schema behind a ``sqlite:///`` or ``postgresql://`` URL stands. Changes nothing and makes no file.

    Raises `ConfigurationError` or `StoreUnavailable`."""
    if _is_postgresql(url):
        from .postgresql import PostgresqlDatabase

        return await PostgresqlDatabase(url).state()
    return await SqliteDatabase(_file(url)).state()


def _is_postgresql(url: str) -> bool:
    return url.startswith(("postgresql://", "postgres://"))


def _file(url: str) -> Path:
    path = embedded_path(url)
    if path is None:
        raise ConfigurationError("only a SQL database that lasts has a schema: sqlite:///path or postgresql://host/db")
    return path

"""Putting a backup back under stores that are open."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from typing import Any

from redis.asyncio import Redis, RedisCluster
from sqlalchemy import Connection, text

from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.sql import SqlStore
from coatcheck.stores.sql.tables import events, metadata


class MemoryRewinder:
    """Copies the objects."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._saved: dict[str, Any] = {}

    async def save(self) -> None:
        self._saved = self._copy(vars(self._store))

    async def restore(self) -> None:
        vars(self._store).update(self._copy(self._saved))

    def _copy(self, state: dict[str, Any]) -> dict[str, Any]:
        shared = (state["_wall"], state["_feed"]._grown)
        return deepcopy(state, {id(thing): thing for thing in shared})


class FileRewinder:
    """SQLite's backup API into the same file, as ``sqlite3 app.db ".restore copy.db"`` does it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._copy = path.with_name("copy.db")

    async def save(self) -> None:
        self._transfer(self._path, self._copy)

    async def restore(self) -> None:
        self._transfer(self._copy, self._path)

    def _transfer(self, source: Path, target: Path) -> None:
        with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
            one.backup(other)


class RowRewinder:
    """Puts rows back and counts on from where they stood, as loading a dump into the same database does."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._counted = 0

    async def save(self) -> None:
        def work(tx: Connection) -> None:
            for table in metadata.sorted_tables:
                tx.exec_driver_sql(f"DROP TABLE IF EXISTS saved_{table.name}")
                tx.exec_driver_sql(f"CREATE TABLE saved_{table.name} AS SELECT * FROM {table.name}")
            self._counted = tx.execute(text(self._sql(tx)[0])).scalar() or 0

        await self._store.database.write(work)

    async def restore(self) -> None:
        def work(tx: Connection) -> None:
            for table in metadata.sorted_tables:
                tx.exec_driver_sql(f"DELETE FROM {table.name}")
                tx.exec_driver_sql(f"INSERT INTO {table.name} SELECT * FROM saved_{table.name}")
            tx.execute(text(self._sql(tx)[1]), {"counted": self._counted})

        await self._store.database.write(work)

    def _sql(self, tx: Connection) -> Sequence[str]:
        if tx.dialect.name == "postgresql":
            sequence = f"pg_get_serial_sequence('{events.name}', 'id')"
            return (
                f"SELECT max(id) FROM {events.name}",
                f"SELECT setval({sequence}, greatest(:counted, 1), :counted > 0)",
            )
        return (
            f"SELECT seq FROM sqlite_sequence WHERE name = '{events.name}'",
            f"UPDATE sqlite_sequence SET seq = :counted WHERE name = '{events.name}'",
        )


class KeyRewinder:
    """Dumps every key and loads it again."""

    def __init__(self, client: Redis | RedisCluster, prefix: str) -> None:
        self._client = client
        self._pattern = f"{prefix}:*"
        self._saved: dict[bytes, tuple[bytes, int]] = {}

    async def save(self) -> None:
        self._saved = {}
        async for key in self._client.scan_iter(match=self._pattern, count=1000):
            dumped = await self._client.dump(key)
            self._saved[key] = (dumped, max(0, await self._client.pttl(key)))

    async def restore(self) -> None:
        async for key in self._client.scan_iter(match=self._pattern, count=1000):
            await self._client.delete(key)
        for key, (dumped, left) in self._saved.items():
            await self._client.restore(key, left, dumped)

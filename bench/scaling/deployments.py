"""The stores that are measured, each on a server of its own, and how to look at what a server spends."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coatcheck.stores import open_store
from tests.support.servers import PostgreSQL, Redis, postgresql, redis

STORES: Final = ("sqlite", "postgresql", "redis")
"""Those with a server or a file. There is ``memory`` beside them, each client of which is a store of its own."""
_TICK: Final = os.sysconf("SC_CLK_TCK")
_POSTGRESQL: Final = {
    "shared_buffers": "256MB",
    "max_connections": "700",
    "autovacuum_naptime": "60s",
    "max_wal_size": "4GB",
    "shared_preload_libraries": "pg_stat_statements",
}


@dataclass(frozen=True)
class Deployment:
    """A store that runs."""

    name: str
    url: str
    path: Path | None = None
    server: PostgreSQL | Redis | None = None
    database: str = ""

    def open(self) -> Any:
        """A client of it, not yet opened."""
        return open_store(self.url)

    def processor(self) -> float:
        """Seconds of processor time that the server has used, its children too; 0 without a server."""
        if self.server is None:
            return 0.0
        return processor_of(self.server.pid)

    def asked(self, statement: str) -> str:
        """The answer of a PostgreSQL server to a statement."""
        assert isinstance(self.server, PostgreSQL)
        return self.server.psql(statement, database=self.database)


@contextmanager
def deployment(name: str, *, folder: Path | None = None) -> Iterator[Deployment]:
    """An empty store of this kind, its schema made."""
    with ExitStack() as stack:
        if name == "memory":
            yield Deployment(name, "memory://")
            return
        if name == "redis":
            server: Any = stack.enter_context(redis())
            yield Deployment(name, server.url(), server=server)
            return
        if name == "postgresql":
            server = stack.enter_context(postgresql(fsync=True, options=_POSTGRESQL))
            database = server.create_database()
            server.psql("CREATE EXTENSION pg_stat_statements", database=database)
            made = Deployment(name, server.url(database), server=server, database=database)
        else:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder))) / "bench.db"
            made = Deployment(name, f"sqlite:///{path}", path=path)
        asyncio.run(_migrate(made))
        yield made


@asynccontextmanager
async def opened(target: Deployment) -> AsyncIterator[Any]:
    """A client of the store, closed afterwards."""
    store = target.open()
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def _migrate(target: Deployment) -> None:
    store = target.open()
    await store.open(migrate=True)
    await store.close()


def processor_of(pid: int) -> float:
    """Seconds of processor time of a process and its children."""
    return sum(_processor(each) for each in (pid, *_descendants(pid)))


def _processor(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # utime, stime, and those of children that have ended: the 14th to the 17th field of proc(5).
    return sum(map(int, fields[11:15])) / _TICK


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in children]

"""Databases to copy instead of migrating one for each test."""

from __future__ import annotations

import asyncio
import atexit
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import asyncpg

from coatcheck.stores.sql import migrate
from coatcheck.stores.sql.tables import metadata
from tests.support.servers import PostgreSQL, postgresql


async def migrated(directory: Path) -> Path:
    """A migrated, empty SQLite file in this directory, made by whoever asks first."""
    path = directory / "template.db"
    await migrate(f"sqlite:///{path}")
    return path


@cache
def shared_postgresql() -> PostgreSQL:
    """One server for the tests of this process that do not disturb it; it ends with the process."""
    ending = ExitStack()
    atexit.register(ending.close)
    return ending.enter_context(postgresql())


@cache
def migrated_postgresql() -> str:
    """The URL of a migrated database on the shared server; `emptied` makes it as new."""
    server = shared_postgresql()
    url = server.url(server.create_database())
    with ThreadPoolExecutor(1) as thread:  # whoever asks may have a loop running
        thread.submit(lambda: asyncio.run(migrate(url))).result()
    return url


async def emptied() -> str:
    """The same database without a row, as new."""
    url = migrated_postgresql()
    connection = await asyncpg.connect(url)
    try:
        names = ", ".join(table.name for table in metadata.sorted_tables if table.name != "coatcheck_feed")
        await connection.execute(
            f"TRUNCATE {names};"
            "UPDATE coatcheck_feed SET pruned = 0, pruned_txn = '0', clock = 0,"
            " since = date_part('epoch', clock_timestamp())"
        )
    finally:
        await connection.close()
    return url

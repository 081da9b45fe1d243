"""Counting what an operation makes a store do, which a busy machine cannot change.

SQLite: instructions of its virtual machine. PostgreSQL: 8 KiB blocks looked at, by ``pg_stat_statements``. Redis:
commands run, those of scripts included, by ``INFO commandstats``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from redis.asyncio import Redis as RedisClient

from bench.scaling.deployments import Deployment
from coatcheck.stores.sql.sqlite import READERS

_NOT_WORK: Final = tuple(
    f"cmdstat_{name}"
    for name in ["info", "client", "auth", "hello", "select", "subscribe", "role", "multi", "exec", "ping"]
)
"""What clients of Redis say beside the store's work, this counter among them."""
UNITS: Final = {"sqlite": "instructions", "postgresql": "blocks", "redis": "commands"}


class Counter:
    """Units that a call costs the store."""

    def __init__(self, target: Deployment, store: Any) -> None:
        self._target = target
        self._store = store
        self._steps = 0

    async def prepare(self) -> None:
        """Have every connection of SQLite counted. The others count by themselves."""
        if self._target.name != "sqlite":
            return
        writer, reader = self._store.database.engines
        async with AsyncExitStack() as stack:
            connections = [await stack.enter_async_context(writer.connect())]
            connections += [await stack.enter_async_context(reader.connect()) for _ in range(READERS)]
            for connection in connections:
                raw = await connection.get_raw_connection()
                await raw.driver_connection.set_progress_handler(self._step, 1)

    async def spent(self, call: Callable[[], Awaitable[Any]]) -> tuple[int, float]:
        """Run the call. Units and seconds."""
        before, began = await self._total(), time.perf_counter()
        await call()
        seconds = time.perf_counter() - began
        return await self._total() - before, seconds

    def _step(self) -> int:
        self._steps += 1
        return 0

    async def _total(self) -> int:
        if self._target.name == "sqlite":
            return self._steps
        if self._target.name == "postgresql":
            return int(
                self._target.asked(
                    "SELECT coalesce(sum(shared_blks_hit + shared_blks_read), 0) FROM pg_stat_statements "
                    "WHERE query LIKE '%coatcheck_%' AND query NOT LIKE '%pg_stat_statements%'"
                )
            )
        async with RedisClient.from_url(self._target.url) as client:
            counted = await client.info("commandstats")
        return sum(found["calls"] for name, found in counted.items() if not name.startswith(_NOT_WORK))

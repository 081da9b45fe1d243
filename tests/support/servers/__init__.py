"""Real servers for tests and benchmarks: on free loopback ports, in directories of their own, and gone afterwards.

    with postgresql() as server:
        url = server.url(server.create_database())

Everything here is synchronous, so that it serves fixtures of any scope and scripts alike. In a coroutine, use
``asyncio.to_thread`` for what takes long (`kill` and `pause` do not).
"""

from __future__ import annotations

from .clocks import ServerClock, server_clock
from .pgbouncer import PgBouncer, pgbouncer
from .postgres import PostgreSQL, postgresql
from .processes import Missing, free_port
from .redis_fleet import Cluster, Sentinels, redis_cluster, sentinel
from .redis_single import Redis, redis

__all__ = [
    "Cluster",
    "Missing",
    "PgBouncer",
    "PostgreSQL",
    "Redis",
    "Sentinels",
    "ServerClock",
    "free_port",
    "pgbouncer",
    "postgresql",
    "redis",
    "redis_cluster",
    "sentinel",
    "server_clock",
]

"""One connection of the driver's, to the server itself or to a pooler in front of it.

A pooler in transaction mode (PgBouncer) gives each transaction another of the server's connections: what is kept in a
session is lost, or becomes somebody else's. So nothing is asked of it at the start that it may refuse, limits are set
in each transaction, and no statement has a name. Where the server itself answers, its session is set up once and knows
our statements: that is fewer trips.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...extras import setting_needs

with setting_needs("a postgresql:// database", "asyncpg"):
    import asyncpg

__all__ = ["Link", "asyncpg"]

_PRIMARY: Final = "SELECT pg_current_wal_lsn()"
"""Fails on a standby, to which a pooler may lead from one transaction to the next."""


class Link(asyncpg.Connection):  # type: ignore[misc]  # the driver has no types
    """`settle` it before it is used."""

    pooled: bool = True
    """Whether a pooler stands between. Until that is known, only what works in either case is done."""
    made: float = 0.0
    """When it was settled, by the monotonic clock."""
    _limits: str = ""

    async def settle(self, limits: Mapping[str, str], timeout: float) -> None:
        """Find out what is at the other end, within so many seconds, and have these limits of time hold."""
        # A pooler gives its clients a number of its own to cancel by, and not that of the server's process.
        set_up = f"{_settings(limits, local=False)} WHERE pg_backend_pid() = {self.get_server_pid()}"
        self.pooled = await self.execute(set_up, timeout=timeout) == "SELECT 0"
        self.made = time.monotonic()
        self._limits = f"{_settings(limits, local=True)}; {_PRIMARY}"

    def set_up(self, options: Sequence[tuple[int, int, int]]) -> None:
        """Set these options of the socket (level, name, value), where it is one of TCP."""
        found = self._transport.get_extra_info("socket")
        if found is not None and found.family in (socket.AF_INET, socket.AF_INET6):
            for option in options:
                found.setsockopt(*option)

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """See `asyncpg.Connection.execute`. Where a pooler stands, BEGIN brings the limits along."""
        if self.pooled and query.startswith("BEGIN"):
            query += self._limits
        status: str = await super().execute(query, *args, timeout=timeout)
        return status

    async def prepare(self, query: str, **options: Any) -> Any:
        """See `asyncpg.Connection.prepare`. Where a pooler stands, the statement is sent anew each time it is run."""
        return await super().prepare(query, **options | {"name": not self.pooled})


def _settings(limits: Mapping[str, str], *, local: bool) -> str:
    """A statement that sets them, and that what is committed is on the disk before it is reported or seen, also where
    the server's default is otherwise: the feed counts on it after a crash (`pg_feed`)."""
    durable = "CASE setting WHEN 'off' THEN 'on' ELSE setting END"
    values = {**{name: f"'{value}'" for name, value in limits.items()}, "synchronous_commit": durable}
    settings = ", ".join(f"set_config('{name}', {value}, {local})" for name, value in values.items())
    return f"SELECT {settings} FROM (SELECT current_setting('synchronous_commit') setting) s"  # noqa: S608 - our own

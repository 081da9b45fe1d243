"""Looking at a SQLite file for news, from the event loop itself.

A look takes microseconds and waits for nobody: SQLite keeps the number of commits in shared memory, readers are not
locked out by writers, and what another process has just written is in the page cache. Through a thread it would wait
for the interpreter's lock several times, which takes a busy process a tenth of a second and more.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from ..base import FeedRead
from . import feed

_LOCK_WAIT: Final = 0.005
"""Seconds for which a look waits for a lock; readers meet one only while a file is recovered after a crash."""
_FEW: Final = 200
"""Events that are read here, in about a millisecond. More are read in a thread."""


class Watch:
    """A connection for looking. Every method raises what `sqlite3` and SQLAlchemy raise."""

    def __init__(self, name: str) -> None:
        self._raw = sqlite3.connect(name, timeout=_LOCK_WAIT, isolation_level=None, uri=True)
        self._raw.execute("PRAGMA trusted_schema=OFF")
        engine = create_engine(
            "sqlite://", creator=lambda: self._raw, poolclass=StaticPool, isolation_level="AUTOCOMMIT",
            hide_parameters=True, skip_autocommit_rollback=True,
        )  # fmt: skip
        self._connection: Connection = engine.connect()

    def commits(self) -> int:
        """Another number after each commit of another connection."""
        (version,) = self._raw.execute("PRAGMA data_version").fetchone()
        return int(version)

    def read(self, cursor: str, now: float) -> FeedRead:
        """The first few events after the cursor. Raises `FeedLost`."""
        return feed.read(self._connection, cursor, now, limit=_FEW)

    def close(self) -> None:
        """Give the connection back. Idempotent."""
        self._connection.close()
        self._raw.close()

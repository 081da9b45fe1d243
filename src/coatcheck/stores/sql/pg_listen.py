"""Being woken, and waking others, when an event was committed. Nothing depends on it but speed: readers look anyway.

NOTIFY inside the transaction would make all commits of the server wait for each other, so it is sent afterwards, on
this connection of its own, whose commits wait for no disk. While one is on its way, any more become a single one.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from ...errors import StoreUnavailable
from .pg_connect import DRIVER_ERRORS, Server

CHANNEL: Final = "coatcheck_events"
LISTENER: Final = "coatcheck listener"
"""The name under which the server shows this connection."""
_SETTINGS: Final = {"application_name": LISTENER, "synchronous_commit": "off"}
_PROBE: Final = 10.0
"""Seconds without any notice after which the connection is tried."""
_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before the connection is made again; the last one repeats."""


class Listener:
    """One connection that listens and notifies for the whole process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._task: asyncio.Task[None] | None = None
        self._connection: Any = None
        self._asked = asyncio.Event()
        self._wake = asyncio.Event()
        self.wakes = 0
        """Steps whenever something may have been committed."""

    def start(self) -> None:
        """Connect, and connect again whenever it is lost, until `stop`."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Give the connection back. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def announce(self) -> None:
        """An event was committed here: wake this process at once and the others by way of the server."""
        self._awaken()
        self._asked.set()

    async def woken(self, wakes: int, wait: float) -> bool:
        """Wait until `wakes` is no longer this, at most so many seconds. Whether it is."""
        if self.wakes != wakes:
            return True
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def _awaken(self) -> None:
        self.wakes += 1
        self._wake.set()
        self._wake = asyncio.Event()

    async def _run(self) -> None:
        pauses = iter(_PAUSES)
        while True:
            try:
                connection = self._connection = await self._server.connect(settings=_SETTINGS)
                await connection.add_listener(CHANNEL, self._heard)
                connection.add_termination_listener(self._lost)
                self._awaken()
                pauses = iter(_PAUSES)
                while True:
                    await self._serve(connection)
            except (StoreUnavailable, *DRIVER_ERRORS):
                self._awaken()
            finally:
                if self._connection is not None:
                    self._connection.terminate()
                    self._connection = None
            await asyncio.sleep(next(pauses, _PAUSES[-1]))

    async def _serve(self, connection: Any) -> None:
        """Notify when asked to; otherwise see now and then that the connection still stands."""
        try:
            async with asyncio.timeout(_PROBE):
                await self._asked.wait()
        except TimeoutError:
            await connection.execute("SELECT 1")
        else:
            self._asked.clear()
            await connection.execute(f"NOTIFY {CHANNEL}")

    def _heard(self, connection: Any, pid: int, channel: str, payload: object) -> None:
        if pid != connection.get_server_pid():
            self._awaken()

    def _lost(self, connection: Any) -> None:
        self._asked.set()

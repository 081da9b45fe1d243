"""Counts what goes over a connection."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress


class Relay:
    """Listens on ``port`` and hands on to a server on this machine. ``bytes`` is what went through, both ways."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.bytes = 0
        self.ready = threading.Event()
        self._target = target
        self._stopped: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        """Until `stop`; for a thread."""
        asyncio.run(self._run())

    def stop(self) -> None:
        """From any thread."""
        if self._loop is not None and self._stopped is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)

    async def _run(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self._stopped.wait()
        server.close()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", self._target)
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(self._hand_on(reader, ours), self._hand_on(theirs, writer))

    async def _hand_on(self, source: asyncio.StreamReader, drain: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65536):
            self.bytes += len(chunk)
            drain.write(chunk)
            await drain.drain()
        drain.close()

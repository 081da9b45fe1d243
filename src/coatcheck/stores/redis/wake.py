"""Waking those who wait for an event.

A message says that there is something to read, and what, so that it can be acted upon before it is read; a lost one
costs time, never an event. One connection per store listens. When it is lost, everyone is woken, and it is made again.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final

from redis.asyncio.connection import Connection
from redis.exceptions import RedisError, ResponseError

from ...errors import StoreUnavailable
from .node import cannot_save, connected, is_full
from .topology import Topology

log = logging.getLogger("coatcheck.stores.redis")

_SILENCE: Final = 5.0
"""Seconds without a message after which the server is asked whether it is still there."""
_PATIENCE: Final = 3.0
"""Seconds for a try to connect and subscribe. Behind a network that swallows everything there is no other end to it."""
_FIRST_BACKOFF: Final = 0.05
_LONGEST_BACKOFF: Final = 2.0


class Wake:
    """A bell that other processes ring. ``told`` is called with each message, before anybody is woken."""

    def __init__(self, topology: Topology, channel: str, told: Callable[[bytes], None]) -> None:
        self._topology = topology
        self._channel = channel
        self._told = told
        self._bell = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.listening: asyncio.Event = asyncio.Event()
        """Set while messages arrive."""

    @property
    def is_started(self) -> bool:
        """Whether it has begun to listen, and has not stopped."""
        return self._task is not None

    async def start(self) -> None:
        """Begin to listen. Raises `StoreUnavailable` when the first try fails, unless only room is missing: then it is
        tried again meanwhile."""
        connection = None
        try:
            connection = await self._subscribe()
        except (RedisError, OSError) as error:
            if not is_full(error):
                raise StoreUnavailable(f"Redis failed: {type(error).__name__}") from error
        self._task = asyncio.create_task(self._run(connection), name="coatcheck-wake")
        # A task that is cancelled before it first ran runs no `finally`.
        await asyncio.sleep(0)

    async def stop(self) -> None:
        """Stop listening, and wake everyone."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.ring()

    def mark(self) -> asyncio.Event:
        """Take this before a read; `rung` then tells what came since."""
        return self._bell

    async def rung(self, mark: asyncio.Event, seconds: float) -> bool:
        """Wait for a message since the mark, at most so long. Whether one came."""
        try:
            async with asyncio.timeout(seconds):
                await mark.wait()
        except TimeoutError:
            return False
        return True

    def ring(self) -> None:
        """Wake everyone who waits."""
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    async def _run(self, connection: Connection | None) -> None:
        backoff = _FIRST_BACKOFF
        while True:
            try:
                if connection is None:
                    connection = await self._subscribe()
                backoff = _FIRST_BACKOFF
                await self._listen(connection)
            except (RedisError, OSError, StoreUnavailable) as error:
                why = "maxclients is reached" if is_full(error) else type(error).__name__
                log.warning("not woken by Redis for now: %s", why)
            finally:
                self.listening.clear()
                if connection is not None:
                    await connection.disconnect(nowait=True)
            connection = None
            self.ring()
            await asyncio.sleep(backoff * (500 + secrets.randbelow(500)) / 1000)
            backoff = min(backoff * 2, _LONGEST_BACKOFF)

    async def _subscribe(self) -> Connection:
        node = await self._topology.any_node()
        connection = node.connection()
        try:
            async with asyncio.timeout(_PATIENCE):
                await connected(connection)
                await connection.send_command("SUBSCRIBE", self._channel)
                await connection.read_response()
        except BaseException as error:
            await connection.disconnect(nowait=True)
            if isinstance(error, (RedisError, OSError)):
                self._topology.doubt(node)
            raise
        self.listening.set()
        self.ring()  # what came before is to be read as well
        return connection

    async def _listen(self, connection: Connection) -> None:
        """Until the connection is lost, or stays silent when it is asked."""
        asked = False
        while True:
            try:
                reply = await connection.read_response(timeout=_SILENCE)
            except ResponseError as error:
                if not cannot_save(error):
                    raise
                reply = [b"pong"]  # it is there
            if reply is None:
                if asked:
                    return
                await connection.send_command("PING")
            elif reply[0] != b"pong":
                if reply[0] == b"message":
                    self._told(reply[2])
                self.ring()
            asked = reply is None

"""A TCP proxy in front of a server, to make the network between them bad at will."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import Any, Final, TypeVar

from .patience import SOON
from .servers.processes import free_port

T = TypeVar("T")

_CHUNK: Final = 65536
_RESET: Final = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing sends RST and not FIN."""


class Mode(StrEnum):
    """What the proxy does with bytes and with who connects."""

    PASS = "pass"
    SLOW = "slow"
    """Every chunk, in either direction, is held back for ``delay`` seconds."""
    SWALLOW = "swallow"
    """Half-open: connections are accepted and stay open, and what is sent goes nowhere, in either direction."""
    RESET = "reset"
    """Connections are reset, and new ones as soon as they are there."""
    REFUSE = "refuse"
    """Nobody listens. Connections that were there are reset."""


class Proxy:
    """Listens on ``port`` and hands on to the target. `set` is safe from any thread.

    A connection whose bytes were swallowed stays dead after the mode has changed, as behind a router that has
    forgotten it: its ends are out of step. New ones work.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._mode = Mode.PASS
        self._delay = 0.0
        self._links: dict[asyncio.Task[None], list[socket.socket]] = {}
        self._listening: tuple[socket.socket, asyncio.Task[None]] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._links)

    def set(self, mode: Mode, *, delay: float = 0.0) -> None:
        """Change what it does. Holds for every byte that arrives after this has returned."""
        self._call(self._set(mode, delay))

    def start(self) -> None:
        """Begin to listen, in `Mode.PASS`."""
        self._thread.start()
        self.set(Mode.PASS)

    def stop(self) -> None:
        """Reset what is there and be gone."""
        self.set(Mode.REFUSE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SOON)

    async def _set(self, mode: Mode, delay: float) -> None:
        self._mode, self._delay = mode, delay
        if mode in (Mode.RESET, Mode.REFUSE):
            await _end([*self._links])
        if mode is Mode.REFUSE and self._listening is not None:
            listener, task = self._listening
            self._listening = None
            await _end([task])
            listener.close()
        elif mode is not Mode.REFUSE and self._listening is None:
            listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
            listener.setblocking(False)
            self._listening = listener, asyncio.create_task(self._accept(listener))

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            client, _ = await self._loop.sock_accept(listener)
            client.setblocking(False)
            task = asyncio.create_task(self._link(client))
            self._links[task] = [client]
            task.add_done_callback(self._close)

    async def _link(self, client: socket.socket) -> None:
        """One connection, until either end closes it or it is reset."""
        server = socket.socket()
        server.setblocking(False)
        current = asyncio.current_task()
        assert current is not None
        self._links[current].append(server)
        if self._mode is Mode.RESET:
            current.cancel()
        if self._mode is Mode.SWALLOW:
            await self._swallow(client)
            return
        with suppress(OSError):
            await self._loop.sock_connect(server, ("127.0.0.1", self._target))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await _first(self._hand_on(client, server), self._hand_on(server, client, for_ever=True))

    async def _hand_on(self, source: socket.socket, drain: socket.socket, *, for_ever: bool = False) -> None:
        while chunk := await self._loop.sock_recv(source, _CHUNK):
            if self._mode is Mode.SLOW:
                await asyncio.sleep(self._delay)
            if self._mode is Mode.SWALLOW:
                await self._swallow(source)
                break
            await self._loop.sock_sendall(drain, chunk)
        if self._mode is Mode.SWALLOW and for_ever:  # the client is not told even that the server has gone
            await asyncio.Event().wait()

    async def _swallow(self, source: socket.socket) -> None:
        with suppress(OSError):
            while await self._loop.sock_recv(source, _CHUNK):
                pass

    def _close(self, task: asyncio.Task[None]) -> None:
        for end in self._links.pop(task):
            if task.cancelled():
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.close()


async def _first(*directions: Coroutine[Any, Any, None]) -> None:
    """Until one of them is over. Raises what it raised."""
    tasks = [asyncio.create_task(direction) for direction in directions]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _end(tasks)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """A proxy in front of the server on this loopback port."""
    made = Proxy(target)
    made.start()
    try:
        yield made
    finally:
        made.stop()

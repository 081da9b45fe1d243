"""What is measured with the second process: revocation, and HTTP."""

from __future__ import annotations

import asyncio
import selectors
import socket
import statistics
import time
from collections.abc import Sequence
from itertools import cycle
from types import TracebackType
from typing import Any, Final, Self

from ... import Auth
from ...clock import boottime
from ...errors import StoreUnavailable
from .guest import Guest, credential_of
from .second import BARE, BODY, GUARDED, Second

MOST_ROUNDS: Final = 200
USERS: Final = 32
"""Each round and each user is a session."""
_CONNECTIONS: Final = 16
_SPELL: Final = 0.1
"""Seconds for which one of the two is asked before it is the other's turn: so short that both meet the same machine."""
_LEAST: Final = 3
"""Turns of each, however little time there is."""
_SILENCE: Final = 10.0
"""Seconds after which a server that says nothing is taken to be gone."""


async def revocation(auth: Auth, guest: Guest, second: Second, seconds: float) -> dict[str, Any]:
    """Log in here, have it accepted there, revoke it here: how long it is still accepted there. Asked all the time."""
    modes, after = auth.policy.modes, list[float]()
    until = time.perf_counter() + seconds
    while len(after) < MOST_ROUNDS and (time.perf_counter() < until or not after):
        made = await auth.login(guest.subject(len(after)), mode=modes[len(after) % len(modes)])
        await second.ask("watch", credential_of(made))
        await auth.revoke(made.session.id)
        returned = boottime()
        after.append(max(0.0, (await second.answer(auth.policy.max_staleness) - returned) * 1000))
    return {
        "rounds": len(after),
        "p50_ms": statistics.median(after),
        "max_ms": max(after),
        "bound_ms": auth.policy.max_staleness * 1000,
    }


async def http(second: Second, seconds: float) -> dict[str, Any]:
    """The server with and without authentication, in turns. Requests per second of the server's processor time: what
    one core serves when it does nothing else, whatever else this machine is doing."""
    headers = await second.ask("headers", USERS)
    rates: dict[str, list[float]] = {BARE: [], GUARDED: []}
    shares, answered = list[float](), 0
    with Load(second.port, headers) as load:
        for path in rates:
            await asyncio.to_thread(load.spell, path, _SPELL / 2)  # connections, and code that is warm
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or len(shares) < _LEAST:
            for path, measured in rates.items():
                before = await second.ask("processor time")
                count = await asyncio.to_thread(load.spell, path, _SPELL)
                measured.append(count / (await second.ask("processor time") - before))
                answered += count
            shares.append(rates[GUARDED][-1] / rates[BARE][-1])
    return {
        "requests": answered,
        "bare_per_second": statistics.median(rates[BARE]),
        "authenticated_per_second": statistics.median(rates[GUARDED]),
        "share": statistics.median(shares),
        "share_quartiles": statistics.quantiles(shares, n=4)[::2],
    }


class Load:
    """Clients that keep their connections and ask again when they have been answered."""

    def __init__(self, port: int, headers: Sequence[str]) -> None:
        self._requests = {
            path: cycle(
                [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{line}\r\n\r\n".encode() for line in headers]
            )
            for path in (BARE, GUARDED)
        }
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(_CONNECTIONS)]
        self._selector = selectors.DefaultSelector()
        for each in self._sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            each.settimeout(_SILENCE)
            self._selector.register(each, selectors.EVENT_READ, each)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._selector.close()
        for each in self._sockets:
            each.close()

    def spell(self, path: str, seconds: float) -> int:
        """Ask for so long. How many requests were answered; none is under way afterwards.

        Raises `StoreUnavailable` for any answer that is not 200."""
        requests, until = self._requests[path], time.perf_counter() + seconds
        answered, asking = 0, len(self._sockets)
        for each in self._sockets:
            each.sendall(next(requests))
        while asking:
            ready = self._selector.select(_SILENCE)
            goes_on = time.perf_counter() < until
            for key, _ in ready:
                _read_answer(key.data)
                answered += 1
                if goes_on:
                    key.data.sendall(next(requests))
                else:
                    asking -= 1
            if not ready:
                raise StoreUnavailable("the server of the measurement does not answer")
        return answered


def _read_answer(connection: socket.socket) -> None:
    answer = connection.recv(4096)
    while not answer.endswith(BODY):
        more = connection.recv(4096)
        if not more:
            raise StoreUnavailable("the server of the measurement closed a connection")
        answer += more
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise StoreUnavailable("the server of the measurement refused a request")

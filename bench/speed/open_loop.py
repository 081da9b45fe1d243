"""A load generator with an open loop: requests leave at fixed times, whether or not earlier ones were answered, and a
latency counts from the time at which its request *should* have left. A server that stands still for 100 ms so shows in
every request that was due meanwhile, and not only in the ones that a client happened to have under way (Gil Tene,
"coordinated omission").

    python -m bench.speed.open_loop

reads one JSON line from its standard input, ``{"port", "headers", "connections"}``, connects, and then for each line
``{"rate", "seconds"}`` sends so many requests per second for so long and prints one line, `Figures`. Credentials take
turns. It asks for a real-time priority, so that what is measured is the server and not the generator's own wait for a
core; where that is not allowed, ``late_ms`` says how late it was itself.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Any, Final

_GRACE: Final = 5.0
"""Seconds that the last answers may take."""


@dataclass(frozen=True)
class Figures:
    """Of one round, in milliseconds."""

    requests: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    late_ms: float
    """99th percentile of how late the generator itself was, when a connection was free."""


class Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._buffer = b""

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self._buffer = b""
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Whether the answer is complete. Raises `RuntimeError` unless it is a 200."""
        chunk = self.socket.recv(65536)
        self._buffer += chunk
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not chunk or (end and not head.startswith(b"HTTP/1.1 200")):
            raise RuntimeError(f"a request was answered with {head[:60]!r}")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        return bool(end) and len(body) >= int(length)


class Generator:
    """Sends at fixed times over all connections."""

    def __init__(self, port: int, headers: list[str], connections: int) -> None:
        lines = [f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{header}\r\n\r\n".encode() for header in headers]
        self._requests = cycle(lines)
        self._idle = deque(Connection(port) for _ in range(connections))
        self._busy: dict[int, Connection] = {}
        for _ in lines:  # each credential once: from here on all are hits
            self._send(time.perf_counter())
            while self._busy:
                self._receive(1.0, [])

    def run(self, rate: float, seconds: float) -> Figures:
        """One round. Raises `RuntimeError` for an answer that is no 200, and when one does not come."""
        latencies: list[float] = []
        late: list[float] = []
        count, sent, began = int(rate * seconds), 0, time.perf_counter() + 0.01
        while len(latencies) < count:
            now = time.perf_counter()
            while sent < count and self._idle and (due := began + sent / rate) <= now:
                late.append(now - due)
                self._send(due)
                sent += 1
                now = time.perf_counter()
            wait = max(0.0, began + sent / rate - now) if sent < count and self._idle else _GRACE
            if not self._receive(wait, latencies) and now > began + seconds + _GRACE:
                raise RuntimeError(f"{count - len(latencies)} requests were not answered")
        return figures(latencies, late)

    def close(self) -> None:
        """Close the connections."""
        for connection in (*self._idle, *self._busy.values()):
            connection.socket.close()

    def _send(self, due: float) -> None:
        connection = self._idle.popleft()
        connection.send(next(self._requests), due)
        self._busy[connection.socket.fileno()] = connection

    def _receive(self, wait: float, latencies: list[float]) -> bool:
        ready = select.select(self._busy, (), (), wait)[0]
        for number in ready:
            connection = self._busy[number]
            if connection.receive():
                latencies.append(time.perf_counter() - connection.due)
                del self._busy[number]
                self._idle.append(connection)
        return bool(ready)


def figures(latencies: list[float], late: list[float]) -> Figures:
    """Sums it up; a percentile is the smallest value that so many do not exceed."""

    def percentile(values: list[float], share: float) -> float:
        return sorted(values)[min(len(values) - 1, int(share * len(values)))] * 1000

    return Figures(
        len(latencies), percentile(latencies, 0.5), percentile(latencies, 0.99), percentile(latencies, 0.999),
        max(latencies) * 1000, percentile(late, 0.99),
    )  # fmt: skip


def main() -> None:
    with suppress(AttributeError, PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    gc.disable()
    setup: dict[str, Any] = json.loads(sys.stdin.readline())
    generator = Generator(setup["port"], setup["headers"], setup["connections"])
    print("{}", flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(generator.run(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()

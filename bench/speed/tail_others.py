"""Who disturbs, in `bench.speed.tail`: clients that log in, and another process that revokes.

    python -m bench.speed.tail_others logins|feed

reads one JSON line from its standard input, what to work with, and then for each line ``{"seconds"}`` works for so long
and prints one line: ``{"done", "seconds"}``.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import secrets
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

PASSWORD: Final = "nine brown owls"
_BATCH_EVERY: Final = 0.01
"""Seconds between two handfuls of events."""


class Logins:
    """Clients that log in with passwords, each as soon as it has its answer, and each as somebody else."""

    def __init__(self, port: int, names: list[str], password: str) -> None:
        self._port = port
        self._names = names
        self._password = password
        self._pool = ThreadPoolExecutor(len(names))

    def work(self, seconds: float) -> int:
        """Logins in so many seconds."""
        until = time.monotonic() + seconds
        return sum(self._pool.map(lambda name: self._client(name, until), self._names))

    def _client(self, name: str, until: float) -> int:
        connection, done = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60), 0
        body = json.dumps({"email": name, "password": self._password, "mode": "session"})
        while time.monotonic() < until:
            connection.request("POST", "/auth/login", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            if response.status != 200:
                raise RuntimeError(f"a login was answered with {response.status}: {text[:200]!r}")
            done += 1
        connection.close()
        return done


class Feed:
    """Appends events to a feed, at a fixed rate, as other processes of a fleet do."""

    def __init__(self, sessions: str, rate: int) -> None:
        self._url = sessions
        self._rate = rate

    def work(self, seconds: float) -> int:
        """Events in so many seconds."""
        return asyncio.run(self._work(seconds))

    async def _work(self, seconds: float) -> int:
        from coatcheck.credentials.opaque import new_session_id
        from coatcheck.stores import open_store

        store, done, began = open_store(self._url), 0, time.monotonic()
        await store.open()
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * self._rate) - done
            ids = [new_session_id(f"nobody-{done + number}") for number in range(due)]
            await asyncio.gather(*(store.revoke_token(id, secrets.token_hex(8), now=time.time()) for id in ids))
            done += due
            await asyncio.sleep(_BATCH_EVERY)
        await store.close()
        return done


def main() -> None:
    setup: dict[str, Any] = json.loads(sys.stdin.readline())
    work: Callable[[float], int] = (Logins(**setup) if sys.argv[1] == "logins" else Feed(**setup)).work
    print("{}", flush=True)
    for line in sys.stdin:
        began = time.monotonic()
        done = work(json.loads(line)["seconds"])
        print(json.dumps({"done": done, "seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    main()

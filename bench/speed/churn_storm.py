"""A thousand revocations per second during load: what requests feel of it, and how long a dead credential is good.

A real uvicorn server follows the store and answers wrk. This process is the issuing one: it logs users in, appends a
thousand revocations per second (of sessions that the server does not know, as most are in a fleet), and ends sessions
that are asked with all the time. Calm and stormy slices alternate. The server has one core; the store's server, wrk
and this process have the other, so what the storm costs *them* counts too: ``per_processor_second`` leaves it out.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.feed import _append, subject
from bench.scaling.deployments import Deployment, deployment
from bench.speed.load import CONNECTIONS, Failed, cores, load, pin
from coatcheck import ApplicationSubjects, Auth, Mode
from coatcheck.credentials.opaque import new_session_id
from tests.support.servers import free_port

ROOT: Final = Path(__file__).parents[2]
STORES: Final = ("sqlite", "postgresql", "redis")
QUICK_STORES: Final = ("redis",)
RATE: Final = 1_000
"""Revocations per second."""
USERS: Final = 500
SECRET: Final = "of-a-benchmark-and-thrown-away-with-it"
_BATCH: Final = 0.01
"""Seconds of revocations that are appended together."""
_PATIENCE: Final = 60.0


@dataclass(frozen=True)
class Application:
    """The server, ready."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@contextmanager
def application(store: str, core: list[int]) -> Iterator[Application]:
    """The server on this store, kept to this core."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready"
        path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
        env = os.environ | {"PYTHONPATH": path, "STORE": store, "SECRET": SECRET, "READY": str(ready)}
        command = [
            sys.executable, "-m", "uvicorn", "bench.speed.churn_app:app", "--port", str(port), "--no-access-log",
            "--log-level", "error",
        ]  # fmt: skip
        process = subprocess.Popen(command, env=env, cwd=ROOT)
        try:
            deadline = time.monotonic() + _PATIENCE
            while not (ready.exists() and _listens(port)):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Failed("the server that is to be revoked from did not start; what it said stands above")
                time.sleep(0.02)
            pin(process.pid, core)
            yield Application(port, json.loads(ready.read_text())["pid"])
        finally:
            process.terminate()
            process.wait(_PATIENCE)


def _listens(port: int) -> bool:
    """A server is ready before it listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Asker:
    """A client that asks with one credential, on a connection of its own, until it is refused."""

    def __init__(self, port: int, header: str) -> None:
        self._port = port
        self._request = f"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n{header}\r\n\r\n".encode()
        self.let_in = asyncio.Event()
        self.sent = self.received = 0.0
        """When the last request that was answered with 200 was sent, and when its answer was there."""

    async def run(self) -> None:
        """Ask. Returns at the first 401."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while True:
                sent = time.perf_counter()
                writer.write(self._request)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_length(head))
                if not head.startswith(b"HTTP/1.1 200"):
                    return
                self.sent, self.received = sent, time.perf_counter()
                self.let_in.set()
                await asyncio.sleep(0.0005)
        finally:
            writer.close()


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


async def storm(store: Any, target: Deployment, done: asyncio.Event) -> float:
    """Append revocations at the rate until it is over. What was reached, per second."""
    began, batches = time.perf_counter(), 0
    while not done.is_set():
        who = subject(batches % 1_000)
        await _append(store, who, [new_session_id(who) for _ in range(int(RATE * _BATCH))], target)
        batches += 1
        await asyncio.sleep(max(0.0, began + batches * _BATCH - time.perf_counter()))
    return batches * RATE * _BATCH / (time.perf_counter() - began)


async def victims(auth: Auth, port: int, done: asyncio.Event) -> list[dict[str, float]]:
    """One after the other is logged in, asks, and is ended. Milliseconds from the return of `revoke`."""
    found: list[dict[str, float]] = []
    while not done.is_set():
        made = await auth.login(f"victim-{len(found)}", mode=Mode.SESSION)
        asker = Asker(port, f"Cookie: coatcheck={made.session_token}")
        asking = asyncio.create_task(asker.run())
        await asyncio.wait_for(asker.let_in.wait(), _PATIENCE)
        await asyncio.sleep(0.01)
        await auth.revoke(made.session.id)
        returned = time.perf_counter()
        await asyncio.wait_for(asking, _PATIENCE)
        found.append({
            "sent_ms": max(0.0, asker.sent - returned) * 1000,
            "received_ms": max(0.0, asker.received - returned) * 1000,
        })  # fmt: skip
    return found


async def slice_of(
    auth: Auth, target: Deployment, server: Application, headers: Path, *, stormy: bool, seconds: int
) -> dict[str, Any]:
    """Some seconds of load, with or without a storm."""
    done = asyncio.Event()
    tasks = [asyncio.create_task(victims(auth, server.port, done))]
    if stormy:
        tasks.append(asyncio.create_task(storm(auth.sessions, target, done)))  # type: ignore[arg-type] # of another type
    try:
        measured = await asyncio.to_thread(load, server.url, headers, server.pid, seconds=seconds)
    finally:
        done.set()
        ended = await asyncio.gather(*tasks)
    return {
        **asdict(measured), "per_second": measured.per_second, "per_processor_second": measured.per_processor_second,
        "last_200": ended[0], "revocations_per_second": ended[1] if stormy else 0.0,
    }  # fmt: skip


async def measure(target: Deployment, core: list[int], rounds: int, seconds: int) -> dict[str, Any]:
    """One store: alternating slices, and what they come to."""
    found: dict[str, list[dict[str, Any]]] = {"calm": [], "storm": []}
    with tempfile.TemporaryDirectory() as folder:
        headers = Path(folder) / "headers"
        async with Auth(target.url, secret=SECRET, subjects=ApplicationSubjects()) as auth:
            lines = []
            for number in range(USERS):
                made = await auth.login(f"user-{number}", mode=Mode.SESSION)
                lines.append(f"Cookie: coatcheck={made.session_token}")
            headers.write_text("\n".join(lines) + "\n")
            with application(target.url, core) as server:
                await asyncio.to_thread(load, server.url, headers, server.pid)  # warm up, and fill the table
                for number in range(rounds):
                    for kind in ("calm", "storm") if number % 2 == 0 else ("storm", "calm"):
                        made_of = await slice_of(
                            auth, target, server, headers, stormy=kind == "storm", seconds=seconds
                        )  # fmt: skip
                        found[kind].append(made_of)
    return found | summary(found["calm"], found["storm"])


def summary(calm: list[dict[str, Any]], stormy: list[dict[str, Any]]) -> dict[str, Any]:
    """The storm beside the calm, round by round: shares of the throughput, and the p99 as a multiple."""

    def ratios(name: str) -> list[float]:
        return [wild[name] / still[name] for still, wild in zip(calm, stormy, strict=True)]

    def delays(rows: list[dict[str, Any]], name: str) -> list[float]:
        return sorted(each[name] for row in rows for each in row["last_200"])

    return {
        "throughput_shares": ratios("per_second"),
        "throughput_share": statistics.median(ratios("per_second")),
        "processor_share": statistics.median(ratios("per_processor_second")),
        "p99_ratios": ratios("p99_us"),
        "p99_ratio": statistics.median(ratios("p99_us")),
        "revocations_per_second": statistics.median(row["revocations_per_second"] for row in stormy),
        "last_200_ms": {
            when: {
                name.removesuffix("_ms"): {"median": statistics.median(found), "max": found[-1], "times": len(found)}
                for name in ("sent_ms", "received_ms")
                if (found := delays(rows, name))
            }
            for when, rows in (("calm", calm), ("storm", stormy))
        },
    }


def run(quick: bool) -> dict[str, Any]:
    """Measure. Raises `bench.speed.load.Failed` when somebody who was not logged out is refused."""
    rounds, seconds = (1, 1) if quick else (4, 3)
    found: dict[str, Any] = {"rate": RATE, "connections": CONNECTIONS, "users": USERS, "stores": {}}
    allowed = os.sched_getaffinity(0)
    core, other = cores()
    try:
        os.sched_setaffinity(0, other)  # what is started from here on stays there
        for name in QUICK_STORES if quick else STORES:
            with deployment(name) as target:
                found["stores"][name] = asyncio.run(measure(target, core, rounds, seconds))
    finally:
        os.sched_setaffinity(0, allowed)
    return found


def table(found: dict[str, Any]) -> str:
    """For reading."""
    lines = [
        f"{found['rate']} revocations per second beside wrk with {found['connections']} connections; storm beside calm",
        f"{'store':<12}{'reached':>9}{'calm req/s':>12}{'storm':>8}{'by cpu':>8}{'calm p99':>10}{'storm':>8}"
        f"{'last 200 sent, received after revoke (ms): median, worst':>60}",
    ]
    for store, row in found["stores"].items():
        calm, after = row["calm"], row["last_200_ms"]["storm"]
        lines.append(
            f"{store:<12}{row['revocations_per_second']:>9.0f}"
            f"{statistics.median(each['per_second'] for each in calm):>12.0f}{row['throughput_share']:>8.1%}"
            f"{row['processor_share']:>8.1%}{statistics.median(each['p99_us'] for each in calm) / 1000:>7.2f} ms"
            f"{row['p99_ratio']:>7.2f}x"
            + "".join(f"{after[name]['median']:>14.1f}{after[name]['max']:>8.1f}" for name in ("sent", "received"))
            + f" of {after['sent']['times']}"
        )
    return "\n".join(lines)

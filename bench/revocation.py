"""How long other processes still answer 200 after `revoke` has returned: each store, idle, half loaded and saturated.

    python bench/revocation.py [--stores sqlite redis …] [--loads idle …] [--processes 8] [--rounds 40]

Real processes, each an application behind `AuthMiddleware`, on real servers that this script starts. In each process
clients ask again and again with every credential that they hold: some for the background, and in each round ten logins
in all modes. Then the parent ends these, five by `revoke` and five by `revoke_subject`. The figure is the time from a
call's return to the last 200 that any process gave for a credential it ended; 0 when there was none.

``remote`` are services without a database that follow the issuing service over HTTP, which has its sessions in Redis.
Results go to bench/results/revocation.json and .svg.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import secrets
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from coatcheck import ApplicationSubjects, Auth, Credentials, Mode  # noqa: E402
from coatcheck.adapters.asgi import IDENTITY, AuthMiddleware  # noqa: E402
from coatcheck.clock import boottime  # noqa: E402
from coatcheck.stores.sql import migrate  # noqa: E402
from tests.support.servers import postgresql, redis, redis_cluster  # noqa: E402

SECRET = "of-a-benchmark-and-thrown-away-with-it"
STORES = ("sqlite", "postgresql", "redis", "cluster", "remote")
LOADS = ("idle", "half", "saturated")
BACKGROUND = 20
"""Credentials that every process holds and nobody ends."""
PER_ROUND = 10
RESULTS = ROOT / "bench" / "results"
_REST = 0.001
"""Seconds that a process which is not saturated rests between two spells of work."""
_SPELL = 0.0005
"""Seconds of work after which a saturated one lets its event loop turn."""


@dataclass(frozen=True)
class Target:
    """What a verifying process opens: stores, or the issuing service."""

    database: str
    sessions: str | None = None
    service: str | None = None
    service_key: str = field(default="", repr=False)

    def issuer(self) -> Auth:
        return Auth(self.database, sessions=self.sessions, secret=SECRET, subjects=ApplicationSubjects())

    def verifier(self) -> Any:
        if self.service is None:
            return self.issuer()
        from coatcheck import RemoteVerifier

        return RemoteVerifier(self.service, service_key=self.service_key)


def headers_of(made: Credentials) -> list[tuple[bytes, bytes]]:
    """What a client of this mode sends to https://app.example."""
    host = (b"host", b"app.example")
    if made.session_token is not None:
        return [host, (b"cookie", f"__Host-coatcheck={made.session_token}".encode())]
    if made.session.mode is Mode.JWT:
        return [host, (b"authorization", f"Bearer {made.access_token}".encode())]
    return [host, (b"cookie", f"__Host-coatcheck-access={made.access_token}".encode())]


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Says who is asking: 200, or 401."""
    await send({"type": "http.response.start", "status": 200 if scope[IDENTITY] else 401, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Clients:
    """The clients of one process. ``share`` is how much of its time they may fill."""

    def __init__(self, verifier: Any, share: float) -> None:
        self._app = AuthMiddleware(application, verifier)
        self._work = _SPELL if share >= 1 else _REST * share / (1 - share)
        """Seconds of requests between two rests."""
        self.background: list[list[tuple[bytes, bytes]]] = []
        self.ended: dict[int, list[tuple[bytes, bytes]]] = {}
        self.last: dict[int, float] = {}
        self.requests = 0

    async def run(self) -> None:
        """For ever: some requests, then a rest of a millisecond, so that each process is asked all the time, however
        little load that makes. Who is about to be logged out asks most often."""
        turn = asked = probed = 0
        while True:
            began = boottime()
            while True:
                turn += 1
                if turn % 6 == 0 or not self.ended:
                    asked += 1
                    if self.background and await self._status(self.background[asked % len(self.background)]) != 200:
                        raise AssertionError("somebody who was not logged out is")
                else:
                    probed += 1
                    number = tuple(self.ended)[probed % len(self.ended)]
                    if await self._status(self.ended[number]) == 200:
                        self.last[number] = boottime()
                    else:
                        del self.ended[number]
                if boottime() - began >= self._work:
                    break
            await asyncio.sleep(_REST if self._work < _SPELL else 0)

    async def _status(self, headers: list[tuple[bytes, bytes]]) -> int:
        status = 0

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        self.requests += 1
        scope = {"type": "http", "method": "GET", "scheme": "https", "path": "/", "headers": headers}
        await self._app(scope, _receive, send)
        return status


async def _receive() -> Any:
    return {"type": "http.request"}


def verify_on_and_on(target: Target, share: float, pipe: Connection) -> None:
    """One verifying process. It is told credentials, says when it holds them, and when each was last good for a 200."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[Any] = asyncio.Queue()
        loop.add_reader(pipe.fileno(), lambda: told.put_nowait(pipe.recv()))
        async with target.verifier() as verifier:
            clients = Clients(verifier, share)
            running = asyncio.create_task(clients.run())
            pipe.send("ready")
            while (message := await told.get()) is not None:
                kind, credentials = message
                if kind == "background":
                    clients.background = credentials
                    pipe.send("holds them")
                    continue
                clients.last.clear()
                clients.ended = dict(credentials)
                while len(clients.last) < len(credentials):
                    _check(running)
                    await asyncio.sleep(0.002)
                pipe.send("holds them")
                while clients.ended:
                    _check(running)
                    await asyncio.sleep(0.002)
                pipe.send((dict(clients.last), clients.requests))
            running.cancel()

    uvloop.run(main())


def _check(task: asyncio.Task[None]) -> None:
    if task.done():
        task.result()


class Fleet:
    """The verifying processes."""

    def __init__(self, target: Target, processes: int, share: float) -> None:
        context = multiprocessing.get_context("spawn")
        pairs = [context.Pipe() for _ in range(processes)]
        self._processes = [
            context.Process(target=verify_on_and_on, args=(target, share, theirs), daemon=True) for _, theirs in pairs
        ]
        for process in self._processes:
            process.start()
        self._pipes = [ours for ours, _ in pairs]

    async def heard(self) -> list[Any]:
        """The next word of each."""
        return [await asyncio.to_thread(pipe.recv) for pipe in self._pipes]

    def tell(self, message: Any) -> None:
        for pipe in self._pipes:
            pipe.send(message)

    def stop(self) -> None:
        self.tell(None)
        for process in self._processes:
            process.join(10)


async def measure(target: Target, processes: int, rounds: int, load: str) -> dict[str, Any]:
    """Milliseconds from the return of a call to the last 200 for what it ended."""
    share = {"idle": 0.02, "half": 0.5 * (os.cpu_count() or 1) / processes, "saturated": 1.0}[load]
    modes = [Mode.JWT, Mode.JWT_COOKIE] if target.service else list(Mode)
    fleet = Fleet(target, processes, min(share, 1.0))
    delays: list[float] = []
    async with target.issuer() as auth:
        await fleet.heard()
        others = [await auth.login(f"other-{n}", mode=modes[n % len(modes)]) for n in range(BACKGROUND)]
        fleet.tell(("background", [headers_of(made) for made in others]))
        await fleet.heard()
        began = boottime()
        requests = 0
        for number in range(rounds):
            made = [await auth.login(f"s{number}-{n}", mode=modes[n % len(modes)]) for n in range(PER_ROUND)]
            fleet.tell(("end", list(enumerate(map(headers_of, made)))))
            await fleet.heard()
            returned = []
            for n, each in enumerate(made):
                if n % 2:
                    await auth.revoke(each.session.id)
                else:
                    await auth.revoke_subject(each.session.subject)
                returned.append(boottime())
            answers = await fleet.heard()
            requests = sum(answer[1] for answer in answers)
            for n in range(PER_ROUND):
                delays.append(max(0.0, max(last[n] for last, _ in answers) - returned[n]) * 1000)
        seconds = boottime() - began
    fleet.stop()
    cuts = statistics.quantiles(delays, n=100)
    return {
        "revocations": len(delays), "p50": statistics.median(delays), "p99": cuts[98], "max": max(delays),
        "requests_per_second": requests / seconds,
    }  # fmt: skip


@contextmanager
def target_of(store: str) -> Iterator[Target]:
    """A deployment of this kind, empty, on servers of its own. Signing keys and accounts are in SQL."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"sqlite:///{folder / 'bench.db'}"
        if store == "postgresql":
            server = stack.enter_context(postgresql(fsync=True))
            url = server.url(server.create_database())
        asyncio.run(migrate(url))
        if store in ("sqlite", "postgresql"):
            yield Target(url)
            return
        sessions = stack.enter_context(redis_cluster() if store == "cluster" else redis()).url()
        if store != "remote":
            yield Target(url, sessions)
            return
        from tests.support.service import running_service

        key = secrets.token_urlsafe(32)
        environ = {
            "COATCHECK_SECRET": SECRET, "COATCHECK_DATABASE": url, "COATCHECK_SESSIONS": sessions,
            "COATCHECK_SERVICE_KEYS": key,
        }  # fmt: skip
        service = stack.enter_context(running_service(folder, env=environ))
        yield Target(url, sessions, f"{service.base_url}/auth", key)


def table(found: Sequence[dict[str, Any]]) -> str:
    lines = [f"{'store':<12}{'load':<11}{'p50':>8}{'p99':>8}{'max':>8}{'calls':>8}{'requests/s':>12}"]
    for row in found:
        lines.append(
            f"{row['store']:<12}{row['load']:<11}{row['p50']:>8.1f}{row['p99']:>8.1f}{row['max']:>8.1f}"
            f"{row['revocations']:>8}{row['requests_per_second']:>12.0f}"
        )
    return "\n".join(lines)


def draw(found: Sequence[dict[str, Any]], file: Path) -> None:
    """p50 and p99 as dots on a logarithmic axis, a line per store."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.42 * len(found) + 1.2), layout="constrained")
    names = [f"{row['store']}, {row['load']}" for row in found][::-1]
    for place, row in enumerate(reversed(found)):
        p50, p99, worst = (max(row[name], 0.05) for name in ("p50", "p99", "max"))
        axes.plot([p50, worst], [place, place], color="#c8ccd0", zorder=1)
        axes.scatter([p50], [place], color="#2a6f97", label="median" if place == 0 else None, zorder=2)
        axes.scatter([p99], [place], color="#d1603d", label="99th percentile" if place == 0 else None, zorder=2)
        axes.scatter([worst], [place], color="#8a8f94", marker="|", label="worst" if place == 0 else None, zorder=2)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("milliseconds from the return of revoke to the last 200 in any process")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=LOADS)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=40, help=f"of {PER_ROUND} revocations each")
    parser.add_argument("--quick", action="store_true", help="two rounds, nothing written")
    options = parser.parse_args()
    found = []
    for store in options.stores:
        for load in options.loads:
            with target_of(store) as target:
                rounds = 2 if options.quick else options.rounds
                measured = asyncio.run(measure(target, options.processes, rounds, load))
            found.append({"store": store, "load": load} | measured)
            print(table(found[-1:]).splitlines()[len(found) > 1 :], flush=True)
    print(f"\nMilliseconds, {options.processes} verifying processes on {os.cpu_count()} cores\n{table(found)}")
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        summary = {"processes": options.processes, "cores": os.cpu_count(), "milliseconds": found}
        (RESULTS / "revocation.json").write_text(json.dumps(summary, indent=1) + "\n")
        draw(found, RESULTS / "revocation.svg")


if __name__ == "__main__":
    main()

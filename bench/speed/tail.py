"""The tail: what the slowest authenticated requests feel of logins, of a busy feed and of a slow store.

    python -m bench.speed.tail [--quick] [--only NAME ...] [--rounds N] [--seconds S] [--rate R]

One uvicorn process with the login under ``/auth`` answers requests that come at a fixed rate, below saturation, over
keep-alive connections, with the credentials of many users (`bench.speed.open_loop`). Rounds without the disturbance
alternate with rounds with it. What is compared is the latency from when a request was due.

``logins_one_core``: the server, hashing threads and all, has one core, the load generator and the clients another one.
``logins_all_cores``: everybody has all cores. Clients log in with passwords, each as soon as it has its answer, so that
the hashing threads have always enough to do. ``feed``: another process appends 1,000 events per second, in Redis.
``slow_store``: a proxy holds back every byte to and from Redis for 200 ms. Both have one core.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bench.speed.tail_others import PASSWORD  # noqa: E402
from tests.support.proxy import Mode, Proxy  # noqa: E402
from tests.support.servers import Missing, free_port, redis  # noqa: E402

RATE: Final = 500
"""Requests per second."""
CONNECTIONS: Final = 32
USERS: Final = 100
LOGINS: Final = 8
"""Clients that log in at the same time."""
EVENTS: Final = 1000
"""Events per second."""
DELAY: Final = 0.2
"""Seconds for which the proxy holds back what passes."""
PERCENTILES: Final = ("p50_ms", "p99_ms", "p999_ms")
_PATIENCE: Final = 60.0


class Helper:
    """A process that is told by one JSON line and answers with one."""

    def __init__(self, command: list[str], setup: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.tell(setup)
        self.answer()

    def tell(self, what: dict[str, Any]) -> None:
        """Begin."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the end. Raises `RuntimeError` when the process has ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} has ended; what it said stands above")
        found: dict[str, Any] = json.loads(line)
        return found

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True)
class Application:
    """The server, ready."""

    port: int
    ready: dict[str, Any]

    def processor_seconds(self) -> float:
        """Time that all of its threads have spent so far."""
        tasks = Path(f"/proc/{self.ready['pid']}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    rate: int


def _environment(**more: str) -> dict[str, str]:
    found = [str(ROOT / "src"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(found)} | more


def _pinned(core: int | None) -> list[str]:
    """A command prefix that keeps to one core. Raises `Missing` where there are no two."""
    if core is None:
        return []
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) <= core or shutil.which("taskset") is None:
        raise Missing("the server and those who ask it need a core each, and taskset to keep them there")
    return ["taskset", "-c", str(cores[core])]


@contextmanager
def application(core: int | None, sessions: str = "") -> Iterator[Application]:
    """The server on a database of its own, pinned to a core or not."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready"
        env = _environment(
            DATABASE=f"sqlite:///{folder}/app.db", SESSIONS=sessions, READY=str(ready), USERS=str(USERS),
            LOGINS=str(LOGINS),
        )  # fmt: skip
        command = [
            *_pinned(core), sys.executable, "-m", "uvicorn", "bench.speed.tail_app:app", "--port", str(port),
            "--no-access-log", "--log-level", "error", "--timeout-keep-alive", "75",
        ]  # fmt: skip
        process = subprocess.Popen(command, env=env, cwd=ROOT)
        try:
            deadline = time.monotonic() + _PATIENCE
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the server of the tail did not start; what it said stands above")
                time.sleep(0.02)
            yield Application(port, json.loads(ready.read_text()))
        finally:
            process.terminate()
            process.wait(_PATIENCE)


@contextmanager
def helper(module: str, *arguments: str, core: int | None, setup: dict[str, Any]) -> Iterator[Helper]:
    """One of the processes that ask."""
    one = Helper([*_pinned(core), sys.executable, "-m", f"bench.speed.{module}", *arguments], setup)
    try:
        yield one
    finally:
        one.stop()


def rounds(
    server: Application, plan: Plan, core: int | None, disturb: Callable[[float], Disturbance]
) -> dict[str, Any]:
    """Alternate. ``disturb`` begins to disturb for so many seconds."""
    alone: list[dict[str, Any]] = []
    disturbed: list[dict[str, Any]] = []
    setup = {"port": server.port, "headers": server.ready["headers"], "connections": CONNECTIONS}
    with helper("open_loop", core=core, setup=setup) as generator:

        def load() -> dict[str, Any]:
            before, began = server.processor_seconds(), time.monotonic()
            generator.tell({"rate": plan.rate, "seconds": plan.seconds})
            found = generator.answer()
            return found | {"server_cores": (server.processor_seconds() - before) / (time.monotonic() - began)}

        load()  # warm
        for number in range(2 * plan.rounds):
            # Without, with, with, without: a steady drift cancels out.
            if number % 4 in (0, 3):
                alone.append(load())
                continue
            other = disturb(plan.seconds + 0.3)
            time.sleep(0.15)
            found = load()
            disturbed.append(found | other())
    return {"rate_per_second": plan.rate, "alone": alone, "disturbed": disturbed, "grown": grown(alone, disturbed)}


Disturbance = Callable[[], dict[str, Any]]
"""Waits for the end of a disturbance, and says what there was of it."""
Disturb = Callable[[float], Disturbance]


def grown(alone: list[dict[str, Any]], disturbed: list[dict[str, Any]]) -> dict[str, float]:
    """Each percentile as a multiple of what it is undisturbed: of the medians over the rounds and, since other work on
    the machine only ever adds, of the best rounds."""
    found: dict[str, float] = {}
    for name in PERCENTILES:
        ours, theirs = ([each[name] for each in rounds] for rounds in (disturbed, alone))
        found[name.removesuffix("_ms")] = statistics.median(ours) / statistics.median(theirs)
        found[f"{name.removesuffix('_ms')}_best"] = min(ours) / min(theirs)
    return found


def logins(plan: Plan, core: int | None) -> dict[str, Any]:
    """While clients log in."""
    others = None if core is None else core + 1
    with application(core) as server:
        setup = {"port": server.port, "names": server.ready["names"], "password": PASSWORD}
        with helper("tail_others", "logins", core=others, setup=setup) as clients:
            found = rounds(server, plan, others, lambda seconds: _begin(clients, seconds, "logins_per_second"))
        return found | {"pool_per_second": server.ready["pool"], "hashing_threads": server.ready["threads"]}


def feed(plan: Plan) -> dict[str, Any]:
    """While another process appends events."""
    with redis() as store, application(0, store.url()) as server:
        setup = {"sessions": store.url(), "rate": EVENTS}
        with helper("tail_others", "feed", core=1, setup=setup) as other:
            return rounds(server, plan, 1, lambda seconds: _begin(other, seconds, "events_per_second"))


def slow_store(plan: Plan) -> dict[str, Any]:
    """While every answer of the store takes 400 ms longer."""
    with redis() as store, ExitStack() as stack:
        proxy = Proxy(store.port)
        proxy.start()
        stack.callback(proxy.stop)
        server = stack.enter_context(application(0, store.url(port=proxy.port)))

        def disturb(seconds: float) -> Disturbance:
            proxy.set(Mode.SLOW, delay=DELAY)

            def end() -> dict[str, Any]:
                proxy.set(Mode.PASS)
                return {"delay_ms": DELAY * 1000}

            return end

        return rounds(server, plan, 1, disturb)


def _begin(other: Helper, seconds: float, name: str) -> Disturbance:
    other.tell({"seconds": seconds})

    def end() -> dict[str, Any]:
        found = other.answer()
        return {name: found["done"] / found["seconds"]}

    return end


PARTS: Final[dict[str, Callable[[Plan], dict[str, Any]]]] = {
    "logins_one_core": lambda plan: logins(plan, 0),
    "logins_all_cores": lambda plan: logins(plan, None),
    "feed": feed,
    "slow_store": slow_store,
}


_QUICK: Final = ("logins_one_core", "feed")


def run(quick: bool, names: tuple[str, ...] = tuple(PARTS), plan: Plan | None = None) -> dict[str, Any]:
    """Each part: ``alone`` and ``disturbed`` hold one entry per round, ``grown`` how much more there was of each
    percentile. ``quick`` leaves out two of the four parts.

    Raises `Missing` when a program or a second core is, and `RuntimeError` when a request was not answered with 200."""
    plan = plan or (Plan(2, 0.5, RATE) if quick else Plan(5, 4.0, RATE))
    if quick:
        names = tuple(name for name in names if name in _QUICK) or names
    return {name: PARTS[name](plan) for name in names}


def table(found: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{'':<20}{'':<12}" + "".join(f"{name.removesuffix('_ms'):>10}" for name in PERCENTILES)]
    for part, each in found.items():
        for name in ("alone", "disturbed"):
            medians = [statistics.median(entry[key] for entry in each[name]) for key in PERCENTILES]
            extra = [
                f"{key} {statistics.median(entry[key] for entry in each[name]):.3g}"
                for key in each[name][0]
                if key.endswith(("_per_second", "_cores")) or key == "late_ms"
            ]
            lines.append(
                f"{part:<20}{name:<12}" + "".join(f"{value:>7.2f} ms" for value in medians) + "  " + ", ".join(extra)
            )
        alone = f"  hashing alone: {each['pool_per_second']:.3g} per second" if "pool_per_second" in each else ""
        lines.append(
            f"{'':<20}{'grown to':<12}"
            + "".join(f"{each['grown'][name.removesuffix('_ms')]:>10.0%}" for name in PERCENTILES)
            + alone
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rate", type=int, default=RATE)
    options = parser.parse_args()
    plan = None
    if options.rounds or options.seconds or options.rate != RATE:
        plan = Plan(options.rounds or 4, options.seconds or 2.0, options.rate)
    print(table(run(options.quick, tuple(options.only), plan)))


if __name__ == "__main__":
    main()

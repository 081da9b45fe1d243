"""What the ASGI middleware costs: requests per second with it, as a share of the same application without it.

    python bench/overhead.py [--rounds 5] [--seconds 2]

Both servers run at once, each request carries the same header, and rounds alternate, so that a drift of the machine
meets both. The servers share one core, wrk has another where there is one. Needs wrk, and Linux for the second column:
the same share from the processor time that a server spent per request, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

APPS = Path(__file__).parent / "apps"
KINDS = ("raw", "starlette")
MODES = ("session", "jwt", "jwt-cookie")


@dataclass
class Server:
    """A running application, and the header that authenticates a request to it."""

    url: str
    header: str
    pid: int

    def processor_seconds(self) -> float:
        """User and system time that it has spent so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Load:
    """What some seconds of load came to."""

    requests: int = 0
    seconds: float = 0.0
    processor: float = 0.0

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def __add__(self, other: Load) -> Load:
        return Load(
            self.requests + other.requests, self.seconds + other.seconds, self.processor + other.processor
        )  # fmt: skip


@dataclass
class Shares:
    """A number per round: the guarded application's share of the bare one's."""

    throughput: list[float] = field(default_factory=list)
    """In requests per second."""
    processor: list[float] = field(default_factory=list)
    """In requests per second of processor time."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pinned(core: int) -> list[str]:
    """A command prefix that keeps to one core, where that is possible."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[core % len(cores)])] if len(cores) > 1 and shutil.which("taskset") else []


@contextmanager
def server(kind: str, mode: str) -> Iterator[Server]:
    """Run one of the applications."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        header = Path(folder) / "header"
        env = os.environ | {"BENCH_KIND": kind, "BENCH_MODE": mode, "BENCH_HEADER": str(header)}
        command = [
            *pinned(0), sys.executable, "-m", "uvicorn", "overhead:app", "--app-dir", str(APPS), "--port", str(port),
            "--no-access-log", "--log-level", "error",
        ]  # fmt: skip
        process = subprocess.Popen(command, env=env)
        try:
            deadline = time.monotonic() + 30
            while not answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the {kind} server with mode {mode} did not start")
                time.sleep(0.05)
            yield Server(f"http://127.0.0.1:{port}/", header.read_text(), process.pid)
        finally:
            process.terminate()
            process.wait(timeout=30)


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def load(server: Server, header: str, seconds: int, connections: int = 16) -> Load:
    """Load it with wrk. Raises when a request was not answered with 200."""
    command = [*pinned(1), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-H", header, server.url]
    before = server.processor_seconds()
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    spent = server.processor_seconds() - before
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"not every request was answered with 200:\n{output}")
    found = re.search(r"(\d+) requests in ([0-9.]+)s", output)
    if found is None:
        raise RuntimeError(f"wrk said nothing that can be read:\n{output}")
    return Load(int(found[1]), float(found[2]), spent)


def compare(kind: str, modes: tuple[str, ...], rounds: int, seconds: int) -> dict[str, Shares]:
    """The shares of each mode. Both servers get the same header, so that both have the same bytes to parse."""
    shares = {mode: Shares() for mode in modes}
    with ExitStack() as stack:
        bare = stack.enter_context(server(kind, "none"))
        guarded = {mode: stack.enter_context(server(kind, mode)) for mode in modes}
        for each in guarded.values():  # warm up, and fill the table
            load(bare, each.header, 1)
            load(each, each.header, 1)
        for _ in range(rounds):
            for mode, each in guarded.items():
                # Bare, guarded, guarded, bare: a steady drift cancels out.
                order = [load(server, each.header, seconds) for server in (bare, each, each, bare)]
                without, with_it = order[0] + order[3], order[1] + order[2]
                found = shares[mode]
                found.throughput.append(with_it.per_second / without.per_second)
                found.processor.append((with_it.requests / with_it.processor) / (without.requests / without.processor))
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt-get install wrk")
    print("Share of the same application without authentication: median (minimum to maximum)")
    print(f"{'server':<12}{'mode':<12}{'requests per second':<28}per second of processor time")
    for kind in KINDS:
        for mode, shares in compare(kind, MODES, options.rounds, options.seconds).items():
            print(f"{kind:<12}{mode:<12}{spread(shares.throughput):<28}{spread(shares.processor)}", flush=True)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1%} ({min(values):.1%} to {max(values):.1%})"


if __name__ == "__main__":
    main()

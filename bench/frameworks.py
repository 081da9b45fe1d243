"""What a protected route costs in each framework, beside the same route without authentication.

    python bench/frameworks.py [--quick] [--rounds 7] [--seconds 3] [--only flask,fastapi]

Where the framework is one of dependencies, the bare route has one that does nothing. All servers of a framework run at
once and get the same header, and rounds alternate, so that a drift of the machine meets all. The servers share one
core, wrk has another where there is one. ASGI runs under uvicorn, WSGI under gunicorn (one worker, gthread with four
threads). Writes ``bench/results/frameworks.md`` and ``.json``, and with --quick neither. Needs wrk and Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
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
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.speed.load import Load, cores, load, pin, processor_seconds, together  # noqa: E402
from tests.support.servers import free_port  # noqa: E402

APPS = Path(__file__).parent / "apps" / "frameworks"
RESULTS = Path(__file__).parent / "results"
MODES = ("session", "jwt", "jwt-cookie")


@dataclass
class Server:
    """A running application, and the header that authenticates a request to it."""

    url: str
    header: str
    pid: int

    def processor_seconds(self) -> float:
        """User and system time that it has spent so far."""
        return processor_seconds(self.pid)


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1%} ({min(values):.1%} to {max(values):.1%})"


@dataclass(frozen=True)
class Framework:
    """A row of the table. ``application`` is the module in bench/apps/frameworks, ``package`` what has the version."""

    name: str
    application: str
    package: str
    is_wsgi: bool = False


FRAMEWORKS = {
    each.application.removeprefix("with_"): each
    for each in (
        Framework("raw ASGI", "with_asgi", "uvicorn"),
        Framework("Starlette", "with_starlette", "starlette"),
        Framework("FastAPI", "with_fastapi", "fastapi"),
        Framework("Litestar", "with_litestar", "litestar"),
        Framework("Flask", "with_flask", "flask", is_wsgi=True),
        Framework("Django, WSGI", "with_django_wsgi", "django", is_wsgi=True),
        Framework("Django, ASGI", "with_django_asgi", "django"),
    )
}


@dataclass
class Found:
    """One framework in one mode, a number per round."""

    throughput: list[float] = field(default_factory=list)
    """The protected route's share of the bare one's requests per second."""
    processor: list[float] = field(default_factory=list)
    """The same of requests per second of the server's processor time."""
    added: list[float] = field(default_factory=list)
    """Processor time that authentication adds to a request, in microseconds."""
    bare: list[float] = field(default_factory=list)
    """Requests per second of the bare route."""

    def add(self, without: Load, guarded: Load) -> None:
        """A round."""
        self.throughput.append(guarded.per_second / without.per_second)
        spent = 1 / guarded.per_processor_second, 1 / without.per_processor_second
        self.processor.append(spent[1] / spent[0])
        self.added.append((spent[0] - spent[1]) * 1e6)
        self.bare.append(without.per_second)


def command(framework: Framework, port: int) -> list[str]:
    """The server in the way in which it is usually run, without logs of requests."""
    python = [sys.executable, "-m"]
    if framework.is_wsgi:
        gunicorn = ["gunicorn", f"{framework.application}:app", "--chdir", str(APPS), "--bind", f"127.0.0.1:{port}"]
        how = ["--workers", "1", "--worker-class", "gthread", "--threads", "4", "--keep-alive", "30"]
        return [*python, *gunicorn, *how, "--log-level", "error", "--no-control-socket"]
    uvicorn = ["uvicorn", f"{framework.application}:app", "--app-dir", str(APPS), "--port", str(port)]
    return [*python, *uvicorn, "--no-access-log", "--log-level", "error"]


@contextmanager
def server(framework: Framework, mode: str) -> Iterator[Server]:
    """Run an application until it is no longer needed."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "ready.json"
        source = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
        env = os.environ | {"BENCH_MODE": mode, "BENCH_READY": str(told), "PYTHONPATH": source}
        process = subprocess.Popen(command(framework, port), env=env)
        try:
            deadline = time.monotonic() + 60
            while not (told.exists() and answers(port)):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{framework.name} with mode {mode} did not start")
                time.sleep(0.05)
            said = json.loads(told.read_text())
            pin(process.pid, cores()[0])
            yield Server(f"http://127.0.0.1:{port}/", said["header"], said["pid"])
        finally:
            process.terminate()
            process.wait(timeout=30)


def status(server: Server, header: str) -> int:
    """Of one request."""
    name, _, value = header.partition(": ")
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    connection.request("GET", "/", headers={name: value})
    found = connection.getresponse().status
    connection.close()
    return found


@contextmanager
def running(framework: Framework, modes: tuple[str, ...]) -> Iterator[tuple[Server, dict[str, Server]]]:
    """The bare server, and one for each mode. Raises `RuntimeError` when a protected route is not protected."""
    with ExitStack() as stack:
        bare = stack.enter_context(server(framework, "none"))
        guarded = {mode: stack.enter_context(server(framework, mode)) for mode in modes}
        for mode, each in guarded.items():
            statuses = [status(bare, each.header), status(each, each.header), status(each, "Accept: */*")]
            if statuses != [200, 200, 401]:
                raise RuntimeError(f"{framework.name} with mode {mode} answers {statuses}")
        yield bare, guarded


def compare(framework: Framework, rounds: int, seconds: int, modes: tuple[str, ...] = MODES) -> dict[str, Found]:
    """What each mode costs. Raises `RuntimeError` also when a request fails."""
    found = {mode: Found() for mode in modes}
    with running(framework, modes) as (bare, guarded), tempfile.TemporaryDirectory() as folder:
        headers = {mode: Path(folder) / mode for mode in modes}
        for mode, each in guarded.items():
            headers[mode].write_text(f"{each.header}\n")
            for server in (bare, each):  # warm up, and fill the table
                load(server.url, headers[mode], server.pid)
        for _ in range(rounds):
            for mode, each in guarded.items():
                # Bare, guarded, guarded, bare: a steady drift cancels out.
                servers = (bare, each, each, bare)
                order = [load(server.url, headers[mode], server.pid, seconds=seconds) for server in servers]
                found[mode].add(together([order[0], order[3]]), together([order[1], order[2]]))
    return found


def table(results: dict[str, dict[str, Found]], about: str) -> str:
    """The page."""
    lines = [
        "# Overhead per framework",
        "",
        "A protected route beside the same route without authentication, in one run: median (minimum to maximum).",
        f"{about}",
        "",
        "| framework | mode | requests/s without | share of them with | share per processor time | added per request |",
        "|---|---|---|---|---|---|",
    ]
    for name, modes in results.items():
        framework = FRAMEWORKS[name]
        for mode, each in modes.items():
            cells = [
                f"{framework.name} {version(framework.package) if name != 'asgi' else ''}".strip(),
                mode,
                f"{statistics.median(each.bare):,.0f}",
                spread(each.throughput),
                spread(each.processor),
                f"{statistics.median(each.added):.0f} µs ({min(each.added):.0f} to {max(each.added):.0f})",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", default=",".join(FRAMEWORKS), help=", ".join(FRAMEWORKS))
    parser.add_argument("--quick", action="store_true", help="one round of a second each, to see that it works")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt-get install wrk")
    rounds, seconds = (1, 1) if options.quick else (options.rounds, options.seconds)
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    about = (
        f"{rounds} rounds of {4 * seconds} s; uvicorn {version('uvicorn')}, gunicorn {version('gunicorn')}; {machine}. "
        "Made by `python bench/frameworks.py`."
    )
    results: dict[str, dict[str, Found]] = {}
    for name in options.only.split(","):
        results[name] = compare(FRAMEWORKS[name], rounds, seconds)
        for mode, each in results[name].items():
            print(f"{name:<14}{mode:<12}{spread(each.throughput):<28}{spread(each.processor)}", flush=True)
    if options.quick:
        return
    RESULTS.joinpath("frameworks.md").write_text(table(results, about), "utf-8")
    numbers = {name: {mode: vars(each) for mode, each in modes.items()} for name, modes in results.items()}
    RESULTS.joinpath("frameworks.json").write_text(json.dumps({"about": about, "frameworks": numbers}, indent=1) + "\n")


if __name__ == "__main__":
    main()

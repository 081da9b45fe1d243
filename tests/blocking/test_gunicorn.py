"""Real workers under gunicorn: one logs in, all know it, and all refuse what was revoked."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.databases import migrated_postgresql
from tests.support.patience import PATIENCE
from tests.support.servers import free_port, redis
from tests.support.servers.processes import Server, eventually
from tests.support.servers.redis_single import Redis
from tests.support.service import environment

from .support import SECRET

ROOT = Path(__file__).parents[2]
WORKERS = 3
KINDS = {"sync": [], "gthread": ["-k", "gthread", "--threads", "4"]}
HOW = [("sync", "each"), ("sync", "started"), ("gthread", "preloaded"), ("gthread", "started")]
"""Loaded in each worker; with ``--preload``; the same, and started there."""


class Gunicorn(Server):
    """gunicorn with our small application."""

    def __init__(self, folder: Path, store: str, kind: str, loaded: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._variables = {"STORE": store, "SECRET": SECRET, "PYTHONWARNINGS": "error"}
        if loaded == "started":
            self._variables["STARTED"] = "1"
        super().__init__(
            ["env", "-C", str(folder), *(f"{name}={value}" for name, value in self._environment().items()),
             sys.executable, "-m", "gunicorn", "tests.blocking.app:app", "-b", f"127.0.0.1:{self.port}",
             "-w", str(WORKERS), *KINDS[kind], *(["--preload"] if loaded != "each" else []),
             "--no-control-socket", "--graceful-timeout", "5"],
            log=folder / "log",
        )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        path = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
        return environment(self._variables | {"PYTHONPATH": path})

    def answers(self) -> bool:
        try:
            return bool(httpx.get(self.url, timeout=PATIENCE).status_code)
        except httpx.TransportError:
            return False

    def ask(self, path: str = "/", token: str = "") -> httpx.Response:
        headers = {"Connection": "close"} | ({"Authorization": f"Bearer {token}"} if token else {})
        return httpx.get(f"{self.url}{path}", headers=headers, timeout=PATIENCE)

    def log_in(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.ask("/in").raise_for_status().json()
        return answer

    def everyone(self, token: str, status: int, *, but: int = 0) -> set[int]:
        """Ask until every worker has answered twice, always so. Who they are."""
        times: dict[int, int] = {}

        def all_of_them() -> bool:
            answer = self.ask(token=token)
            assert answer.status_code == status, answer.text
            worker = answer.json()["pid"]
            assert worker != but
            times[worker] = times.get(worker, 0) + 1
            return len(times) == WORKERS and min(times.values()) > 1

        eventually(all_of_them, what="every worker has answered", pause=0)
        return set(times)


@contextmanager
def gunicorn(folder: Path, store: str, kind: str, loaded: str) -> Iterator[Gunicorn]:
    server = Gunicorn(folder, store, kind, loaded)
    try:
        server.start()
        yield server
        server.stop()
        assert "Traceback" not in server.output(), server.output()
    finally:
        server.kill()


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Redis]:
    with redis() as server:
        yield server


def work_through(server: Gunicorn) -> None:
    """Log in on one, use on all, end it on one, refused by all."""
    made = server.log_in()
    server.everyone(made["token"], 200)
    assert server.ask(f"/out?{made['session']}").json()["ended"]
    server.everyone(made["token"], 401)


@pytest.mark.parametrize(("kind", "loaded"), HOW)
def test_sqlite(kind: str, loaded: str, folder: Path) -> None:
    """On a file, however the application is loaded, also if it was started in the master."""
    with gunicorn(folder, "sqlite:///app.db", kind, loaded) as server:
        work_through(server)


@pytest.mark.parametrize("loaded", ["each", "started"])
@pytest.mark.parametrize("engine", ["postgresql", "redis"])
def test_servers(engine: str, loaded: str, folder: Path, redis_server: Redis) -> None:
    """On PostgreSQL and on Redis."""
    store = redis_server.url() if engine == "redis" else migrated_postgresql()
    with gunicorn(folder, store, "gthread", loaded) as server:
        work_through(server)


@pytest.mark.parametrize("loaded", ["each", "started"])
def test_workers_that_die_and_reload(loaded: str, folder: Path) -> None:
    """``kill -9`` of a worker and HUP: whoever comes in their place knows everybody, and what was revoked meanwhile."""
    with gunicorn(folder, "sqlite:///app.db", "sync", loaded) as server:
        kept, ended = server.log_in(), server.log_in()
        workers = server.everyone(kept["token"], 200)
        server.everyone(ended["token"], 200)
        victim = min(workers)
        os.kill(victim, signal.SIGKILL)
        assert server.ask(f"/out?{ended['session']}").json()["ended"]
        eventually(lambda: not Path(f"/proc/{victim}").exists(), what="it is gone")
        server.everyone(ended["token"], 401, but=victim)
        os.kill(server.pid, signal.SIGHUP)
        eventually(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), what="all are new")
        server.everyone(kept["token"], 200)
        server.everyone(ended["token"], 401)

"""A service that is told to end while somebody sends half a request."""

from __future__ import annotations

import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from coatcheck.service import run
from coatcheck.service.settings import Settings
from tests.proxies.programs import SERVERS, served
from tests.support.service import PASSWORD, PATIENCE, eventually, running_service

_HALF = (
    b'POST /auth/login HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{"email":'
)


def _seen(file: Path) -> float:
    with closing(sqlite3.connect(file)) as database:
        return float(database.execute("SELECT max(seen) FROM coatcheck_sessions").fetchone()[0])


@contextmanager
def _half_a_body(base: str) -> Iterator[socket.socket]:
    """A connection on which a body has begun and does not go on."""
    where = urlsplit(base)
    with socket.create_connection((where.hostname or "", where.port or 0)) as connection:
        connection.sendall(_HALF % where.netloc.encode())
        with httpx.Client(base_url=base, timeout=PATIENCE) as client:
            client.get("/auth/healthz")  # answered after what came before was read
        yield connection


def _used(base: str, file: Path) -> float:
    """A session in use beyond what is written. Returns when the store believes that it was last used."""
    with httpx.Client(base_url=base, timeout=PATIENCE) as client:
        client.post("/auth/register", json={"email": "ann@example.com", "password": PASSWORD}).raise_for_status()
        login = {"email": "ann@example.com", "password": PASSWORD, "mode": "session"}
        client.post("/auth/login", json=login).raise_for_status()
        written = _seen(file)
        for _ in range(2):
            client.get("/auth/session").raise_for_status()
    return written


@pytest.mark.parametrize("workers", [1, 2])
def test_last_uses_are_written_before_anybody_is_waited_for(tmp_path: Path, workers: int) -> None:
    """So whoever kills it meanwhile costs no session its idle time."""
    seldom = {"COATCHECK_POLICY_TOUCH_INTERVAL": "3600"}  # nothing else writes them meanwhile
    with running_service(tmp_path, workers=workers, arguments=["--grace", "600"], env=seldom) as service:
        written = _used(service.base_url, service.database)
        with _half_a_body(service.base_url) as connection:
            service.process.send_signal(signal.SIGTERM)
            eventually(lambda: _seen(service.database) > written, what="the last use is written")
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):  # it is still waited for
                connection.recv(1)
        service.kill()


def test_half_a_body_holds_it_for_the_grace_and_no_longer(tmp_path: Path) -> None:
    """It ends in good order, well before what a longer grace would allow."""
    took: dict[int, float] = {}
    for grace in (0, 3):
        folder = tmp_path / str(grace)
        folder.mkdir()
        with running_service(folder, arguments=["--grace", str(grace)]) as service, _half_a_body(service.base_url):
            began = time.monotonic()
            assert service.stop() == 0
            took[grace] = time.monotonic() - began
    assert took[0] < took[3]
    assert took[3] >= 3


def test_a_server_around_it_needs_a_limit(tmp_path: Path) -> None:
    """Docs name uvicorn's: then half a body holds nothing up for ever, and the last uses are written."""
    program, command = SERVERS["fastapi"].told
    program = program.replace(
        'Auth("sqlite:///app.db")', 'Auth("sqlite:///app.db", policy=Policy(touch_interval=3600))'
    )
    program = program.replace("import Auth", "import Auth, Policy")
    with served(tmp_path, program, [*command, "--timeout-graceful-shutdown", "1"]) as server:
        base = f"http://127.0.0.1:{server.where}"
        written = _used(base, tmp_path / "app.db")
        with _half_a_body(base):
            server.stop()
        assert "lifespan" not in server.output(), server.output()
    assert _seen(tmp_path / "app.db") > written


def test_the_grace_leaves_time_before_platforms_kill() -> None:
    """As it comes it is half of what Docker gives, so that closing the stores has the other half."""
    docker = 10
    assert Settings().grace * 2 <= docker
    assert Settings().grace + run._LAST_RESORT < docker

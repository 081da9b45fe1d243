"""The service on a database that only reads: verification ready, writing not, and both are shown."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.patience import PATIENCE
from tests.support.servers import PostgreSQL, postgresql
from tests.support.service import PASSWORD, Service, coatcheck_command, eventually, running_service

EMAIL = "ann@example.com"


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    with postgresql() as server:
        yield server


def _only_reads(server: PostgreSQL, value: str) -> None:
    server.psql(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    server.psql("SELECT pg_reload_conf()")
    while server.psql("SHOW default_transaction_read_only") != value:
        time.sleep(0.01)


def _login(service: Service) -> httpx.Response:
    body = {"email": EMAIL, "password": PASSWORD, "mode": "jwt"}
    return httpx.post(f"{service.base_url}/auth/login", json=body, timeout=PATIENCE)


def _shown(service: Service) -> tuple[int, object, bool]:
    """What an orchestrator and Prometheus see."""
    ready = httpx.get(f"{service.base_url}/auth/readyz", timeout=PATIENCE)
    numbers = httpx.get(f"{service.base_url}/metrics", timeout=PATIENCE).text
    return ready.status_code, ready.json(), "coatcheck_writes_taken 1.0\n" in numbers


def test_a_database_that_only_reads_is_shown_and_verified_from(tmp_path: Path, server: PostgreSQL) -> None:
    """While it runs, back again, and from the start: in ``/readyz``, in the numbers and in the log."""
    url = server.url(server.create_database())
    env = {"COATCHECK_SECRET": secrets.token_urlsafe(32), "COATCHECK_DATABASE": url}
    assert coatcheck_command("migrate", cwd=tmp_path, env=env).returncode == 0
    added = coatcheck_command("user", "add", EMAIL, "--password-stdin", cwd=tmp_path, env=env, stdin=f"{PASSWORD}\n")
    assert added.returncode == 0, added.stderr
    taken = (200, {"status": "ready", "writes": True}, True)
    refused = (200, {"status": "ready", "writes": False}, False)
    with running_service(tmp_path, env=env) as service:
        assert _shown(service) == taken
        bearer = {"Authorization": f"Bearer {_login(service).json()['access_token']}"}
        _only_reads(server, "on")
        eventually(lambda: _shown(service) == refused, what="it is shown, though nobody has logged in")
        assert "no writes" in service.output()
        assert _login(service).status_code == 503
        assert httpx.get(f"{service.base_url}/auth/session", headers=bearer, timeout=PATIENCE).status_code == 200
    with running_service(tmp_path, env=env) as service:
        assert _shown(service) == refused
        assert "no writes" in service.output()
        assert httpx.get(f"{service.base_url}/auth/session", headers=bearer, timeout=PATIENCE).status_code == 200
        _only_reads(server, "off")
        eventually(lambda: _shown(service) == taken, what="it is over")
        assert "writes are taken again" in service.output()
        assert _login(service).status_code == 200

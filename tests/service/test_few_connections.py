"""The service where the database has fewer connections than it asks for: logins wait for one, and none is refused."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.databases import shared_postgresql
from tests.support.patience import PATIENCE
from tests.support.servers import pgbouncer
from tests.support.service import PASSWORD, coatcheck_command, running_service

EMAILS = ("ann@example.com", "bob@example.com", "eve@example.com")
AT_ONCE = 30


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


async def _logins(base_url: str) -> Counter[int]:
    """What became of so many at once, each on a connection of its own."""
    async with httpx.AsyncClient(base_url=base_url, timeout=PATIENCE) as client:
        bodies = [{"email": email, "password": PASSWORD, "mode": "jwt"} for email in EMAILS]
        posts = [client.post("/auth/login", json=body) for body in bodies * (AT_ONCE // len(bodies))]
        answers = await asyncio.gather(*posts)
    return Counter(answer.status_code for answer in answers)


def _run(folder: Path, url: str, workers: int = 1) -> Counter[int]:
    env = {"COATCHECK_SECRET": secrets.token_urlsafe(32), "COATCHECK_DATABASE": url}
    for email in EMAILS:
        added = coatcheck_command("user", "add", email, "--password-stdin", cwd=folder, env=env, stdin=f"{PASSWORD}\n")
        assert added.returncode == 0, added.stderr
    with running_service(folder, env=env, workers=workers) as service:
        return asyncio.run(_logins(service.base_url))


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_everybody_logs_in_behind_a_pooler(tmp_path: Path, stack: ExitStack, mode: str) -> None:
    """PgBouncer with fewer connections of the server's than its clients have: migrated, served, 30 of 30."""
    few = {"default_pool_size": "3" if mode == "transaction" else "20"}
    pooler = stack.enter_context(pgbouncer(shared_postgresql(), mode=mode, options=few))
    url = pooler.url(shared_postgresql().create_database())
    migrated = coatcheck_command("migrate", "--database", url, cwd=tmp_path)
    assert migrated.returncode == 0, migrated.stderr
    assert _run(tmp_path, url, workers=2) == {200: AT_ONCE}


def test_everybody_logs_in_where_the_role_may_connect_twice(tmp_path: Path) -> None:
    """``CONNECTION LIMIT 2`` and a pool of five: the two are shared, 30 of 30."""
    server = shared_postgresql()
    name = server.create_database()
    server.psql(f'CREATE ROLE "{name}" LOGIN CONNECTION LIMIT 2; ALTER DATABASE "{name}" OWNER TO "{name}"')
    url = f"postgresql://{name}@127.0.0.1:{server.port}/{name}"
    migrated = coatcheck_command("migrate", "--database", url, cwd=tmp_path)
    assert migrated.returncode == 0, migrated.stderr
    assert _run(tmp_path, url) == {200: AT_ONCE}

"""Deployments as operators have them: where the accounts are and where the sessions are."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coatcheck import Auth, Policy
from coatcheck.accounts.passwords import Argon2Profile, PasswordHasher
from coatcheck.stores.sql import migrate
from tests.support.servers import Cluster, PostgreSQL, Redis

SECRET = "a secret of the tests, 32 bytes or more"

DEPLOYMENTS = ("sqlite", "postgresql", "sqlite + redis", "postgresql + redis", "postgresql + cluster")


@dataclass(frozen=True)
class Deployment:
    """The two URLs that a fleet is configured with."""

    database: str
    sessions: str | None

    def process(self, policy: Policy | None = None) -> Auth:
        """What one process of the fleet holds, not yet started."""
        return Auth(
            self.database,
            sessions=self.sessions,
            secret=SECRET,
            policy=policy,
            password_hasher=PasswordHasher(Argon2Profile(memory=8, passes=1, lanes=1)),
        )


@pytest.fixture(params=DEPLOYMENTS)
async def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    """An empty one of each kind; servers are started by the first test that needs them."""
    database, _, sessions = request.param.partition(" + ")
    sessions_url = _sessions_url(request, sessions) if sessions else None
    if database == "sqlite":
        yield Deployment(f"sqlite:///{tmp_path / 'fleet.db'}", sessions_url)
        return
    postgresql: PostgreSQL = request.getfixturevalue("postgresql_server")
    name = postgresql.create_database()
    await migrate(postgresql.url(name))
    yield Deployment(postgresql.url(name), sessions_url)
    postgresql.drop_database(name)


def _sessions_url(request: pytest.FixtureRequest, kind: str) -> str:
    server: Redis | Cluster = request.getfixturevalue("redis_server" if kind == "redis" else "redis_cluster_server")
    return f"{server.url()}?prefix={secrets.token_hex(4)}"

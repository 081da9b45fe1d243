"""What holds for every test: how Hypothesis draws, and that nothing leaves this machine. And the servers that tests
share, one of each per process, started when the first test asks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import settings

from tests.support.servers import Cluster, PostgreSQL, Redis, postgresql, redis, redis_cluster

# In CI the same examples every time, and no deadlines: a slow machine is not a failure.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

_ADDRESSED = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


class NotLoopback(BaseException):
    """A test tried to reach another machine. Not an `Exception`, so that no code under test mistakes it for a fault."""


def _is_elsewhere(host: str) -> bool:
    try:
        return not ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host != "localhost"


def _is_foreign_name(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return host not in {"localhost", ""}
    return False


def _refuse_other_machines(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: connections and datagrams go to this machine or nowhere, and no name server is asked.

    It sees Python's own sockets in this process; uvloop and child processes are on their honour.
    """
    if event in _ADDRESSED:
        address = arguments[1]
        if isinstance(address, tuple) and _is_elsewhere(str(address[0])):
            raise NotLoopback(f"{event} to {address[0]}")
    elif event == "socket.getaddrinfo":
        host = arguments[0]
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if name is not None and _is_foreign_name(name):
            raise NotLoopback(f"{event} of {name}")


sys.addaudithook(_refuse_other_machines)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """Shared: use a database of your own (`PostgreSQL.create_database`), and leave the server running."""
    with postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """Shared: use a key prefix of your own, and leave the server running."""
    with redis() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster_server() -> Iterator[Cluster]:
    """Three primaries, each with a replica. Shared: use a key prefix of your own, and leave every node running."""
    with redis_cluster() as cluster:
        yield cluster

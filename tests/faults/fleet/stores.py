"""The stores under which a fleet is put to the test, each with the lines that lead to it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from unittest.mock import patch

import httpx

from coatcheck import Mode
from coatcheck.stores.sql import migrate
from tests.support.proxy import Proxy, proxy
from tests.support.servers import Cluster, free_port, postgresql, redis, redis_cluster
from tests.support.servers.processes import Server
from tests.support.service import environment

SECRET: Final = "the-secret-of-the-fault-harness-long-enough"
_SERVICE_KEY: Final = "the-service-key-of-the-fault-harness"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A store that is running, and how to reach it."""

    name: str
    durability: str
    """What it was told to do so that a confirmed write is not lost."""
    issuing_url: str
    verifying_url: str
    servers: Sequence[Server] = ()
    """Those whose end is the end of the store. All are killed or paused together."""
    verifying_lines: Sequence[Proxy] = ()
    issuing_lines: Sequence[Proxy] = ()
    """The same ones as ``verifying_lines`` where nobody can be led past them."""
    cluster: Cluster | None = None
    modes: Sequence[Mode] = tuple(Mode)
    """What the verifying processes can verify."""
    service_key: str = field(default="", repr=False)
    """Not empty: ``verifying_url`` is that of an issuing service."""
    file: Path | None = None

    def wait_until_whole(self) -> None:
        """Until the store could suffer the next fault: every node there, and every replica at its primary's side."""
        if self.cluster is not None:
            self.cluster.wait_until_ok()
            self.cluster.wait_for_replicas()


@contextmanager
def _sqlite() -> Iterator[Place]:
    with TemporaryDirectory(prefix="coatcheck-fleet-") as directory:
        file = Path(directory) / "fleet.db"
        url = f"sqlite:///{file}"
        asyncio.run(migrate(url))
        yield Place(
            name="sqlite", durability="WAL, synchronous=FULL", issuing_url=url, verifying_url=url, file=file
        )  # fmt: skip


@contextmanager
def _postgresql() -> Iterator[Place]:
    with postgresql(fsync=True) as server, proxy(server.port) as behind, proxy(server.port) as direct:
        database = server.create_database()
        asyncio.run(migrate(server.url(database)))
        yield Place(
            name="postgresql",
            durability="fsync=on, synchronous_commit=on",
            issuing_url=server.url(database, port=direct.port),
            verifying_url=server.url(database, port=behind.port),
            servers=[server],
            verifying_lines=[behind],
            issuing_lines=[direct],
        )


@contextmanager
def _redis() -> Iterator[Place]:
    with redis(durable=True) as server, proxy(server.port) as behind, proxy(server.port) as direct:
        yield Place(
            name="redis",
            durability="appendfsync always",
            issuing_url=server.url(port=direct.port),
            verifying_url=server.url(port=behind.port),
            servers=[server],
            verifying_lines=[behind],
            issuing_lines=[direct],
        )


@contextmanager
def _cluster() -> Iterator[Place]:
    with ExitStack() as stack:
        lines: list[Proxy] = []

        def announce(port: int) -> int:
            lines.append(stack.enter_context(proxy(port)))
            return lines[-1].port

        # A replica whose line has died notices after this many seconds, by default only after a minute.
        options = {"repl-ping-replica-period": "1", "repl-timeout": "2"}
        cluster = stack.enter_context(redis_cluster(durable=True, announce=announce, options=options))
        url = f"{cluster.url()}?replicas=1"
        yield Place(
            name="redis-cluster",
            durability="appendfsync always, and every write acknowledged by one replica (?replicas=1)",
            issuing_url=url,
            verifying_url=url,
            servers=cluster.nodes,
            verifying_lines=lines,
            issuing_lines=lines,
            cluster=cluster,
        )


class _Service(Server):
    """``coatcheck serve`` on a port that it keeps."""

    def __init__(self, folder: Path, url: str) -> None:
        self.port = free_port()
        self._url = url
        command = [sys.executable, "-m", "coatcheck", "serve", "--port", str(self.port), "--database", url]
        super().__init__(command, log=folder / "service.log")

    def start(self) -> None:
        """See `Server.start`. Servers take their environment from us."""
        settings = environment({"COATCHECK_SECRET": SECRET, "COATCHECK_SERVICE_KEYS": _SERVICE_KEY})
        with patch.dict(os.environ, settings, clear=True):
            super().start()

    def answers(self) -> bool:
        """See `Server.answers`."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/auth/readyz").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def _remote() -> Iterator[Place]:
    with TemporaryDirectory(prefix="coatcheck-fleet-") as directory:
        url = f"sqlite:///{Path(directory) / 'fleet.db'}"
        asyncio.run(migrate(url))
        service = _Service(Path(directory), url)
        try:
            service.start()
            with proxy(service.port) as line:
                yield Place(
                    name="remote",
                    durability="WAL, synchronous=FULL (at the issuing service)",
                    issuing_url=url,
                    verifying_url=f"http://127.0.0.1:{line.port}/auth",
                    servers=[service],
                    verifying_lines=[line],
                    modes=(Mode.JWT, Mode.JWT_COOKIE),
                    service_key=_SERVICE_KEY,
                )
        finally:
            service.kill()


PLACES: Final[Mapping[str, Callable[[], AbstractContextManager[Place]]]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "redis": _redis,
    "redis-cluster": _cluster,
    "remote": _remote,
}

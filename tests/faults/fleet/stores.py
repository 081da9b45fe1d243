"""The stores under which a fleet is put to the test, each with the lines that lead to it."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from unittest.mock import patch

import httpx

from coatcheck import Mode
from coatcheck.stores import open_store
from coatcheck.stores.sql import migrate
from tests.support.histories import ColdCopy, Dump, FileOfAVolume, History, InPlace, OlderLog, Shards, Snapshot
from tests.support.patience import PATIENCE
from tests.support.proxy import Proxy, proxy
from tests.support.servers import (
    Cluster,
    ServerClock,
    free_port,
    postgresql,
    redis,
    redis_cluster,
    server_clock,
)
from tests.support.servers.processes import Server
from tests.support.service import environment

SECRET: Final = "the-secret-of-the-fault-harness-long-enough"
_SERVICE_KEY: Final = "the-service-key-of-the-fault-harness"
_AGE: Final = 7200.0
"""Seconds for which a store has been there already: its feed covers every access token, as it does for most of its
life. In the minute after it was made every first sight asks the store, and much would not show."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A store that is running, and how to reach it."""

    name: str
    durability: str
    """What it was told to do so that a confirmed write is not lost."""
    issuing_url: str
    verifying_url: str
    anew: Callable[[], Place]
    """Another one, as new, on the same servers; this one must no longer be used."""
    histories: Mapping[str, History]
    """The ways in which it goes back to an earlier moment."""
    clock: ServerClock
    """The time of day of its servers, or, of a file, of the processes that have it open."""
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
    """Of a store that is one."""

    def wait_until_whole(self) -> None:
        """Until the store could suffer the next fault: every node there, and every replica at its primary's side."""
        if self.cluster is not None:
            self.cluster.wait_until_ok()
            self.cluster.wait_for_replicas()


@contextmanager
def _sqlite() -> Iterator[Place]:
    with TemporaryDirectory(prefix="coatcheck-fleet-") as directory, server_clock() as clock:

        def anew() -> Place:
            file = _old_file(Path(directory))
            url = f"sqlite:///{file}"
            return Place(
                name="sqlite",
                durability="WAL, synchronous=FULL",
                issuing_url=url,
                verifying_url=url,
                anew=anew,
                histories={"in place": InPlace(file), "volume": FileOfAVolume(file)},
                clock=clock,
                file=file,
            )

        yield anew()


@contextmanager
def _postgresql() -> Iterator[Place]:
    with (
        server_clock() as clock,
        postgresql(fsync=True, clock=clock) as server,
        proxy(server.port) as behind,
        proxy(server.port) as direct,
    ):

        def anew() -> Place:
            database = server.create_database()
            with _long_ago(clock):
                asyncio.run(migrate(server.url(database)))
            return Place(
                name="postgresql",
                durability="fsync=on, synchronous_commit=on",
                issuing_url=server.url(database, port=direct.port),
                verifying_url=server.url(database, port=behind.port),
                anew=anew,
                histories={
                    "volume": ColdCopy(server, server.directory / "data"),
                    "dump": Dump(server, database),
                    "rows": Dump(server, database, rows_only=True),
                },
                clock=clock,
                servers=[server],
                verifying_lines=[behind],
                issuing_lines=[direct],
            )

        yield anew()


@contextmanager
def _redis() -> Iterator[Place]:
    with (
        server_clock() as clock,
        redis(durable=True, clock=clock) as server,
        proxy(server.port) as behind,
        proxy(server.port) as direct,
    ):

        def anew() -> Place:
            prefix = f"?prefix={secrets.token_hex(4)}"
            with _long_ago(clock):
                asyncio.run(_make_feed(server.url() + prefix))
            return Place(
                name="redis",
                durability="appendfsync always",
                issuing_url=server.url(port=direct.port) + prefix,
                verifying_url=server.url(port=behind.port) + prefix,
                anew=anew,
                histories={"snapshot": Snapshot(server), "volume": OlderLog(server)},
                clock=clock,
                servers=[server],
                verifying_lines=[behind],
                issuing_lines=[direct],
            )

        yield anew()


@contextmanager
def _cluster() -> Iterator[Place]:
    with ExitStack() as stack:
        lines: list[Proxy] = []

        def announce(port: int) -> int:
            lines.append(stack.enter_context(proxy(port)))
            return lines[-1].port

        # A replica whose line has died notices after this many seconds, by default only after a minute.
        options = {"repl-ping-replica-period": "1", "repl-timeout": "2"}
        clock = stack.enter_context(server_clock())
        cluster = stack.enter_context(redis_cluster(durable=True, announce=announce, options=options, clock=clock))

        def anew() -> Place:
            url = f"{cluster.url()}?replicas=1&prefix={secrets.token_hex(4)}"
            with _long_ago(clock):
                asyncio.run(_make_feed(url))
            return Place(
                name="redis-cluster",
                durability="appendfsync always, and every write acknowledged by one replica (?replicas=1)",
                issuing_url=url,
                verifying_url=url,
                anew=anew,
                histories={"one server": Shards(cluster, [1]), "volume": Shards(cluster)},
                clock=clock,
                servers=cluster.nodes,
                verifying_lines=lines,
                issuing_lines=lines,
                cluster=cluster,
            )

        yield anew()


class _Service(Server):
    """``coatcheck serve`` on a port that it keeps."""

    def __init__(self, folder: Path, clock: ServerClock) -> None:
        self.port = free_port()
        self.url = ""
        command = [sys.executable, "-m", "coatcheck", "serve", "--port", str(self.port)]
        super().__init__(command, log=folder / "service.log", variables=clock.environment())

    def start(self) -> None:
        """See `Server.start`. Servers take their environment from us."""
        settings = environment(
            {"COATCHECK_SECRET": SECRET, "COATCHECK_SERVICE_KEYS": _SERVICE_KEY, "COATCHECK_DATABASE": self.url}
        )
        with patch.dict(os.environ, settings, clear=True):
            super().start()

    def answers(self) -> bool:
        """See `Server.answers`."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/auth/readyz", timeout=PATIENCE).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def _remote() -> Iterator[Place]:
    with TemporaryDirectory(prefix="coatcheck-fleet-") as directory, server_clock() as clock:
        service = _Service(Path(directory), clock)
        with proxy(service.port) as line:

            def anew() -> Place:
                service.stop()
                file = _old_file(Path(directory))
                service.url = f"sqlite:///{file}"
                with _long_ago(clock):
                    service.start()
                return Place(
                    name="remote",
                    durability="WAL, synchronous=FULL (at the issuing service)",
                    issuing_url=service.url,
                    verifying_url=f"http://127.0.0.1:{line.port}/auth",
                    anew=anew,
                    histories={
                        "in place": InPlace(file),
                        "stopped": InPlace(file, service),
                        "volume": FileOfAVolume(file, service),
                    },
                    clock=clock,
                    servers=[service],
                    verifying_lines=[line],
                    modes=(Mode.JWT, Mode.JWT_COOKIE),
                    service_key=_SERVICE_KEY,
                    file=file,
                )

            try:
                yield anew()
            finally:
                service.kill()


PLACES: Final[Mapping[str, Callable[[], AbstractContextManager[Place]]]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "redis": _redis,
    "redis-cluster": _cluster,
    "remote": _remote,
}


def _old_file(directory: Path) -> Path:
    """An SQLite store that was made long ago."""
    file = directory / f"{secrets.token_hex(4)}.db"
    asyncio.run(migrate(f"sqlite:///{file}", wall=lambda: time.time() - _AGE))
    return file


async def _make_feed(url: str) -> None:
    store = open_store(url)
    await store.open()
    await store.events(None, wait=0)
    await store.close()


@contextmanager
def _long_ago(clock: ServerClock) -> Iterator[None]:
    before = clock.off
    clock.set(before - _AGE)
    yield
    clock.set(before)

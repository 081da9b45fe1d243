"""What an operator does with backups, on real servers: each way saves a store as it is now and puts it back later."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from .servers import Cluster, PostgreSQL, Redis
from .servers.postgres import FOLDERS
from .servers.processes import PATIENCE, Server, eventually, program

_LOG: Final = "appendonlydir"


class History(ABC):
    """A moment of a store that can be gone back to, again and again. A later `save` replaces the earlier."""

    must_be_closed: bool = False
    """Whether every process that has the store open must have ended when it is put back."""

    @abstractmethod
    def save(self) -> None:
        """Remember the store as it is now."""

    @abstractmethod
    def put_back(self) -> None:
        """The store is as it was. Its servers answer when this returns."""

    def goes_back(self, key: str) -> bool:
        """Whether what is kept under a key is among what goes back."""
        return True


class InPlace(History):
    """SQLite's backup, and its restore into the same file beneath those who have it open: ``.backup``, ``.restore``."""

    def __init__(self, file: Path, server: Server | None = None) -> None:
        self._file = file
        self._server = server
        """Stopped meanwhile."""
        self._copy = file.with_name(f"{file.name}.copy")

    def save(self) -> None:
        self._copy.unlink(missing_ok=True)
        _copy_database(self._file, self._copy)

    def put_back(self) -> None:
        if self._server is not None:
            self._server.stop()
        _copy_database(self._copy, self._file)
        if self._server is not None:
            self._server.start()


def _copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target, timeout=PATIENCE)) as new:
        old.backup(new, sleep=0.01)


class FileOfAVolume(History):
    """The volume with an SQLite file is rolled back. Whoever had the file open has ended: replaced beneath them, it
    would be damaged, by SQLite's own account (howtocorrupt.html)."""

    must_be_closed = True

    def __init__(self, file: Path, server: Server | None = None) -> None:
        self._file = file
        self._server = server

    def save(self) -> None:
        """Of one moment, as a snapshot of the volume is."""
        with closing(sqlite3.connect(self._file, isolation_level=None, timeout=PATIENCE)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for file in self._files():
                if file.exists():
                    shutil.copy(file, _saved(file))
                else:
                    _saved(file).unlink(missing_ok=True)
            connection.execute("ROLLBACK")

    def put_back(self) -> None:
        if self._server is not None:
            self._server.stop()
        self._file.with_name(f"{self._file.name}-shm").unlink(missing_ok=True)
        for file in self._files():
            file.unlink(missing_ok=True)
            if _saved(file).exists():
                shutil.copy(_saved(file), file)
        if self._server is not None:
            self._server.start()

    def _files(self) -> list[Path]:
        return [self._file, self._file.with_name(f"{self._file.name}-wal")]


def _saved(file: Path) -> Path:
    return file.with_name(f"saved-{file.name}")


class ColdCopy(History):
    """A server's data directory as it was: a copy that was made while it was stopped, or a snapshot of its volume."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder

    def save(self) -> None:
        self._server.stop()
        _replace(self._folder, _saved(self._folder))
        self._server.start()

    def put_back(self) -> None:
        self._server.stop()
        _replace(_saved(self._folder), self._folder)
        self._server.start()


def _replace(source: Path, target: Path) -> None:
    """With owners and modes."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


class Dump(History):
    """``pg_dump``, and ``pg_restore --clean`` into the database beneath those who are connected. ``rows_only``: the
    tables stay, and their rows are replaced."""

    def __init__(self, server: PostgreSQL, database: str, *, rows_only: bool = False) -> None:
        self._server = server
        self._database = database
        self._rows_only = rows_only
        self._file = server.directory / f"{database}.dump"

    def save(self) -> None:
        said = self._run("pg_dump", "-Fc", "-f", str(self._file), self._database)
        assert not said, said

    def put_back(self) -> None:
        options = ["--clean", "--if-exists"]
        if self._rows_only:
            tables = self._server.psql(
                "SELECT string_agg(tablename, ',') FROM pg_tables WHERE schemaname = 'public'", database=self._database
            )
            self._server.psql(f"TRUNCATE {tables}", database=self._database)
            options = ["--data-only", "--disable-triggers"]
        said = "deadlock"
        while "deadlock" in said:  # with those who read: all was undone, and it is done again
            said = self._run("pg_restore", *options, "--single-transaction", "-d", self._database, str(self._file))
        assert not said, said

    def _run(self, name: str, *arguments: str) -> str:
        """What it said if it failed."""
        where = ["-h", str(self._server.directory), "-p", str(self._server.port), "-U", "postgres"]
        done = subprocess.run(
            [program(name, *FOLDERS), *where, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return done.stderr if done.returncode else ""


class Snapshot(History):
    """Redis from an older ``dump.rdb``, as its documentation says: started without the append-only file, which is
    switched on again when the snapshot is loaded."""

    def __init__(self, server: Redis) -> None:
        self._server = server
        self._file = server.directory / "dump.rdb"

    def save(self) -> None:
        self._server.cli("SAVE")
        self._file.rename(_saved(self._file))

    def put_back(self) -> None:
        server = self._server
        server.stop()
        shutil.rmtree(server.directory / _LOG, ignore_errors=True)
        shutil.copy(_saved(self._file), self._file)
        with server.configured(appendonly="no"):
            server.start()
        self._file.unlink()
        if server.options.get("appendonly") == "yes":
            server.cli("CONFIG", "SET", "appendonly", "yes")
            eventually(
                lambda: server.info("persistence", "aof_rewrite_in_progress") == "0", what="the log is written"
            )  # fmt: skip


class OlderLog(ColdCopy):
    """Redis from an older append-only file, which was copied while the server ran."""

    def __init__(self, server: Redis) -> None:
        super().__init__(server, server.directory / _LOG)
        self._redis = server

    def save(self) -> None:
        save_log(self._redis, _saved(self._folder))


def save_log(server: Redis, target: Path) -> None:
    """Copy a running server's append-only file; it must not be rewritten meanwhile."""
    server.cli("CONFIG", "SET", "auto-aof-rewrite-percentage", "0")
    _replace(server.directory / _LOG, target)


class Shards(History):
    """Primaries of a cluster from older append-only files, the others as they are. ``places``: which, counted in the
    order of their slots; all when empty. Their replicas are stopped meanwhile, or would take over."""

    def __init__(self, cluster: Cluster, places: Sequence[int] = ()) -> None:
        self._cluster = cluster
        self._places = places

    def save(self) -> None:
        for place, node in enumerate(self._cluster.primaries()):
            save_log(node, self._saved(place))

    def put_back(self) -> None:
        cluster = self._cluster
        cluster.wait_until_ok()
        cluster.wait_for_replicas()
        primaries = cluster.primaries()
        chosen = {place: primaries[place] for place in self._places or range(len(primaries))}
        replicas = [replica for node in chosen.values() for replica in cluster.replicas_of(node)]
        for node in [*replicas, *chosen.values()]:
            node.kill()
        for place, node in chosen.items():
            _replace(self._saved(place), node.directory / _LOG)
            node.start()
        cluster.wait_until_ok()
        for node in replicas:
            node.start()
        cluster.wait_until_ok()
        cluster.wait_for_replicas()

    def goes_back(self, key: str) -> bool:
        if not self._places:
            return True
        primaries = self._cluster.primaries()
        return any(primaries[place].cli("--scan", "--pattern", f"*{key}") for place in self._places)

    def _saved(self, place: int) -> Path:
        return self._cluster.nodes[0].directory / f"saved-log-{place}"

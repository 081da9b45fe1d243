"""PostgreSQL."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .clocks import ServerClock
from .processes import PATIENCE, Server, free_port, own_directory, program

FOLDERS: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
_USER: Final = "postgres"  # who it runs as when we are root, which it refuses, and its superuser's name
PASSWORD: Final = "a password of the tests"

_FAST: Final = {
    "shared_buffers": "32MB",
    "max_connections": "200",
    "autovacuum_naptime": "10min",
    "log_min_messages": "warning",
}
_NOT_DURABLE: Final = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class PostgreSQL(Server):
    """A server that is running, or was. Its superuser is ``postgres``."""

    stop_signal = signal.SIGINT  # "fast": it does not wait for clients to leave

    def __init__(
        self, directory: Path, options: Mapping[str, str], auth: str, clock: ServerClock | None = None
    ) -> None:
        self.port = free_port()
        self.directory = directory
        self.auth = auth
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(directory),
            **options,
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [program("postgres", *FOLDERS), "-D", str(directory / "data"), *arguments]
        variables = clock.environment() if clock else None
        super().__init__(command, log=directory / "log", user=_USER, variables=variables)

    def url(self, database: str = "postgres", *, port: int | None = None) -> str:
        """``postgresql://…`` over TCP; ``port`` is that of a proxy."""
        who = _USER if self.auth == "trust" else f"{_USER}:{PASSWORD.replace(' ', '%20')}"
        return f"postgresql://{who}@127.0.0.1:{port or self.port}/{database}"

    def psql(self, statement: str, *, database: str = "postgres") -> str:
        """What ``psql`` prints for a statement, unadorned. Raises when it fails."""
        command = [
            program("psql", *FOLDERS), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
            "-h", str(self.directory), "-p", str(self.port), "-U", _USER, "-d", database, "-c", statement,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode:
            raise AssertionError(f"psql: {done.stderr}")
        return done.stdout.strip()

    def create_database(self, template: str = "template0") -> str:
        """A new database with a name of its own, a copy of ``template`` (to which nobody may be connected)."""
        name = f"test_{secrets.token_hex(6)}"
        self.psql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop_database(self, name: str) -> None:
        """Drop it, whoever is connected."""
        self.psql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def answers(self) -> bool:
        command = [program("pg_isready", *FOLDERS), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0


@contextmanager
def postgresql(
    *,
    fsync: bool = False,
    options: Mapping[str, str] | None = None,
    auth: str = "trust",
    standby_of: PostgreSQL | None = None,
    clock: ServerClock | None = None,
) -> Iterator[PostgreSQL]:
    """A PostgreSQL server on a free port.

    ``fsync``: keep what was committed through a crash, as in production; off by default, because tests that kill
    nothing need it not. ``options``: settings of ``postgresql.conf``. ``auth``: ``trust`` or ``scram-sha-256`` for
    TCP. ``standby_of``: stream from this server instead of starting empty. ``clock``: its time of day.
    """
    settings = _FAST | ({} if fsync else _NOT_DURABLE) | dict(options or {})
    with own_directory("pg") as directory:
        if os.geteuid() == 0:
            shutil.chown(directory, _USER, _USER)
        server = PostgreSQL(directory, settings, auth, clock)
        if standby_of is None:
            _initialise(server, auth)
        else:
            _copy(standby_of, server)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _initialise(server: PostgreSQL, auth: str) -> None:
    password = server.directory / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    _run_as_server(
        program("initdb", *FOLDERS), "-D", str(server.directory / "data"), "-U", _USER, "--no-sync",
        "--no-instructions", "-E", "UTF8", "--locale=C.UTF-8", "--auth-local=trust", f"--auth-host={auth}",
        f"--pwfile={password}",
    )  # fmt: skip


def _copy(primary: PostgreSQL, server: PostgreSQL) -> None:
    _run_as_server(
        program("pg_basebackup", *FOLDERS), "-D", str(server.directory / "data"), "-R", "-X", "stream", "-c", "fast",
        "--no-sync", "-h", str(primary.directory), "-p", str(primary.port), "-U", _USER,
    )  # fmt: skip


def _run_as_server(*command: str) -> None:
    user = _USER if os.geteuid() == 0 else None
    groups: list[str] | None = [] if user else None
    done = subprocess.run(
        command, user=user, group=user, extra_groups=groups, cwd="/", capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(f"{command[0]}: {done.stdout}{done.stderr}")

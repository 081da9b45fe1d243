"""PgBouncer in front of a PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .postgres import FOLDERS, PostgreSQL
from .processes import PATIENCE, Server, eventually, free_port, own_directory, program

_USER: Final = "postgres"  # who it runs as when we are root, which it refuses
PROGRAM: Final = "COATCHECK_TEST_PGBOUNCER"
"""A variable that names another PgBouncer than the one on the PATH."""


class PgBouncer(Server):
    """A pooler that is running, or was. It lets every user of the server in."""

    stop_signal = signal.SIGQUIT  # at once; the others wait for clients to leave, in newer versions

    def __init__(self, directory: Path, behind: PostgreSQL, options: Mapping[str, str]) -> None:
        self.port = free_port()
        self._behind = behind
        users = directory / "users"
        users.write_text('"postgres" ""\n')
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": str(users),
            "server_login_retry": "0",
            **options,
        }
        self._config = directory / "pgbouncer.ini"
        self._settings = "".join(f"{name} = {value}\n" for name, value in settings.items())
        self._configure()
        command = [os.environ.get(PROGRAM) or program("pgbouncer", "/usr/sbin"), str(self._config)]
        super().__init__(command, log=directory / "log", user=_USER)

    def url(self, database: str) -> str:
        """``postgresql://…`` through the pooler."""
        return self._behind.url(database, port=self.port)

    def lead_to(self, server: PostgreSQL) -> None:
        """Another server from now on, also for clients that are there. Returns when it does."""
        self._behind = server
        self._configure()
        os.kill(self.pid, signal.SIGHUP)
        eventually(lambda: self._asked("SELECT inet_server_port()") == str(server.port), what="it leads elsewhere")

    def _asked(self, statement: str) -> str:
        command = [program("psql", *FOLDERS), "-X", "-A", "-t", "-c", statement, self.url("postgres")]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False).stdout.strip()

    def _configure(self) -> None:
        databases = f"[databases]\n* = host=127.0.0.1 port={self._behind.port}\n"
        self._config.write_text(f"{databases}[pgbouncer]\n{self._settings}")

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def pgbouncer(
    behind: PostgreSQL, *, mode: str = "transaction", options: Mapping[str, str] | None = None
) -> Iterator[PgBouncer]:
    """PgBouncer on a free port, as it comes but for the ``mode`` (``transaction`` or ``session``) and the ``options``,
    settings of ``pgbouncer.ini``."""
    with own_directory("pgbouncer") as directory:
        server = PgBouncer(directory, behind, {"pool_mode": mode, **(options or {})})
        if os.geteuid() == 0:
            for path in (directory, *directory.iterdir()):
                shutil.chown(path, _USER, _USER)
        try:
            server.start()
            yield server
        finally:
            server.kill()

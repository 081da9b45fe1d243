"""A real gunicorn, for what only a real server does to a request."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from tests.support.servers.processes import Server, free_port

from .patience import PATIENCE

ROOT = Path(__file__).parents[2]


class Gunicorn(Server):
    """gunicorn with an application of the tests, on a free port of 127.0.0.1."""

    def __init__(self, application: str, *options: str, log: Path) -> None:
        self.port = free_port()
        paths = f"{ROOT},{ROOT / 'src'}"
        command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "--no-control-socket"]
        super().__init__([*command, "--pythonpath", paths, *options, application], log=log)

    def answers(self) -> bool:
        """Whether a worker is there: the master accepts no connections."""
        try:
            return exchange(self.port, b"GET / HTTP/1.0\r\n\r\n") != b""
        except OSError:
            return False


def exchange(port: int, request: bytes) -> bytes:
    """Send these bytes, exactly, and read until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))

"""Applications as somebody who reads the documentation writes them, and the servers that they run in."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.patience import PATIENCE
from tests.support.servers.processes import Server, free_port
from tests.support.service import environment

_ASGI: Final = """
import os
from {framework} import {name}
from coatcheck import Auth
from coatcheck.{module} import mount_auth
app = {name}()
mount_auth(app, Auth("sqlite:///app.db"))
"""
_LITESTAR: Final = """
from litestar import Litestar
from coatcheck import Auth
from coatcheck.litestar import ServicePlugin
app = Litestar(plugins=[ServicePlugin(Auth("sqlite:///app.db"))])
"""
_FLASK: Final = """
from flask import Flask
from coatcheck import Policy
from coatcheck.flask import Auth, mount_auth
app = Flask(__name__)
mount_auth(app, Auth("sqlite:///app.db", policy=Policy(trusted_proxies={proxies!r})))
"""
_DJANGO: Final = """
import django
from pathlib import Path
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import include, path
from coatcheck import Policy
settings.configure(
    SECRET_KEY="for tests only", ROOT_URLCONF="main", ALLOWED_HOSTS=["*"], BASE_DIR=Path.cwd(),
    INSTALLED_APPS=["coatcheck.django"], MIDDLEWARE=["coatcheck.django.AuthMiddleware"],
    COATCHECK={{"policy": Policy(trusted_proxies={proxies!r})}}, LOGGING_CONFIG=None, {more}
)
app = get_wsgi_application()
urlpatterns = [path("auth/", include("coatcheck.django.urls"))]
"""
_TLS: Final = 'SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),'
SOCKET: Final = "{socket}"
"""Where the path of the UNIX socket goes in a command."""
_PORT: Final = "{port}"

_UVICORN: Final = ("uvicorn", "main:app", "--no-access-log", "--port", _PORT)
_GUNICORN: Final = ("gunicorn", "main:app", "--no-control-socket", "--threads", "4", "--bind")


@dataclass(frozen=True)
class Behind:
    """A server behind a proxy. ``told``: as the documentation says; ``untold``: as it is without that. Each a program
    and a command, which begins with a module."""

    told: tuple[str, Sequence[str]]
    untold: tuple[str, Sequence[str]]


def _same(program: str, told: Sequence[str], untold: Sequence[str]) -> Behind:
    return Behind((program, told), (program, untold))


_SERVE: Final = ("coatcheck", "serve", "--port", _PORT)
_FASTAPI: Final = _ASGI.format(framework="fastapi", module="fastapi", name="FastAPI")
_UNBELIEVING: Final = (*_UVICORN, "--forwarded-allow-ips", "192.0.2.1")
SERVERS: Final = {
    "serve": _same("", (*_SERVE, "--trusted-proxies", "127.0.0.1"), _SERVE),
    "fastapi": _same(_FASTAPI, _UVICORN, _UNBELIEVING),
    "starlette": _same(
        _ASGI.format(framework="starlette.applications", module="starlette", name="Starlette"),
        _UVICORN,
        _UNBELIEVING,
    ),
    "litestar": _same(_LITESTAR, _UVICORN, _UNBELIEVING),
    "fastapi-unix": _same(
        _FASTAPI,
        ("uvicorn", "main:app", "--no-access-log", "--uds", SOCKET, "--forwarded-allow-ips", "*"),
        ("uvicorn", "main:app", "--no-access-log", "--uds", SOCKET),
    ),
    "flask": Behind(
        (_FLASK.format(proxies=("127.0.0.1",)), (*_GUNICORN, f"127.0.0.1:{_PORT}")),
        (_FLASK.format(proxies=()), (*_GUNICORN, f"127.0.0.1:{_PORT}")),
    ),
    "flask-unix": Behind(
        (_FLASK.format(proxies=("unix",)), (*_GUNICORN, f"unix:{SOCKET}")),
        (_FLASK.format(proxies=()), (*_GUNICORN, f"unix:{SOCKET}")),
    ),
    "django": Behind(
        (_DJANGO.format(proxies=("127.0.0.1",), more=_TLS), (*_GUNICORN, f"127.0.0.1:{_PORT}")),
        (_DJANGO.format(proxies=(), more=""), (*_GUNICORN, f"127.0.0.1:{_PORT}")),
    ),
}


class _Program(Server):
    def __init__(self, folder: Path, program: str, command: Sequence[str], variables: Mapping[str, str]) -> None:
        (folder / "main.py").write_text(program)
        self.where: int | Path = folder / "app.sock" if any(SOCKET in part for part in command) else free_port()
        filled = [part.replace(SOCKET, str(self.where)).replace(_PORT, str(self.where)) for part in command]
        super().__init__(
            ["sh", "-c", 'cd "$0" && exec "$@"', str(folder), sys.executable, "-m", *filled],
            log=folder / "log",
            variables={"PYTHONUNBUFFERED": "1", **variables},
        )

    def start(self) -> None:
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(environment())
        try:
            super().start()
        finally:
            os.environ.clear()
            os.environ.update(before)

    def answers(self) -> bool:
        unix = isinstance(self.where, Path)
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as connection:
            connection.settimeout(PATIENCE)
            try:
                connection.connect(str(self.where) if unix else ("127.0.0.1", self.where))
                connection.sendall(b"GET /auth/readyz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                return b" 200 " in connection.recv(65536)
            except OSError:
                return False


@contextmanager
def served(
    folder: Path, program: str, command: Sequence[str], variables: Mapping[str, str] | None = None
) -> Iterator[_Program]:
    """The program, running in this folder, with these variables."""
    made = _Program(folder, program, command, variables or {})
    try:
        made.start()
        yield made
    finally:
        made.kill()

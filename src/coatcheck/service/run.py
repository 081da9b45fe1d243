"""Running the service: everything that can be wrong is found out first, then the workers start.

The parent opens the database, brings an embedded one up to date, makes what is missing, binds the port and reads the
certificate, so that what is wrong is one line before any worker exists. Workers get their settings through the pipe on
which they are started, so no secret is on a command line.
"""

from __future__ import annotations

import asyncio
import logging
import logging.config
import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from uvicorn import Config, Server

from ..auth import Auth
from ..errors import ConfigurationError
from ..secret_file import check_private
from ..stores import embedded_path
from ..web.metrics import DIRECTORY, counts_of
from . import logs
from .protocol import BoundedProtocol
from .settings import Settings, shown_url
from .supervisor import Supervisor, end_with_parent

log = logging.getLogger("coatcheck.service")

PREFIX: Final = "/auth"
_LAST_RESORT: Final = 4
"""Seconds beyond the grace after which a worker that is still there is killed: by us, who say so, before Docker."""
_KEEP_ALIVE: Final = 75
"""Seconds an idle connection is kept: longer than the 60 s for which proxies keep theirs, so that it is never the
server that closes a connection just as a proxy sends a request on it."""
_BACKLOG: Final = 2048


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Run the service until it is told to end (SIGTERM or SIGINT).

    ``say`` gets the lines for whoever starts it. Raises `ConfigurationError` or `StoreUnavailable` before anything
    runs; then nothing half-made is left behind.
    """
    _check_exposure(settings)
    _check_certificate(settings)
    _check_stores(settings)
    sockets = bind(settings.host, settings.port)
    try:
        logging.config.dictConfig(logs.config(settings.log_level))
        with _directory(settings.workers) as directory:
            application(settings)
            asyncio.run(_prepare(settings))
            say(_greeting(settings, sockets[0]))
            if settings.tls_cert is None and not settings.trusted_proxies:
                say("Development over plain http: cookies lack Secure and __Host-. Only this machine can connect.")
            here = partial(_serve_here, settings, sockets, directory)
            if settings.workers > 1:
                Supervisor(here, settings.workers, last_resort=settings.grace + _LAST_RESORT).run()
            else:
                here()
    finally:
        for listener in sockets:
            listener.close()


def application(settings: Settings, auth: Auth | None = None) -> Any:
    """The ASGI application of one process; ``auth`` is made of the settings unless it is given."""
    from .app import alone

    return alone(auth or settings.auth(), service_keys=settings.service_keys, prefix=PREFIX, site=settings.site)


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to a service that listens on this address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> list[socket.socket]:
    """Listen on every address that ``host`` stands for. Raises `ConfigurationError`."""
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            # With port 0 the first address picks one, and the others take the same.
            chosen = sockets[0].getsockname()[1] if sockets else port
            try:
                sockets.append(socket.create_server((str(address[0]), chosen), family=family, backlog=_BACKLOG))
            except OSError:
                if not sockets:
                    raise
    except OSError as error:
        why = str(error.strerror).partition(" (while ")[0]  # what Python appends names the address once more
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {why}; choose another with --host and --port"
        ) from error
    for listener in sockets:
        listener.set_inheritable(True)
    return sockets


def _check_exposure(settings: Settings) -> None:
    if is_loopback(settings.host) or settings.tls_cert is not None or settings.trusted_proxies:
        return
    raise ConfigurationError(
        f"{settings.host} can be reached from other machines, and over plain http everyone on the way reads "
        "passwords and tokens: give --tls-cert and --tls-key, or name the proxy that ends TLS with --trusted-proxies"
    )


def _check_certificate(settings: Settings) -> None:
    if settings.tls_cert is None:
        return
    key = settings.tls_key or settings.tls_cert
    try:
        check_private(key.stat(), key, f"the private key {key}")
        # An empty password, so that an encrypted key is an error and not a question.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(f"cannot use the certificate {settings.tls_cert} with its key: {why}") from error


def _check_stores(settings: Settings) -> None:
    urls = {settings.database, settings.sessions or settings.database}
    if settings.workers > 1 and any(
        embedded_path(url) is None and url.startswith(("memory:", "sqlite:")) for url in urls
    ):
        raise ConfigurationError(
            "in memory, every worker would have its own accounts and sessions: use --workers 1, or a database in a file"
        )


async def _prepare(settings: Settings) -> None:
    """What every worker will do at its start, once, where an error can still be told."""
    async with settings.auth():
        pass


def _config(settings: Settings, auth: Auth) -> Config:
    return Config(
        partial(application, settings, auth),
        factory=True,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=logs.config(settings.log_level),
        access_log=False,  # its lines hold query strings
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=settings.grace,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )


def _greeting(settings: Settings, listener: socket.socket) -> str:
    scheme = "https" if settings.tls_cert is not None else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    where = f"{scheme}://{host}:{listener.getsockname()[1]}/"
    several = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    return f"Coatcheck is at {where} ({several}, {shown_url(settings.database)}). Ctrl+C ends it."


class _Server(Server):
    """Writes what nobody may have to wait for before it waits for those who are still connected: should it be killed
    meanwhile, no session has lost idle time."""

    def __init__(self, config: Config, auth: Auth) -> None:
        super().__init__(config)
        self._auth = auth

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        writing = asyncio.create_task(self._auth.write_uses(), name="coatcheck-last-uses")
        try:
            await super().shutdown(sockets)
        finally:
            writing.cancel()  # which does nothing to what is done
            await asyncio.gather(writing, return_exceptions=True)


@contextmanager
def _directory(workers: int) -> Iterator[Path | None]:
    """Where several workers share their figures, until they have ended. None for one, and where the environment names
    a directory. Raises `ConfigurationError`."""
    if workers == 1 or os.environ.get(DIRECTORY):
        yield None
        return
    try:
        made = TemporaryDirectory(prefix="coatcheck-", ignore_cleanup_errors=True)  # mode 0700
    except OSError as error:
        raise ConfigurationError(
            f"cannot make a directory in which the workers count together: {error.strerror}; name one with {DIRECTORY}"
        ) from error
    with made as path:
        yield Path(path)


def _serve_here(settings: Settings, sockets: list[socket.socket], directory: Path | None) -> None:
    end_with_parent()
    auth = settings.auth()
    if directory is not None:
        counts_of(auth.events, directory)
    server = _Server(_config(settings, auth), auth)

    def end(*_: object) -> None:
        server.should_exit = True

    # Before uvicorn listens for signals itself, one that comes must count. And uvicorn raises it again once it has
    # ended in good order; that is the end we want, not a death by signal.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, end)
    server.run(sockets=sockets)

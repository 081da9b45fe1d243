"""An issuing service behind a real HTTP server in this process, so that its store can be held at gates."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from uvicorn import Config, Server

from coatcheck import Auth, Credentials, Mode, Policy, RemoteVerifier, SubjectFacts
from coatcheck.clock import Clock
from coatcheck.credentials.transport import Credential
from coatcheck.service.app import alone
from coatcheck.service.protocol import BoundedProtocol
from coatcheck.stores.memory import MemoryStore
from tests.support.gates import GatedStore
from tests.support.presenting import presented as presented  # for those who have the service from here

from .patience import in_time

SECRET = "a secret of the tests, 32 bytes or more"
SERVICE_KEY = "service-key-of-the-tests-0123456789"


def old_store() -> MemoryStore:
    """A store whose feed reaches back to before every token."""
    store = MemoryStore()
    store._feed.since = 0.0
    return store


class _Server(Server):
    @contextmanager
    def capture_signals(self) -> Any:
        yield


class Issuer:
    """The service and what is behind it. ``asked`` counts requests by path."""

    def __init__(self, auth: Auth, store: GatedStore, roles: dict[str, frozenset[str]], port: int) -> None:
        self.auth = auth
        self.store = store
        self.roles = roles
        self.port = port
        self.url = f"http://127.0.0.1:{port}/auth"
        self.asked: dict[str, int] = {}

    def remote(self, url: str = "", **more: Any) -> RemoteVerifier:
        """A verifier of this service, not yet started."""
        return RemoteVerifier(url or self.url, service_key=SERVICE_KEY, **more)

    async def login(self, mode: Mode = Mode.JWT, subject: str = "ann") -> tuple[Credentials, Credential]:
        """A login, and what its client presents."""
        made = await self.auth.login(subject, mode=mode)
        return made, presented(made)


@asynccontextmanager
async def issuing(
    store: GatedStore | None = None,
    *,
    policy: Policy | None = None,
    roles: dict[str, frozenset[str]] | None = None,
    clock: Clock | None = None,
    auth: Auth | None = None,
) -> AsyncIterator[Issuer]:
    """The service, running; with an ``auth`` of one's own the other arguments do not count."""
    store = store or GatedStore(old_store())
    known = {} if roles is None else roles
    auth = auth or Auth(
        store,  # type: ignore[arg-type]  # it delegates to one
        secret=SECRET,
        subjects=lambda subject: SubjectFacts(roles=known.get(subject, frozenset())),
        policy=policy,
        clock=clock,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    issuer = Issuer(auth, store, known, listener.getsockname()[1])
    app = alone(auth, service_keys=[SERVICE_KEY])

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            issuer.asked[scope["path"]] = issuer.asked.get(scope["path"], 0) + 1
        await app(scope, receive, send)

    config = Config(
        counting,
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started or task.done())
    try:
        yield issuer
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def answering(answer: Callable[[str], Awaitable[bytes] | bytes], *, repeat: bool = True) -> AsyncIterator[str]:
    """A server that says what ``answer`` says to a request line, byte for byte but for the header that repeats its
    nonce; nothing closes the connection. Yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := (await reader.readline()).decode():
                size = 0
                while (header := await reader.readline()) not in (b"\r\n", b""):
                    name, _, value = header.partition(b":")
                    size = int(value) if name.lower() == b"content-length" else size
                await reader.readexactly(size)
                given = answer(line.strip())
                said = given if isinstance(given, bytes) else await given
                if not said:
                    break
                nonce = re.search(r"[?&]nonce=([A-Za-z0-9_-]+)", line)
                if repeat and nonce and said.startswith(b"HTTP/"):
                    said = said.replace(b"\r\n", f"\r\nCoatcheck-Nonce: {nonce[1]}\r\n".encode(), 1)
                writer.write(said)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/auth"
    finally:
        server.close()


def response(body: bytes, status: int = 200, kind: str = "application/json", extra: str = "") -> bytes:
    """An HTTP response."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


async def until(condition: Callable[[], Any]) -> None:
    """Wait until it holds."""
    async with in_time():
        while not condition():
            await asyncio.sleep(0.002)

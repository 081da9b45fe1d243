"""What a client may send before it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from coatcheck.service.protocol import MAX_HEAD, BoundedProtocol
from tests.support.patience import SOON

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


class Impatient(BoundedProtocol):
    """Gives up at once."""

    patience = 0.05


class Patient(BoundedProtocol):
    """Never gives up."""

    patience = 3600.0


class Seen:
    """An application that keeps what it was told of each request."""

    def __init__(self) -> None:
        self.headers: list[list[tuple[bytes, bytes]]] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        self.headers.append(list(scope["headers"]))
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


@asynccontextmanager
async def connected(
    protocol: type[BoundedProtocol], app: Seen
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server of one application."""
    config, state = Config(app, http=protocol, ws="none", lifespan="off"), ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()
            for connection in list(state.connections):
                connection.transport.abort()


async def answer(sent: bytes, app: Seen) -> bytes:
    """The first line of the answer."""
    async with connected(BoundedProtocol, app) as (reader, writer):
        writer.write(sent)
        return await reader.readline()


async def ends(reader: asyncio.StreamReader) -> None:
    """Until the server hangs up; perhaps with something of ours unread."""
    try:
        while await reader.read(65536):
            pass
    except ConnectionResetError:
        pass


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (b"GET /", b"a"),
        (GET + b"X: ", b"a"),
        (GET, b"X: a\r\n"),
        (b"\r\n", b"\r\n"),
        (CHUNKED + b"0\r\nX: ", b"a"),
        (CHUNKED + b"0\r\n", b"X: a\r\n"),
        (CHUNKED + b"1;x=", b"a"),
    ],
    ids=["url", "header", "headers", "empty lines", "trailer", "trailers", "chunk extension"],
)
async def test_nothing_but_a_body_may_be_long(begin: bytes, again: bytes) -> None:
    """What never ends is cut off, wherever in a request it is, and the application hears of no request."""
    app = Seen()
    async with connected(Patient, app) as (reader, writer):
        writer.write(begin)
        over = asyncio.create_task(ends(reader))
        try:
            for _ in range(100):
                writer.write(again * (MAX_HEAD // len(again) // 4))
                await writer.drain()
        except ConnectionError:
            pass
        await asyncio.wait_for(over, SOON)
    assert app.headers == []


async def test_a_long_body_is_no_long_head() -> None:
    """Neither in one piece nor in several; what comes after it on the connection is judged by itself."""
    app, body = Seen(), b"b" * (16 * MAX_HEAD)
    async with connected(BoundedProtocol, app) as (reader, writer):
        for _ in range(3):
            writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert await reader.readuntil(b"\r\n\r\n")
            writer.write(CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            assert await reader.readuntil(b"\r\n\r\n")
    assert app.bodies == [body] * 6


async def test_trailers_are_no_headers() -> None:
    """A client could write what only a proxy may, for proxies look at headers."""
    app = Seen()
    trailers = b"X-Forwarded-For: 192.0.2.1\r\nSec-Fetch-Site: same-origin\r\n"
    assert b" 200 " in await answer(CHUNKED + b"1\r\na\r\n0\r\n" + trailers + b"\r\n", app)
    assert app.headers == [[(b"host", b"localhost"), (b"transfer-encoding", b"chunked")]]
    assert app.bodies == [b"a"]


@pytest.mark.parametrize(
    "begun",
    [b"", b"\r\n", b"GET /", GET, CHUNKED, CHUNKED + b"1\r\na\r\n", GET + b"\r\n\r\n", GET + b"\r\nGET /"],
    ids=["nothing", "empty line", "url", "headers", "body", "half a body", "answered", "second request"],
)
async def test_a_request_that_does_not_arrive_is_given_up(begun: bytes) -> None:
    """The connection is closed, wherever the client stopped."""
    async with connected(Impatient, Seen()) as (reader, writer):
        writer.write(begun)
        await asyncio.wait_for(ends(reader), SOON)


async def test_an_answered_client_is_not_waited_for_either() -> None:
    """What is no request does not keep a connection alive."""
    async with connected(Impatient, Seen()) as (reader, writer):
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\r\n")
        await asyncio.wait_for(ends(reader), SOON)


async def test_an_answer_may_take_longer_than_a_request() -> None:
    """Patience is with clients; the application takes the time it needs."""
    ready = asyncio.Event()

    class Slow(Seen):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await ready.wait()
            await super().__call__(scope, receive, send)

    async with connected(Impatient, Slow()) as (reader, writer):
        writer.write(GET + b"\r\n")
        asyncio.get_running_loop().call_later(Impatient.patience * 2, ready.set)
        assert b" 200 " in await reader.readline()

"""Tests stay on this machine."""

from __future__ import annotations

import asyncio
import socket

import pytest


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "2001:db8::1")]
)
def test_connecting_elsewhere_is_refused(family: socket.AddressFamily, host: str) -> None:
    """A connection to another machine fails before a packet leaves."""
    with socket.socket(family) as client, pytest.raises(BaseException, match=r"socket\.connect to"):
        client.connect((host, 9))


def test_looking_up_a_name_is_refused() -> None:
    """Not even a name server is asked."""
    with pytest.raises(BaseException, match=r"socket\.getaddrinfo of"):
        socket.getaddrinfo("example.com", 80)


def test_a_datagram_elsewhere_is_refused() -> None:
    """A name server, say, is another machine as well."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, pytest.raises(BaseException, match="sendto"):
        client.sendto(b"", ("192.0.2.1", 53))


async def test_loopback_is_open() -> None:
    """A server on this machine can be reached by address and by name."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            reader, writer = await asyncio.open_connection(host, port)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

"""The proxy does to a connection what it says: what is proved behind it stands on that."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.proxy import Mode, Proxy, proxy

DELAY = 0.1
SILENCE = 0.2
"""Seconds in which nothing must come."""


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                while chunk := connection.recv(100):
                    connection.sendall(chunk)
            except ConnectionError:
                pass

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def between(echo: int) -> Iterator[Proxy]:
    with proxy(echo) as made:
        yield made


def connect(made: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", made.port), timeout=5)


def says(connection: socket.socket, text: bytes) -> bytes:
    connection.sendall(text)
    return connection.recv(100)


def hears(made: Proxy) -> bytes:
    """What a new connection is told, unasked. The end may come before the connection is there."""
    with connect(made) as connection:
        return connection.recv(100)


def test_what_passes_is_unchanged(between: Proxy) -> None:
    """Both ways, and the end of a connection too."""
    with connect(between) as connection:
        assert says(connection, b"hello") == b"hello"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""


def test_slow_holds_back_both_ways(between: Proxy) -> None:
    """Once on the way there and once on the way back, also on a connection that was there before."""
    with connect(between) as connection:
        assert says(connection, b"quick") == b"quick"
        between.set(Mode.SLOW, delay=DELAY)
        began = time.monotonic()
        assert says(connection, b"slow") == b"slow"
        assert time.monotonic() - began >= 2 * DELAY


def test_swallowed_connections_stay_dead(between: Proxy) -> None:
    """Old and new ones hear nothing, not even an end, also when the line is good again; then new ones work."""
    with connect(between) as old:
        assert says(old, b"hello") == b"hello"
        between.set(Mode.SWALLOW)
        with connect(between) as new:
            for connection in (old, new):
                connection.sendall(b"lost")
                connection.settimeout(SILENCE)
                with pytest.raises(TimeoutError):
                    connection.recv(100)
            between.set(Mode.PASS)
            for connection in (old, new):
                connection.sendall(b"lost too")
                with pytest.raises(TimeoutError):
                    connection.recv(100)
    with connect(between) as fresh:
        assert says(fresh, b"hello") == b"hello"


def test_reset_ends_old_and_new_connections(between: Proxy) -> None:
    """With RST, and new ones work when it is over."""
    with connect(between) as old:
        assert says(old, b"hello") == b"hello"
        between.set(Mode.RESET)
        with pytest.raises(ConnectionResetError):
            old.recv(100)
    with pytest.raises(ConnectionResetError):
        hears(between)
    between.set(Mode.PASS)
    with connect(between) as fresh:
        assert says(fresh, b"hello") == b"hello"


def test_refuse_lets_nobody_in(between: Proxy) -> None:
    """Old connections are reset, new ones refused, until it listens again on the same port."""
    with connect(between) as old:
        assert says(old, b"hello") == b"hello"
        between.set(Mode.REFUSE)
        with pytest.raises(ConnectionResetError):
            old.recv(100)
    with pytest.raises(ConnectionRefusedError):
        connect(between)
    between.set(Mode.PASS)
    with connect(between) as fresh:
        assert says(fresh, b"hello") == b"hello"

"""The load generator of the tail counts what a closed loop would not see."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.speed.open_loop import Generator

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(listener: socket.socket, answers: list[tuple[float, bytes]]) -> None:
    """One connection: an answer for each request, after so many seconds."""
    connection, _ = listener.accept()
    with connection:
        for delay, text in answers:
            if not connection.recv(65536):
                return
            time.sleep(delay)
            connection.sendall(text)


@contextmanager
def generator(answers: list[tuple[float, bytes]]) -> Iterator[Generator]:
    """One that asks a server with these answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener, answers))
        thread.start()
        one = Generator(listener.getsockname()[1], ["Cookie: a=b"], 1)
        try:
            yield one
        finally:
            one.close()
            thread.join()


def test_a_stall_is_felt_by_all_who_were_due() -> None:
    """When a server stands still once, every request that should have left meanwhile has waited."""
    with generator([(0, ANSWER), (0.2, ANSWER), *[(0.0, ANSWER)] * 19]) as one:
        found = one.run(100, 0.2)
    assert found.requests == 20
    assert found.p50_ms > found.max_ms / 4


def test_what_is_no_200_is_no_measurement() -> None:
    """A refusal ends the measurement."""
    refused = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    with generator([(0, ANSWER), (0, refused)]) as one, pytest.raises(RuntimeError, match="401"):
        one.run(100, 0.01)

"""Flask and the service's routes under a real gunicorn, byte for byte."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.support.gunicorn import Gunicorn, exchange

ANN = {"email": "ann@example.com", "password": "nine brown owls"}
KINDS = [("--workers", "1"), ("--workers", "1", "--threads", "4")]


@pytest.fixture(scope="session", params=KINDS, ids=["processes", "threads"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    log = tmp_path_factory.mktemp("flask") / "log"
    server = Gunicorn("tests.adapters.apps.flask:create_served()", *request.param, log=log)
    server.start()
    try:
        made = httpx.post(f"http://127.0.0.1:{server.port}/auth/register", json=ANN)
        assert made.status_code == 201, server.output()
        yield server.port
    finally:
        server.stop()


def request(*lines: str, body: bytes = b"") -> bytes:
    head = [
        "POST /auth/login HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        "Content-Type: application/json",
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_login_and_in(port: int) -> None:
    """Log in by each way to send a body, and get in; HEAD has the length of GET and no body."""
    whole = json.dumps(ANN | {"mode": "jwt"}).encode()
    for sent in (
        request(f"Content-Length: {len(whole)}", body=whole),
        request("Transfer-Encoding: chunked", body=chunked(whole, 7)),
    ):
        head, _, body = exchange(port, sent).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        headers = {"Authorization": f"Bearer {json.loads(body)['access_token']}"}
        assert httpx.get(f"http://localhost:{port}/mine", headers=headers).json()["mode"] == "jwt"
    url = f"http://localhost:{port}/auth/login"
    get, head_only = (httpx.request(method, url, headers={"Accept": "text/html"}) for method in ("GET", "HEAD"))
    assert (head_only.status_code, head_only.content) == (200, b"")
    assert int(head_only.headers["Content-Length"]) == len(get.content)


@pytest.mark.parametrize("beyond", [1, 1_000_000])
def test_too_much(port: int, beyond: int) -> None:
    """A body over 64 KiB is 413, announced or in chunks, and what fits would have been let in."""
    whole = json.dumps(ANN | {"mode": "jwt"}).encode()
    long = whole.ljust(64 * 1024 + beyond)
    assert exchange(port, request(f"Content-Length: {len(long)}")).startswith(b"HTTP/1.1 413 ")
    fits, too_long = (request("Transfer-Encoding: chunked", body=chunked(body, 4096)) for body in (long[:65536], long))
    assert exchange(port, fits).startswith(b"HTTP/1.1 200 ")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(too_long[: 128 * 1024])  # the server may end the connection at any time
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_broken_off(port: int) -> None:
    """Who leaves in the middle of a body is not logged in, though what came was whole; nor who sends what is no chunk,
    over which gunicorn raises an error that is none of Python's for reading."""
    whole = json.dumps(ANN | {"mode": "jwt"}).encode()
    for sent in (
        request(f"Content-Length: {len(whole) + 1}", body=whole),
        request("Transfer-Encoding: chunked", body=b"%x\r\n%s\r\n" % (len(whole), whole)),
        request("Transfer-Encoding: chunked", body=b"%x\r\n%s\r\nzz\r\n" % (len(whole), whole)),
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.split()[1] in ((b"500",) if b"zz" in sent else (b"400",))
        assert b"access_token" not in answer

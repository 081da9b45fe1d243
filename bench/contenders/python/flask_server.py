"""Flask without authentication, and gunicorn's settings for everything on Flask: one worker, four threads.

``gunicorn --config python:flask_server flask_server:make_app()``. With BARE_PORT gunicorn listens there too, and the
worker serves `bare` on it: the same process and the same threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask
from shared import HELLO, PORT, ready

BARE_PORT = os.environ.get("BARE_PORT", "")
WSGIApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

bind = [f"127.0.0.1:{port}" for port in (PORT, BARE_PORT) if port]
workers = 1
worker_class = "gthread"
threads = 4
keepalive = 30
loglevel = "error"
control_socket_disable = True

bare = Flask("bare")


@bare.get("/")
def hello() -> dict[str, object]:
    return HELLO


def make_app() -> WSGIApp:
    announce([])
    return bare


def announce(headers: list[str]) -> None:
    """The worker is what the harness watches; it has loaded its application by then, and gunicorn listens."""
    ready(headers, ["gunicorn", "flask", "werkzeug"], int(BARE_PORT or 0) if headers else 0)


def beside_bare(app: WSGIApp) -> WSGIApp:
    """By the port that a request came to."""
    if not BARE_PORT:
        return app

    def either(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return (bare if environ["SERVER_PORT"] == BARE_PORT else app)(environ, start_response)

    return either

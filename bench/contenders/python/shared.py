"""What the contenders have in common: who their users are, how they are served, and how they say that they are ready.

The harness gives PORT, USERS, REDIS_URL, SCRATCH and READY. A contender is served by uvicorn with uvloop and httptools,
configured as ``uvicorn app:app --no-access-log`` would be. Once it listens, somebody is logged in for each user, and
READY is written: the process, one header per user, and the versions of what is running.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import uvicorn
import uvloop

PORT = int(os.environ["PORT"])
REDIS_URL = os.environ.get("REDIS_URL", "")
SCRATCH = Path(os.environ["SCRATCH"])
USERS = [f"user-{number}" for number in range(int(os.environ.get("USERS", "1000")))]
URL = f"http://127.0.0.1:{PORT}/"

HELLO: dict[str, object] = {"hello": "world", "items": [1, 2, 3]}
SECRET = "one secret of the benchmark, long enough for every library"

LogIn = Callable[[str], Awaitable[str]]
"""Logs a user in, in the library's way, and gives the header that a request then has."""


class Listening(uvicorn.Server):
    """A server that says when it listens, and leaves signals to `serve`."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server(app: Any, port: int, lifespan: Literal["on", "off"]) -> Listening:
    """As ``uvicorn`` configures itself, with its fast parts named, and silent."""
    config = uvicorn.Config(
        app, port=port, loop="uvloop", http="httptools", lifespan=lifespan, access_log=False, log_level="error"
    )
    return Listening(config)


async def serve(
    app: Any,
    packages: Sequence[str],
    log_in: LogIn | None = None,
    *,
    bare: Any = None,
    lifespan: Literal["on", "off"] = "on",
) -> None:
    """Serve until SIGTERM.

    ``log_in``: None for a contender without authentication. ``bare``: the same application without authentication; it
    is served on BARE_PORT, where that is set, by the same process and event loop. ``lifespan``: "off" for an
    application that has none.
    """
    bare_port = os.environ.get("BARE_PORT", "") if bare is not None else ""
    servers = [server(app, PORT, lifespan)]
    if bare_port:
        servers.append(server(bare, int(bare_port), "off"))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: [setattr(each, "should_exit", True) for each in servers])
    running = [asyncio.ensure_future(each.serve()) for each in servers]
    waiting = asyncio.gather(*(each.listens.wait() for each in servers))
    await asyncio.wait([waiting, *running], return_when=asyncio.FIRST_COMPLETED)
    if waiting.done():
        headers = [await log_in(user) for user in USERS] if log_in is not None else []
        ready(headers, ["uvicorn", "uvloop", "httptools", *packages], int(bare_port or 0))
    await asyncio.gather(*running)


def run(serving: Awaitable[None]) -> None:
    """The event loop that ``uvicorn`` would choose."""

    async def main() -> None:
        await serving

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def log_in_at(path: str, user: str) -> str:
    """Log in with a request to the contender's own login route, and give the cookie that it sets."""
    loop = asyncio.get_running_loop()
    answer = await loop.run_in_executor(None, _post, f"{path}?user={user}")
    return f"Cookie: {answer.partition(';')[0]}"


def _post(target: str) -> str:
    with contextlib.closing(HTTPConnection("127.0.0.1", PORT, timeout=30)) as connection:
        connection.request("POST", target)
        response = connection.getresponse()
        response.read()
        if response.status >= 400:
            raise RuntimeError(f"the login was answered with {response.status}")
        return next(value for name, value in response.getheaders() if name.lower() == "set-cookie")


def ready(headers: list[str], packages: Sequence[str], bare_port: int = 0, bare_url: str = "") -> None:
    """Tell the harness, in one step."""
    said: dict[str, object] = {
        "pid": os.getpid(),
        "url": URL,
        "headers": headers,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }
    if bare_port:
        bare_url = f"http://127.0.0.1:{bare_port}/"
    if bare_url:
        said["bare_url"] = bare_url
    target = Path(os.environ["READY"])
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps(said))
    partial.replace(target)

"""WebSockets and event streams over real servers end with their session; nothing arrives after the bound."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from coatcheck import Auth, Credentials, Mode, SubjectFacts
from coatcheck.credentials.cookies import DEVELOPMENT
from tests.support.proxy import Mode as Line
from tests.support.proxy import proxy
from tests.support.servers import Redis
from tests.support.service import PATIENCE, coatcheck_command, environment, eventually

from .live import POLICY, SECRET, auth_of

ROOT = Path(__file__).parents[2]
ENDED = {"code": "invalid_credential"}
UNKNOWN = {"code": "unavailable"}
_AT = re.compile(r"running on http://127\.0\.0\.1:(\d+)")


@contextmanager
def live(folder: Path, app: str = "app", **settings: str) -> Iterator[str]:
    """One of the applications in `live`, served by uvicorn. Yields its address."""
    log = folder / f"{app}.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            # The grace is short: one of the applications never ends by itself.
            [
                sys.executable,
                "-m",
                "uvicorn",
                f"tests.adapters.live:{app}",
                "--port=0",
                "--timeout-graceful-shutdown=1",
            ],
            cwd=ROOT,
            env={**environment(settings), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PYTHONWARNINGS": "default"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )

    def address() -> str:
        assert server.poll() is None, log.read_text()
        found = _AT.search(log.read_text())
        return f"127.0.0.1:{found[1]}" if found else ""

    try:
        yield eventually(address, what="the application is there")
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE)
        assert "Traceback" not in log.read_text()
    finally:
        server.kill()
        server.wait(PATIENCE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module")
def database(folder: Path) -> str:
    return f"sqlite:///{folder / 'coatcheck.db'}"


@pytest.fixture(scope="module")
def served(folder: Path, database: str) -> Iterator[dict[str, str]]:
    """Both applications on one database, so that one revocation has to reach both."""
    with live(folder, "app", LIVE_URL=database) as one, live(folder, "litestar", LIVE_URL=database) as other:
        yield {"app": one, "litestar": other}


@pytest.fixture
async def auth(database: str, served: dict[str, str]) -> AsyncIterator[Auth]:
    """Another process than the servers: this one."""
    async with auth_of({"LIVE_URL": database}) as running:
        yield running


def headers_of(made: Credentials) -> dict[str, str]:
    if made.session.mode is Mode.SESSION:
        return {"cookie": f"{DEVELOPMENT.session}={made.session_token}"}
    if made.session.mode is Mode.JWT:
        return {"authorization": f"Bearer {made.access_token}"}
    return {"cookie": f"{DEVELOPMENT.access}={made.access_token}"}


class Heard:
    """What a client hears, and when."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.texts: list[str] = []
        self.end: Any = None
        self.ended_at = 0.0

    def hear(self, text: str) -> None:
        self.times.append(time.monotonic())
        self.texts.append(text)

    def over(self, end: Any) -> None:
        self.end, self.ended_at = end, time.monotonic()


async def _socket(url: str, made: Credentials, heard: Heard) -> None:
    origin = f"http://{url.partition('//')[2].partition('/')[0]}"
    async with connect(url, additional_headers=headers_of(made), origin=origin) as socket:  # type: ignore[arg-type]
        try:
            while True:
                heard.hear(str(await socket.recv()))
        except ConnectionClosed:
            heard.over((socket.close_code, socket.close_reason))


async def _stream(url: str, made: Credentials, heard: Heard) -> None:
    async with (
        httpx.AsyncClient(timeout=PATIENCE) as web,
        web.stream("GET", url, headers=headers_of(made)) as answer,
    ):
        assert answer.status_code == 200
        async for line in answer.aiter_lines():  # raises unless the stream ends as it should
            if line:
                heard.hear(line)
    heard.over(heard.texts[-2:])


@asynccontextmanager
async def listening(url: str, made: Credentials) -> AsyncIterator[Heard]:
    """A client that listens until the other side ends it."""
    heard = Heard()
    work = _socket if url.startswith("ws") else _stream
    task = asyncio.create_task(work(url, made, heard))
    try:
        async with asyncio.timeout(PATIENCE):
            while not heard.texts:
                if task.done():
                    await task
                await asyncio.sleep(0.005)
            yield heard
            await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


SOCKETS = [("app", "/plain/auto"), ("app", "/plain/stubborn"), ("app", "/explicit"), ("litestar", "/auto")]
STREAMS = [("app", "/events"), ("app", "/silent"), ("app", "/native"), ("litestar", "/events")]


def is_told(heard: Heard, close_code: int, data: dict[str, str]) -> bool:
    if isinstance(heard.end, tuple):
        return bool(heard.end == (close_code, data["code"]))
    event, said = heard.end
    return bool(event == "event: session-ended" and json.loads(said.removeprefix("data: ")) == data)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(("app", "path"), SOCKETS + STREAMS)
async def test_ends_when_another_process_revokes(
    auth: Auth, served: dict[str, str], app: str, path: str, mode: Mode
) -> None:
    """The client is told that the session has ended, the end is a clean one, and nothing comes after the bound."""
    made = await auth.login("ann", mode=mode)
    scheme = "ws" if (app, path) in SOCKETS else "http"
    async with listening(f"{scheme}://{served[app]}{path}", made) as heard:
        await auth.revoke(made.session.id)
        returned = time.monotonic()
    assert is_told(heard, 4401, ENDED)
    assert max(heard.times) <= returned + POLICY.max_staleness


async def test_ends_when_an_operator_revokes(auth: Auth, served: dict[str, str], folder: Path) -> None:
    """``coatcheck sessions revoke`` ends the connection too, and no other."""
    out, stays = await auth.login("ann"), await auth.login("bob")
    url = f"ws://{served['app']}/explicit"
    async with listening(url, stays) as other:
        async with listening(url, out) as heard:
            done = await asyncio.to_thread(coatcheck_command, "sessions", "revoke", "--", out.session.id, cwd=folder)
            assert done.returncode == 0, done.stderr
        assert is_told(heard, 4401, ENDED)
        before = len(other.texts)
        async with asyncio.timeout(PATIENCE):
            while len(other.texts) < before + 3:
                await asyncio.sleep(0.01)
        await auth.revoke(stays.session.id)


async def test_refused_handshake_and_what_was_heard(auth: Auth, served: dict[str, str]) -> None:
    """A client is answered while its session lives, and gets in no more once it has ended."""
    made = await auth.login("ann", mode=Mode.JWT)
    url, headers = f"ws://{served['app']}/plain/auto", headers_of(made)
    async with connect(url, additional_headers=headers) as socket:
        await socket.send("hello")
        async with asyncio.timeout(PATIENCE):
            while await socket.recv() != "heard hello":
                pass
    await auth.revoke(made.session.id, wait=True)
    with pytest.raises(Exception, match="403"):
        async with connect(url, additional_headers=headers):
            pass
    async with httpx.AsyncClient() as web:
        assert (await web.get(f"http://{served['app']}/events", headers=headers)).status_code == 401


async def test_store_behind_a_dead_line(folder: Path, redis_server: Redis) -> None:
    """While nothing gets through to the store, every connection ends with the lease: the client is told that nobody can
    know, and after revoke and max_staleness nothing arrives."""
    sessions = f"{redis_server.url()}?prefix=live"
    with proxy(redis_server.port) as line:
        through = {"LIVE_URL": "memory://", "LIVE_SESSIONS": f"{redis_server.url(port=line.port)}?prefix=live"}
        direct = Auth("memory://", sessions=sessions, secret=SECRET, subjects=lambda _: SubjectFacts(), policy=POLICY)
        with live(folder, "app", **through) as at:
            async with direct:
                made = await direct.login("ann", mode=Mode.SESSION)
                async with (
                    listening(f"ws://{at}/plain/auto", made) as socket,
                    listening(f"http://{at}/events", made) as stream,
                ):
                    line.set(Line.SWALLOW)
                    await direct.revoke(made.session.id)
                    returned = time.monotonic()
                assert is_told(socket, 4503, UNKNOWN)
                assert is_told(stream, 4503, UNKNOWN)
                assert max(socket.times + stream.times) <= returned + POLICY.max_staleness

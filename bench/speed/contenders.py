"""The contenders: what there is, how one is started beside the others, and what it must do before it counts.

Each folder of ``bench/contenders`` says in its ``contenders.json`` what it has. A contender is one server process. It
is told in its environment: PORT and BARE_PORT, to listen on at 127.0.0.1; USERS, how many it makes; REDIS_URL, an empty
database; SCRATCH, an empty folder; READY, a file that it writes when it listens, at once as a whole: ``{"pid": of the
process that serves, "headers": one line such as "Cookie: name=value" per user, "versions": {"express": "5.3.0"}}``.
Coatcheck's also say ``bare_url``: the same application without authentication, in the same process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final
from urllib.parse import urlsplit

from tests.support.servers import free_port, redis

from .load import Failed, cores, pin

FOLDER: Final = Path(__file__).parents[1] / "contenders"
_ROOT: Final = Path(__file__).parents[2]
KINDS: Final = ("session", "jwt", "none")
ANSWER: Final = {"hello": "world", "items": [1, 2, 3]}
_PATIENCE: Final = 180.0
"""Seconds for a start: some make every user with a password hash of its own."""
_AT_ONCE: Final = 3
"""So many are starting at a time."""


@dataclass(frozen=True)
class Contender:
    """A line of a ``contenders.json``."""

    id: str
    """Short and unique, such as ``express-session``."""
    label: str
    kind: str
    """``session``, ``jwt`` or ``none``: how a request says who asks."""
    command: tuple[str, ...]
    folder: Path
    """Where the command is run."""
    bare: str = ""
    """The id of the same server without authentication; empty for that itself, and where its own process has one."""
    documentation: str = ""
    """Where its authors recommend this configuration."""

    @property
    def is_coatcheck(self) -> bool:
        return self.id.startswith("coatcheck")


@dataclass
class Running:
    """A contender that is ready, and has been seen to let in whom it must and nobody else."""

    contender: Contender
    url: str
    bare_url: str
    """The same application without authentication, in the same process; empty where there is none."""
    pid: int
    headers: list[str] = field(repr=False)
    file: Path
    """The headers, one a line, for the load."""
    versions: dict[str, str]
    store: int
    """The process of the Redis that it may use."""


def listed(folder: Path = FOLDER, *, python: str | None = None) -> list[Contender]:
    """All contenders, of all folders. Raises `Failed` when a list cannot be read, or an id stands twice.

    ``python``: what ``{python}`` in a command stands for; by default that of the folder's own ``.venv``.
    """
    found: dict[str, Contender] = {}
    for file in sorted(folder.glob("*/contenders.json")):
        try:
            contenders = [_contender(each, file.parent, python) for each in json.loads(file.read_text("utf-8"))]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Failed(f"{file.parent.name}/contenders.json cannot be read: {error!r}") from error
        for each in contenders:
            if each.id in found:
                raise Failed(f"two contenders are called {each.id}")
            found[each.id] = each
    if not found:
        raise Failed("there are no contenders: run scripts/setup bench")
    return list(found.values())


def _contender(data: dict[str, Any], folder: Path, python: str | None) -> Contender:
    if data["kind"] not in KINDS:
        raise ValueError(f"{data['id']}: kind {data['kind']!r}")
    interpreter = python or str(folder / ".venv" / "bin" / "python")
    command = tuple(str(word).replace("{python}", interpreter) for word in data["command"])
    about = data.get("bare") or "", data.get("documentation") or ""
    return Contender(data["id"], data["label"], data["kind"], command, folder, *about)


class _Process:
    """A contender that has been started and may not be ready yet."""

    def __init__(self, contender: Contender, redis_url: str, users: int, folder: Path) -> None:
        self.contender = contender
        self.folder = folder
        self.give_up = time.monotonic() + _PATIENCE
        self.port = free_port()
        scratch = folder / "scratch"
        scratch.mkdir(parents=True)
        environment = os.environ | {
            "PORT": str(self.port),
            "BARE_PORT": str(free_port()),
            "USERS": str(users),
            "REDIS_URL": redis_url,
            "SCRATCH": str(scratch),
            "READY": str(folder / "ready.json"),
            "NODE_ENV": "production",
            "PYTHONPATH": str(_ROOT / "src"),
        }
        # A contender does not outlive this process. Its own session, so that its children can be ended with it.
        command = [*(["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []), *contender.command]
        with folder.joinpath("stderr").open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=contender.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def last_line(self) -> str:
        """Of what it wrote to stderr."""
        lines = self.folder.joinpath("stderr").read_text("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else "nothing on stderr"

    def said(self) -> dict[str, Any] | None:
        """What it says when it is ready, or None before. Raises `Failed` when it has ended instead."""
        file = self.folder / "ready.json"
        if file.exists():
            found: dict[str, Any] = json.loads(file.read_text("utf-8"))
            return found
        if self.process.poll() is not None:
            raise Failed(f"it did not start: {self.last_line()}")
        return None

    def signal(self, number: signal.Signals) -> None:
        """To it and its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def has_ended(self, patience: float) -> bool:
        """Within so many seconds."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
            return True
        return False


def _stop(processes: Sequence[_Process]) -> None:
    """SIGTERM to all, then SIGKILL to who does not heed it, and to children that were left behind."""
    for each in processes:
        each.signal(signal.SIGTERM)
    give_up = time.monotonic() + 10.0
    for each in processes:
        each.has_ended(max(0.0, give_up - time.monotonic()))
        each.signal(signal.SIGKILL)
        each.has_ended(10.0)


@contextmanager
def running(
    contenders: Sequence[Contender], *, users: int = 1000
) -> Iterator[tuple[dict[str, Running], dict[str, str]]]:
    """Run them all, each pinned to the measured core, with a Redis on the other. Who is ready, and why others are not.

    Each has an empty Redis database and an empty folder of its own. All end with the block.
    """
    with ExitStack() as stack:
        folder = Path(mkdtemp(prefix="coatcheck-speed-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = stack.enter_context(redis(options={"databases": str(len(contenders) + 1)}))
        pin(server.pid, cores()[1])
        ready: dict[str, Running] = {}
        failed: dict[str, str] = {}
        started: list[_Process] = []
        stack.callback(_stop, started)
        waiting: list[_Process] = []
        numbered = list(enumerate(contenders, 1))
        while numbered or waiting:
            while numbered and len(waiting) < _AT_ONCE:
                number, contender = numbered.pop(0)
                try:
                    process = _Process(contender, server.url(database=number), users, folder / contender.id)
                except OSError as error:
                    failed[contender.id] = f"it did not start: {error}"
                    continue
                started.append(process)
                waiting.append(process)
            waiting = [each for each in waiting if not _settled(each, server.pid, ready, failed)]
            time.sleep(0.02)
        yield ready, failed


def _settled(process: _Process, store: int, ready: dict[str, Running], failed: dict[str, str]) -> bool:
    """Whether it is known by now what became of it."""
    name = process.contender.id
    try:
        said = process.said()
        if said is None:
            if time.monotonic() < process.give_up:
                return False
            raise Failed(f"it was not ready after {_PATIENCE:.0f} s: {process.last_line()}")
        made = _running(process, said, store)
        check(made)
        pin(process.process.pid, cores()[0])
        ready[name] = made
    except (Failed, OSError, ValueError, KeyError, TypeError) as error:
        failed[name] = str(error) if isinstance(error, Failed) else f"what it says cannot be used: {error!r}"
        process.signal(signal.SIGKILL)
    return True


def _running(process: _Process, said: dict[str, Any], store: int) -> Running:
    file = process.folder / "headers"
    headers = [str(header) for header in said["headers"]]
    if any("\n" in header for header in headers):
        raise Failed("a header holds a line feed")
    file.write_text("".join(f"{header}\n" for header in headers), "utf-8")
    url = said.get("url") or f"http://127.0.0.1:{process.port}/"
    return Running(
        process.contender, url, said.get("bare_url", ""), int(said["pid"]), headers, file, dict(said["versions"]),
        store,
    )  # fmt: skip


def check(made: Running) -> None:
    """Every credential is let in and answered as it must; no credential and changed ones are not. Raises `Failed`.

    It also makes every user known to a server that remembers whom it has seen.
    """
    if made.contender.kind == "none":
        _expect(made.url, ["Accept: */*"], 200)
        return
    if not made.headers:
        raise Failed("it has no credentials")
    if len(set(made.headers)) < len(made.headers):
        raise Failed("two users have the same credential")
    _expect(made.url, made.headers, 200)
    refused = ["Accept: */*", changed(made.headers[0]), changed(made.headers[-1])]
    _expect(made.url, refused, 401)
    if made.bare_url:
        _expect(made.bare_url, [made.headers[0], "Accept: */*"], 200)


def changed(header: str) -> str:
    """The header with one character of its credential replaced; of each, where it bears several cookies."""
    name, _, value = header.partition(": ")
    if name.lower() == "cookie":
        return f"{name}: {'; '.join(map(_spoiled, value.split('; ')))}"
    return f"{name}: {_spoiled(value)}"


def _spoiled(text: str) -> str:
    # Not the last character: some of its bits may mean nothing. Only letters and digits: anything else may be syntax.
    place = max(
        index for index, letter in enumerate(text[:-8]) if letter.isalnum() and "%" not in text[index - 2 : index]
    )
    return f"{text[:place]}{'A' if text[place] != 'A' else 'B'}{text[place + 1 :]}"


def _expect(url: str, headers: Sequence[str], status: int) -> None:
    """Each of these headers gets this answer, over one connection as far as the server keeps it."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        for number, header in enumerate(headers, 1):
            name, _, value = header.partition(": ")
            connection.request("GET", urlsplit(url).path or "/", headers={name: value})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != status:
                raise Failed(f"request {number} of {len(headers)} was answered with {answer.status}, not {status}")
            if status == 200 and json.loads(body) != ANSWER:
                raise Failed(f"the answer is {body[:100]!r}")
    except HTTPException as error:
        raise Failed(f"no answer that can be read: {error!r}") from error
    finally:
        connection.close()

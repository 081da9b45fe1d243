"""One server process: started, stopped, killed, paused; it never outlives whoever started it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, TypeVar

from ..patience import PATIENCE as PATIENCE

T = TypeVar("T")

# Outside the range from which the kernel takes ports for outgoing connections: a port must still be free when its
# server is started again, and a client that asks in between must not be connected to itself.
_PORTS: Final = range(20_000, 31_000)
_reservations: list[socket.socket] = []

# The kernel ties a process to the *thread* that started it, so that must be one that lasts as long as we do.
_launcher = ThreadPoolExecutor(1, thread_name_prefix="server-launcher")


class Missing(Exception):
    """A program that the tests need is not installed."""


def program(name: str, *folders: str) -> str:
    """Where a program is: on the PATH, or in the newest of the folders that a pattern names."""
    for pattern in folders:
        for folder in sorted(Path("/").glob(pattern.lstrip("/")), key=_version, reverse=True):
            if (folder / name).is_file():
                return str(folder / name)
    if found := shutil.which(name):
        return found
    raise Missing(f"{name} is not installed: run scripts/setup dev")


def _version(folder: Path) -> float:
    return max((float(part) for part in folder.parts if part.replace(".", "", 1).isdigit()), default=0.0)


def free_port() -> int:
    """A loopback port that stays this process's own: no other test process is given it."""
    for port in random.sample(_PORTS, len(_PORTS)):
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0coatcheck-test-port-{port}")
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        _reservations.append(reservation)
        return port
    raise AssertionError("no port is free")


@contextmanager
def own_directory(name: str) -> Iterator[Path]:
    """A directory that another user can be let into, unlike those of pytest, and short enough for a socket's path."""
    directory = Path(mkdtemp(prefix=f"coatcheck-{name}-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def eventually(probe: Callable[[], T | None], *, what: str, pause: float = 0.01, patience: float = PATIENCE) -> T:
    """The first true answer of ``probe``."""
    give_up = time.monotonic() + patience
    while time.monotonic() < give_up:
        if found := probe():
            return found
        time.sleep(pause)
    raise AssertionError(f"it never happened: {what}")


class Server:
    """A server of one process or of a process and its children. ``user`` is who it runs as when we are root.
    ``variables`` are added to our environment."""

    def __init__(
        self, command: Sequence[str], *, log: Path, user: str | None = None, variables: Mapping[str, str] | None = None
    ) -> None:
        self._command = command
        self._variables = [f"{name}={value}" for name, value in (variables or {}).items()]
        self._log = log
        self._user = user if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it has not been started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        """What it has written so far, for whoever wants to know why something failed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start it and wait until it answers."""
        # setpriv: without us it is killed, and it need not run as root.
        become = ["--reuid", self._user, "--regid", self._user, "--clear-groups"] if self._user else []
        command = [program("setpriv"), "--pdeathsig", "KILL", *become, "env", *self._variables, *self._command]
        with self._log.open("ab") as log:
            self._process = _launcher.submit(
                subprocess.Popen, command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            ).result()
        try:
            eventually(self._has_started, what=f"{self._command[0]} answers")
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End it in an orderly way, or by force when it takes too long. Harmless when it is not running."""
        if self._process is None or not self.is_running:
            return
        self.resume()
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """``kill -9``, of its children too. Returns when they are gone. Harmless when it is not running."""
        if self._process is None:
            return
        pids = self._stop_all() if self.is_running else []
        for pid in pids:
            _signal(pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        eventually(lambda: all(_state(pid) in "ZX" for pid in pids), what="the killed are gone", pause=0.001)

    def pause(self) -> None:
        """SIGSTOP, its children too: connections stay open and nobody answers. Returns when all stand still."""
        self._stop_all()

    def resume(self) -> None:
        """SIGCONT. Harmless when it is not paused."""
        for pid in reversed([self.pid, *_children(self.pid)]):
            _signal(pid, signal.SIGCONT)

    def restart(self) -> None:
        """Start it again on the same port and data, after `kill` or `stop` or from running."""
        self.stop()
        self.start()

    stop_signal: signal.Signals = signal.SIGTERM

    def answers(self) -> bool:
        """Whether it is ready to serve."""
        raise NotImplementedError

    def _has_started(self) -> bool:
        if not self.is_running:
            raise AssertionError(f"{self._command[0]} ended:\n{self.output()[-4000:]}")
        return self.answers()

    def _stop_all(self) -> list[int]:
        """All its processes, standing still. The parent first, so that no child is born meanwhile."""
        _hold([self.pid])
        children = _children(self.pid)
        _hold(children)
        return [self.pid, *children]


def _hold(pids: Sequence[int]) -> None:
    for pid in pids:
        _signal(pid, signal.SIGSTOP)
    eventually(lambda: all(_state(pid) in "TZX" for pid in pids), what="it stands still", pause=0.001)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _state(pid: int) -> str:
    """The letter of proc(5); X when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"

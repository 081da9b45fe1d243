"""The fleet as the harness holds it: one issuing process and some that verify, each a process of the system."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from tests.support.service import environment

from .stores import SECRET, Place
from .words import Setup

_ROOT: Final = Path(__file__).resolve().parents[3]
PATIENCE: Final = 60.0
"""Seconds after which a process of the fleet is taken to hang."""


class Member:
    """One process. What it is asked it answers in turn."""

    def __init__(self, role: str, setup: Setup) -> None:
        self.role = role
        self.setup = setup
        self.start()

    def start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.fleet.member", self.role, str(theirs.fileno())],
                cwd=_ROOT,
                env=environment(),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._pipe = Connection(ours.detach())
        self._pipe.send(self.setup)

    def wait_until_ready(self) -> None:
        assert self.receive() == "ready"

    def send(self, word: object) -> None:
        self._pipe.send(word)

    def receive(self) -> Any:
        """The answer to what was sent first."""
        if not self._pipe.poll(PATIENCE):
            raise AssertionError(f"a process of the fleet hangs ({self.role})")
        try:
            return self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            code = self.process.wait()
            raise AssertionError(f"a process of the fleet has ended ({self.role}, exit code {code})") from error

    def ask(self, word: object) -> Any:
        self.send(word)
        return self.receive()

    def suspend(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def restart(self, **changes: object) -> None:
        """A new process in its place, with another set-up. Does not wait until it is ready."""
        self.end()
        self.setup = dataclasses.replace(self.setup, **changes)  # type: ignore[arg-type]
        self.start()

    def end(self) -> None:
        """It may be suspended or hang: it is not asked."""
        self._pipe.close()
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()


class Fleet:
    """All processes of one deployment, ready."""

    def __init__(self, place: Place, verifying: int, *, max_staleness: float, sabotage: str) -> None:
        self.place = place
        self.max_staleness = max_staleness
        base = Setup(url=place.issuing_url, secret=SECRET, max_staleness=max_staleness)
        behind = dataclasses.replace(
            base, url=place.verifying_url, service_key=place.service_key, sabotage=sabotage
        )  # fmt: skip
        self._behind = behind
        self.issuing = Member("issuing", base)
        self.verifying = [Member("verifying", behind) for _ in range(verifying)]

    @property
    def members(self) -> list[Member]:
        return [self.issuing, *self.verifying]

    @contextmanager
    def fresh(self) -> Iterator[Member]:
        """A verifying process that has just been started and has seen nothing."""
        member = Member("verifying", dataclasses.replace(self._behind, sabotage=""))
        try:
            member.wait_until_ready()
            yield member
        finally:
            member.end()

    def wait_until_ready(self) -> None:
        for member in self.members:
            member.wait_until_ready()


@contextmanager
def running_fleet(place: Place, *, verifying: int, max_staleness: float, sabotage: str = "") -> Iterator[Fleet]:
    """A fleet on a store that is running."""
    with ExitStack() as stack:
        fleet = Fleet(place, verifying, max_staleness=max_staleness, sabotage=sabotage)
        for member in fleet.members:
            stack.callback(lambda member=member: member.end())  # type: ignore[misc]
        fleet.wait_until_ready()
        yield fleet

"""The fleet as the harness holds it: one issuing process and some that verify, each a process of the system."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from coatcheck import Credential
from coatcheck.clock import boottime
from tests.support.patience import PATIENCE
from tests.support.service import environment

from .stores import SECRET, Place
from .words import Answer, Call, Settle, Setup

_ROOT: Final = Path(__file__).resolve().parents[3]


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
                env=environment(self.setup.variables),
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

    def call(self, path: str, *args: object, **kwargs: object) -> Any:
        """What this method of its `Auth` returns; asked again while the store is silent."""
        answer = self.outcome(path, *args, **kwargs)
        assert (answer.refused, answer.raised) == ("", ""), path
        return answer.value

    def accepts(self, credential: Credential) -> bool:
        """Whether it takes the credential. Asked again while the store is silent."""
        answer = self.outcome("verify", credential)
        assert not answer.raised, answer
        return not answer.refused

    def outcome(self, path: str, *args: object, **kwargs: object) -> Answer:
        """What a call of this method of its `Auth` comes to; asked again while the store is silent."""
        give_up = boottime() + PATIENCE
        while True:
            answer: Answer = self.ask(Call(path, args, kwargs))
            if not answer.unavailable:
                return answer
            assert boottime() < give_up, f"{path}: the store stays silent ({self.role})"
            time.sleep(0.02)

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
        self._more: list[Member] = []
        self.max_staleness = max_staleness
        beside = place.clock.environment() if place.file else {}  # one machine has one clock
        base = Setup(url=place.issuing_url, secret=SECRET, max_staleness=max_staleness, variables=beside)
        behind = dataclasses.replace(
            base,
            url=place.verifying_url,
            service_key=place.service_key,
            sabotage=sabotage,
            variables={} if place.service_key else beside,
        )
        self._behind = behind
        self.issuing = Member("issuing", base)
        self._base = base
        self.verifying = [Member("verifying", behind) for _ in range(verifying)]

    @property
    def members(self) -> list[Member]:
        return [self.issuing, *self.verifying]

    @contextmanager
    def fresh(self, role: str = "verifying") -> Iterator[Member]:
        """A verifying process that has just been started and has seen nothing; or an issuing one, or one that serves
        HTTP."""
        setup = dataclasses.replace(self._behind, sabotage="") if role == "verifying" else self._base
        member = Member(role, setup)
        self._more.append(member)
        try:
            member.wait_until_ready()
            yield member
        finally:
            self._more.remove(member)
            member.end()

    def settle(self) -> None:
        """Until every process has read the feed since."""
        for member in (*self.members, *self._more):
            member.send(Settle())
        for member in (*self.members, *self._more):
            member.receive()

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

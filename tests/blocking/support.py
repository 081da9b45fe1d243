"""What the tests of threads have in common."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from coatcheck import Credential, Credentials, StoreUnavailable, bearer
from coatcheck.blocking import Auth
from tests.support.patience import SOON
from tests.support.service import PATIENCE, environment

SECRET = "a secret of the tests, 32 bytes or more"


@dataclass
class Gate:
    """Holds a thread in the middle of something."""

    _reached: threading.Event = field(default_factory=threading.Event)
    _opened: threading.Event = field(default_factory=threading.Event)

    def hold(self) -> None:
        self._reached.set()
        assert self._opened.wait(SOON)

    def reached(self) -> None:
        assert self._reached.wait(SOON)

    def open(self) -> None:
        self._opened.set()


def token_of(made: Credentials) -> Credential:
    """What a client of mode jwt sends."""
    assert made.access_token is not None
    return bearer(made.access_token)


@contextmanager
def stuck(auth: Auth) -> Iterator[None]:
    """Meanwhile something blocks the background loop."""
    gate = Gate()

    async def block(_: object) -> None:
        gate.hold()  # in the loop itself, where nothing may block

    def call() -> None:
        with suppress(StoreUnavailable):  # it is told that it has taken too long
            auth.run(block)

    with_it = threading.Thread(target=call)
    with_it.start()
    gate.reached()
    try:
        yield
    finally:
        gate.open()
        with_it.join(SOON)


_others: set[threading.Thread] = set()


def begin() -> None:
    """A test begins: what runs now is somebody else's, such as an application that other tests share."""
    _others.clear()
    _others.update(threading.enumerate())


def threads() -> list[str]:
    """The names of ours that the test has started."""
    return [thread.name for thread in threading.enumerate() if thread.name == "coatcheck" and thread not in _others]


def script(text: str, cwd: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with every warning an error and asyncio's debug mode on."""
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", *options, "-c", PREAMBLE + textwrap.dedent(text)],
        cwd=cwd, env=environment({"COATCHECK_SECRET_OF_TEST": SECRET}), capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip


PREAMBLE = f"""
import faulthandler, logging, os, signal, sys, threading, time, warnings
def watched():
    "What hangs shall say where, before it is given up."
    signal.alarm({int(PATIENCE * 0.8)})  # a fork does not hand it on
faulthandler.register(signal.SIGALRM, all_threads=True, chain=True)
watched()
# An error while something is collected is printed and passed over; here it shall count.
sys.unraisablehook = lambda raised: (print("unraisable:", raised.exc_value, file=sys.stderr), os._exit(70))
logging.getLogger("asyncio").addFilter(lambda record: " took " not in record.getMessage())  # a slow machine
from coatcheck import ApplicationSubjects, InvalidCredential, Mode, StoreUnavailable, bearer
from coatcheck.errors import ConfigurationError
from coatcheck.blocking import Auth
import coatcheck.blocking.life as threads_life

def made(url="sqlite:///app.db", **settings):
    return Auth(url, secret={SECRET!r}, subjects=ApplicationSubjects(), **settings)

def log_in(auth, subject="ann"):
    made = auth.login(subject, mode=Mode.JWT)
    return bearer(made.access_token), made.session.id

def in_child(work):
    "Fork, work, end as a program does. Its exit code is 0 when the work raised nothing."
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        watched()
        work()
        sys.exit(0)
    return child

def end_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""

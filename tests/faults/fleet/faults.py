"""What can happen to a fleet. Each is a context manager: it has happened when the block begins, and when that ends,
what was broken has just been put right: servers answer and lines carry again.
Whether the store works is another matter.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.support.proxy import Mode, Proxy

from .crew import Fleet

Happening = Callable[[Fleet, Random], AbstractContextManager[None]]

HOUR: Final = 3600.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that goes wrong, and for how long it does."""

    name: str
    happening: Happening
    shortest: float
    longest: float
    """Seconds."""
    heals_itself: bool = False
    """Service comes back before the fault is over: recovery counts from its beginning."""
    prepare: Callable[[Fleet, Random], None] = lambda fleet, random: None
    """What is made ready before the round begins."""


@contextmanager
def killed(fleet: Fleet, random: Random) -> Iterator[None]:
    """``kill -9`` of every server of the store; then they are started again."""
    for server in fleet.place.servers:
        server.kill()
    try:
        yield
    finally:
        for server in fleet.place.servers:
            server.start()


@contextmanager
def paused(fleet: Fleet, random: Random) -> Iterator[None]:
    """SIGSTOP of every server of the store: connections stand, nobody answers."""
    for server in fleet.place.servers:
        server.pause()
    try:
        yield
    finally:
        for server in fleet.place.servers:
            server.resume()


@contextmanager
def _lines(fleet: Fleet, random: Random, mode: Mode) -> Iterator[list[Proxy]]:
    """The lines of the verifying processes go bad, and in half of all rounds those of the issuing process too."""
    lines = [*fleet.place.verifying_lines]
    if random.random() < 0.5:
        lines += fleet.place.issuing_lines
    # Where the longest reads still come through, a lease that is a little too long shows; beyond, none comes through.
    part = random.choice((random.uniform(0.3, 0.5), random.uniform(0.05, 1.0)))
    try:
        for line in lines:
            line.set(mode, delay=part * fleet.max_staleness)
        yield lines
    finally:
        for line in lines:
            line.set(Mode.PASS)


@contextmanager
def slowed(fleet: Fleet, random: Random) -> Iterator[None]:
    """Every answer takes up to twice the bound longer."""
    with _lines(fleet, random, Mode.SLOW):
        yield


@contextmanager
def half_open(fleet: Fleet, random: Random) -> Iterator[None]:
    """Connections stand, new ones are accepted, and every byte is lost. Those that were there stay dead afterwards."""
    with _lines(fleet, random, Mode.SWALLOW):
        yield


@contextmanager
def reset(fleet: Fleet, random: Random) -> Iterator[None]:
    """Connections are reset, and so is every new one for a while."""
    with _lines(fleet, random, Mode.RESET):
        yield


@contextmanager
def failover(fleet: Fleet, random: Random) -> Iterator[None]:
    """``kill -9`` of one primary of the cluster. Its replica takes over; it comes back as a replica itself."""
    cluster = fleet.place.cluster
    assert cluster is not None
    victim = random.choice(cluster.primaries())
    victim.kill()
    try:
        yield
        cluster.wait_for_failover(victim)
    finally:
        victim.start()


@contextmanager
def suspended(fleet: Fleet, random: Random) -> Iterator[None]:
    """Verifying processes are stopped for longer than the bound, and wake."""
    sleepers = random.sample(fleet.verifying, random.randint(1, len(fleet.verifying)))
    for member in sleepers:
        member.suspend()
    try:
        yield
    finally:
        for member in sleepers:
            member.resume()


@contextmanager
def locked(fleet: Fleet, random: Random) -> Iterator[None]:
    """Another program holds the write lock of the SQLite file."""
    assert fleet.place.file is not None
    connection = sqlite3.connect(fleet.place.file, isolation_level=None, timeout=10)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def an_hour_off(fleet: Fleet, random: Random) -> None:
    """One process, verifying or issuing, is started anew with a clock that is an hour ahead or behind; whichever had
    one before gets a good one."""
    off = [member for member in fleet.members if member.setup.clock_off]
    # The process beside an issuing service shares its machine's clock.
    chosen = random.choice(fleet.verifying if fleet.place.service_key else fleet.members)
    for member in {*off, chosen}:
        member.restart(clock_off=random.choice((-HOUR, HOUR)) if member is chosen else 0.0)
    for member in {*off, chosen}:
        member.wait_until_ready()


def _quiet(fleet: Fleet, random: Random) -> AbstractContextManager[None]:
    return nullcontext()


_ALL: Final = (
    Fault(name="killed", happening=killed, shortest=0.0, longest=1.5),
    Fault(name="paused", happening=paused, shortest=0.1, longest=1.5),
    Fault(name="slowed", happening=slowed, shortest=0.5, longest=1.5),
    Fault(name="reset", happening=reset, shortest=0.0, longest=1.5),
    Fault(name="half-open", happening=half_open, shortest=0.1, longest=1.5),
    Fault(name="failover", happening=failover, shortest=0.0, longest=0.5, heals_itself=True),
    Fault(name="suspended", happening=suspended, shortest=0.6, longest=1.5),
    Fault(name="hour-off", happening=_quiet, shortest=0.1, longest=0.5, prepare=an_hour_off),
    Fault(name="locked", happening=locked, shortest=0.1, longest=1.5),
)
FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in _ALL}

_OF_THE_MACHINE: Final = ("suspended",)
_OF_A_SERVER: Final = ("killed", "paused", "slowed", "reset", "half-open", "hour-off", *_OF_THE_MACHINE)
APPLICABLE: Final[Mapping[str, Sequence[str]]] = {
    # One machine has one clock, and there is no server and no line to it.
    "sqlite": ("locked", *_OF_THE_MACHINE),
    "postgresql": _OF_A_SERVER,
    "redis": _OF_A_SERVER,
    "redis-cluster": (*_OF_A_SERVER, "failover"),
    # The issuing service is what is killed, paused and cut off.
    "remote": _OF_A_SERVER,
}
"""The faults that a store can suffer."""


def let_it_last(fault: Fault, random: Random) -> float:
    """Sleep for as long as the fault is to last. Returns the seconds."""
    seconds = random.uniform(fault.shortest, fault.longest)
    time.sleep(seconds)
    return seconds

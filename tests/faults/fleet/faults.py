"""What can happen to a fleet. Each is a context manager: it has happened when the block begins, and when that ends,
what was broken has just been put right: servers answer and lines carry again.
Whether the store works is another matter.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.support.histories import History
from tests.support.proxy import Mode, Proxy

from .crew import Fleet

Happening = Callable[[Fleet, Random], AbstractContextManager[None]]

HOUR: Final = 3600.0
NOTICED: Final = 0.3
"""Seconds in which every process reads the feed."""


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
    ways: Mapping[str, str] = field(default_factory=dict)
    """Of a fault that puts an earlier moment of the store back: how, on each store (`Place.histories`)."""
    steps: bool = False
    """The store's time of day steps, and deadlines may pass."""

    def history(self, fleet: Fleet) -> History | None:
        """What the store goes back with."""
        way = self.ways.get(fleet.place.name)
        return None if way is None else fleet.place.histories[way]


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


def put_back(ways: Mapping[str, str]) -> Happening:
    """The store is as it was when it was saved. In half of all rounds verifying processes sleep through it."""

    @contextmanager
    def happening(fleet: Fleet, random: Random) -> Iterator[None]:
        history = fleet.place.histories[ways[fleet.place.name]]
        ended = [one for one in fleet.members if history.must_be_closed and not one.setup.service_key]
        lived = [one for one in fleet.verifying if one not in ended]
        sleepers = random.sample(lived, random.randint(0, len(lived))) if random.random() < 0.5 else []
        for member in sleepers:
            member.suspend()
        try:
            for member in ended:
                member.end()
            history.put_back()
            for member in ended:
                member.start()
            for member in ended:
                member.wait_until_ready()
            yield
        finally:
            for member in sleepers:
                member.resume()

    return happening


@contextmanager
def clock_steps(fleet: Fleet, random: Random) -> Iterator[None]:
    """The store's time of day is ahead and behind, in either order, and then further ahead; and then it is right again.
    Each lasts for as long as it takes to be noticed, at least."""
    clock, size = fleet.place.clock, random.choice((random.uniform(30, 400), random.uniform(1100, 2100)))
    first = random.choice((1, -1))
    try:
        clock.set(first * size)
        time.sleep(NOTICED)
        yield
        for off in (-first * size, 2 * size):
            clock.set(off)
            time.sleep(NOTICED + random.uniform(0, 0.3))
    finally:
        clock.set(0)
        if fleet.place.cluster is not None:
            fleet.place.cluster.start_again()


def _quiet(fleet: Fleet, random: Random) -> AbstractContextManager[None]:
    return nullcontext()


_RESTORED: Final = {
    "sqlite": "in place",
    "postgresql": "dump",
    "redis": "snapshot",
    "redis-cluster": "one server",
    "remote": "in place",
}
"""What an operator does with a backup."""
_ROLLED_BACK: Final = dict.fromkeys(_RESTORED, "volume")
"""Beneath SQLite's file that is no more than all its processes being started again on it."""

_ALL: Final = (
    Fault(name="killed", happening=killed, shortest=0.0, longest=1.5),
    Fault(name="paused", happening=paused, shortest=0.1, longest=1.5),
    Fault(name="slowed", happening=slowed, shortest=0.5, longest=1.5),
    Fault(name="reset", happening=reset, shortest=0.0, longest=1.5),
    Fault(name="half-open", happening=half_open, shortest=0.1, longest=1.5),
    Fault(name="failover", happening=failover, shortest=0.0, longest=0.5, heals_itself=True),
    Fault(name="suspended", happening=suspended, shortest=0.6, longest=1.5),
    Fault(name="hour-off", happening=_quiet, shortest=0.1, longest=0.5, prepare=an_hour_off),
    Fault(name="restored", happening=put_back(_RESTORED), shortest=0.0, longest=0.8, ways=_RESTORED),
    Fault(name="rolled-back", happening=put_back(_ROLLED_BACK), shortest=0.0, longest=0.8, ways=_ROLLED_BACK),
    Fault(name="clock-steps", happening=clock_steps, shortest=0.0, longest=0.4, steps=True),
    Fault(name="locked", happening=locked, shortest=0.1, longest=1.5),
)
FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in _ALL}

_OF_THE_MACHINE: Final = ("suspended", "restored", "rolled-back", "clock-steps")
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

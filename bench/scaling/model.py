"""The capacity model: what a fleet asks of a store, of a follower and of the network. Pure arithmetic.

Rates per session are assumptions, stated in `Habits`; costs are measured (`Costs`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

DAY: Final = 86_400.0
WAIT: Final = 0.25
"""Seconds that an idle read of the feed takes."""
FULL: Final = 0.7
"""Share of a processor that may be busy before queues grow."""
RETENTION: Final = 990.0
"""Seconds for which an event matters, with the default policy; a view keeps it for this long to twice that."""
PRUNED_EVERY: Final = 300.0
TABLE_ENTRIES: Final = 100_000
STALENESS: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class Habits:
    """What the people behind the sessions do. Per live session and day."""

    logins: float = 0.2
    logouts: float = 0.1
    cut_offs: float = 0.002
    changes: float = 0.005
    """Of roles, status or claims."""
    visits: float = 4.0
    visit: float = 1_800.0
    """Seconds."""
    requests: float = 60.0
    """Per visit."""

    @property
    def events(self) -> float:
        """Per second and session."""
        return (self.logouts + self.cut_offs + self.changes) / DAY

    @property
    def active(self) -> float:
        """The share of sessions that is in use at a moment."""
        return self.visits * self.visit / DAY


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Of one store. Seconds of processor time, bytes."""

    read: float
    client: float
    find: float
    touch: float
    rotate: float
    create: float
    revoke: float
    idle_bytes: float
    event_bytes: float
    connections: float
    apply: float
    decode: float
    serve_event: float
    """The store's processor, per event in a read."""
    session_bytes: float
    reads_at_end: bool = False


@dataclass(frozen=True, kw_only=True)
class Store:
    """How much of it there is."""

    name: str
    costs: Costs
    nodes: int = 1
    """Servers that share the sessions. Every follower reads every one of them."""
    processors: float = 1.0
    """Of a node."""
    connections: int = 10_000
    """That a node takes."""


def reads_per_second(rate: float, trip: float, reads_at_end: bool = False) -> float:
    """Of one follower, when events come at random at this rate and a read takes ``trip`` seconds: from the follower's
    cycle of reading, waiting for a wake-up and reading again."""
    seen = 1 - math.exp(-rate * trip)
    left = max(0.0, WAIT - trip)
    woken = 1 - math.exp(-rate * left)
    waited = woken / rate if rate else left
    at_end = (1 - woken) if reads_at_end else 0.0
    reads = 1 + (1 - seen) * (woken + at_end)
    return reads / (trip + (1 - seen) * (waited + woken * trip))


@dataclass(frozen=True, kw_only=True)
class Load:
    """What it comes to. Per second unless named otherwise."""

    events: float
    feed_reads: float
    """Of one follower, at each node."""
    store_feed: float
    """Processors busy with the feed, at each node."""
    store_sessions: float
    """The same with sessions: logins, finds, touches, refreshes."""
    store_connections: float
    store_bandwidth: float
    process_bandwidth: float
    process_connections: float
    process_processor: float
    """Share of a processor that following takes in each process."""
    view_bytes: float
    herd: float
    """Seconds from a commit until the last follower was answered."""
    start_bytes: float
    """That a process reads when it starts."""
    start_seconds: float
    """The store's processor time for it."""


def load(
    store: Store, sessions: float, processes: float, *, habits: Habits, jwt: float = 0.0, sticky: bool = False,
    followers: float | None = None, view_entry: float = 40.0,
) -> Load:  # fmt: skip
    """The load of a fleet. ``jwt``: the share of sessions in a mode of JWTs. ``sticky``: a client comes back to
    the same process. ``followers``: how many read the store's feed, if not every process."""
    costs = store.costs
    followers = processes if followers is None else followers
    events = sessions * habits.events
    trip = 0.001 + costs.read
    reads = reads_per_second(events, trip, costs.reads_at_end)
    kept = events * (RETENTION + PRUNED_EVERY / 2)
    nodes = store.nodes
    per_read = costs.idle_bytes + events / nodes / reads * costs.event_bytes
    read = costs.read + events / nodes / reads * costs.serve_event
    opaque = sessions * (1 - jwt)
    finds, touches = per_visit(processes, habits, sticky, sessions * (1 - jwt))
    work = sessions * habits.logins / DAY * (costs.create + 2 * costs.find)
    work += events * costs.revoke
    work += opaque * habits.visits / DAY * (finds * costs.find + touches * costs.touch)
    work += sessions * jwt * habits.visits / DAY * habits.visit / 900.0 * costs.rotate
    return Load(
        events=events,
        feed_reads=reads,
        store_feed=followers * reads * read,
        store_sessions=work / nodes,
        store_connections=followers * costs.connections,
        store_bandwidth=followers * reads * per_read,
        process_bandwidth=nodes * reads * per_read,
        process_connections=nodes * costs.connections,
        process_processor=nodes * reads * costs.client + events * (costs.apply + costs.decode),
        view_bytes=events * 1.5 * RETENTION * view_entry,
        herd=followers * costs.read / store.processors,
        start_bytes=kept * costs.event_bytes,
        start_seconds=kept * costs.serve_event / nodes,
    )


def per_visit(processes: float, habits: Habits, sticky: bool, sessions: float) -> tuple[float, float]:
    """Reads of the session and writes of "last seen" that one visit of a client in mode ``session`` causes."""
    minutes = habits.visit / 60
    if sticky:
        return 1.0, minutes
    fits = sessions * habits.active <= TABLE_ENTRIES
    finds = _spread(processes, habits.requests) if fits else habits.requests
    return finds, minutes * _spread(processes, habits.requests / minutes)


def _spread(processes: float, requests: float) -> float:
    """How many processes so many requests meet, when each goes to any of them."""
    return processes * (1 - (1 - 1 / processes) ** requests)


def first_to_give(store: Store, found: Load) -> tuple[str, float]:
    """The resource that is fullest, and how full: 1 is all of it."""
    room = store.processors * FULL
    use = {
        "processor, feed": found.store_feed / room,
        "processor, sessions": found.store_sessions / room,
        "connections": found.store_connections / store.connections,
        "delay over 10 ms": found.herd / 0.010,
    }
    name = max(use, key=lambda each: use[each])
    return name, use[name]

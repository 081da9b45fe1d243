"""A fleet of followers at one store, event by event: for sizes that no machine here can run.

What is simulated is what `coatcheck.follower` and the stores do: a follower reads; when nothing is new it waits for a
wake-up, at most `WAIT`; then it reads again. The store serves reads in the order in which they arrive, on so many
processors; a read shows what was committed when its service began. The follower's own processor then decodes and
applies; several followers may share one, as on the machine where the simulation is held against reality.
"""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final

WAIT: Final = 0.25
"""Seconds that an idle read of the feed takes: `coatcheck.follower`."""
_CALM: Final = 1.0
"""Seconds before the first event."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A fleet. All times in seconds."""

    followers: int
    read: float
    """The store's processor, per read."""
    client: float
    """The follower's processor, per read: half of it before it asks, half of it for the answer."""
    heed: float = 0.0
    """The follower's processor, per wake-up."""
    wake: float = 0.0
    """The store's processor, per follower that it wakes."""
    append: float = 0.0
    """The store's processor, per event appended."""
    per_event: float = 0.0
    """The store's processor, per event that a read gives."""
    apply: float = 0.0
    """The follower's processor, per event."""
    latency: float = 0.0002
    """The network, one way."""
    servers: int = 1
    """The store's processors."""
    sharing: int = 1
    """Followers on one processor."""
    reads_at_end: bool = False
    """Whether the store reads once more when a wait has ended without a wake-up."""
    rate: float = 1.0
    """Events a second."""
    seconds: float = 5.0
    seed: int = 1


@dataclass
class Outcome:
    """What came of it."""

    delays: list[float] = field(default_factory=list)
    """From the commit of an event to its being applied, for each event and follower."""
    reads: int = 0
    busy: float = 0.0
    """Seconds of the store's processors."""
    oldest_lease: float = 0.0
    """The longest time between the beginning of a read and the end of the next one: the lease must cover it."""
    seconds: float = 0.0

    def percentile(self, share: float) -> float:
        """Of the delays, in seconds."""
        ordered = sorted(self.delays)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class _Follower:
    __slots__ = ("applied", "began", "call", "known", "processor", "rung", "waits")

    def __init__(self, processor: int) -> None:
        self.processor = processor
        self.began = 0.0
        self.call = 0
        self.known = 0
        self.applied = 0
        self.rung = False
        self.waits = False


class Simulation:
    """Run it once."""

    def __init__(self, setting: Setting) -> None:
        self._its = setting
        chance, phase = random.Random(setting.seed), random.Random(setting.seed + 1)
        self._followers = [_Follower(number // setting.sharing) for number in range(setting.followers)]
        self._processors = [0.0] * (self._followers[-1].processor + 1)
        self._free = [0.0] * setting.servers
        self._queue: list[tuple[float, int, str, int, int]] = []
        self._number = 0
        self._commits: list[float] = []
        self.outcome = Outcome(seconds=setting.seconds - _CALM)
        for place in range(setting.followers):
            self._at(phase.random() * WAIT, "call", place)
        now = _CALM
        while setting.rate and (now := now + chance.expovariate(setting.rate)) < setting.seconds:
            self._at(now, "event", 0)

    def run(self) -> Outcome:
        """All of it. In the first second, in which nothing is counted, there are no events."""
        steps = {"call": self._call, "arrive": self._arrive, "done": self._done, "event": self._event,
                 "woken": self._woken, "timeout": self._timeout}  # fmt: skip
        while self._queue and self._queue[0][0] < self._its.seconds:
            now, _, kind, place, extra = heapq.heappop(self._queue)
            steps[kind](now, place, extra)
        return self.outcome

    def _at(self, when: float, kind: str, place: int, extra: int = 0) -> None:
        self._number += 1
        heapq.heappush(self._queue, (when, self._number, kind, place, extra))

    def _serve(self, now: float, service: float) -> float:
        """When the store begins with it."""
        begins = max(now, heapq.heappop(self._free))
        heapq.heappush(self._free, begins + service)
        if now >= _CALM:
            self.outcome.busy += service
        return begins

    def _call(self, now: float, place: int, _: int) -> None:
        one = self._followers[place]
        one.began = now
        one.call += 1
        self._ask(now, place)

    def _ask(self, now: float, place: int) -> None:
        self._followers[place].rung = False
        self._at(self._work(now, place, self._its.client / 2) + self._its.latency, "arrive", place)

    def _work(self, now: float, place: int, seconds: float) -> float:
        """When the follower's processor has done this."""
        processor = self._followers[place].processor
        self._processors[processor] = max(now, self._processors[processor]) + seconds
        return self._processors[processor]

    def _arrive(self, now: float, place: int, _: int) -> None:
        one = self._followers[place]
        begins = max(now, self._free[0])
        new = bisect_right(self._commits, begins) - one.known
        service = self._its.read + new * self._its.per_event
        begins = self._serve(now, service)
        one.known += new
        self.outcome.reads += now >= _CALM
        self._at(begins + service + self._its.latency, "done", place, one.known)

    def _done(self, now: float, place: int, known: int) -> None:
        one = self._followers[place]
        new = known - one.applied
        ends = self._work(now, place, self._its.client / 2 + new * self._its.apply)
        if new:
            self.outcome.delays.extend(ends - commit for commit in self._commits[one.applied : known])
            one.applied = known
        left = one.began + WAIT - ends
        if new or left <= 0:
            self.outcome.oldest_lease = max(self.outcome.oldest_lease, ends - one.began)
            self._at(ends, "call", place)
        elif one.rung:
            self._ask(ends, place)
        else:
            one.waits = True
            self._at(ends + left, "timeout", place, one.call)

    def _event(self, now: float, _: int, __: int) -> None:
        its = self._its
        service = its.append + its.wake * its.followers
        begins = self._serve(now, service)
        self._commits.append(begins + its.append)
        for place in range(its.followers):
            self._at(begins + its.append + its.wake * (place + 1) + its.latency, "woken", place)

    def _woken(self, now: float, place: int, _: int) -> None:
        one = self._followers[place]
        heeded = self._work(now, place, self._its.heed)
        if one.waits:
            one.waits = False
            self._ask(heeded, place)
        else:
            one.rung = True

    def _timeout(self, now: float, place: int, call: int) -> None:
        one = self._followers[place]
        if not one.waits or one.call != call:
            return
        one.waits = False
        if self._its.reads_at_end:
            self._ask(now, place)
        else:
            self.outcome.oldest_lease = max(self.outcome.oldest_lease, now - one.began)
            self._at(now, "call", place)

"""What the table of verified credentials costs against its own size: a hit, an insertion that evicts, a sweep.

Pure processor time in this process. In a round every size has its turn.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

from bench.feed import SESSION_TOKEN, entries
from coatcheck.clock import Clock
from coatcheck.follower import Lease
from coatcheck.model import Mode
from coatcheck.table import Entry, Table
from coatcheck.verifier import _hit_path

SIZES: Final = (1_000, 10_000, 100_000)
"""The last one is the policy's default bound."""
QUICK_SIZES: Final = (1_000, 10_000)
SLICE: Final = 2_000
"""Calls in one slice."""
WARM: Final = 50
"""Insertions for which a table of a thousand used entries is full of used entries."""


def nanoseconds(call: Callable[[Any], object], arguments: Sequence[Any]) -> float:
    """Of one call: the time of all of them, the loop included."""
    began = time.perf_counter_ns()
    for argument in arguments:
        call(argument)
    return (time.perf_counter_ns() - began) / len(arguments)


def entries_of(count: int) -> list[Entry]:
    """Entries of session tokens, each of a session of its own; keys as a request brings them."""
    made = list(entries(SESSION_TOKEN, Mode.SESSION, count))
    for entry in made:
        entry.deadline = float("inf")
    return made


class Filled:
    """A full table, and entries for which there is no room."""

    def __init__(self, size: int, slices: int) -> None:
        made = entries_of(size + slices * SLICE)
        self.table = Table(size, 1 << 40)
        for entry in made[:size]:
            self.table.put(entry)
        self.keys = [entry.key for entry in made[:size]]
        self._new = iter(made[size:])
        lease = Lease()
        lease.deadline = float("inf")
        follower: Any = type("Following", (), {"lease": lease})()
        self.known = _hit_path(self.table, follower, Clock())

    def hit(self, rng: random.Random) -> float:
        """Of the same hundred credentials, again and again."""
        return self._hit(self.keys[:100], rng)

    def hit_anywhere(self, rng: random.Random) -> float:
        """Of all credentials alike: most entries are in no cache of the processor."""
        return self._hit(self.keys, rng)

    def evict_cold(self, rng: random.Random) -> float:
        """An insertion into the full table, when the oldest was not used."""
        self._use(-1.0)
        return nanoseconds(self.table.put, list(islice(self._new, SLICE)))

    def evict_warm(self, rng: random.Random) -> float:
        """The same when all have been used since they were last passed over: the worst case. It cannot last: each
        insertion takes its second chance from sixteen of them."""
        self._use(1.0)
        return nanoseconds(self.table.put, list(islice(self._new, WARM)))

    def _hit(self, keys: list[Any], rng: random.Random) -> float:
        """The keys are copies, as they come out of a request's headers."""
        return nanoseconds(self.known, [bytes(bytearray(rng.choice(keys))) for _ in range(SLICE)])

    def _use(self, sign: float) -> None:
        for entry in self.table._entries.values():
            entry.seen = entry.placed + sign


def run(quick: bool) -> dict[str, dict[int, list[float]]]:
    """Nanoseconds, by what is done and size, in each round."""
    rounds, sizes = (5, QUICK_SIZES) if quick else (20, SIZES)
    rng = random.Random(1)
    # Hits first: what is inserted later is not among the keys.
    order = ("hit", "hit_anywhere", "evict_cold", "evict_warm")
    tables = {size: Filled(size, 2 * rounds) for size in sizes}
    found: dict[str, dict[int, list[float]]] = {what: {size: [] for size in sizes} for what in order}
    for what in order:
        for _ in range(rounds):
            for size, filled in tables.items():
                found[what][size].append(getattr(filled, what)(rng))
    return found

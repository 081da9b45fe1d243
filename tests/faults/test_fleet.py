"""A fleet of real processes on a real store keeps the guarantee under every fault. One round each; `make faults` plays
many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from random import Random

import pytest

from .fleet.crew import running_fleet
from .fleet.faults import APPLICABLE, FAULTS
from .fleet.rounds import Rounds
from .fleet.sabotage import BREAKS
from .fleet.stores import PLACES

STALENESS = 0.5
CASES = [
    # One fleet serves all faults of a store, so they go to one process of pytest-xdist.
    pytest.param(store, fault, marks=pytest.mark.xdist_group(f"fleet on {store}"), id=f"{store}-{fault}")
    for store in PLACES
    for fault in APPLICABLE[store]
]


class Fleets:
    """One fleet at a time, which serves all faults of its store."""

    def __init__(self) -> None:
        self._store = ""
        self._stack = ExitStack()
        self._rounds: Rounds | None = None

    def on(self, store: str) -> Rounds:
        """Of two verifying processes; what was on another store is ended."""
        if self._rounds is None or store != self._store:
            self.end()
            self._store = store
            place = self._stack.enter_context(PLACES[store]())
            fleet = self._stack.enter_context(running_fleet(place, verifying=2, max_staleness=STALENESS))
            self._rounds = Rounds(fleet, Random())
        return self._rounds

    def end(self) -> None:
        self._rounds = None
        self._stack.close()


@pytest.fixture(scope="module")
def fleets() -> Iterator[Fleets]:
    made = Fleets()
    try:
        yield made
    finally:
        made.end()


@pytest.mark.parametrize(("store", "fault"), CASES)
def test_a_fleet_keeps_its_word(fleets: Fleets, store: str, fault: str) -> None:
    """Nothing is accepted past the bound or without right, no confirmed revocation is lost, and service comes back."""
    rounds = fleets.on(store)
    try:
        assert rounds.play(FAULTS[fault]).failures == []
        if fault == APPLICABLE[store][-1]:
            assert rounds.check_with_a_fresh_process() == []
    except BaseException:
        fleets.end()  # the next fault begins on a good one
        raise


@pytest.mark.parametrize("broken", ["events not applied", "catch-up skipped"])
def test_the_oracle_notices(broken: str) -> None:
    """A fleet whose verifying processes break a rule of the guarantee is found out."""
    assert broken in BREAKS
    with (
        PLACES["sqlite"]() as place,
        running_fleet(place, verifying=2, max_staleness=STALENESS, sabotage=broken) as fleet,
    ):
        rounds = Rounds(fleet, Random(1))
        assert any(rounds.play(FAULTS["suspended"]).late for _ in range(5))

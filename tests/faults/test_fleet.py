"""A fleet of real processes on a real store keeps the guarantee under every fault. One round each; `make faults` plays
many."""

from __future__ import annotations

from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def rounds(request: pytest.FixtureRequest) -> Iterator[Rounds]:
    """On a fleet of two verifying processes."""
    with (
        PLACES[request.param]() as place,
        running_fleet(place, verifying=2, max_staleness=STALENESS) as fleet,
    ):
        yield Rounds(fleet, Random())


@pytest.mark.parametrize(("rounds", "fault"), CASES, indirect=["rounds"])
def test_a_fleet_keeps_its_word(rounds: Rounds, fault: str) -> None:
    """Nothing is accepted past the bound or without right, no confirmed revocation is lost, and service comes back."""
    assert rounds.play(FAULTS[fault]).failures == []
    assert rounds.check_with_a_fresh_process() == []


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

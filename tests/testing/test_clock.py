"""The clock of tests."""

from __future__ import annotations

import pytest

from coatcheck.testing.clock import TravelClock


def test_it_stands_still_until_it_is_moved() -> None:
    """Wall and monotonic time move together."""
    clock = TravelClock(100.0)
    assert (clock(), clock.now(), clock.monotonic()) == (100.0, 100.0, 0.0)
    clock.advance(2.5)
    assert (clock(), clock.now(), clock.monotonic()) == (102.5, 102.5, 2.5)


def test_it_does_not_run_backwards() -> None:
    """As no monotonic clock does."""
    with pytest.raises(ValueError, match="backwards"):
        TravelClock().advance(-1)

"""The clock follows the store's."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.clock import Clock, boottime, interval_clock
from coatcheck.testing.clock import TravelClock

OFFSET = st.floats(-1e6, 1e6)


@given(OFFSET, st.floats(0, 5), st.floats(0, 1))
def test_error_is_within_the_read(offset: float, duration: float, part: float) -> None:
    """After one answer the clock is off by no more than that read took, however wrong it was."""
    travel = TravelClock()
    clock = Clock(monotonic=travel.monotonic, wall=lambda: travel.now() + offset)
    began = travel.monotonic()
    travel.advance(duration * part)
    store_now = travel.now()
    travel.advance(duration * (1 - part))
    clock.follow(store_now, began, travel.monotonic())
    assert abs(clock.now() - travel.now()) <= duration + 1e-3


def test_slow_answer_makes_nothing_worse() -> None:
    """A slow answer that agrees with a good clock leaves it alone."""
    travel = TravelClock()
    clock = Clock(monotonic=travel.monotonic, wall=travel.now)
    clock.follow(travel.now(), travel.monotonic(), travel.monotonic())
    began, store_now = travel.monotonic(), travel.now()
    travel.advance(30)
    assert not clock.follow(store_now, began, travel.monotonic())
    assert clock.now() == pytest.approx(travel.now(), abs=1e-6)


def test_jump_is_told() -> None:
    """A store whose clock jumps is noticed; the first answer, which replaces a guess, is no jump."""
    travel = TravelClock()
    clock = Clock(monotonic=travel.monotonic, wall=lambda: 0.0)
    now = travel.monotonic()
    assert not clock.follow(travel.now(), now, now)
    assert not clock.follow(travel.now() + 0.5, now, now)
    assert clock.follow(travel.now() + 100, now, now)


def test_local_clock_runs() -> None:
    """The monotonic clock moves forward."""
    first = boottime()
    assert boottime() >= first > 0


@pytest.mark.parametrize(
    ("platform", "names", "counted"),
    [
        ("linux", {"CLOCK_BOOTTIME": 7, "CLOCK_MONOTONIC_RAW": 4}, 7),
        ("darwin", {"CLOCK_MONOTONIC_RAW": 4, "CLOCK_UPTIME_RAW": 8}, 4),
        ("linux", {"CLOCK_MONOTONIC_RAW": 4}, -1),  # stands still during sleep there
        ("win32", {}, -1),
    ],
)
def test_the_local_clock_counts_sleep_where_one_does(platform: str, names: dict[str, int], counted: int) -> None:
    """CLOCK_BOOTTIME on Linux, CLOCK_MONOTONIC_RAW on macOS; elsewhere the plain one."""
    system = SimpleNamespace(clock_gettime=float, monotonic=lambda: -1.0, **names)
    assert interval_clock(platform, system)() == counted

"""Two clocks. Intervals are local and monotonic; the time of day is the store's.

The local one counts on while the machine sleeps, on Linux (CLOCK_BOOTTIME) and on macOS (CLOCK_MONOTONIC_RAW), so that
a process that was suspended wakes with a lapsed lease. Elsewhere that is not promised.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final


def interval_clock(platform: str, system: Any) -> Callable[[], float]:
    """The clock that counts on during sleep, of what ``time`` offers on this platform: its plain monotonic one stands
    still on Linux and macOS. On macOS CLOCK_MONOTONIC_RAW is mach_continuous_time (clock_gettime(3) there)."""
    if hasattr(system, "CLOCK_BOOTTIME"):
        return partial(system.clock_gettime, system.CLOCK_BOOTTIME)
    if platform == "darwin" and hasattr(system, "CLOCK_MONOTONIC_RAW"):
        return partial(system.clock_gettime, system.CLOCK_MONOTONIC_RAW)
    plain: Callable[[], float] = system.monotonic
    return plain


boottime: Callable[[], float] = interval_clock(sys.platform, time)

JUMP: Final = 1.0
"""A correction of the time of day by more seconds than this means that deadlines computed before it are wrong."""


class Clock:
    """The store's time of day, carried forward by the local monotonic clock between two of its answers.

    ``monotonic`` and ``wall`` are replaced in tests. ``wall`` is this machine's time of day: an embedded store has no
    other clock, and with any other store it only serves until that has answered once.
    """

    __slots__ = ("_base", "_followed", "monotonic", "wall")

    def __init__(self, monotonic: Callable[[], float] = boottime, wall: Callable[[], float] = time.time) -> None:
        self.monotonic: Callable[[], float] = monotonic
        self.wall: Callable[[], float] = wall
        self._base = wall() - monotonic()
        self._followed = False

    def now(self) -> float:
        """Seconds since the Unix epoch by the store's clock, as well as this process can know it."""
        return self.monotonic() + self._base

    def local(self, at: float) -> float:
        """The monotonic time of a store's time: deadlines of the table are kept in it."""
        return at - self._base

    def follow(self, store_now: float, began: float, ended: float) -> bool:
        """Take a store's answer ``store_now``, given between two local monotonic times, into account.

        The true difference lies in ``[store_now - ended, store_now - began]``; ours moves into that interval and no
        further, so a slow answer never makes it worse. Returns whether it jumped by more than `JUMP` seconds.
        """
        base = min(max(self._base, store_now - ended), store_now - began)
        jumped = self._followed and abs(base - self._base) > JUMP
        self._base = base
        self._followed = True
        return jumped

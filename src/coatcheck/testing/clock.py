"""A clock that stands still until it is told to move."""

from __future__ import annotations

from ..clock import Clock


class TravelClock:
    """Wall and monotonic clock of a test, in seconds; they move together and only by `advance`.

    Pass the object itself, or its ``now``, wherever a ``wall`` is wanted, and `as_clock` to an `Auth`. Sessions and
    tokens end when it has moved past their time. So does the lease, but nothing has to be done about it: the next
    request asks the store, and its lease runs on.
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._start = start
        self._elapsed = 0.0

    def __call__(self) -> float:
        return self.now()

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Move forward. Raises `ValueError` for a step back, which no monotonic clock makes."""
        if seconds < 0:
            raise ValueError("this clock does not run backwards")
        self._elapsed += seconds

    def as_clock(self) -> Clock:
        """What ``Auth(clock=...)`` takes. For stores that have no clock of their own: in memory, and SQLite."""
        return Clock(monotonic=self.monotonic, wall=self.now)

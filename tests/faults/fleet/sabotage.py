"""The guarantee broken on purpose, one rule at a time, to see that the harness notices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from coatcheck.clock import boottime
from coatcheck.follower import Follower
from coatcheck.model import Event


def apply(name: str) -> None:
    """Break this rule in this process; none for an empty name."""
    if name:
        BREAKS[name]()


def _events_not_applied() -> None:
    """The follower reads the feed and takes nothing from it."""

    def apply(self: Follower, event: Event) -> None:
        return None

    Follower.apply = apply  # type: ignore[method-assign]


def _lease_from_the_end() -> None:
    """The lease runs from when a read ended and not from when it began."""
    take = Follower._take

    async def late(self: Follower, read: Any, began: float, era: int) -> Any:
        return await take(self, read, boottime(), era)

    Follower._take = late  # type: ignore[method-assign]


def _catch_up_skipped() -> None:
    """A lapsed lease is taken for one that runs: the store is not asked."""

    async def catch_up(self: Follower) -> None:
        self.lease.deadline = boottime() + 1.0

    Follower.catch_up = catch_up  # type: ignore[method-assign]


BREAKS: Final[Mapping[str, Callable[[], None]]] = {
    "events not applied": _events_not_applied,
    "lease from the end of the read": _lease_from_the_end,
    "catch-up skipped": _catch_up_skipped,
}

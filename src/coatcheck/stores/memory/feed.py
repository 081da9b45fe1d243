"""The log of events, in a list."""

from __future__ import annotations

import asyncio
import math
import secrets
from itertools import islice, takewhile

from ...model import Event
from ..base import FEED_PAGE, FeedLost, FeedRead


class MemoryFeed:
    """The log of events. The position of an event is ``pruned`` + its place in the list + 1."""

    def __init__(self, now: float) -> None:
        self.id = secrets.token_hex(8)
        self.events: list[Event] = []
        self.pruned = 0
        self.since = now
        self._grown = asyncio.Event()

    def append(self, event: Event) -> None:
        self.events.append(event)
        self._grown.set()
        self._grown = asyncio.Event()

    async def grown(self, wait: float) -> None:
        """Wait for the next append, at most this many seconds."""
        try:
            async with asyncio.timeout(wait):
                await self._grown.wait()
        except TimeoutError:
            pass

    def start(self, cursor: str | None) -> int:
        """Where in the list the events after the cursor begin."""
        if cursor is None:
            return 0
        feed, _, position = cursor.rpartition(":")
        if feed != self.id or not (position.isascii() and position.isdigit()):
            raise FeedLost("the cursor is of another feed")
        start = int(position) - self.pruned
        if not 0 <= start <= len(self.events):
            raise FeedLost("the cursor is older than the feed's tail or beyond its end")
        return start

    def read(self, cursor: str | None, now: float) -> FeedRead:
        start = self.start(cursor)
        end = min(len(self.events), start + FEED_PAGE)
        return FeedRead(
            feed=self.id, cursor=f"{self.id}:{self.pruned + end}", events=tuple(self.events[start:end]),
            since=self.since, now=now, more=end < len(self.events),
        )  # fmt: skip

    def prune(self, before: float, limit: int) -> int:
        old = list(takewhile(lambda event: event.at < before, islice(self.events, limit)))
        if old:
            del self.events[: len(old)]
            self.pruned += len(old)
            self.since = max(self.since, math.nextafter(max(event.at for event in old), math.inf))
        return len(old)

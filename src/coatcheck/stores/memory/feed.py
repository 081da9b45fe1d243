"""The log of events, in a list."""

from __future__ import annotations

import asyncio
import math
import secrets
from dataclasses import replace
from itertools import islice, takewhile

from ...model import Event, EventKind
from ..base import FEED_PAGE, FeedLost, FeedRead

_ENDS = (EventKind.SESSION_REVOKED, EventKind.TOKEN_REVOKED)


class MemoryFeed:
    """The log of events. The position of an event is ``pruned`` + its place in the list + 1."""

    def __init__(self, now: float) -> None:
        self.id = secrets.token_hex(8)
        self.events: list[Event] = []
        self.pruned = 0
        self.since = now
        self.clock = -math.inf
        """The highest time that anything was issued or pruned with."""
        self._marks = [secrets.token_hex(8)]
        """Drawn by lot for each event; the first is of the newest that was pruned, or of the beginning."""
        self._ended: set[tuple[str, str]] = set()
        """The sessions and tokens whose ends are in the list, each once."""
        self._tokens: dict[str, set[str]] = {}
        """Those of the tokens, by session."""
        self._grown = asyncio.Event()

    def issued(self, now: float) -> None:
        """Something was issued or pruned at this time."""
        self.clock = max(self.clock, now)

    def holds(self, session_id: str, token_id: str = "") -> bool:
        """Whether the end of this session, or of this one token, is in the list."""
        return (session_id, token_id) in self._ended

    def tokens_of(self, session_id: str) -> int:
        """How many tokens of this session were ended one by one."""
        return len(self._tokens.get(session_id, ()))

    def append(self, event: Event) -> None:
        event = replace(event, at=max(event.at, self.clock))
        self.events.append(event)
        self._marks.append(secrets.token_hex(8))
        if event.kind in _ENDS:
            self._ended.add((event.session_id, event.token_id))
            if event.token_id:
                self._tokens.setdefault(event.session_id, set()).add(event.token_id)
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
        feed, _, place = cursor.partition(":")
        position, _, mark = place.partition(":")
        if feed != self.id or not (position.isascii() and position.isdigit()):
            raise FeedLost("the cursor is of another feed")
        start = int(position) - self.pruned
        if not 0 <= start <= len(self.events):
            raise FeedLost("the cursor is older than the feed's tail or beyond its end")
        if mark != self._marks[start]:
            raise FeedLost("the event at the cursor is not in this history")
        return start

    def read(self, cursor: str | None, wall: float) -> FeedRead:
        start = self.start(cursor)
        end = min(len(self.events), start + FEED_PAGE)
        now = max(wall, self.clock)
        return FeedRead(
            feed=self.id, cursor=f"{self.id}:{self.pruned + end}:{self._marks[end]}",
            events=tuple(self.events[start:end]), since=self.since, now=now, behind=now - wall, heights=(self.clock,),
            more=end < len(self.events),
        )  # fmt: skip

    def begin_anew(self, since: float, now: float, clock: float | None) -> None:
        self.since = max(since, now) if clock is not None else max(self.since, since, now, self.clock)
        self.id = secrets.token_hex(8)
        if clock is not None:
            self.clock = clock
            self.events = [replace(event, at=min(event.at, clock)) for event in self.events]
        self._grown.set()
        self._grown = asyncio.Event()

    def prune(self, now: float, keep: float, limit: int) -> int:
        old = list(takewhile(lambda event: event.at < now - keep, islice(self.events, limit)))
        self.issued(now)
        if old:
            del self.events[: len(old)]
            del self._marks[: len(old)]
            for event in old:
                self._ended.discard((event.session_id, event.token_id) if event.kind in _ENDS else ("", ""))
                if event.token_id and (of_session := self._tokens.get(event.session_id)):
                    of_session.discard(event.token_id)
                    if not of_session:
                        del self._tokens[event.session_id]
            self.pruned += len(old)
            self.since = max(self.since, math.nextafter(max(event.at for event in old), math.inf))
        return len(old)

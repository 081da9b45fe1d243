"""Reading the feed of every shard at once, and what a cursor proves."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ...model import Event
from ..base import FEED_PAGE, FeedLost, FeedRead
from .records import Reply, covered_since, unpack_event

_is_cursor: Final = re.compile(r"[0-9a-f]{32}:[0-9,-]+", re.ASCII).fullmatch
_is_position: Final = re.compile(r"[0-9]{1,20}-[0-9]{1,20}", re.ASCII).fullmatch
_LONGEST_POSITION: Final = 42
_ID_END: Final = 1 << 64
_FAR: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in every shard's feed. Each is the id of an entry, which must still be there: an id has a random part,
    so another history of the same feed, as after a failover that lost events, does not have it."""

    feed: str
    positions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.feed}:{','.join(self.positions)}"


def parse_cursor(text: str, shards: int) -> Cursor:
    """Raises `FeedLost` for what is not a cursor of a feed with so many shards."""
    if len(text) > 33 + shards * _LONGEST_POSITION or not _is_cursor(text):
        raise FeedLost("the cursor is not one of a feed like this")
    feed, _, rest = text.partition(":")
    positions = tuple(rest.split(","))
    if len(positions) != shards or not all(map(_is_entry_id, positions)):
        raise FeedLost("the cursor is not one of a feed like this")
    return Cursor(feed, positions)


def _is_entry_id(text: str) -> bool:
    return _is_position(text) is not None and all(int(part) < _ID_END for part in text.split("-"))


def page(shards: int) -> int:
    """How many events one read takes of each shard at most."""
    return max(1, FEED_PAGE // shards)


def combine(replies: list[Reply], cursor: Cursor | None) -> FeedRead:
    """One read of the whole feed, from the replies of lua/events.lua for each shard.

    Events are ordered by when their shards' servers appended them. Those of one subject share a shard, so their order
    is the order of commits, whatever the servers' clocks say. Raises `FeedLost`."""
    feed = identity_of([identity.decode() for identity, *_ in replies])
    if cursor is not None and cursor.feed != feed:
        raise FeedLost("the cursor is of another feed")
    size = page(len(replies))
    found: list[tuple[int, Event]] = []
    positions: list[str] = []
    wall = now = int(replies[0][3]) / 1_000_000
    since, more, heights = 0.0, False, []
    for _, begun, cut, _, holds, entries, highest in replies:
        if not holds:
            raise FeedLost("an entry at the cursor is gone: pruned, or lost in a failover")
        since, now = max(since, covered_since(begun, cut)), max(now, float(highest))
        heights.append(float(highest))
        more = more or len(entries) > size + 1
        taken = entries[: size + 1]
        positions.append(taken[-1][0].decode())
        found.extend((int(place.partition(b"-")[0]), unpack_event(fields)) for place, fields in taken[1:])
    if len(replies) > 1:
        found.sort(key=lambda item: item[0])
    # One that is dated so much later was so by a clock that has been put right, and would never be forgotten.
    events = tuple(event if event.at <= now + _FAR else replace(event, at=now) for _, event in found)
    return FeedRead(
        feed=feed, cursor=str(Cursor(feed, tuple(positions))), events=events, since=since, now=now, behind=now - wall,
        heights=heights, more=more,
    )  # fmt: skip


def identity_of(shards: Sequence[str]) -> str:
    """The identity of a feed of these shards' feeds: another one when any of them was made anew."""
    return shards[0] if len(shards) == 1 else hashlib.sha256(",".join(shards).encode()).hexdigest()[:32]

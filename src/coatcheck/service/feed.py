"""The relay: one process's reads of the feed, shared by all remote verifiers that ask it.

The rule (design §2): an answer comes only from a store read that began after the request came in. So every request
first takes part in a read that begins after it (`Shared`); thousands that come together take part in the same one. Who
finds no news waits, and what later reads bring is added to what the first one proved.

Nothing runs while nobody asks, so there is nothing to start and nothing to close.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from .. import feed_json
from ..auth import Auth
from ..errors import StoreUnavailable
from ..follower import report
from ..stores.base import FEED_PAGE, FeedLost, FeedRead
from ..web.refusals import TOO_MANY_FOLLOWERS, Refusal

log = logging.getLogger("coatcheck.relay")

T = TypeVar("T")

MAX_FOLLOWERS: Final = 5_000
"""Requests that one process answers at the same time: each holds a connection."""
RING_EVENTS: Final = 50_000
"""Events kept for followers that are a little behind, about 10 MB. Who is further behind is answered by the store."""
_CURSORS: Final = 20_000
"""Cursors that lead into the ring."""
_OWN_READS: Final = 4
"""Reads for single followers that run at the same time: the store's connections belong to everybody."""
_PATIENCE: Final = 5.0
"""Seconds beyond its wait after which a read of the store counts as unanswered."""
_WATCH: Final = 1.0
"""Seconds for which one read of the watcher waits for news, and for which it outlives the last follower."""
_PAUSE: Final = 0.2
"""Seconds between two tries of the watcher while the store does not answer."""


class Shared(Generic[T]):
    """Runs of one async function, shared: whoever asks while one is under way gets the result of the next, which
    begins after they asked."""

    def __init__(self, run: Callable[[], Awaitable[T]]) -> None:
        self._run = run
        self._current: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        """The result of a run that begins after this call, or what it raised."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._current), name="coatcheck-shared-read")
            self._next.add_done_callback(_retrieve)
        return await asyncio.shield(self._next)  # who goes away leaves the run to the others

    async def _after(self, earlier: asyncio.Task[T] | None) -> T:
        if earlier is not None and not earlier.done():
            await asyncio.wait([earlier])
        self._current, self._next = self._next, None
        return await self._run()


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The events that one read brought, written down."""

    count: int
    events: bytes


class _Ring:
    """The recent events in the pieces in which they were read, found by any cursor that led to them."""

    def __init__(self, read: FeedRead) -> None:
        self.feed = read.feed
        self.end = read.cursor
        self._count = 0
        self._chunks: deque[_Chunk] = deque()
        self._dropped = 0
        self._places: dict[str, int] = {read.cursor: 0}

    def append(self, read: FeedRead) -> None:
        """What was read from the end. A feed may have a new cursor without an event."""
        if read.events:
            self._chunks.append(_Chunk(len(read.events), feed_json.write_events(read.events)))
            self._count += len(read.events)
        self.end = read.cursor
        self._places[self.end] = self._dropped + len(self._chunks)
        while self._count > RING_EVENTS:
            self._count -= self._chunks.popleft().count
            self._dropped += 1
        oldest = next(iter(self._places))
        while len(self._places) > _CURSORS or self._places[oldest] < self._dropped:
            del self._places[oldest]
            oldest = next(iter(self._places))

    def after(self, cursor: str) -> tuple[list[bytes], str] | None:
        """The events after the cursor, at most a page, and the cursor behind them. None when it is not in the ring."""
        place = self._places.get(cursor)
        if place is None:
            return None
        page: list[bytes] = []
        count = 0
        for number in range(place - self._dropped, len(self._chunks)):
            chunk = self._chunks[number]
            count += chunk.count
            if page and count > FEED_PAGE:
                return page, self._cursor_at(place + len(page))
            page.append(chunk.events)
        return page, self.end

    def _cursor_at(self, place: int) -> str:
        return next(cursor for cursor, found in self._places.items() if found == place)


@dataclass(frozen=True, slots=True)
class _Proof:
    """What a read that began after a request tells: nothing was missed up to where the ring ended then."""

    ring: _Ring | None
    since: float = 0.0
    now: float = 0.0
    behind: float = 0.0


class Relay:
    """Answers followers for one `Auth`."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth
        self._ring: _Ring | None = None
        self._catch_up = Shared(self._advance)
        self._whole = Shared(self._read_whole)
        self._own_reads = asyncio.Semaphore(_OWN_READS)
        self._grown = asyncio.Event()
        self._waiting = 0
        self._watcher: asyncio.Task[None] | None = None
        self.followers: int = 0
        """Requests that are being answered."""

    async def read(self, cursor: str | None, wait: float) -> bytes:
        """What is after the cursor: at once if there is anything, otherwise after ``wait`` seconds at most.

        Raises `FeedLost`, `StoreUnavailable`, and `Refusal` when too many are waiting already."""
        if self.followers >= MAX_FOLLOWERS:
            raise Refusal(TOO_MANY_FOLLOWERS)
        self.followers += 1
        try:
            return await (self._whole() if cursor is None else self._after(cursor, wait))
        finally:
            self.followers -= 1

    async def _after(self, cursor: str, wait: float) -> bytes:
        proof = await self._catch_up()
        if proof.ring is None or proof.ring.after(cursor) is None:  # behind the ring, or handed out by another process
            read = await self._own_read(cursor)
            if read.events or read.more or not wait:
                return self._written(read)
            cursor, proof = read.cursor, _Proof(self._ring, read.since, read.now, read.behind)
        found = self._found(cursor, proof)
        if wait and (found is None or not found[0]):
            await self._growth(wait)
            found = self._found(cursor, proof)
        if found is None or proof.ring is None:
            return self._written(await self._own_read(cursor))
        page, end = found
        return feed_json.write(
            page, feed=proof.ring.feed, cursor=end, since=proof.since, now=proof.now, behind=proof.behind,
            more=end != proof.ring.end, max_staleness=self._auth.policy.max_staleness,
        )  # fmt: skip

    def _found(self, cursor: str, proof: _Proof) -> tuple[list[bytes], str] | None:
        """From the ring, if it still is the one that was proved to be complete."""
        return None if proof.ring is None or proof.ring is not self._ring else proof.ring.after(cursor)

    async def _growth(self, wait: float) -> None:
        """Wait until the ring grows or is given up, at most this many seconds."""
        grown = self._grown
        self._waiting += 1
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch(), name="coatcheck-relay")
            self._watcher.add_done_callback(report)
        try:
            async with asyncio.timeout(wait):
                await grown.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1

    async def _watch(self) -> None:
        """Let the ring grow while somebody waits for it."""
        while self._waiting and (ring := self._ring) is not None:
            end = ring.end
            try:
                read = await self._events(end, _WATCH)
            except FeedLost:
                self._give_up(ring)
            except StoreUnavailable:
                await asyncio.sleep(_PAUSE)
            else:
                self._take(ring, end, read)

    async def _advance(self) -> _Proof:
        """Read to the feed's end. Without a ring nothing is read, and everybody has to read for themselves."""
        ring = self._ring
        while ring is not None:
            end = ring.end
            try:
                read = await self._events(end, 0)
            except FeedLost:
                self._give_up(ring)
                break
            if ring is not self._ring or read.feed != ring.feed:
                self._give_up(ring)
                break
            # What the watcher was faster with is read again: only this read is known to have begun in time.
            if self._take(ring, end, read) and not read.more:
                return _Proof(ring, read.since, read.now, read.behind)
        return _Proof(None)

    def _take(self, ring: _Ring, end: str, read: FeedRead) -> bool:
        """Add what was read from ``end``, if that still is where the ring ends."""
        if read.feed != ring.feed:
            self._give_up(ring)
        if ring is not self._ring or ring.end != end:
            return False
        if read.cursor != end:
            ring.append(read)
        if read.events:
            self._wake()
        return True

    def _give_up(self, ring: _Ring) -> None:
        if self._ring is ring:
            self._ring = None
            self._wake()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    async def _own_read(self, cursor: str | None) -> FeedRead:
        """A read for one follower, which leads it to the ring: the ring ended at ``mark`` before this read began, so
        whoever knows what it brings may go on from there. That tells some events twice, which changes nothing."""
        async with self._own_reads:
            ring = self._ring
            mark = "" if ring is None else ring.end
            read = await self._events(cursor, 0)
        if read.more:
            return read
        if self._ring is None:
            self._ring = _Ring(read)
        elif ring is not None and ring is self._ring and ring.feed == read.feed:
            return replace(read, cursor=mark)
        return read

    async def _read_whole(self) -> bytes:
        await self._catch_up()
        return self._written(await self._own_read(None))

    async def _events(self, cursor: str | None, wait: float) -> FeedRead:
        if not self._auth.is_running:
            raise StoreUnavailable("not started, or closed")
        try:
            async with asyncio.timeout(wait + _PATIENCE):
                return await self._auth.sessions.events(cursor, wait=wait)
        except TimeoutError as error:
            raise StoreUnavailable("the store's feed did not answer in time") from error

    def _written(self, read: FeedRead) -> bytes:
        return feed_json.write(
            [feed_json.write_events(read.events)], feed=read.feed, cursor=read.cursor, since=read.since, now=read.now,
            behind=read.behind, more=read.more, max_staleness=self._auth.policy.max_staleness,
        )  # fmt: skip


def _retrieve(task: asyncio.Task[T]) -> None:
    """Look at the outcome, so that one for which nobody waits any more is not reported as forgotten."""
    if not task.cancelled():
        task.exception()

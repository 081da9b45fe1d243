"""The follower: feed → view, table and lease.

The lease is the guarantee (design: "A follower's read that began at monotonic time t0 proves that the process knows all
events committed before t0"). Two rules stand here in the order of the lines of `Follower._take`: events are applied
*before* the lease is extended, and the lease runs from when the read *began*.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from .clock import Clock
from .errors import ConfigurationError, StoreUnavailable
from .model import Event, EventKind
from .policy import Policy
from .stores.base import CLOCK_STEP, Feed, FeedLost, FeedRead, Founder, Herald
from .table import Table
from .view import RevocationView

log = logging.getLogger("coatcheck.follower")

_LONGEST_WAIT: Final = 0.25
"""Seconds an idle read waits at most: reads complete several times a second, so the lease never gets old."""
_SPACING: Final = 0.02
"""Seconds between the beginnings of two reads of a store that tells of events before they are read. Without it a storm
of revocations would be read one by one; only what a lost message was to tell comes this much later."""
BEGIN_MARGIN: Final = 10.0
"""Seconds after now from which on a feed that begins anew covers events: longer than the step can take, so that nobody
has read the old one at a later time and takes the new one for another that was rolled back."""
_FIRST_BACKOFF: Final = 0.05
_LONGEST_BACKOFF: Final = 1.0
_AT_ONCE: Final = 200
"""Events applied before anybody else has a turn: half a millisecond, beside a million of them in the view."""


class Lease:
    """Until when this process may trust its memory. Local monotonic time."""

    __slots__ = ("deadline",)

    def __init__(self) -> None:
        self.deadline: float = float("-inf")


class Listener(Protocol):
    """Who hears of everything in the same step as the view and the table. Nothing of it waits."""

    def apply(self, event: Event) -> None:
        """An event."""

    def keys_loaded(self) -> None:
        """The signing keys may be others."""

    def clock_jumped(self) -> None:
        """Deadlines that were worked out before may be wrong."""

    def feed_lost(self) -> None:
        """What came between is unknown."""


class Follower:
    """Reads the feed in the background. One per process.

    ``reload_keys`` is awaited when the signing keys have changed, before the lease is extended.
    """

    def __init__(
        self,
        store: Feed,
        table: Table,
        view: RevocationView,
        clock: Clock,
        policy: Policy,
        reload_keys: Callable[[], Awaitable[None]],
    ) -> None:
        self.lease: Lease = Lease()
        self._store = store
        self._table = table
        self._view = view
        self._clock = clock
        self._staleness = policy.max_staleness
        self._wait = min(_LONGEST_WAIT, policy.max_staleness / 4)
        self._reload_keys = reload_keys
        self._feed = ""
        self._cursor: str | None = None
        self._known_until = float("-inf")
        """The store's clock at the last completed read, whatever time it gave out: a feed that covers earlier times and
        is not the one that was read then has been rolled back."""
        self._given_until = float("-inf")
        """The store's time at that read."""
        self._heights: Sequence[float] = ()
        self._taken = float("-inf")
        """When the last page was taken."""
        self._has_begun_anew = False
        """Whether the store was asked to begin anew since then: once is enough."""
        self._stands_still = False
        self.era: int = 0
        """Counts the losses of the feed. What a store said in an earlier era cannot be checked against the view: events
        that came after it may have been pruned before the view was built anew."""
        self.listener: Listener | None = None
        """The long-lived connections, which hear of everything that the table hears of."""
        self._task: asyncio.Task[None] | None = None
        self._catching_up: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the whole feed once, so that the view is there before anything is accepted, then follow it.

        Raises `StoreUnavailable`."""
        try:
            await self._read()
        except FeedLost:  # between two pages; a second time in a row, nothing can be built on this store
            try:
                await self._read()
            except FeedLost as error:
                raise StoreUnavailable("the store loses its feed again and again") from error
        if isinstance(self._store, Herald):
            self._store.tell(self._told)
        self._task = asyncio.create_task(self._run(), name="coatcheck-follower")
        self._task.add_done_callback(report)

    async def stop(self) -> None:
        """Stop following. The lease is given up at once."""
        if isinstance(self._store, Herald):
            self._store.tell(None)
        self.lease.deadline = float("-inf")
        tasks = [task for task in (self._task, self._catching_up) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = self._catching_up = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which it follows, and in which all of its `Auth` lives; None while it does not follow."""
        return None if self._task is None else self._task.get_loop()

    def rely_for(self, staleness: float) -> None:
        """From the next completed read on the lease is this long, in seconds: where an issuing service promises less
        than the policy of this process would allow."""
        self._staleness = staleness

    def is_live(self) -> bool:
        """Whether the lease runs."""
        return self._clock.monotonic() < self.lease.deadline

    async def catch_up(self) -> None:
        """Ask the store now, because the lease has lapsed. Returns with a running lease or raises `StoreUnavailable`.

        All requests that wait share one read: its lease counts from when that read began, whoever uses it."""
        for _ in range(2):  # the read that was under way may have begun too long ago; the next one has not
            if self._catching_up is None or self._catching_up.done():
                self._catching_up = asyncio.create_task(self._read(), name="coatcheck-catch-up")
                self._catching_up.add_done_callback(_retrieve)
            try:
                async with asyncio.timeout(self._staleness):
                    await asyncio.shield(self._catching_up)
            except TimeoutError as error:
                raise StoreUnavailable("the store's feed did not answer in time") from error
            except FeedLost:
                continue
            except StoreUnavailable as error:  # one for each who waits: a shared one would gather the frames of all
                raise StoreUnavailable(str(error)) from error.__cause__
            if self.is_live():
                return
        raise StoreUnavailable("the store's feed answers too slowly")

    def apply(self, event: Event) -> None:
        """Take one event in: view first, then the table, then the guards, in one step that no fill and no entering of a
        guard can interleave with."""
        self._view.apply(event)
        kind = event.kind
        if kind is EventKind.SESSION_REVOKED or kind is EventKind.SESSION_CHANGED:
            self._table.remove_session(event.session_id)
        elif kind is EventKind.SUBJECT_CUT_OFF:
            self._table.remove_subject(event.subject, event.session_id, event.spared)
        elif kind is EventKind.SUBJECT_CHANGED:
            self._table.remove_subject(event.subject)
        elif kind is EventKind.TOKEN_REVOKED:
            self._table.remove_token(event.session_id, event.token_id)
        else:
            self._table.withdraw_access_tokens()
        if self.listener is not None:
            self.listener.apply(event)

    def _told(self, events: Sequence[Event]) -> None:
        """Act at once upon events that are yet to be read. The lease stays as it is: this proves nothing about others,
        and neither do keys count before they were loaded."""
        for event in events:
            self.apply(event)

    async def _run(self) -> None:
        backoff, more = _FIRST_BACKOFF, False
        spacing = _SPACING if isinstance(self._store, Herald) else 0.0
        while True:
            began = self._clock.monotonic()
            try:
                async with asyncio.timeout(self._wait + self._staleness):
                    more = await self._read_page(0 if more else self._wait)
            except (StoreUnavailable, TimeoutError) as error:
                log.warning("feed not read: %s", error.__class__.__name__)
                # Jitter, so that a fleet does not come back in step.
                await asyncio.sleep(backoff * (500 + secrets.randbelow(500)) / 1000)
                backoff = min(backoff * 2, _LONGEST_BACKOFF)
            except FeedLost:
                await asyncio.sleep(_FIRST_BACKOFF)
            else:
                backoff = _FIRST_BACKOFF
                if not more:
                    await asyncio.sleep(min(spacing, began + spacing - self._clock.monotonic()))

    async def _read(self) -> None:
        """Read to the feed's end, without waiting for anything new."""
        while await self._read_page(0):
            pass

    async def _read_page(self, wait: float) -> bool:
        """Read and apply one page. True when there are more: only the last one proves that nothing was missed."""
        era, began, cursor = self.era, self._clock.monotonic(), self._cursor
        try:
            read = await self._store.events(cursor, wait=wait)
            if era == self.era and self._feed and read.feed != self._feed:
                raise FeedLost("the store has another feed than before")
            is_lower = era == self.era and _is_lower(read.heights, self._heights)
            if is_lower and began >= self._taken:
                raise FeedLost("the store's highest time has gone back")
        except FeedLost as error:
            if era == self.era:
                self.lose(str(error))
            raise
        if is_lower or (era == self.era and cursor != self._cursor):
            # Another read was faster. This one may be of another history than that, and it would lead past the loss.
            return True
        await self._take(read, began, era)
        return read.more

    async def _take(self, read: FeedRead, began: float, era: int) -> None:
        self._check_era(era)
        if self._clock.follow(read.now, began, self._clock.monotonic()):
            log.warning("the store's clock has jumped; credentials are verified again")
            self._table.clear()
            if self.listener is not None:
                self.listener.clock_jumped()
        self._note_clock(read.behind)
        if not self._feed:  # once an era: another read that began without a cursor only adds to the view
            self._view.cover(await self._covered_since(read, era))
            self._feed = read.feed
        await self._apply_all(read, era)
        if self._cursor is None or any(event.kind is EventKind.KEYS_CHANGED for event in read.events):
            await self._load_keys()
            self._check_era(era)
            self._table.withdraw_access_tokens()
            if self.listener is not None:
                self.listener.keys_loaded()
        self._view.forget(read.now, self._clock.monotonic())
        self._cursor, self._heights, self._taken = read.cursor, read.heights, self._clock.monotonic()
        if not read.more:
            self._known_until, self._given_until = read.now - read.behind, read.now
            self._has_begun_anew = False
            self.lease.deadline = max(self.lease.deadline, began + self._staleness)

    async def _covered_since(self, read: FeedRead, era: int) -> float:
        """From when on the feed tells everything, as far as this process can know.

        A feed that was lost and claims to cover a time at which we had read another history has been rolled back. What
        it lacks nobody can know. So it is given a new beginning, for those too who have not lived through it; and where
        that cannot be, as over HTTP, this process itself takes nothing of before as known. Raises `FeedLost` when the
        feed has to be read again."""
        if read.since >= self._known_until:
            return read.since
        log.warning("the store's history was rolled back: what it covers begins anew")
        if isinstance(self._store, Founder) and not self._has_begun_anew:
            self._has_begun_anew = True
            try:
                since = max(self._given_until, self._clock.now() + BEGIN_MARGIN)
                await self._store.begin_anew(read.feed, since=since, now=self._clock.now())
            except StoreUnavailable as error:
                log.warning("the feed could not begin anew: %s", error)
            else:
                raise FeedLost("the feed begins anew")
            self._check_era(era)
        return max(self._given_until, read.now)

    def _note_clock(self, behind: float) -> None:
        if (behind > CLOCK_STEP) is not self._stands_still:
            self._stands_still = not self._stands_still
            if self._stands_still:
                log.warning(
                    "the store's clock was put back by %.0f s: time stands still until it has caught up", behind
                )
            else:
                log.warning("the store's clock has caught up")

    async def _apply_all(self, read: FeedRead, era: int) -> None:
        """Apply the events. Between two handfuls requests have their turn: a burst of revocations is not felt."""
        for start in range(0, len(read.events), _AT_ONCE):
            if start:
                await asyncio.sleep(0)
                self._check_era(era)
            for event in read.events[start : start + _AT_ONCE]:
                self.apply(event)

    async def _load_keys(self) -> None:
        try:
            await self._reload_keys()
        except ConfigurationError as error:  # a key that another process made with a secret we do not have
            raise StoreUnavailable(f"the signing keys cannot be used: {error}") from error

    def _check_era(self, era: int) -> None:
        """A read that began before the feed was lost proves nothing about the feed as it is now."""
        if era != self.era:
            raise FeedLost("the feed was lost during the read")

    def lose(self, why: str) -> None:
        """The cursor, or what is known, proves nothing any more: trust nothing, and build the view anew from what the
        feed keeps. The view is emptied here and not when that is read: what this process ends meanwhile stays known."""
        log.warning("feed lost, starting again: %s", why)
        if self.listener is not None:
            self.listener.feed_lost()
        self.lease.deadline = float("-inf")
        self._table.clear()
        self._view.reset()
        self._feed, self._cursor, self._heights = "", None, ()
        self.era += 1


def _is_lower(heights: Sequence[float], before: Sequence[float]) -> bool:
    """Whether any of them has gone back. Where there are others than before, nothing is compared."""
    return len(heights) == len(before) and any(now < then for now, then in zip(heights, before, strict=True))


def report(task: asyncio.Task[None]) -> None:
    """Say loudly that a task which should run for ever has met a fault of ours. Without the follower the lease lapses
    and every request asks the store: slow, but safe."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.critical("%s has stopped; restart this process", task.get_name(), exc_info=error)


def _retrieve(task: asyncio.Task[None]) -> None:
    """Look at the outcome, so that one for which nobody waits any more is not reported as forgotten."""
    if not task.cancelled():
        task.exception()

"""What runs in the background beside the follower: writing "last seen", and pruning."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from .clock import Clock
from .errors import StoreUnavailable
from .follower import report
from .keys import Keys
from .policy import Policy
from .stores.base import SessionStore, Touch
from .table import Entry, Table
from .writes import Writes

log = logging.getLogger("coatcheck.maintenance")

_BATCH: Final = 500
"""Sessions touched per transaction."""
_LOOK_EVERY: Final = 5.0
"""Seconds between two questions to the stores whether they take writes."""
_PRUNE_EVERY: Final = 300.0
"""Seconds between two prunings by one process; they are safe beside each other, and start at different moments."""


def touch_interval(policy: Policy) -> float:
    """Seconds between two writes of "last seen" for a session: the policy's, or a quarter of the shortest idle time
    where that is less, since a use that is not yet written does not count against the idle deadline."""
    return min(policy.touch_interval, policy.session.idle / 4, policy.remembered.idle / 4)


class Maintenance:
    """The background tasks of one process."""

    def __init__(
        self, store: SessionStore, keys: Keys, table: Table, clock: Clock, policy: Policy, writes: Writes
    ) -> None:
        self._store = store
        self._keys = keys
        self._table = table
        self._clock = clock
        self.writes: Writes = writes
        self._interval = touch_interval(policy)
        self._retention = policy.event_retention
        self._readings: deque[tuple[float, float]] = deque()
        """When the store's time was looked at, and how far it was ahead of the local clock."""
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._past()
        self._tasks = [
            asyncio.create_task(_every(self._interval / 4, self.touch), name="coatcheck-touch"),
            asyncio.create_task(_every(_LOOK_EVERY, self.writes.look), name="coatcheck-writes"),
            asyncio.create_task(_every(_PRUNE_EVERY, self.prune), name="coatcheck-prune"),
        ]
        for task in self._tasks:
            task.add_done_callback(report)

    async def stop(self) -> None:
        """Stop, and write what is still unwritten if the store lets us: a restart must not cost anybody's idle time."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self.write_uses()

    async def write_uses(self) -> None:
        """Write every use that is not written yet, if the store lets us, whenever it was last written."""
        try:
            await self._write(self._table.due(float("inf"), 0.0))
        except StoreUnavailable as error:
            log.warning("last uses not written: %s", error)

    async def touch(self) -> None:
        """Write the uses that are due."""
        self._past()
        for part in self._table.due_in_parts(self._clock.monotonic(), self._interval):
            await self._write(part)
            await asyncio.sleep(0)

    async def prune(self) -> None:
        """Delete dead sessions, events that no longer matter and keys that no longer verify."""
        while await self._store.prune(now=self._past(), keep_events=self._retention):
            await asyncio.sleep(0)
        await self._keys.prune(self._past())

    def _past(self) -> float:
        """The time by which to delete: the store's, as the lowest of the readings says that were taken for as long as
        an event matters. A clock that is ahead for a moment deletes nothing."""
        local = self._clock.monotonic()
        self._readings.append((local, self._clock.now() - local))
        # One that is older than that stays: it says what the clock was until the next one.
        while len(self._readings) > 1 and local - self._readings[1][0] > self._retention:
            self._readings.popleft()
        return local + min(ahead for _, ahead in self._readings)

    async def _write(self, due: list[Entry]) -> None:
        offset = self._clock.now() - self._clock.monotonic()
        for start in range(0, len(due), _BATCH):
            batch = [(entry, entry.seen) for entry in due[start : start + _BATCH]]
            touches = [Touch(session_id=entry.identity.session_id, seen=seen + offset) for entry, seen in batch]
            dead = await self._store.touch(touches, now=self._clock.now())
            written = self._clock.monotonic()
            for entry, seen in batch:
                if entry.identity.session_id in dead:
                    self._table.remove_session(entry.identity.session_id)
                else:
                    entry.saved, entry.written = seen, written
                    entry.deadline = max(entry.deadline, min(seen + entry.idle, entry.absolute))


async def keep_up(name: str, job: Callable[[], Awaitable[object]]) -> None:
    """A feature's upkeep, as often as pruning, until it is cancelled. What is wrong with it ends neither it nor us."""

    async def once() -> None:
        try:
            await job()
        except StoreUnavailable:
            raise
        except Exception as error:
            log.error("the upkeep of the feature %s failed; it goes on", name, exc_info=error)

    await _every(_PRUNE_EVERY, once)


async def _every(seconds: float, job: Callable[[], Awaitable[object]]) -> None:
    while True:
        # Up to a tenth earlier, so that the processes of a fleet do not all come at once.
        await asyncio.sleep(seconds * (900 + secrets.randbelow(100)) / 1000)
        try:
            await job()
        except StoreUnavailable as error:
            log.warning("put off: %s", error)

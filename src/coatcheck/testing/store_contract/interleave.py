"""Forcing two operations into each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from ...stores.base import SessionStore

Client = Callable[[SessionStore], Awaitable[None]]
"""One operation; it gets the store object it shall use."""


class Interleaver(Protocol):
    """Runs two operations on the same data, the second one inside the first."""

    async def race(self, first: Client, second: Client, at: int) -> bool:
        """Start ``first`` and hold it before its step number ``at``. Start ``second`` through another client, until
        it is done or has to wait for the first. Then let both finish.

        False when ``first`` has no such step: it was finished before ``second`` began. So counting ``at`` up from 0
        until this says False goes through every schedule, both serial ones included.
        """


class Atomic:
    """For stores whose operations are one step each."""

    def __init__(self, store: SessionStore, second: SessionStore) -> None:
        self._store = store
        self._second = second

    async def race(self, first: Client, second: Client, at: int) -> bool:
        """See `Interleaver.race`."""
        if at == 0:
            await second(self._second)
            await first(self._store)
            return True
        await first(self._store)
        await second(self._second)
        return False

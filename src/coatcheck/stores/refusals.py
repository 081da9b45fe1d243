"""What a store remembers of writes that its database has refused: a full disk, a server that only reads."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from ..errors import StoreUnavailable

_REMEMBERED: Final = 30.0
"""Seconds for which a refused write counts. A smaller one that finds room meanwhile proves nothing for a login."""
_ASK_AGAIN: Final = 5.0
"""Seconds for which an answer counts."""


class Refusals:
    """The newest refusal of one database."""

    def __init__(self) -> None:
        self._why = ""
        self._until = 0.0
        self._lasts = False

    def note(self, why: str, seconds: float = _REMEMBERED, *, lasts: bool = False) -> None:
        """A write was refused, for this reason. One that ``lasts`` no question clears up: it counts until a write
        succeeds after these seconds."""
        self._why, self._until, self._lasts = why, time.monotonic() + seconds, lasts

    def written(self) -> None:
        """A write has succeeded."""
        if self._lasts and time.monotonic() >= self._until:
            self._lasts = False

    async def check(self, ask: Callable[[], Awaitable[str]]) -> None:
        """Raise `StoreUnavailable` while a refusal counts. Otherwise ask, now and then: for the reason why writes are
        refused, empty when they are not."""
        if not self._lasts and time.monotonic() >= self._until:
            self.note(await ask(), _ASK_AGAIN)
        if self._why:
            raise StoreUnavailable(self._why)

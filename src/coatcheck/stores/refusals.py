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

    def note(self, why: str, seconds: float = _REMEMBERED) -> None:
        """A write was refused, for this reason."""
        self._why, self._until = why, time.monotonic() + seconds

    async def check(self, ask: Callable[[], Awaitable[str]]) -> None:
        """Raise `StoreUnavailable` while a refusal counts. Otherwise ask, now and then: for the reason why writes are
        refused, empty when they are not."""
        if time.monotonic() >= self._until:
            self.note(await ask(), _ASK_AGAIN)
        if self._why:
            raise StoreUnavailable(self._why)

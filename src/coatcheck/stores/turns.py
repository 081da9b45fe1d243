"""Turns at the connections of a pool, where the server may let fewer in than were asked for.

A connection that cannot be added is no server that is away: whoever wanted it waits for one that stands.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from ..errors import ConfigurationError, StoreUnavailable

T = TypeVar("T")

_AGAIN: Final = 10.0
"""Seconds for which no more connections are asked for than were let in."""
_LONGEST: Final = 300.0
"""The same where it is refused by silence, which is waited for: doubled each time up to this."""
_PAUSE: Final = 0.1
"""Seconds before one is asked for again where none stands."""


class NoRoom(StoreUnavailable):
    """The server answers, and lets no further connection in. Nothing was done on it."""


class KeptWaiting(NoRoom):
    """It let the connection in and then did not serve it: a pooler in session mode."""


class Turns:
    """At most so many work at once; fewer while the server lets fewer in. First come, first served.

    ``alone``: called where not even one connection is let in. ``one_more``: adds a connection to those that stand, or
    raises `StoreUnavailable`; it is tried beside those who work. Without it one of them finds out."""

    def __init__(
        self,
        most: int,
        alone: Callable[[], None] = lambda: None,
        one_more: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._most = most
        self._room = most
        self._alone = alone
        self._one_more = one_more
        self._probe: asyncio.Task[None] | None = None
        self._pause = _AGAIN
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._again = 0.0

    async def run(self, work: Callable[[], Awaitable[T]], patience: float | None = None) -> T:
        """Do work that needs a connection, when it is its turn; once more when it raises `NoRoom`.

        Waits for at most ``patience`` seconds, for ever when None; then it raises `TimeoutError`, or `NoRoom` where no
        connection stands at all."""
        give_up = None if patience is None else time.monotonic() + patience
        while True:
            async with asyncio.timeout(None if give_up is None else give_up - time.monotonic()):
                await self._take()
            try:
                return await work()
            except NoRoom:
                others = self._refused()
                if not others and give_up is not None and time.monotonic() + _PAUSE >= give_up:
                    raise
            finally:
                self._give_back()
            if not others:
                self._alone()
                await asyncio.sleep(_PAUSE)

    async def _take(self) -> None:
        if self._room < self._most and time.monotonic() >= self._again:
            self._ask_again()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()
            raise

    def _ask_again(self) -> None:
        if self._one_more is None:
            self._room = self._most
        elif self._probe is None and self._taken >= self._room:
            self._probe = asyncio.create_task(self._look(self._one_more))

    async def _look(self, one_more: Callable[[], Awaitable[None]]) -> None:
        """Add one after the other while there is somebody for it. Nobody waits for this."""
        try:
            while self._taken >= self._room < self._most:
                await one_more()
                self._pause = _AGAIN
                self._room += 1
                self._grant()
        except (StoreUnavailable, ConfigurationError) as error:
            self._again = time.monotonic() + self._pause
            if isinstance(error, KeptWaiting):
                self._pause = min(2 * self._pause, _LONGEST)
        finally:
            self._probe = None

    async def stop(self) -> None:
        """Look for no more connections. Idempotent."""
        if (probe := self._probe) is not None:
            probe.cancel()
            await asyncio.wait({probe})

    def _refused(self) -> int:
        """How many others have a connection, or still try to."""
        others = self._taken - 1
        self._room = max(1, min(self._room, others))
        self._again = time.monotonic() + _AGAIN
        return others

    def _give_back(self) -> None:
        self._taken -= 1
        self._grant()

    def _grant(self) -> None:
        while self._waiting and self._taken < self._room:
            turn = self._waiting.popleft()
            if not turn.done():
                self._taken += 1
                turn.set_result(None)

"""One guarded connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import CoatcheckError, SessionEnded, StoreUnavailable
from ..model import Identity
from ..table import Entry

if TYPE_CHECKING:
    from .guards import Guards

LAPSED = "it is not known any more whether the session lives"
TIME_IS_OVER = "the session's time is over"


def fresh(error: CoatcheckError) -> CoatcheckError:
    """The same error to raise: one that ends many connections must not carry the traceback of all of them."""
    return SessionEnded(str(error)) if isinstance(error, SessionEnded) else StoreUnavailable(str(error))


class Watch:
    """What `Guards` knows of one connection. Times are local and monotonic."""

    __slots__ = (
        "_guards", "due", "edition", "ended", "entry", "epoch", "identity", "last", "slot", "then", "until", "version",
    )  # fmt: skip

    def __init__(
        self, guards: Guards, identity: Identity, entry: Entry, *, due: float, last: float,
        then: Callable[[Watch], None] | None,
    ) -> None:  # fmt: skip
        self._guards = guards
        self.identity: Identity = identity
        self.entry: Entry = entry
        self.epoch: int = entry.epoch
        self.version: int = entry.version
        self.edition: int = entry.edition
        self.due: float = due
        """When something has to be decided: the store is asked, or it ends."""
        self.last: float = last
        """When it ends by itself, whatever anybody says."""
        self.until: float | None = None
        """None while the lease answers for it. Otherwise it is in doubt, and ends at this time unless the store says
        in time that the session lives."""
        self.ended: CoatcheckError | None = None
        """Why it ended: `SessionEnded`, or `StoreUnavailable` where nobody can know. None while it is open."""
        self.then: Callable[[Watch], None] | None = then
        """Called once, in the step in which it ends."""
        self.slot: int = 0

    def check(self) -> None:
        """Raise `SessionEnded` or `StoreUnavailable` unless the connection may go on at this moment. In any thread.

        The order counts for threads: the lease first, then what an event may have done, then the time. (See the hit
        path: with the lease read last, the one that proves an event could let pass what the event has ended.)"""
        lease = self._guards.lease.deadline
        until = self.until
        ended = self.ended
        now = self._guards.clock.monotonic()
        if ended is not None:
            raise fresh(ended)
        if now >= (lease if until is None else until):
            raise StoreUnavailable(LAPSED)
        if now >= self.last:
            raise SessionEnded(TIME_IS_OVER)

    def goes_on(self) -> bool:
        """The same as a question, in the event loop; what should have ended by now ends before it is answered."""
        try:
            self.check()
        except CoatcheckError as error:
            self._guards.end(self, error)
        return self.ended is None

    def use(self) -> None:
        """Count this moment as use of the session, as a request would: its idle deadline moves. That a connection is
        open counts for nothing. In the modes of access tokens only a refresh is use, so this changes nothing there."""
        if self.ended is None:
            self._guards.used(self)

    def close(self) -> None:
        """Guard no more. Idempotent."""
        self._guards.forget(self)

    def close_soon(self) -> None:
        """`close`, from any thread."""
        with suppress(RuntimeError):  # the loop is closed, and its guards with it
            self._guards.loop.call_soon_threadsafe(self.close)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where it lives."""
        return self._guards.loop

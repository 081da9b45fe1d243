"""``async with``: the body of a guard is cancelled when its session ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from ..errors import CoatcheckError
from ..model import Identity
from .watch import Watch, fresh

_AGAIN: Final = 1.0
"""Seconds after which a body that goes on although it was cancelled is cancelled again: enough to clean up."""

Register = Callable[[Identity, Callable[[Watch], None]], Awaitable[Watch]]


class Interrupt:
    """Cancels the task that entered it when `fire` is called, and then raises why. As `asyncio.timeout` does it: a
    cancellation from outside stays one, and nothing of ours is left when the block has been left.

    A block that is left normally or by a cancellation of ours raises the error; any other error of it goes through."""

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before = 0
        self._sent = 0
        self._next: asyncio.Handle | None = None
        self._error: CoatcheckError | None = None

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a guard needs a task to cancel")
        self._task, self._loop = task, asyncio.get_running_loop()
        self._before, self._sent = task.cancelling(), 0
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        task, self._task = self._task, None
        if self._next is not None:
            self._next.cancel()
        if asyncio.current_task() is not task or task is None:
            raise RuntimeError("a guard must be left by the task that entered it")
        pending = task.cancelling()
        for _ in range(self._sent):
            pending = task.uncancel()
        if self._error is None:
            return
        if error is None or (self._sent and pending <= self._before and isinstance(error, asyncio.CancelledError)):
            raise fresh(self._error) from error

    def fire(self, error: CoatcheckError) -> None:
        """End the block because of this error. Only the first call counts; none does when the block was left."""
        if self._task is None or self._error is not None or self._loop is None:
            return
        self._error = error
        if self._task is asyncio.current_task():
            # The body itself has ended its session. It is cancelled where it waits next, if it has not been left by
            # then: a task that runs would carry its cancellation out of the block.
            self._next = self._loop.call_soon(self._cancel)
        else:
            self._cancel()

    def _cancel(self) -> None:
        if self._task is not None and self._loop is not None:
            self._sent += 1
            self._task.cancel()
            self._next = self._loop.call_later(_AGAIN, self._cancel)


class Guard:
    """``async with auth.guard(identity) as guard:`` the body runs for as long as what it stands on.

    Entering raises `InvalidCredential` when that has ended already, and `StoreUnavailable` when nobody can know. Later
    the body is cancelled, and the block raises `SessionEnded`, or `StoreUnavailable` where nobody can know any more. A
    body that goes on regardless is cancelled again every second. One that has just finished by itself raises too; its
    own errors and a cancellation from outside go through as they are.

    It is entered once, and left by the task that entered it; tasks that the body starts are the body's to end
    (`asyncio.TaskGroup` does). Not for the body of an asynchronous generator: whoever iterates would be cancelled.
    """

    def __init__(self, register: Register, identity: Identity, then: Callable[[Watch], None] | None = None) -> None:
        self.identity: Identity = identity
        self._register = register
        self._then = then
        self._watch: Watch | None = None
        self._entered = False
        self._interrupt = Interrupt()

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a guard can be entered once; make another with auth.guard(identity)")
        self._entered = True
        # No await from the registration to the end of this function: from there on an event finds the task.
        self._watch = await self._register(self.identity, self._end)
        self._interrupt.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._running.close()
        self._interrupt.__exit__(kind, error, at)

    @property
    def ended(self) -> CoatcheckError | None:
        """Why it ended; None while it has not, and when it was left before."""
        return self._watch.ended if self._watch is not None else None

    def goes_on(self) -> bool:
        """Whether the connection may go on at this moment: exact where a cancellation takes a turn of the loop."""
        return self._running.goes_on()

    def use(self) -> None:
        """Count this moment as use of the session. See `Watch.use`."""
        self._running.use()

    @property
    def _running(self) -> Watch:
        if self._watch is None:
            raise RuntimeError("this guard has not been entered")
        return self._watch

    def _end(self, watch: Watch) -> None:
        if self._then is not None:
            self._then(watch)
        if watch.ended is not None:
            self._interrupt.fire(watch.ended)

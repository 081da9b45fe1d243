"""An event loop in a thread of its own, in which other threads have work awaited.

Nothing here knows of Coatcheck's stores; `blocking` puts an `Auth` in.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeVar

from .errors import ConfigurationError, StoreUnavailable

log = logging.getLogger("coatcheck.background")

T = TypeVar("T")
Job = Callable[[], None]

PATIENCE: Final = 5.0
"""Seconds for which a caller waits without a word; then the loop is asked whether it still turns, and has as long
again. A caller of a loop that is stuck is told so within twice this. Well below the 30 s after which gunicorn kills."""
_DRAIN: Final = 1.0
"""Seconds that work under way has when the loop is to end, before it is cancelled."""

_elsewhere: ContextVar[Callable[..., Awaitable[Any]] | None] = ContextVar("coatcheck_elsewhere", default=None)
"""Where this work has functions called that may block. None in an application's own event loop."""


async def called(function: Callable[..., T], *args: Any, here: bool = False) -> T:
    """What a function of the application's gives, which may block.

    It is called in the thread that waits for this work, so that whatever belongs to a thread (a transaction, a request)
    is the caller's own. Where none waits, in a thread of a pool; in an application's own event loop, right there if
    ``here``."""
    elsewhere = _elsewhere.get()
    if (elsewhere is None and here) or inspect.iscoroutinefunction(function):
        return function(*args)
    found: T = await (elsewhere or asyncio.to_thread)(function, *args)
    return found


class Background:
    """A running loop. Made in the thread that needs it first; ends with `stop`, or with the process.

    Raises `ConfigurationError` where there are no real threads."""

    def __init__(self, name: str) -> None:
        _refuse_green_threads()
        self._loop = asyncio.new_event_loop()
        self._calls: set[asyncio.Task[Any]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._loop.close()
            raise

    def is_here(self) -> bool:
        """Whether the caller runs in the loop's own thread."""
        return threading.get_ident() == self._thread.ident

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Await something in the loop, and have the calling thread wait for it.

        Raises what the work raises, `StoreUnavailable` when the loop is stuck or ends meanwhile, and `RuntimeError` in
        the loop's own thread. A caller who is interrupted leaves, and the work is cancelled."""
        if self.is_here():
            raise RuntimeError("this waits for the event loop that it runs in, for ever: await the asynchronous one")
        call = _Call(self, work)
        try:
            self._post(call.begin)
            return call.outcome()
        except BaseException:
            call.leave()
            raise

    async def arun(self, work: Callable[[], Awaitable[T]]) -> T:
        """`run` for a caller in another event loop, which goes on meanwhile."""
        if self.is_here():
            return await work()
        begun = self._awaited(work, asyncio.to_thread)
        try:
            waiting = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(begun, self._loop))
        except RuntimeError as error:
            begun.close()
            raise _ended() from error
        try:
            while not (await asyncio.wait({waiting}, timeout=PATIENCE))[0]:
                if not await asyncio.to_thread(self.answers):
                    raise _stuck()
            if waiting.cancelled():
                raise _ended()
            return waiting.result()
        finally:
            waiting.cancel()  # does nothing to what is done
            del waiting  # or an error would hold the frame that holds it

    def answers(self) -> bool:
        """Whether the loop turns."""
        turned = threading.Event()
        try:
            self._post(turned.set)
        except StoreUnavailable:
            return False
        return turned.wait(PATIENCE)

    def stop(self, farewell: Callable[[], Awaitable[None]], limit: float) -> bool:
        """Let work under way end, await the farewell, and end the thread, all within ``limit`` seconds. False when the
        thread is still there after that: nobody else may touch what it works with."""
        with suppress(StoreUnavailable):
            self._post(partial(self._begin_ending, farewell, limit))
        self._thread.join(limit)
        return not self._thread.is_alive()

    def leave(self, farewell: Callable[[], Awaitable[None]], limit: float) -> None:
        """The same without waiting, for whoever must not: the garbage collector may come in any thread, this one too.
        What the farewell raises is logged."""
        with suppress(StoreUnavailable):
            self._post(partial(self._begin_ending, farewell, limit, _say))

    def join(self, limit: float) -> bool:
        """Wait until the thread has ended. False when it is still there after so many seconds."""
        self._thread.join(max(0.0, limit))
        return not self._thread.is_alive()

    def farewell(self) -> None:
        """Raise what the farewell has raised, once the thread has ended."""
        ending, self._ending = self._ending, None
        try:
            if ending is not None and not ending.cancelled():
                ending.result()
        finally:
            del ending  # or an error would hold the frame that holds it

    def _post(self, job: Job) -> None:
        try:
            self._loop.call_soon_threadsafe(job)
        except RuntimeError as error:  # it is closed
            raise _ended() from error

    def _main(self) -> None:
        runner = asyncio.Runner(loop_factory=lambda: self._loop)
        loop = runner.get_loop()
        while self._ending is None or not self._ending.done():
            try:
                loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:  # the caller whose work raised it gets it
                log.warning("%s in the background loop", type(error).__name__)
        try:
            runner.close()  # cancels and closes what is left
        except RuntimeError:
            # From Python 3.12 on no thread starts when the process ends, not even the one that ends a pool of threads.
            if threading.main_thread().is_alive():
                raise

    async def _awaited(self, work: Callable[[], Awaitable[T]], elsewhere: Callable[..., Awaitable[Any]]) -> T:
        if self._ending is not None:
            raise _ended()
        _elsewhere.set(elsewhere)
        self._note(asyncio.current_task())
        return await work()

    def _note(self, task: asyncio.Task[Any] | None) -> None:
        assert task is not None  # noqa: S101 - work is only ever run as a task
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    def _begin_ending(
        self,
        farewell: Callable[[], Awaitable[None]],
        limit: float,
        said: Callable[[asyncio.Task[None]], None] | None = None,
    ) -> None:
        if self._ending is None:
            self._ending = self._loop.create_task(self._end(farewell, limit), name="coatcheck-end")
            if said is not None:
                self._ending.add_done_callback(said)
            self._ending.add_done_callback(lambda ending: self._loop.stop())

    async def _end(self, farewell: Callable[[], Awaitable[None]], limit: float) -> None:
        calls = set(self._calls)
        if calls:
            _, late = await asyncio.wait(calls, timeout=min(_DRAIN, limit / 4))
            for task in late:
                task.cancel()
        try:
            async with asyncio.timeout(limit / 2):
                await farewell()
        except TimeoutError as error:
            raise StoreUnavailable("what was still to be written and closed took too long") from error


def _say(ending: asyncio.Task[None]) -> None:
    error = None if ending.cancelled() else ending.exception()
    if error is not None:
        log.warning("not closed when nobody held it any more: %s", error)


class _Call(Generic[T]):
    """One piece of work and the thread that waits for it. What comes into its inbox, that thread does."""

    def __init__(self, background: Background, work: Callable[[], Awaitable[T]]) -> None:
        self._background = background
        self._work = work
        self._inbox: SimpleQueue[Job | None] = SimpleQueue()
        self._task: asyncio.Task[T] | None = None
        self._left = False

    def begin(self) -> None:
        """In the loop: start."""
        if self._left:
            return
        loop = self._background._loop
        self._task = loop.create_task(self._background._awaited(self._work, self._lend))
        self._task.add_done_callback(lambda task: self._inbox.put(None))

    def outcome(self) -> T:
        """In the waiting thread: wait."""
        while True:
            try:
                job = self._inbox.get(timeout=PATIENCE)
            except Empty:
                if not self._background.answers():
                    raise _stuck() from None
                continue
            if job is None:
                break
            job()
        task, self._task = self._task, None
        assert task is not None  # noqa: S101 - it is the task that has put None there
        try:
            if task.cancelled():
                raise _ended()
            return task.result()
        finally:
            del task  # or an error would hold the frame that holds it

    def leave(self) -> None:
        """In the waiting thread: nobody waits any more."""
        self._left = True
        task = self._task
        if task is not None:
            with suppress(StoreUnavailable):
                self._background._post(task.cancel)  # type: ignore[arg-type]  # whatever it answers

    async def _lend(self, function: Callable[..., Any], *args: Any) -> Any:
        """In the loop: have the waiting thread call a function."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._inbox.put(partial(_do, answered, function, args))
        try:
            return await answered
        finally:
            del answered  # or an error would hold the frame that holds it


def _do(answered: asyncio.Future[Any], function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    tell = answered.get_loop().call_soon_threadsafe
    try:
        found = function(*args)
    except (SystemExit, KeyboardInterrupt):  # are for the caller, who leaves with it
        raise
    except BaseException as error:
        with suppress(RuntimeError):  # the loop has closed
            tell(_answer, answered, None, error)
    else:
        with suppress(RuntimeError):
            tell(_answer, answered, found, None)
    finally:
        del answered  # as above


def _answer(answered: asyncio.Future[Any], found: object, error: BaseException | None) -> None:
    if answered.done():
        return
    if isinstance(error, StopIteration):  # which no future takes
        answered.set_exception(RuntimeError("a function of the application raised StopIteration"))
    elif error is not None:
        answered.set_exception(error)
    else:
        answered.set_result(found)


def _ended() -> StoreUnavailable:
    return StoreUnavailable("the background loop has ended")


def _stuck() -> StoreUnavailable:
    return StoreUnavailable("the background loop does not answer: something blocks it")


def _refuse_green_threads() -> None:
    """gevent and eventlet put their own in the place of threads and sockets, and an event loop of asyncio then runs
    beside theirs in the same thread."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if (gevent is not None and gevent.is_module_patched("threading")) or (
        eventlet is not None and eventlet.is_monkey_patched("thread")
    ):
        raise ConfigurationError(
            "coatcheck.blocking needs real threads, and gevent or eventlet has replaced them: use threaded workers "
            "(gunicorn -k gthread), or an ASGI server with coatcheck.Auth"
        )

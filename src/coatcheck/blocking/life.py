"""What the objects for threads have in common: how they start, fork and end.

A process that forks takes none of it along. Before a fork the loop ends and every connection is closed (a SQLite file
that is open cannot be used on the other side, not even by opening it anew: SQLite takes the parent's locks for its
own), and after it parent and child start again when they need to. Where nobody tells us of a fork, since it was made in
C, the child finds out by its process id, lets everything of the parent's lie untouched, and starts its own.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack, suppress
from contextvars import Context
from functools import partial
from typing import Any, Final, Generic, Self, TypeVar
from weakref import WeakSet, finalize

from ..auth import Auth
from ..background import Background
from ..clock import Clock
from ..credentials.transport import Credential
from ..errors import CoatcheckError, ConfigurationError, StoreUnavailable
from ..model import Identity
from ..policy import Policy
from ..remote import RemoteVerifier
from ..verifier import Known

log = logging.getLogger("coatcheck.blocking")

T = TypeVar("T")
Inner = TypeVar("Inner", Auth, RemoteVerifier)

_CLOSE_LIMIT: Final = 10.0
"""Seconds for `close`, after which a loop that is stuck is left to itself."""
_EXIT_LIMIT: Final = 5.0
"""Seconds for the same at the end of the process and before a fork."""


class Life(Generic[Inner]):
    """What there is of an object in one process."""

    def __init__(self, inner: Inner, spoilt: str = "") -> None:
        self.inner: Inner = inner
        self.lock = threading.Lock()
        """Held by whoever starts or ends it."""
        self.background: Background | None = None
        """The thread, from before anything is opened until all is closed."""
        self.running: Background | None = None
        """The same, while it can be worked with."""
        self.spoilt: str = spoilt
        """Why it cannot be started in this process, if so."""
        self.tries: int = 0
        self.failure: str = ""
        """What the last try to start met, if the store did not answer."""
        self.pid: int = os.getpid()
        self.finalizer: finalize[..., Any] | None = None
        """Ends it when nobody holds the object any more."""

    def let_lie(self) -> None:
        """Have nobody touch it again, not even the garbage collector at the end of the process: that would close what
        another process or a thread of this one still works with."""
        if self.background is not None:
            for thing in (self.inner, self.background):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


class Blocking(Generic[Inner]):
    """What both have in common: a loop in a thread, and verification.

    ``make`` gives the asynchronous object, again in each process that has been forked. ``bound``: why what was open
    before a fork cannot be opened after it; empty when it can."""

    def __init__(self, make: Callable[[], Inner], bound: str = "") -> None:
        inner = make()
        self.policy: Policy = inner.policy
        self.clock: Clock = inner.clock
        self.known: Known = _nothing
        """`AccessVerifier.known` while it runs: the hit path, in the calling thread, without a detour."""
        self._make: Callable[[], Inner] = make
        self._bound = bound
        self._lives: dict[int, Life[Inner]] = {os.getpid(): Life(inner)}
        """By process id: that of this process, and those of the ones it was forked from."""
        self._held: Life[Inner] | None = None
        _all.add(self)

    def __repr__(self) -> str:
        return f"<blocking {self._life.inner!r}>"

    def verify(self, credential: Credential) -> Identity:
        """The identity. Raises `InvalidCredential` or `StoreUnavailable`."""
        return self.known(credential.key) or self.run(lambda inner: inner.verify(credential))

    def run(self, work: Callable[[Inner], Awaitable[T]]) -> T:
        """Await something in the background loop: ``auth.run(lambda auth: auth.accounts.register(email, password))``.
        Starts everything if it has not been.

        Raises what it raises, what `start` raises, `StoreUnavailable` when the loop is stuck or ends meanwhile, and
        `RuntimeError` in the background loop itself. A caller who is interrupted leaves, and the work is cancelled."""
        life = self._life
        return self._started(life).run(lambda: work(life.inner))

    async def arun(self, work: Callable[[Inner], Awaitable[T]]) -> T:
        """`run` for asynchronous code in another event loop, which goes on meanwhile: ``async def`` views."""
        life = self._life
        background = life.running
        if background is None:
            background = await asyncio.to_thread(self._started, life)
        return await background.arun(lambda: work(life.inner))

    def start(self) -> Self:
        """Start now and not at the first request, so that a wrong setting is told at once. Idempotent.

        Raises `ConfigurationError` or `StoreUnavailable`; nothing is left behind then, and the next call tries again.
        """
        self._started(self._life)
        return self

    def close(self) -> None:
        """Write what is unwritten, close the stores, end the thread. Idempotent; the next call starts again. Calls
        under way have a second to end, then they raise `StoreUnavailable`.

        Raises `StoreUnavailable` when it takes longer than 10 s: something blocks the loop, and it is left to itself.
        """
        life = self._life
        _refuse_inside(life)
        with life.lock:
            self._end(life, _CLOSE_LIMIT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def _life(self) -> Life[Inner]:
        return self._lives.get(os.getpid()) or self._begin_life()

    def _begin_life(self) -> Life[Inner]:
        """In a process that has been forked. No lock: in the parent somebody may have held it, who is not here to
        release it. What the first thread puts there counts for all."""
        spoilt = self._leave_parent()
        return self._lives.setdefault(os.getpid(), Life(self._make(), spoilt))

    def _leave_parent(self) -> str:
        """Let lie what is not this process's. Why it cannot start then, if so."""
        foreign = [life for pid, life in tuple(self._lives.items()) if pid != os.getpid()]
        was_open = any(life.background is not None for life in foreign)
        for life in foreign:
            life.let_lie()
        return self._bound if was_open else ""

    def _started(self, life: Life[Inner]) -> Background:
        if life.running is not None:
            return life.running
        tries = life.tries
        _refuse_inside(life)
        with life.lock:
            if life.running is not None:
                return life.running
            if tries != life.tries and life.failure:  # tried while this thread stood in line
                raise StoreUnavailable(life.failure)
            return self._begin(life)

    def _begin(self, life: Life[Inner]) -> Background:
        """Start, with the lock held."""
        if _process_ends.is_set():
            raise StoreUnavailable("the process is ending")
        if life.spoilt:
            raise ConfigurationError(life.spoilt)
        self._end(life, _CLOSE_LIMIT)  # should whoever ended it have been interrupted
        # In a context of its own: all this outlives the request that happens to be the first.
        alone = Context()
        background = life.background = alone.run(Background, "coatcheck")
        life.failure = ""
        life.tries += 1
        try:
            alone.run(background.run, life.inner.start)
        except BaseException as error:
            if isinstance(error, StoreUnavailable):
                life.failure = str(error)
            self._end(life, _CLOSE_LIMIT)
            raise
        life.finalizer = finalize(self, _forgotten, life)
        life.finalizer.atexit = False  # which `_at_exit` sees to
        life.running, self.known = background, life.inner.known
        return background

    def _end(self, life: Life[Inner], limit: float) -> None:
        """End, with the lock held. Whoever calls meanwhile meets a loop that ends, and does not start another one."""
        self.known, life.running = _nothing, None
        background = life.background
        if life.finalizer is not None:
            life.finalizer.detach()
        if background is None:
            return
        if not background.stop(life.inner.close, limit):
            life.let_lie()
            life.background, life.spoilt = None, "something blocks the background loop for ever; restart this process"
            raise StoreUnavailable("the background loop does not end: something blocks it")
        life.background = None
        background.farewell()

    def _prepare_fork(self, give_up: float) -> None:
        """End, for what is open does not outlive a fork on both sides."""
        life = self._lives.get(os.getpid())
        if life is None or not life.lock.acquire(timeout=max(0.0, give_up - time.monotonic())):
            return  # somebody is starting or ending it: it goes on here, and the child lets it lie
        self._held = life
        if life.background is None or life.background.is_here():
            return
        try:
            self._end(life, max(0.1, give_up - time.monotonic()))
        except CoatcheckError as error:
            log.warning("not closed before a fork: %s", error)

    def _after_fork(self, *, is_child: bool) -> None:
        held, self._held = self._held, None
        if is_child:
            self.known = _nothing
        elif held is not None:
            held.lock.release()

    def _exit(self) -> None:
        """At the end of the process."""
        self._leave_parent()
        life = self._lives.get(os.getpid())
        if life is None or not life.lock.acquire(timeout=_EXIT_LIMIT):
            return
        try:
            self._end(life, _EXIT_LIMIT)
        except CoatcheckError as error:
            log.warning("not closed at the end of the process: %s", error)
        finally:
            life.lock.release()


_all: Final[WeakSet[Blocking[Any]]] = WeakSet()
_leaving: Final[set[Life[Any]]] = set()
"""What nobody holds any more, until its thread has ended."""
_process_ends: Final = threading.Event()


def _forgotten(life: Life[Any]) -> None:
    """Nobody holds the object any more, as after a test whose factory has made an application: end what runs. The
    garbage collector calls this in any thread, so nothing is waited for."""
    background = life.background
    if background is None:
        return
    if life.pid != os.getpid():
        life.let_lie()
        return
    _leaving.difference_update([other for other in _copied(_leaving) if _has_ended(other, 0.0)])
    _leaving.add(life)
    background.leave(life.inner.close, _CLOSE_LIMIT)


def _has_ended(life: Life[Any], patience: float) -> bool:
    return life.background is None or life.background.join(patience)


def _wait_for_leaving(limit: float) -> None:
    """Wait for what is ending by itself, and let lie what does not."""
    give_up = time.monotonic() + limit
    for life in _copied(_leaving):
        if not _has_ended(life, give_up - time.monotonic()):
            life.let_lie()
        _leaving.discard(life)


def _nothing(key: bytes) -> Identity | None:
    """The hit path of what does not run."""
    return None


def _refuse_inside(life: Life[Any]) -> None:
    if life.background is not None and life.background.is_here():
        raise RuntimeError("this would wait for the event loop that it runs in, for ever: await the asynchronous one")


def _copied(things: Iterable[T]) -> list[T]:
    while True:
        with suppress(RuntimeError):  # another thread has made or ended one meanwhile
            return list(things)


def _everyone() -> list[Blocking[Any]]:
    return _copied(_all)


def _before_fork() -> None:
    give_up = time.monotonic() + _EXIT_LIMIT
    threads = _threads()
    for each in _everyone():
        each._prepare_fork(give_up)
    _wait_for_leaving(give_up - time.monotonic())
    _wait_until_gone(threads - _threads(), give_up)


def _threads() -> set[int | None]:
    return {thread.native_id for thread in threading.enumerate()}


def _wait_until_gone(ended: set[int | None], give_up: float) -> None:
    """Wait for the system's threads behind those that have ended. Up to Python 3.12 a join returns before they are
    gone, and in a child that is forked meanwhile nobody releases what they hold: the lock of OpenSSL under which a
    thread's own data are freed, for one, and then the child's next signature waits for ever."""
    tasks = "/proc/self/task"
    if ended and not os.path.isdir(tasks):  # not Linux: freeing takes microseconds
        time.sleep(0.01)
    while time.monotonic() < give_up and any(os.path.exists(f"{tasks}/{thread}") for thread in ended):
        time.sleep(0.0002)


def _after_fork(is_child: bool) -> None:
    for each in _everyone():
        each._after_fork(is_child=is_child)


def _at_exit() -> None:
    _process_ends.set()
    with ExitStack() as steps:  # one that fails skips no other
        steps.callback(_wait_for_leaving, _EXIT_LIMIT)
        for each in _everyone():
            steps.callback(each._exit)


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # everywhere but on Windows, where nothing forks
    os.register_at_fork(
        before=_before_fork, after_in_parent=partial(_after_fork, False), after_in_child=partial(_after_fork, True)
    )

"""Several worker processes: start them, replace what dies, end them all in bounded time."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Final

log = logging.getLogger("coatcheck.service")

_SETTLED: Final = 5.0
"""Seconds after which a worker counts as well started: one that dies later is replaced at once."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0


class Supervisor:
    """Keeps ``count`` processes running ``target``, which is picklable, as is what is bound to it.

    A worker that dies young is replaced after a pause that doubles, for what it lacks (a store that is away) may come
    back. ``last_resort``: seconds after SIGTERM at which a worker that has not ended is killed.
    """

    def __init__(self, target: Callable[[], None], count: int, *, last_resort: float) -> None:
        self._target = target
        self._last_resort = last_resort
        self._workers: dict[int, tuple[SpawnProcess, float]] = {}
        """The live ones by sentinel, with when they were started."""
        self._missing = count
        self._pause = 0.0
        self._not_before = 0.0
        self._ending = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Every worker is gone when this returns."""
        woken, waker = socket.socketpair()
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._end)
        try:
            while not self._ending:
                patience = self._fill()
                self._reap(wait([*self._workers, woken], timeout=patience))
        finally:
            self._end_all()
            signal.set_wakeup_fd(-1)
            woken.close()
            waker.close()

    def _end(self, *_: object) -> None:
        self._ending = True

    def _fill(self) -> float | None:
        """Start what is missing. Returns the seconds until that may be done, None when all are there."""
        left = self._not_before - time.monotonic()
        if self._missing and left > 0:
            return left
        while self._missing:
            process = multiprocessing.get_context("spawn").Process(target=self._target, name="coatcheck-worker")
            process.start()
            self._workers[process.sentinel] = (process, time.monotonic())
            self._missing -= 1
        return None

    def _reap(self, ready: Sequence[object]) -> None:
        for sentinel in ready:
            if not isinstance(sentinel, int):  # the socket: a signal came in
                continue
            process, started = self._workers.pop(sentinel)
            process.join()
            log.error("worker %s ended with %s and is replaced", process.pid, process.exitcode)
            now = time.monotonic()
            young = now - started < _SETTLED
            self._pause = min(max(_FIRST_PAUSE, self._pause * 2), _LONGEST_PAUSE) if young else 0.0
            self._not_before = now + self._pause
            self._missing += 1

    def _end_all(self) -> None:
        processes = [process for process, _ in self._workers.values()]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + self._last_resort
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                log.error("worker %s did not end and is killed", process.pid)
                process.kill()
                process.join()


def end_with_parent() -> None:
    """In a worker: end as if told to when the parent is gone, however it died. Otherwise the worker would hold the
    port, with nobody to end it."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="coatcheck-parent", daemon=True).start()

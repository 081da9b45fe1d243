"""One process among those that share a directory: a thread writes its figures every second.

A process that is forked writes nothing of its parent's: it begins anew when it has something to count.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from weakref import WeakSet

from .figures import Figures
from .multiprocess import Directory

_EVERY: Final = 1.0
"""Seconds between two writes, unless somebody asks in between."""
_PATIENCE: Final = 5.0
"""Seconds that a write under way has before a fork."""


class Member:
    """This process, in a directory. ``say``: its figures. Nothing is written before `start`."""

    def __init__(self, directory: Directory, say: Callable[[], Figures]) -> None:
        self.is_started: bool = False
        self._directory = directory
        self._say = say
        self._pid = os.getpid()
        self._starting, self._writing = threading.Lock(), threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._token, self._lock = "", -1
        self._written: Figures | None = None
        self._has_ended = False
        _members.add(self)

    def start(self) -> None:
        """Write every second from now on, in a thread. Idempotent, and waits for no file."""
        with self._starting:
            if not self.is_started:
                self.is_started = True
                self._begin()

    def write(self) -> None:
        """Write now. What fails is logged; what was written before then stays."""
        if not self._is_here():
            return
        with self._writing:
            if not self._has_ended:
                self._write(self._say())

    def end(self) -> None:
        """Write for the last time, and be a process that ended. Does nothing in a process that was forked."""
        if not self._is_here() or not self.is_started:
            return
        self._stop.set()
        self.write()
        with self._writing:
            self._has_ended = True
            self._close()

    def pause(self) -> None:
        """Before a fork: end the thread."""
        if not self._is_here():
            return
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            thread.join(_PATIENCE)

    def resume(self) -> None:
        """After a fork, in the parent."""
        if self._is_here() and self.is_started and not self._has_ended and self._thread is None:
            self._begin()

    def leave(self) -> None:
        """After a fork, in the child: what the parent has locked ends with the parent."""
        self._close()

    def _begin(self) -> None:
        self._stop = stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(stop,), name="coatcheck-metrics", daemon=True)
        with suppress(RuntimeError):  # the process ends, and then `end` writes
            self._thread.start()

    def _run(self, stop: threading.Event) -> None:
        self.write()
        while not stop.wait(_EVERY):
            self.write()

    def _write(self, figures: Figures) -> None:
        try:
            if self._lock < 0 or not self._directory.is_in(self._token, self._lock):
                self._close()
                self._token, self._lock = self._directory.enter()
            elif figures == self._written:
                return
            self._directory.put(self._token, figures)
            self._written = figures
        except OSError as error:
            self._directory.warn("what this process has counted is not written", error)

    def _is_here(self) -> bool:
        return self._pid == os.getpid()

    def _close(self) -> None:
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


_members: Final[WeakSet[Member]] = WeakSet()


def _before_fork() -> None:
    for member in list(_members):
        member.pause()


def _after_in_parent() -> None:
    for member in list(_members):
        member.resume()


def _after_in_child() -> None:
    for member in list(_members):
        member.leave()


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)

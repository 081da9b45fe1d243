"""The directory in which several processes share their figures: whoever is asked reads it and adds up.

A process has two files there, called by a token that it draws. ``coatcheck-TOKEN.process`` stays as it is and is locked
for as long as the process lives: the system lets go of the lock however the process ends, and no process id has to be
believed. ``coatcheck-TOKEN.json`` holds the figures; what is written takes its place as a whole. What processes have
counted that ended is moved to ``coatcheck-ended.json``, so that nothing is ever told less of, and the files do not
become more and more.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import stat
import time
from pathlib import Path
from typing import Final

from ..errors import ConfigurationError
from .figures import Figures, Gauges, decode, encode, together

log = logging.getLogger("coatcheck.metrics")

_MAX_FILE: Final = 4 * 1024 * 1024
"""Bytes; ours have some kilobytes."""
_TRIES: Final = 100
_PROCESS: Final = re.compile(r"coatcheck-([0-9a-f]{16})\.process")
_ENDED: Final = "coatcheck-ended.json"
_LOCK: Final = "coatcheck-ended.lock"
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC

Held = tuple[Figures, frozenset[str]]


class Directory:
    """A directory of processes. What others keep in it is left alone.

    Raises `ConfigurationError` where it is not there, cannot be written, or is open to others than this user."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._warned: set[str] = set()
        self._check()

    def total(self) -> Figures:
        """The figures of all processes together. Raises `OSError` where the directory cannot be read."""
        total, some_ended = self._add_up()
        if some_ended:
            try:
                self._absorb()
            except OSError as error:
                self.warn("what processes have counted that ended stays in files of theirs", error)
        return total

    def enter(self) -> tuple[str, int]:
        """A new process: its token, and the descriptor by which it holds its lock. Raises `OSError`."""
        token = secrets.token_hex(8)
        draft = self._path / f"coatcheck-{token}.draft"
        lock = os.open(draft, _WRITE, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(lock, f"{os.getpid()}\n".encode())  # for people who look
            draft.rename(self._path / f"coatcheck-{token}.process")  # nobody sees it without its lock
        except OSError:
            os.close(lock)
            draft.unlink(missing_ok=True)
            raise
        return token, lock

    def is_in(self, token: str, lock: int) -> bool:
        """Whether a process is still there; somebody may have cleared the directory."""
        try:
            return os.path.samestat(os.fstat(lock), os.lstat(self._path / f"coatcheck-{token}.process"))
        except FileNotFoundError:
            return False

    def put(self, token: str, figures: Figures) -> None:
        """Write the figures of a process. Raises `OSError`, and then what was there still is."""
        self._write(f"coatcheck-{token}.json", encode(figures))

    def warn(self, what: str, error: Exception) -> None:
        """Log what is wrong, once."""
        if what not in self._warned:
            self._warned.add(what)
            log.warning("metrics in %s: %s: %s", self._path, what, error)

    def _add_up(self) -> tuple[Figures, bool]:
        """The figures of all, and whether some are of processes that ended."""
        for _ in range(_TRIES):
            held = self._held(_ENDED)
            kept, absorbed = held or (Figures(), frozenset[str]())
            total, gauges, some_ended = Figures(), list[Gauges](), False
            total.count(kept)
            for token in self._tokens() - absorbed:
                lives, figures = self._process(token)
                if figures is None:
                    continue
                total.count(figures)
                some_ended = some_ended or not lives
                if lives and figures.gauges is not None:
                    gauges.append(figures.gauges)
            # Nobody's files are deleted before this one says that it holds their figures. So if it still says the same,
            # nobody was missed, and nobody counted twice.
            if self._held(_ENDED) == held:
                total.gauges = together(gauges, time.monotonic())
                return total, some_ended
        raise OSError("the files change all the time")

    def _absorb(self) -> None:
        lock = os.open(self._path / _LOCK, _WRITE, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._absorb_alone()
        except BlockingIOError:  # somebody else is at it
            return
        finally:
            os.close(lock)

    def _absorb_alone(self) -> None:
        held = self._held(_ENDED)
        if held is None:  # it may be of a version to come
            return
        kept, absorbed = held
        there = self._tokens()
        gone = absorbed & there  # whoever absorbed them died before they were deleted
        for token in there - absorbed:
            lives, figures = self._process(token)
            if figures is not None and not lives:
                kept.count(figures)
                gone |= {token}
        self._write(_ENDED, encode(kept, gone), lasting=True)
        for token in gone:
            for end in ("json", "json.draft", "process"):  # the last is what it is found by
                (self._path / f"coatcheck-{token}.{end}").unlink(missing_ok=True)

    def _process(self, token: str) -> tuple[bool, Figures | None]:
        """Whether a process lives, and its figures; None where these cannot be told."""
        name = f"coatcheck-{token}.process"
        try:
            lives = _is_locked(self._path / name)
        except FileNotFoundError:  # absorbed meanwhile
            return False, None
        except OSError as error:
            self.warn(f"{name} is left out", error)
            return False, None
        # Only now: what has ended does not write any more.
        held = self._held(f"coatcheck-{token}.json")
        return lives, held and held[0]

    def _held(self, name: str) -> Held | None:
        """What a file holds: nothing where there is none. None where it cannot be used; it is then left as it is."""
        try:
            return decode(_read(self._path / name))
        except FileNotFoundError:
            return Figures(), frozenset()
        except (OSError, ValueError) as error:
            self.warn(f"{name} is left out", error)
            return None

    def _tokens(self) -> set[str]:
        # By the files that stay: a directory that is read while one file takes the place of another may show neither.
        return {found[1] for name in os.listdir(self._path) if (found := _PROCESS.fullmatch(name))}

    def _write(self, name: str, text: bytes, *, lasting: bool = False) -> None:
        """Whole or not at all. ``lasting``: also if the machine loses its power."""
        draft = self._path / f"{name}.draft"
        with os.fdopen(os.open(draft, _WRITE, 0o600), "wb") as file:
            file.write(text)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        draft.rename(self._path / name)

    def _check(self) -> None:
        what = f"the directory {self._path} for metrics"
        try:
            status = self._path.stat()
            if not stat.S_ISDIR(status.st_mode):
                raise ConfigurationError(f"{what} is no directory")
            if status.st_mode & 0o077:
                raise ConfigurationError(f"{what} is open to others; run: chmod 700 {self._path}")
            if status.st_uid != os.geteuid():
                raise ConfigurationError(f"{what} belongs to another user, who could change what is told")
            probe = self._path / f"coatcheck-{secrets.token_hex(8)}.draft"
            descriptor = os.open(probe, _WRITE, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.close(descriptor)
                probe.unlink()
        except OSError as error:
            raise ConfigurationError(f"cannot use {what}: {error.strerror}") from error


def _is_locked(path: Path) -> bool:
    descriptor = os.open(path, _READ)
    try:
        os.read(descriptor, 1)  # so that whatever clears away old files sees that this one is in use
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, _READ), "rb") as file:
        text = file.read(_MAX_FILE + 1)
    if len(text) > _MAX_FILE:
        raise OSError("it is too large")
    return text

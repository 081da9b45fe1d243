"""A time of day that can be put forward and back under running servers."""

from __future__ import annotations

import atexit
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from .processes import Missing, own_directory, program

_SOURCE: Final = Path(__file__).with_name("clock.c")
_COMPILERS: Final = ("cc", "gcc", "clang")


class ServerClock:
    """What the servers that were started with it take for the time of day. Intervals they measure stay true."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.off: float = 0.0
        """Seconds by which it is ahead of this machine's."""
        self.furthest: float = 0.0
        """By how much it has been ahead at most; set it to nothing to begin anew."""
        file.write_bytes(bytes(8))
        file.chmod(0o644)

    def set(self, off: float) -> None:
        """From now on it is ahead by so many seconds, or behind. Holds when this returns, for all servers at once."""
        self.off = off
        self.furthest = max(self.furthest, off)
        file = os.open(self._file, os.O_WRONLY)
        try:
            os.pwrite(file, struct.pack("=q", round(off * 1_000_000_000)), 0)
        finally:
            os.close(file)

    def environment(self) -> dict[str, str]:
        """What a program is started with to have it."""
        return {"LD_PRELOAD": str(_built()), "TESTS_CLOCK": str(self._file)}


@contextmanager
def server_clock() -> Iterator[ServerClock]:
    """A clock that is right, to begin with."""
    with own_directory("clock") as directory:
        directory.chmod(0o755)  # the server may be another user's
        yield ServerClock(directory / "off")


@cache
def _built() -> Path:
    """Compiled when the first one asks, and gone with this process."""
    directory = Path(mkdtemp(prefix="coatcheck-clock-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    directory.chmod(0o755)
    library = directory / "clock.so"
    command = [_compiler(), "-O2", "-fno-builtin", "-shared", "-fPIC", "-nostdlib", "-o", str(library), str(_SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return library


def _compiler() -> str:
    for name in _COMPILERS:
        try:
            return program(name)
        except Missing:
            continue
    raise Missing("no C compiler is installed: run scripts/setup dev")

"""The priority of the threads that hash passwords: behind the event loop's, and never so far that they starve.

A hash takes some 20 ms of a core at a stretch. Beside a thread of the same priority an event loop that wakes up waits
for the rest of a slice of the scheduler, some milliseconds, and every request with it.

It is tempting to go further, to SCHED_IDLE. But such a thread needs the interpreter's lock when its hash is done, and
where something else keeps the core busy it then holds that lock for seconds, and the event loop stands still.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import Final

NICER: Final = 10
"""Steps of niceness, see sched(7). A ninth of the weight: beside a thread that fills the core a hash still gets a tenth
of it, and one that was interrupted goes on after some 15 ms at most."""
_NICEST: Final = 19


def step_behind() -> None:
    """Make the calling thread nicer than it was.

    On Linux, where niceness is each thread's own; elsewhere this would meet the whole process, so nothing is done. Nor
    is it where a sandbox forbids it."""
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, min(_NICEST, os.getpriority(os.PRIO_PROCESS, thread) + NICER))

"""Everything in the memory of one process: for tests, and for applications that may forget on restart.

An operation does not await between its first look and its last write, so it is atomic within the one event loop
that may use it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .accounts import MemoryAccounts, MemoryKeys
from .sessions import MemorySessions

__all__ = ["MemoryStore"]


class MemoryStore(MemorySessions, MemoryAccounts, MemoryKeys):
    """All three stores in one object. Use it from one event loop.

    ``wall`` is the store's clock, seconds since the Unix epoch (default: the machine's).
    """

    def __init__(self, *, wall: Callable[[], float] = time.time) -> None:
        MemorySessions.__init__(self, wall)
        MemoryAccounts.__init__(self)
        MemoryKeys.__init__(self)

"""How long tests wait for what should happen. It is said here alone: a machine may be slow, and that is no failure.

Nothing waits for any of these when all is well. Each is less than pytest's limit for a test, which knows only that it
hangs and not what it waited for."""

from __future__ import annotations

import asyncio
from typing import Final

PATIENCE: Final = 180.0
"""Seconds after which what a process or a server should do is taken not to happen."""
SOON: Final = 50.0
"""The same for what is to happen at once, in this process or by word from another. Less than a minute: after that, uses
are written and keys are read anew by themselves, which may do what nobody was told to do."""
FOR_EVER: Final = 3000.0
"""Seconds that no test lasts: what the code under test may wait where it must not be its own limit that ends it."""


def in_time() -> asyncio.Timeout:
    """``async with in_time():`` what is to happen `SOON`."""
    return asyncio.timeout(SOON)

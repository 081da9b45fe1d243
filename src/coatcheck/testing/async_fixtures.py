"""The part of the plugin that needs pytest-asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest_asyncio

if TYPE_CHECKING:
    from ..auth import Auth
    from .clock import TravelClock


@pytest_asyncio.fixture
async def coatcheck_auth(coatcheck_clock: TravelClock) -> AsyncIterator[Auth]:
    """A running `coatcheck.Auth` in memory, by ``coatcheck_clock``, in the event loop of the test."""
    from .memory import memory_auth

    async with memory_auth(coatcheck_clock) as auth:
        yield auth

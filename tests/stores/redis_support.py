"""What the tests of the Redis store share."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from coatcheck.errors import StoreUnavailable
from coatcheck.stores.base import FeedLost
from coatcheck.stores.redis import RedisStore
from tests.support.patience import PATIENCE

T = TypeVar("T")


def with_prefix(url: str, more: str = "") -> str:
    """The URL with a prefix that no other test uses."""
    return f"{url}?prefix=t:{secrets.token_hex(6)}{more}"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisStore]:
    """A store that is closed afterwards."""
    store = RedisStore(url)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


async def until_it_works(call: Callable[[], Awaitable[T]], patience: float = PATIENCE) -> T:
    """The first answer, after however many times of `StoreUnavailable`."""
    async with asyncio.timeout(patience):
        while True:
            try:
                return await call()
            except (StoreUnavailable, FeedLost):
                await asyncio.sleep(0.02)

"""Counters of failed logins do not pile up."""

from __future__ import annotations

import math

from sqlalchemy import func, select

from coatcheck.stores.base import Counted
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.sql import SqlStore
from coatcheck.stores.sql.tables import failures


async def test_an_attack_with_ever_new_names_leaves_nothing_behind(store: SqlStore) -> None:
    """Counters that are over go as others are counted, without any successful login."""

    async def kept() -> int:
        return await store.database.read(
            lambda tx: int(tx.execute(select(func.count()).select_from(failures)).scalar_one())
        )

    for number in range(250):
        await store.count_failure(f"name-{number}", now=100.0, window=10.0)
    assert await kept() == 250, "none of them is over"
    for _ in range(3):
        await store.count_failure("one more", now=110.0, window=10.0)
    assert await kept() == 1
    assert await store.failures(["one more"], now=110.0) == [(3, 120.0)]
    await store.settle_try(uncounted=[], cleared=["one more"], now=110.0)
    assert await store.count_try([Counted("another", 9, 10.0)], now=110.0) is None
    assert await kept() == 1, "one that was cleared goes as well"


async def test_in_memory_what_lasts_keeps_nothing_in() -> None:
    """Counters that are over go by when they are over, although hundreds that last for a month were there first."""
    store = MemoryStore()
    for number in range(500):
        await store.settle_try(uncounted=[], counted=Counted(f"known-{number}", math.inf, 30 * 86400.0), now=0.0)
    now = 0.0
    for number in range(5000):
        now += 1.0
        assert await store.count_try([Counted(f"name-{number}", 9, 10.0)], now=now) is None
        assert len(store._failures) <= 500 + 12
    assert await store.failures(["known-1", "name-1"], now=now) == [(1, 30 * 86400.0), (0, now)]
    for _ in range(5):
        await store.count_failure("one more", now=31 * 86400.0, window=10.0)
        await store.count_failure("one more", now=31 * 86400.0, window=10.0)
    assert set(store._failures) == {"one more"}
    assert len(store._ends) == 1


async def test_in_memory_a_counter_that_was_cleared_and_counted_again_lasts() -> None:
    """It goes when its new time is over, not when its old one would have been."""
    store = MemoryStore()
    await store.count_failure("a", now=0.0, window=10.0)
    await store.settle_try(uncounted=[], cleared=["a"], now=5.0)
    await store.count_failure("a", now=6.0, window=10.0)
    await store.count_failure("b", now=11.0, window=10.0)
    assert await store.failures(["a"], now=11.0) == [(1, 16.0)]

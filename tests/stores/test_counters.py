"""Counters of failed logins do not pile up."""

from __future__ import annotations

from sqlalchemy import func, select

from coatcheck.stores.base import Counted
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

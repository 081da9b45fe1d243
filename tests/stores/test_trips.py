"""What an operation on SQLite costs in trips to another thread."""

from __future__ import annotations

from typing import Any

import aiosqlite
import pytest

from coatcheck.stores.base import Counted
from coatcheck.stores.sql import SqlStore
from coatcheck.testing.store_contract.support import logged_in


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is run in the threads of connections."""
    run: list[Any] = []
    inner = aiosqlite.Connection._execute

    async def noted(connection: aiosqlite.Connection, work: Any, *args: Any, **kwargs: Any) -> Any:
        run.append(work)
        return await inner(connection, work, *args, **kwargs)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", noted)
    return run


async def test_one_trip_for_each_statement(store: SqlStore, trips: list[Any]) -> None:
    """A read is one, and a write is BEGIN, its statements and COMMIT."""
    session = await logged_in(store)
    await store.by_id("nobody")
    trips.clear()
    assert await store.find(session.id, now=session.created) is not None
    assert len(trips) == 1
    trips.clear()
    assert await store.set_disabled("nobody", True) is False
    assert len(trips) == 3


async def test_what_a_login_costs_its_limits(store: SqlStore, trips: list[Any]) -> None:
    """However many counters a try is counted in: one read, and two transactions with a statement for the counters."""
    tries = [Counted(key, 9, 10.0) for key in "abcde"]
    await store.failures(["a"], now=100.0)
    trips.clear()
    await store.failures([one.key for one in tries], now=100.0)
    assert len(trips) == 1
    assert await store.count_try(tries, now=100.0) is None
    assert len(trips) == 1 + 4, "the counters that are over go as well"
    await store.settle_try(uncounted=["a", "b", "c"], cleared=["d", "e"], now=100.0)
    assert len(trips) == 1 + 4 + 3


async def test_a_refused_try_is_rolled_back(store: SqlStore) -> None:
    """And the connection is as good as new."""
    assert await store.count_try([Counted("a", 9, 10.0), Counted("b", 1, 10.0)], now=100.0) is None
    for _ in range(3):
        assert await store.count_try([Counted("a", 9, 10.0), Counted("b", 1, 10.0)], now=100.0) == 110.0
    assert await store.failures(["a", "b"], now=100.0) == [(1, 110.0), (1, 110.0)]

"""What pruning costs in the memory store: it looks at what is dead, never at all that live."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck.stores.base import Touch
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.store_contract.support import IDLE, logged_in, new_session, new_subject


class Counting(dict[str, Any]):
    """A dictionary that counts what is looked at."""

    looked = 0

    def __getitem__(self, key: str) -> Any:
        self.looked += 1
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.looked += 1
        return super().get(key, default)

    def items(self) -> Any:
        self.looked += len(self)
        return super().items()

    def values(self) -> Any:
        self.looked += len(self)
        return super().values()


@pytest.mark.parametrize("others", [10, 1_000])
async def test_prune_looks_only_at_what_is_dead(others: int) -> None:
    """Three that ran out and two that were cut off cost five looks, however many live."""
    store = MemoryStore()
    made = [await logged_in(store) for _ in range(others)]
    now = made[0].created
    for _ in range(3):
        await logged_in(store, idle_deadline=now - 1)
    subject = new_subject()
    for _ in range(2):
        await logged_in(store, subject)
    await store.revoke_subject(subject, now=now)
    store._sessions = counting = Counting(store._sessions)
    assert await store.prune(now=now, keep_events=IDLE) == 5
    assert counting.looked == 5
    assert await store.prune(now=now, keep_events=IDLE) == 0
    assert counting.looked == 5
    assert len(counting) == others


async def test_logins_and_logouts_leave_nothing_behind() -> None:
    """Deadlines of sessions that were ended early go as well, and those that live keep theirs."""
    store = MemoryStore()
    kept = await logged_in(store)
    now = kept.created
    for _ in range(5_000):
        session = new_session(now)
        await store.create(session, now=now)
        await store.revoke(session.id, now=now)
    assert len(store._deadlines) <= 1_010
    used = now + IDLE / 2
    await store.touch([Touch(session_id=kept.id, seen=used)], now=used)
    assert await store.prune(now=now + IDLE, keep_events=1e6) == 0
    assert await store.find(kept.id, now=now + IDLE) is not None
    assert await store.prune(now=used + IDLE, keep_events=1e6) == 1
    assert (store._sessions, store._of_subject, store._cut_off) == ({}, {}, [])
    assert len(store._deadlines) <= 1_010


async def test_a_session_made_anew_under_a_pruned_id_lives() -> None:
    """What is remembered of an id that was cut off and ran out does not end another session of that id."""
    store = MemoryStore()
    old = await logged_in(store)
    now = old.idle_deadline
    epoch = await store.revoke_subject(old.subject, now=old.created)
    assert await store.prune(now=now, keep_events=1e6, limit=1) == 1
    new = new_session(now, old.subject, id=old.id, epoch=epoch)
    await store.create(new, now=now)
    assert await store.prune(now=now, keep_events=1e6) == 0
    assert await store.find(new.id, now=now) is not None

"""How many live sessions a subject may have."""

# ruff: noqa: S101 - a suite asserts
from __future__ import annotations

from typing import Any

import pytest

from ...errors import Conflict
from ...model import EventKind, Session
from ...stores.base import MAX_ENDED, SessionStore
from .support import Contract, assert_ended, events_after, here, new_session, new_subject


class LimitContract(Contract):
    """create with ``keep``."""

    async def test_the_oldest_ends(self, store: Any, second: Any) -> None:
        """Beyond the limit the oldest live session ends in the same step, with its event; others' stay."""
        subject, now = new_subject(), float(int(await store.time()))
        first, middle = await _made(store, subject, now, 2)
        (stranger,) = await _made(store, new_subject(), now - 50, 1)
        cursor = await here(store)
        newest = new_session(now + 9, subject)
        assert await second.create(newest, now=now + 9, keep=2) == (first.id,)
        events = await events_after(store, cursor)
        assert [(event.kind, event.session_id, event.subject, event.at) for event in events] == [
            (EventKind.SESSION_REVOKED, first.id, subject, now + 9)
        ]
        await assert_ended(store, first.id, subject, now + 9)
        page = await store.sessions_of(subject, now=now + 9)
        assert [session.id for session in page.sessions] == [newest.id, middle.id]
        assert await store.find(stranger.id, now=now + 9) is not None

    async def test_dead_sessions_do_not_count(self, store: Any) -> None:
        """Neither one that is over nor one of an older epoch takes a place."""
        subject, now = new_subject(), float(int(await store.time()))
        await _made(store, subject, now, 2)
        epoch = await store.revoke_subject(subject, now=now + 2)
        kept = new_session(now + 3, subject, epoch=epoch)
        brief = new_session(now + 4, subject, epoch=epoch, idle_deadline=now + 5)
        for session in (kept, brief):
            assert await store.create(session, now=session.created, keep=2) == ()
        newest = new_session(now + 6, subject, epoch=epoch)
        assert await store.create(newest, now=now + 6, keep=2) == ()
        assert await store.find(kept.id, now=now + 6) is not None

    async def test_a_login_that_is_refused_ends_nobody(self, store: Any) -> None:
        """A Conflict changes nothing, though the limit was reached."""
        subject, now = new_subject(), float(int(await store.time()))
        (only,) = await _made(store, subject, now, 1)
        with pytest.raises(Conflict):
            await store.create(new_session(now + 1, subject, epoch=1), now=now + 1, keep=1)
        with pytest.raises(Conflict):
            await store.create(only, now=now + 1, keep=1)
        assert await store.find(only.id, now=now + 1) is not None

    async def test_a_lowered_limit_is_reached_by_and_by(self, store: Any) -> None:
        """One login ends so many at most, the oldest ones; the next goes on."""
        subject, now = new_subject(), float(int(await store.time()))
        made = await _made(store, subject, now, MAX_ENDED + 5)
        ids = [session.id for session in made]
        later = now + len(made)
        assert await store.create(new_session(later, subject), now=later, keep=1) == tuple(ids[:MAX_ENDED])
        last = new_session(later + 1, subject)
        assert len(await store.create(last, now=later + 1, keep=1)) == 6
        page = await store.sessions_of(subject, now=later + 1)
        assert [session.id for session in page.sessions] == [last.id]


async def _made(store: SessionStore, subject: str, now: float, count: int) -> list[Session]:
    """Sessions made a second after each other, oldest first."""
    made = [new_session(now + after, subject) for after in range(count)]
    for session in made:
        await store.create(session, now=session.created)
    return made

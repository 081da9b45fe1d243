"""The feed: order, cursors, waiting, and what proves nothing."""

# ruff: noqa: S101 - a suite asserts
from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from ...model import Event, EventKind
from ...stores.base import FeedLost
from .support import Contract, events_after, here, logged_in, new_subject

_PATIENCE = 20.0
"""Seconds until a wait that should have ended fails the test."""


class FeedContract(Contract):
    """events, revoke_token, announce_keys, and prune as far as events go."""

    def beyond(self, cursor: str) -> str:
        """A cursor past the feed's end. To be overridden where a cursor does not end in its position, or in that and a
        hexadecimal mark after a colon."""
        return re.sub(r"\d+(?=:[0-9a-f]*$)|\d+$", lambda found: str(int(found[0]) + 1), cursor, count=1)

    async def test_a_new_feed_is_empty_and_has_an_identity(self, store: Any, second: Any) -> None:
        """Without a cursor the read returns at once, whatever the wait, and covers the time since the feed began."""
        async with asyncio.timeout(_PATIENCE):
            first = await store.events(None, wait=_PATIENCE * 2)
        again = await second.events(None, wait=0)
        assert list(first.events) == list(again.events) == []
        assert first.feed
        assert (first.feed, first.since) == (again.feed, again.since)
        assert first.since <= first.now <= again.now <= await store.time()

    async def test_events_come_in_commit_order_to_everyone(self, store: Any, second: Any) -> None:
        """All of them without a cursor, and those after it with one."""
        before = await here(store)
        session = await logged_in(store)
        now = session.created + 0.25
        version = await store.step_version(session.subject, now=now)
        await second.revoke_token(session.id, "token-1", now=now)
        middle = await here(store)
        await store.announce_keys(now=now)
        await second.revoke(session.id, now=now)
        expected = [
            Event(kind=EventKind.SUBJECT_CHANGED, at=now, subject=session.subject, number=version),
            Event(kind=EventKind.TOKEN_REVOKED, at=now, session_id=session.id, token_id="token-1"),
            Event(kind=EventKind.KEYS_CHANGED, at=now),
            Event(kind=EventKind.SESSION_REVOKED, at=now, subject=session.subject, session_id=session.id),
        ]
        for client in (store, second):
            assert list((await client.events(None, wait=0)).events) == expected
            assert await events_after(client, before) == expected
            assert await events_after(client, middle) == expected[2:]

    async def test_a_revoked_token_leaves_its_session(self, store: Any) -> None:
        """RFC 7009 for an access token: only the token ends."""
        session = await logged_in(store)
        await store.revoke_token(session.id, "token", now=session.created)
        assert await store.find(session.id, now=session.created) is not None

    async def test_a_waiting_reader_is_woken(self, store: Any, second: Any) -> None:
        """An event of either client ends the wait long before its time."""
        for writer in (store, second):
            cursor = await here(store)
            session = await logged_in(store)
            reading = asyncio.create_task(store.events(cursor, wait=_PATIENCE * 10))
            await asyncio.sleep(0)
            await writer.revoke(session.id, now=session.created)
            async with asyncio.timeout(_PATIENCE):
                read = await reading
            assert [event.session_id for event in read.events] == [session.id]

    async def test_a_wait_ends_without_events(self, store: Any) -> None:
        """Then nothing has happened: no events, and a cursor as good. What appends nothing does not disturb."""
        session = await logged_in(store)
        cursor = await here(store)
        reading = asyncio.create_task(store.events(cursor, wait=0.2))
        await store.update(session.id, 0, now=session.created, label="quiet")
        read = await reading
        assert list(read.events) == []
        await store.revoke(session.id, now=session.created)
        assert await events_after(store, read.cursor) == await events_after(store, cursor) != []

    async def test_a_cancelled_wait_harms_nobody(self, store: Any) -> None:
        """The store goes on as if it had not been."""
        session = await logged_in(store)
        cursor = await here(store)
        for delay in (0.0, 0.01, 0.05):
            reading = asyncio.create_task(store.events(cursor, wait=_PATIENCE))
            await asyncio.sleep(delay)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        await store.revoke(session.id, now=session.created)
        assert len(await events_after(store, cursor)) == 1

    @pytest.mark.parametrize("cursor", ["", ":", "1", "x", "other:0", "other:", ":0", "\u0660:\u0661", "x" * 5000])
    async def test_a_cursor_of_another_feed_proves_nothing(self, store: Any, cursor: str) -> None:
        """FeedLost, at once."""
        with pytest.raises(FeedLost):
            async with asyncio.timeout(_PATIENCE):
                await store.events(cursor, wait=_PATIENCE * 10)

    async def test_a_cursor_beyond_the_end_proves_nothing(self, store: Any) -> None:
        """A failover has lost events: FeedLost, not silence."""
        for _ in range(2):
            beyond = self.beyond(await here(store))
            with pytest.raises(FeedLost):
                async with asyncio.timeout(_PATIENCE):
                    await store.events(beyond, wait=_PATIENCE * 10)
            await store.announce_keys(now=await store.time())

    async def test_prune_keeps_events_as_long_as_it_is_told(self, store: Any, second: Any) -> None:
        """Older ones go, a cursor from before them is lost, and `since` says what is covered still."""
        start = await here(store)
        now = float(int(await store.time())) + 10
        for at in (now, now + 1, now + 2, now + 3):
            await store.announce_keys(now=at)
        await store.prune(now=now + 102, keep_events=100)
        read = await second.events(None, wait=0)
        assert [event.at for event in read.events] == [now + 2, now + 3]
        assert now + 1 < read.since <= now + 2
        with pytest.raises(FeedLost):
            await second.events(start, wait=0)
        await store.prune(now=now + 200, keep_events=100)
        assert list((await second.events(read.cursor, wait=0)).events) == []

    async def test_an_emptied_feed_goes_on(self, store: Any) -> None:
        """When every event was pruned, the end's cursor still holds and positions are not given twice."""
        now = await store.time() + 10
        await store.announce_keys(now=now)
        end = await store.events(None, wait=0)
        assert await store.prune(now=now + 2, keep_events=1) == 1
        assert await store.prune(now=now + 2, keep_events=1) == 0
        emptied = await store.events(None, wait=0)
        assert (list(emptied.events), emptied.feed) == ([], end.feed)
        assert emptied.since > now
        subject = new_subject()
        await store.step_version(subject, now=now + 3)
        for cursor in (end.cursor, emptied.cursor):
            assert [event.subject for event in await events_after(store, cursor)] == [subject]

    async def test_prune_takes_events_in_bounded_batches(self, store: Any, second: Any) -> None:
        """Never more than the limit at once, oldest first, and side by side."""
        now = await store.time()
        for _ in range(7):
            await store.announce_keys(now=now)
        counts = [await store.prune(now=now + 2, keep_events=1, limit=2)]
        assert len((await store.events(None, wait=0)).events) == 5
        work = (client.prune(now=now + 2, keep_events=1, limit=2) for client in (store, second))
        counts += await asyncio.gather(*work)
        assert sorted(counts) == [2, 2, 2]
        assert await store.prune(now=now + 2, keep_events=1, limit=2) == 1

    async def test_a_late_event_is_not_pruned_early(self, store: Any) -> None:
        """An event with an older time behind a newer one stays until that one goes."""
        now = await store.time() + 100
        await store.announce_keys(now=now)
        await store.announce_keys(now=now - 50)
        assert await store.prune(now=now + 10, keep_events=20) == 0
        assert await store.prune(now=now + 30, keep_events=20) == 2

"""A history that was rolled back, and a clock that steps: what must never look like what it is not."""

# ruff: noqa: S101 - a suite asserts
from __future__ import annotations

from typing import Any

import pytest

from ...credentials.opaque import new_session_id
from ...model import Event, EventKind
from ...stores.base import CLOCK_STEP, MAX_TOKENS, FeedLost, Gone, Reused
from .rewind import Rewinder
from .support import ABSOLUTE, IDLE, Contract, events_after, here, logged_in, new_session, new_subject

_HOUR = 3600.0


class HistoryContract(Contract):
    """What a cursor proves, numbers, ends that are terminal, and time."""

    @pytest.mark.parametrize("regrown", [0, 1, 2, 3])
    async def test_a_cursor_of_a_lost_history_proves_nothing(
        self, store: Any, second: Any, rewinder: Rewinder, regrown: int
    ) -> None:
        """However many events the history that was put back has grown since: fewer, as many, or more."""
        now = await store.time()
        await store.announce_keys(now=now)
        before = await here(store)
        await rewinder.save()
        lost = []
        for _ in range(2):
            await store.announce_keys(now=now)
            lost.append(await here(second))
        await rewinder.restore()
        for _ in range(regrown):
            await second.announce_keys(now=now)
        for cursor in lost:
            for client in (store, second):
                with pytest.raises(FeedLost):
                    await client.events(cursor, wait=0)
        assert len(await events_after(store, before)) == regrown

    async def test_a_cursor_at_the_tail_of_a_lost_history_proves_nothing(
        self, store: Any, second: Any, rewinder: Rewinder
    ) -> None:
        """Nor where the newest event was pruned in both of them."""
        now = await store.time()
        await store.announce_keys(now=now)
        await rewinder.save()
        cursors = []
        for client in (store, second):
            await client.announce_keys(now=now)
            assert await client.prune(now=now + 2, keep_events=1) == 2
            cursors.append(await here(client))
            await rewinder.restore()
        with pytest.raises(FeedLost):
            await store.events(cursors[0], wait=0)
        await store.announce_keys(now=now)
        await store.prune(now=now + 2, keep_events=1)
        for cursor in cursors:
            with pytest.raises(FeedLost):
                await second.events(cursor, wait=0)

    async def test_epochs_and_versions_never_repeat(self, store: Any, second: Any, rewinder: Rewinder) -> None:
        """Not at the same moment of another history either; and they rise."""
        subject, now = new_subject(), float(int(await store.time()))
        await rewinder.save()
        epochs, versions = [], []
        for client in (store, second, store):
            for _ in range(2):
                epochs.append(await client.revoke_subject(subject, now=now))
                versions.append(await client.step_version(subject, now=now))
            assert epochs[-2] < epochs[-1] < 2**53
            assert versions[-2] < versions[-1] < 2**53
            assert await client.standing_of(subject) == (epochs[-1], versions[-1])
            await rewinder.restore()
            assert await client.standing_of(subject) == (0, 0)
        assert len(set(epochs)) == len(set(versions)) == 6
        later = await store.revoke_subject(subject, now=now + 1)
        assert later > max(epochs)

    async def test_what_was_forgotten_can_be_ended(self, store: Any, second: Any, rewinder: Rewinder) -> None:
        """A session that the store has lost gets its event, so that access tokens of it are refused. Once."""
        await rewinder.save()
        session = await logged_in(store)
        await rewinder.restore()
        cursor = await here(store)
        for client in (store, second, store):
            assert await client.revoke(session.id, now=session.created) is None
        (event,) = await events_after(store, cursor)
        assert (event.kind, event.session_id) == (EventKind.SESSION_REVOKED, session.id)

    async def test_a_dead_session_is_ended_once(self, store: Any, second: Any) -> None:
        """However often it is asked for; and again when the feed has forgotten."""
        session = await logged_in(store)
        now = session.created
        cursor = await here(store)
        assert await store.revoke(session.id, now=now) == session
        for client in (second, store):
            assert await client.revoke(session.id, now=now + 1) is None
        assert len(await events_after(store, cursor)) == 1
        await store.prune(now=now + 10, keep_events=5)
        cursor = await here(store)
        for client in (second, store):
            assert await client.revoke(session.id, now=now + 11) is None
        assert len(await events_after(store, cursor)) == 1

    @pytest.mark.parametrize("session_id", ["", "x", "nobody", "é" * 24, "a" * 25, "a" * 23 + "\n"])
    async def test_what_cannot_be_a_session_is_not_ended(self, store: Any, session_id: str) -> None:
        """An id that `new_session_id` cannot have made appends nothing."""
        cursor = await here(store)
        assert await store.revoke(session_id, now=await store.time()) is None
        assert await events_after(store, cursor) == []

    @pytest.mark.parametrize("ahead", [IDLE, ABSOLUTE, _HOUR * 24 * 365])
    async def test_ending_does_not_depend_on_the_time_of_day(self, store: Any, second: Any, ahead: float) -> None:
        """With a clock that is far ahead a session is ended and told of, and it is not back when the clock is right."""
        session = await logged_in(store)
        cursor = await here(store)
        assert await store.revoke(session.id, now=session.created + ahead) == session
        assert [event.session_id for event in await events_after(second, cursor)] == [session.id]
        for client in (store, second):
            assert await client.find(session.id, now=session.created) is None

    async def test_reuse_does_not_depend_on_the_time_of_day(self, store: Any, second: Any) -> None:
        """A refresh token that was used before ends the session though the clock says that it is over; the current one
        does nothing then."""
        session = await logged_in(store, generation=5)
        late = session.created + 2 * ABSOLUTE
        for generation in (5, 6):
            assert await store.rotate(session.id, generation, window=30.0, now=late) == Gone()
        assert await store.find(session.id, now=session.created) is not None
        cursor = await here(store)
        assert await second.rotate(session.id, 3, window=30.0, now=late) == Reused(session)
        assert [event.session_id for event in await events_after(store, cursor)] == [session.id]
        assert await store.find(session.id, now=session.created) is None

    async def test_time_does_not_go_back(self, store: Any, second: Any) -> None:
        """Behind what a login, a refresh or a pruning counted with no client is given a time, and no event is dated."""
        session = await logged_in(store, generation=0)
        now, subject = session.created, session.subject
        for hours, use in enumerate(("create", "rotate", "prune"), 1):
            ahead = now + hours * _HOUR
            if use == "create":
                await store.create(new_session(ahead, subject), now=ahead)
            elif use == "rotate":
                long = new_session(now, subject, idle_deadline=ahead * 2, absolute_deadline=ahead * 2)
                await store.create(long, now=now)
                await store.rotate(long.id, 0, window=30.0, now=ahead)
            else:
                await store.prune(now=ahead, keep_events=_HOUR * 24)
            cursor = await here(store)
            for client in (store, second):
                assert await client.time() >= ahead - CLOCK_STEP
                read = await client.events(None, wait=0)
                assert read.now >= ahead - CLOCK_STEP
                assert read.behind > _HOUR / 2
                await client.step_version(subject, now=now)
            assert all(event.at >= ahead - CLOCK_STEP for event in await events_after(second, cursor))

    async def test_an_honest_clock_is_not_behind(self, store: Any) -> None:
        """What is issued at the store's own time puts nothing ahead of it."""
        await logged_in(store)
        assert (await store.events(None, wait=0)).behind <= CLOCK_STEP

    async def test_a_feed_begins_anew(self, store: Any, second: Any) -> None:
        """It has another identity and covers nothing of before; its events stay, cursors prove nothing, once."""
        session = await logged_in(store)
        now = session.created + 1
        await store.revoke(session.id, now=now)
        old = await store.events(None, wait=0)
        await second.events(None, wait=0)
        assert await store.begin_anew(old.feed, since=now + 30, now=now) is True
        new = await second.events(None, wait=0)
        assert new.feed != old.feed
        assert new.since == now + 30
        assert new.events == old.events
        with pytest.raises(FeedLost):
            await second.events(old.cursor, wait=0)
        for client in (store, second):
            assert await client.begin_anew(old.feed, since=now + 60, now=now) is False
        assert (await store.events(None, wait=0)).since == now + 30
        assert await events_after(store, new.cursor) == []

    async def test_a_new_beginning_covers_nothing_that_was_issued_before(self, store: Any) -> None:
        """Whatever it is asked for: neither below its highest time, nor below the beginning that it has."""
        feed = (await store.events(None, wait=0)).feed
        ahead = await store.time() + _HOUR
        await store.create(new_session(ahead), now=ahead)
        assert await store.begin_anew(feed, since=0.0, now=0.0) is True
        begun = await store.events(None, wait=0)
        assert begun.since >= ahead - CLOCK_STEP
        assert await store.begin_anew(begun.feed, since=0.0, now=0.0) is True
        assert (await store.events(None, wait=0)).since == begun.since

    async def test_a_clock_that_was_far_ahead_is_put_right(self, store: Any, second: Any) -> None:
        """With a new beginning at a time that is given: sessions from the future end, what is at hand lives on, and
        events that were dated ahead hold up no pruning."""
        now = float(int(await store.time()))
        far = now + 24 * 365 * _HOUR
        plain = new_session(now, absolute_deadline=far * 2, idle_deadline=far * 2)
        ahead = new_session(far)
        await store.create(plain, now=now)
        await store.create(ahead, now=far)
        await store.announce_keys(now=now)
        feed = (await store.events(None, wait=0)).feed
        assert await store.begin_anew(feed, since=0.0, now=now, clock=now) is True
        assert await second.time() < far - _HOUR
        read = await second.events(None, wait=0)
        assert read.since < far - _HOUR
        for moment in (now, far, far + 1):
            assert await store.find(ahead.id, now=moment) is None, "nor when its time has come"
            assert await store.find(plain.id, now=moment) is not None
        assert await store.prune(now=now + _HOUR, keep_events=60) >= 1

    async def test_a_token_is_ended_once(self, store: Any, second: Any) -> None:
        """However often it is asked for."""
        session = await logged_in(store)
        cursor = await here(store)
        for client in (store, second, store):
            assert await client.revoke_token(session.id, "token", now=session.created) is False
        expected = Event(
            kind=EventKind.TOKEN_REVOKED, at=session.created, session_id=session.id, token_id="token"
        )  # fmt: skip
        assert await events_after(store, cursor) == [expected]

    async def test_one_session_cannot_fill_the_feed(self, store: Any, second: Any) -> None:
        """After so many of its tokens were ended one by one, the next one ends the session, once; others go on."""
        session, other = await logged_in(store), await logged_in(store)
        now = session.created
        cursor = await here(store)
        for number in range(MAX_TOKENS):
            assert await store.revoke_token(session.id, f"token-{number}", now=now) is False
        assert await store.find(session.id, now=now) is not None
        for number in range(3):
            assert await second.revoke_token(session.id, f"further-{number}", now=now) is True
            assert await second.revoke_token(session.id, "token-0", now=now) is False
        assert await store.find(session.id, now=now) is None
        assert await store.revoke_token(other.id, "token", now=now) is False
        events = await events_after(store, cursor)
        assert len(events) == MAX_TOKENS + 2
        assert [event.session_id for event in events if event.kind is EventKind.SESSION_REVOKED] == [session.id]
        await store.prune(now=now + 10, keep_events=5)
        assert await store.revoke_token(session.id, "much later", now=now + 10) is False

    async def test_an_end_needs_no_subject(self, store: Any) -> None:
        """A session of a subject that nobody has heard of is ended by its id alone."""
        session_id = new_session_id(new_subject())
        cursor = await here(store)
        assert await store.revoke(session_id, now=await store.time()) is None
        assert [event.session_id for event in await events_after(store, cursor)] == [session_id]

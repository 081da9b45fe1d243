"""One client, one operation at a time: what is live, what is changed, what is listed and what is deleted."""

# ruff: noqa: S101 - a suite asserts
from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from ...errors import Conflict, NotFound, Rejected
from ...model import Device, Event, EventKind, Mode, Session, Standing
from ...stores.base import MAX_PAGE, SessionStore, Touch
from .support import ABSOLUTE, IDLE, Contract, assert_ended, events_after, here, logged_in, new_session, new_subject

_Way = Callable[[SessionStore, Session], Awaitable[float]]


async def _revoked(store: SessionStore, session: Session) -> float:
    await store.revoke(session.id, now=session.created)
    return session.created


async def _idle(store: SessionStore, session: Session) -> float:
    return session.idle_deadline


async def _absolute(store: SessionStore, session: Session) -> float:
    """Kept in use until the end, so that it is the absolute deadline that counts."""
    now = session.created
    while now < session.absolute_deadline - IDLE / 2:
        now += IDLE / 2
        await store.touch([Touch(session_id=session.id, seen=now)], now=now)
    assert await store.find(session.id, now=math.nextafter(session.absolute_deadline, 0)) is not None
    return session.absolute_deadline


async def _cut_off(store: SessionStore, session: Session) -> float:
    await store.revoke_subject(session.subject, now=session.created)
    return session.created


WAYS_TO_END: Final[dict[str, _Way]] = {
    "revoked": _revoked,
    "idle": _idle,
    "absolute": _absolute,
    "older epoch": _cut_off,
}


class SessionRules(Contract):
    """create, find, touch, update, revoke, revoke_subject, sessions_of, prune."""

    async def test_a_created_session_is_found_as_it_was(self, store: Any, second: Any) -> None:
        """Every field comes back unchanged, to any client, with the subject's epoch and version."""
        now = float(int(await store.time())) + 0.123456789
        session = new_session(
            now,
            mode=Mode.JWT_COOKIE,
            authenticated=now - 5,
            amr=("pwd", "otp"),
            device=Device(user_agent='Ünïcode "🦊"\n\x00', ip="2001:db8::1", label="'; DROP TABLE"),
            remember=True,
            generation=7,
            rotated=now - 1,
            version=3,
            data={"cart": [1, 2.5, None, {"é": "\u2028\x00"}], "": True},
        )
        await store.create(session, now=now)
        version = await store.step_version(session.subject, now=now)
        for client in (store, second):
            assert await client.find(session.id, now=now) == Standing(session=session, epoch=0, version=version)

    async def test_what_a_caller_holds_is_not_what_the_store_holds(self, store: Any) -> None:
        """Changing data that was given or got changes nothing in the store."""
        data = {"list": [1]}
        session = await logged_in(store, data=data)
        data["list"].append(2)
        found = await store.find(session.id, now=session.created)
        assert found is not None
        assert found.session.data == {"list": [1]}
        found.session.data["list"].append(3)
        again = await store.find(session.id, now=session.created)
        assert again is not None
        assert again.session.data == {"list": [1]}

    async def test_an_unknown_session_is_none(self, store: Any) -> None:
        """Nothing is known of an id that was never created, and nothing appears by asking, but that it has ended."""
        cursor = await here(store)
        ghost = new_session(await store.time())
        await assert_ended(store, ghost.id, ghost.subject, ghost.created)
        with pytest.raises(NotFound):
            await store.revoke_subject(ghost.subject, now=ghost.created, excepted=ghost.id)
        assert await store.standing_of(ghost.subject) == (0, 0)
        assert [event.session_id for event in await events_after(store, cursor)] == [ghost.id]

    @pytest.mark.parametrize("way", WAYS_TO_END)
    async def test_an_ended_session_is_dead_to_every_operation(self, store: Any, second: Any, way: str) -> None:
        """However it ended, from the deadline itself on, no operation sees, changes or revives it. That it has ended is
        told once."""
        session = await logged_in(store)
        now = await WAYS_TO_END[way](store, session)
        cursor = await here(store)
        await assert_ended(store, session.id, session.subject, now)
        await assert_ended(second, session.id, session.subject, now)
        with pytest.raises(NotFound):
            await store.revoke_subject(session.subject, now=now, excepted=session.id)
        told = [(event.kind, event.session_id) for event in await events_after(store, cursor)]
        assert told == ([] if way == "revoked" else [(EventKind.SESSION_REVOKED, session.id)])

    @pytest.mark.parametrize("deadline", ["idle_deadline", "absolute_deadline"])
    async def test_a_session_lives_until_just_before_its_deadline(self, store: Any, deadline: str) -> None:
        """Live means now < deadline, to the last representable moment."""
        session = await logged_in(store, idle_deadline=10.0**12, absolute_deadline=10.0**12)
        end = session.created + 60
        brief = replace(new_session(session.created), **{deadline: end})  # type: ignore[arg-type] # a field by name
        await store.create(brief, now=session.created)
        assert await store.find(brief.id, now=math.nextafter(end, 0)) is not None
        assert await store.find(brief.id, now=end) is None

    async def test_create_never_replaces(self, store: Any, second: Any) -> None:
        """A second session with the same id is a Conflict, and the first stays as it is."""
        session = await logged_in(store)
        with pytest.raises(Conflict):
            await second.create(replace(session, subject=new_subject(), amr=("otp",)), now=session.created)
        found = await store.find(session.id, now=session.created)
        assert found is not None
        assert found.session == session

    async def test_a_login_that_lost_against_a_cut_off_is_refused(self, store: Any, second: Any) -> None:
        """The epoch read before the password was checked must still be the subject's, older or newer is a Conflict."""
        now = await store.time()
        subject = new_subject()
        current = await second.revoke_subject(subject, now=now)
        for epoch in (0, current - 1, current + 1):
            session = new_session(now, subject, epoch=epoch)
            with pytest.raises(Conflict):
                await store.create(session, now=now)
            assert await store.find(session.id, now=now) is None
        await store.create(new_session(now, subject, epoch=current), now=now)

    async def test_touch_moves_seen_and_the_idle_deadline(self, store: Any, second: Any) -> None:
        """Both move to what the use says, and nothing else changes."""
        session = await logged_in(store)
        now = session.created + 100
        assert await store.touch([Touch(session_id=session.id, seen=now - 10)], now=now) == frozenset()
        found = await second.find(session.id, now=now)
        assert found is not None
        assert found.session == replace(session, seen=now - 10, idle_deadline=now - 10 + IDLE)

    async def test_touch_never_goes_backwards(self, store: Any) -> None:
        """A late report of an earlier use changes nothing, within one batch as well."""
        session = await logged_in(store)
        now = session.created + 100
        batch = [Touch(session_id=session.id, seen=now), Touch(session_id=session.id, seen=now - 50)]
        assert await store.touch(batch, now=now) == frozenset()
        await store.touch([Touch(session_id=session.id, seen=now - 99)], now=now)
        found = await store.find(session.id, now=now)
        assert found is not None
        assert (found.session.seen, found.session.idle_deadline) == (now, now + IDLE)

    async def test_touch_never_passes_the_absolute_deadline(self, store: Any) -> None:
        """The idle deadline stops at the absolute one."""
        session = await logged_in(store, idle_timeout=ABSOLUTE, idle_deadline=10.0**12)
        assert await store.touch([Touch(session_id=session.id, seen=session.created + 9)], now=session.created + 9) == (
            frozenset()
        )
        brief = await logged_in(store, idle_timeout=ABSOLUTE)
        await store.touch([Touch(session_id=brief.id, seen=brief.created + 9)], now=brief.created + 9)
        found = await store.find(brief.id, now=brief.created + 9)
        assert found is not None
        assert found.session.idle_deadline == brief.absolute_deadline

    async def test_a_large_batch_of_touches_names_the_dead_ones(self, store: Any) -> None:
        """Of many, exactly those that are not live are returned, and the live ones have moved."""
        live = [await logged_in(store) for _ in range(5)]
        now = live[-1].created + 10
        dead = [new_session(now).id for _ in range(1200)]
        touches = [Touch(session_id=name, seen=now) for name in [*dead, *(one.id for one in live)]]
        assert await store.touch(touches, now=now) == frozenset(dead)
        assert await store.touch([], now=now) == frozenset()
        for session in live:
            found = await store.find(session.id, now=now)
            assert found is not None
            assert found.session.seen == now

    async def test_update_changes_what_is_named_and_steps_the_version(self, store: Any, second: Any) -> None:
        """Each field by itself; only the parts of an Identity append an event."""
        session = await logged_in(store, data={"old": 1}, device=Device(user_agent="ua", label="first"))
        now = session.created + 1
        cursor = await here(store)
        data = replace(session, version=1, data={"new": [1]})
        assert await store.update(session.id, 0, now=now, data={"new": [1]}) == data
        label = replace(data, version=2, device=Device(user_agent="ua", label="phone"))
        assert await second.update(session.id, 1, now=now, label="phone") == label
        assert await events_after(store, cursor) == []
        proved = replace(label, version=3, authenticated=now)
        assert await store.update(session.id, 2, now=now, authenticated=now) == proved
        means = replace(proved, version=4, amr=("pwd", "otp"))
        assert await store.update(session.id, 3, now=now, amr=("pwd", "otp")) == means
        emptied = replace(means, version=5, data={}, device=Device(user_agent="ua"))
        assert await store.update(session.id, 4, now=now, data={}, label="") == emptied
        found = await second.find(session.id, now=now)
        assert found is not None
        assert found.session == emptied
        changed = Event(kind=EventKind.SESSION_CHANGED, at=now, subject=session.subject, session_id=session.id)
        assert await events_after(second, cursor) == [replace(changed, number=3), replace(changed, number=4)]

    async def test_update_of_another_version_is_a_conflict(self, store: Any) -> None:
        """The slower of two writers is told so, and changes nothing."""
        session = await logged_in(store)
        changed = await store.update(session.id, 0, now=session.created, label="mine")
        cursor = await here(store)
        for version in (0, 2):
            with pytest.raises(Conflict):
                await store.update(session.id, version, now=session.created, label="theirs", amr=("x",))
        found = await store.find(session.id, now=session.created)
        assert found is not None
        assert found.session == changed
        assert await events_after(store, cursor) == []

    @pytest.mark.parametrize("data", [{"a": {1, 2}}, {"a": math.nan}, {"a": math.inf}, {"a": b"x"}])
    async def test_data_that_json_cannot_say_is_rejected(self, store: Any, data: dict[str, Any]) -> None:
        """Neither create nor update takes it, and nothing changes."""
        session = await logged_in(store, data={"kept": 1})
        with pytest.raises(Rejected):
            await store.update(session.id, 0, now=session.created, data=data)
        with pytest.raises(Rejected):
            await store.create(new_session(session.created, data=data), now=session.created)
        found = await store.find(session.id, now=session.created)
        assert found is not None
        assert found.session == session

    async def test_revoke_ends_once(self, store: Any, second: Any) -> None:
        """The call that ended it gets the session and appends one event; later ones get None and append nothing."""
        session = await logged_in(store)
        cursor = await here(store)
        now = session.created + 1
        assert await store.revoke(session.id, now=now) == session
        for client in (store, second):
            assert await client.revoke(session.id, now=now) is None
            await assert_ended(client, session.id, session.subject, now)
        ended = Event(kind=EventKind.SESSION_REVOKED, at=now, subject=session.subject, session_id=session.id)
        assert await events_after(second, cursor) == [ended]

    async def test_revoke_leaves_other_sessions_alone(self, store: Any) -> None:
        """The subject's other session lives on."""
        session = await logged_in(store)
        other = await logged_in(store, session.subject)
        await store.revoke(session.id, now=session.created)
        assert await store.find(other.id, now=session.created) is not None

    async def test_a_cut_off_ends_every_session_with_one_event(self, store: Any, second: Any) -> None:
        """Any number of sessions, one event with the new epoch; other subjects notice nothing."""
        sessions = [await logged_in(store)]
        sessions += [await logged_in(store, sessions[0].subject) for _ in range(4)]
        stranger = await logged_in(store)
        now, subject = sessions[0].created, sessions[0].subject
        cursor = await here(store)
        epoch = await store.revoke_subject(subject, now=now)
        for session in sessions:
            await assert_ended(second, session.id, subject, now)
        assert await second.find(stranger.id, now=now) is not None
        assert epoch > 0
        assert await second.standing_of(subject) == (epoch, 0)
        cut = Event(kind=EventKind.SUBJECT_CUT_OFF, at=now, subject=subject, number=epoch)
        assert (await events_after(store, cursor))[0] == cut
        assert await store.revoke_subject(subject, now=now) > epoch

    async def test_the_excepted_session_takes_the_new_epoch(self, store: Any, second: Any) -> None:
        """It lives on as the only one, survives nothing more than this, and the event names it."""
        kept = await logged_in(store)
        gone = await logged_in(store, kept.subject)
        cursor = await here(store)
        now = kept.created
        epoch = await store.revoke_subject(kept.subject, now=now, excepted=kept.id)
        session = replace(kept, epoch=epoch)
        assert await second.find(kept.id, now=now) == Standing(session=session, epoch=epoch, version=0)
        await assert_ended(second, gone.id, gone.subject, now)
        cut = Event(kind=EventKind.SUBJECT_CUT_OFF, at=now, subject=kept.subject, session_id=kept.id, number=epoch)
        assert (await events_after(store, cursor))[0] == cut
        assert await store.revoke_subject(kept.subject, now=now) > epoch
        await assert_ended(second, kept.id, kept.subject, now)

    async def test_an_exception_that_is_not_the_subjects_own_changes_nothing(self, store: Any) -> None:
        """Someone else's session cannot be excepted: NotFound, no epoch, no event."""
        session, stranger = await logged_in(store), await logged_in(store)
        cursor = await here(store)
        with pytest.raises(NotFound):
            await store.revoke_subject(session.subject, now=session.created, excepted=stranger.id)
        assert await store.standing_of(session.subject) == (0, 0)
        assert await store.find(session.id, now=session.created) is not None
        assert await events_after(store, cursor) == []

    async def test_a_version_step_is_seen_with_every_session(self, store: Any, second: Any) -> None:
        """It counts up, appends SUBJECT_CHANGED, and ends nothing."""
        session = await logged_in(store)
        cursor = await here(store)
        now = session.created + 1
        one, two = [await client.step_version(session.subject, now=now) for client in (store, second)]
        assert 0 < one < two < 2**53
        assert await store.standing_of(session.subject) == (0, two)
        assert await second.find(session.id, now=now) == Standing(session=session, epoch=0, version=two)
        changed = Event(kind=EventKind.SUBJECT_CHANGED, at=now, subject=session.subject)
        assert await events_after(store, cursor) == [replace(changed, number=one), replace(changed, number=two)]

    async def test_sessions_are_listed_newest_first_page_by_page(self, store: Any, second: Any) -> None:
        """Every live one once, in order, also where many were made at the same moment; dead ones never."""
        subject, now = new_subject(), float(int(await store.time()))
        made = [await logged_in(store, subject, created=now + place // 3) for place in range(10)]
        await logged_in(store)
        await store.revoke(made[4].id, now=now)
        seen: list[Session] = []
        cursor: str | None = None
        while True:
            page = await second.sessions_of(subject, now=now + 5, limit=2, cursor=cursor)
            assert len(page.sessions) <= 2
            seen.extend(page.sessions)
            cursor = page.next
            if cursor is None:
                break
        assert {session.id for session in seen} == {session.id for session in made} - {made[4].id}
        assert len(seen) == 9
        assert [session.created for session in seen] == sorted((one.created for one in seen), reverse=True)
        assert (await store.sessions_of(subject, now=now + ABSOLUTE)).sessions == []

    async def test_a_page_has_a_largest_size(self, store: Any) -> None:
        """A larger limit is cut to MAX_PAGE, and the cursor goes on from there."""
        subject, now = new_subject(), await store.time()
        for _ in range(MAX_PAGE + 1):
            await store.create(new_session(now, subject), now=now)
        page = await store.sessions_of(subject, now=now, limit=10_000)
        assert len(page.sessions) == MAX_PAGE
        rest = await store.sessions_of(subject, now=now, limit=10_000, cursor=page.next)
        assert (len(rest.sessions), rest.next) == (1, None)

    @pytest.mark.parametrize("cursor", ["", "x", "é", "MTAw", "bmFuIHg", "=" * 8, "A" * 10_000])
    async def test_a_cursor_that_is_not_ours_is_rejected(self, store: Any, cursor: str) -> None:
        """Rejected, not a first page and not a crash."""
        with pytest.raises(Rejected):
            await store.sessions_of(new_subject(), now=await store.time(), cursor=cursor)

    async def test_prune_deletes_what_is_dead_and_nothing_else(self, store: Any, second: Any) -> None:
        """In bounded batches, side by side; in the end nothing is left to do and every live session is whole."""
        live = [await logged_in(store) for _ in range(3)]
        now = live[0].created
        idle = [await logged_in(store, idle_deadline=now + 1) for _ in range(7)]
        old = [await logged_in(store, absolute_deadline=now + 1) for _ in range(2)]
        cut = [await logged_in(store) for _ in range(2)]
        for session in cut:
            await store.revoke_subject(session.subject, now=now)
        kept = await logged_in(store)
        cut.append(await logged_in(store, kept.subject))
        live.append(replace(kept, epoch=await store.revoke_subject(kept.subject, now=now, excepted=kept.id)))
        later = now + 1
        assert 0 < await store.prune(now=later, keep_events=ABSOLUTE, limit=2) <= 2
        while sum(
            await asyncio.gather(
                *(client.prune(now=later, keep_events=ABSOLUTE, limit=2) for client in (store, second))
            )
        ):
            pass
        assert await store.prune(now=later, keep_events=ABSOLUTE) == 0
        for session in live:
            found = await second.find(session.id, now=later)
            assert found is not None
            assert found.session == session
        for session in [*idle, *old, *cut]:
            await assert_ended(store, session.id, session.subject, later)
        for session in cut:
            epoch, version = await store.standing_of(session.subject)
            assert epoch > 0
            assert version == 0

    async def test_prune_goes_by_the_last_use(self, store: Any) -> None:
        """What was used since its first deadline was set stays until the later one; then it goes, and nothing is left
        of it."""
        session = await logged_in(store)
        used, now = session.created + IDLE / 2, session.created + IDLE
        assert await store.touch([Touch(session_id=session.id, seen=used)], now=used) == frozenset()
        await store.prune(now=now, keep_events=ABSOLUTE)
        found = await store.find(session.id, now=now)
        assert found is not None
        assert found.session.idle_deadline == used + IDLE
        await store.prune(now=used + IDLE, keep_events=ABSOLUTE)
        await assert_ended(store, session.id, session.subject, used + IDLE)

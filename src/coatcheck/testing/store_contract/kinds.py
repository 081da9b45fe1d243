"""Sessions of every kind: what is kept of them, which of them a cut-off ends, how many there may be, and which are
listed."""

# ruff: noqa: S101 - a suite asserts
from __future__ import annotations

from typing import Any

import pytest

from ...errors import Conflict, LimitReached, NotFound, Rejected
from ...model import ALL_KINDS, LOGOUT_KINDS, NEVER, PERSON_KINDS, PLAIN, Access, EventKind, Kind, Session
from ...stores.base import Rotated, SessionStore, Touch
from .support import A_KEY, ACCESSES, Contract, assert_ended, events_after, here, logged_in, new_session, new_subject

_NO_PERSONS = sorted(ALL_KINDS - PERSON_KINDS)


def of_kind(kind: Kind) -> Access:
    """An access of this kind that makes sense."""
    return next(access for access in ACCESSES if access.kind is kind)


class KindContract(Contract):
    """create, revoke_subject and sessions_of with kinds."""

    @pytest.mark.parametrize("access", ACCESSES, ids=lambda access: f"{access.kind}{len(access.bound_key) or ''}")
    async def test_what_a_session_is_for_is_kept(self, store: Any, second: Any, access: Access) -> None:
        """Through every operation, for every client."""
        session = await logged_in(store, access=access, idle_timeout=9.0, absolute_deadline=NEVER)
        now = session.created + 1
        assert await second.touch([Touch(session_id=session.id, seen=now)], now=now) == frozenset()
        rotated = await store.rotate(session.id, 0, window=1.0, now=now)
        assert isinstance(rotated, Rotated)
        assert rotated.standing.session.access == access
        changed = await second.update(session.id, 0, now=now, label="ci", amr=("otp",))
        assert changed is not None
        assert changed.access == access
        found = await second.find(session.id, now=now)
        assert found is not None
        assert (found.session.access, found.session.absolute_deadline) == (access, NEVER)
        page = await second.sessions_of(session.subject, now=now)
        assert page.sessions == [found.session]
        ended = await second.revoke(session.id, now=now)
        assert ended == found.session
        await assert_ended(store, session.id, session.subject, now)

    @pytest.mark.parametrize(
        "kinds", [ALL_KINDS, LOGOUT_KINDS, *({kind} for kind in Kind)], ids=lambda k: "+".join(sorted(k))
    )
    async def test_a_cut_off_ends_the_kinds_it_names(self, store: Any, second: Any, kinds: frozenset[Kind]) -> None:
        """Those and no others, in one event that says which were spared; and again, after sessions were made anew."""
        subject, epoch, now = new_subject(), 0, float(int(await store.time()))
        made: list[Session] = []
        for _ in range(2):
            made = [await _made(store, subject, now, access, epoch) for access in ACCESSES]
            now += 1
            cursor = await here(second)
            epoch = await store.revoke_subject(subject, now=now, kinds=frozenset(kinds))
            events = await events_after(second, cursor)
            assert [(event.kind, event.number, event.spared, event.token_id) for event in events] == [
                (EventKind.SUBJECT_CUT_OFF, epoch, ALL_KINDS - kinds, "")
            ]
            assert (await second.standing_of(subject))[0] == epoch
            for session in made:
                found = await second.find(session.id, now=now)
                assert (found is None) == (session.kind in kinds)
                if found is None:
                    await assert_ended(store, session.id, subject, now)
                else:
                    assert found.epoch == epoch, "whatever is issued from now on says that it knows of it"
                    assert await second.touch([Touch(session_id=session.id, seen=now)], now=now) == frozenset()
                    assert isinstance(await store.rotate(session.id, 0, window=1.0, now=now), Rotated)
        await store.prune(now=now, keep_events=1e9)
        left = [session for session in made if session.kind not in kinds]
        page = await store.sessions_of(subject, now=now, limit=200)
        assert {session.id for session in left} <= {session.id for session in page.sessions}
        assert len(page.sessions) == 2 * len(left)

    @pytest.mark.parametrize("kind", Kind)
    async def test_a_login_loses_against_a_cut_off_of_its_kind(self, store: Any, second: Any, kind: Kind) -> None:
        """And against no other; an epoch that was never given counts for none."""
        subject, now = new_subject(), float(int(await store.time()))
        before = await store.revoke_subject(subject, now=now)
        others = await store.revoke_subject(subject, now=now, kinds=ALL_KINDS - {kind})
        session = new_session(now, subject, access=of_kind(kind), epoch=before)
        assert await second.create(session, now=now) == ()
        found = await store.find(session.id, now=now)
        assert found is not None
        assert (found.session.epoch, found.epoch) == (before, others)
        latest = await second.revoke_subject(subject, now=now, kinds=frozenset({kind}))
        for epoch in (before, others, latest + 1):
            with pytest.raises(Conflict):
                await store.create(new_session(now, subject, access=of_kind(kind), epoch=epoch), now=now)
        await store.create(new_session(now, subject, access=of_kind(kind), epoch=latest), now=now)

    @pytest.mark.parametrize("access", ACCESSES, ids=lambda access: f"{access.kind}{len(access.bound_key) or ''}")
    async def test_the_excepted_session_stays_whatever_its_kind(self, store: Any, second: Any, access: Access) -> None:
        """Also where its kind is spared anyway; its siblings of the kinds that are named end."""
        kept = await logged_in(store, access=access)
        sibling, now = await logged_in(store, kept.subject, access=access), kept.created + 1
        for kinds in (LOGOUT_KINDS, ALL_KINDS):
            epoch = await store.revoke_subject(kept.subject, now=now, excepted=kept.id, kinds=kinds)
            found = await second.find(kept.id, now=now)
            assert found is not None
            assert found.epoch == epoch
            assert (await second.find(sibling.id, now=now) is None) == (access.kind in kinds)
        await store.revoke_subject(kept.subject, now=now, kinds=frozenset({kept.kind}))
        await assert_ended(second, kept.id, kept.subject, now)
        with pytest.raises(NotFound):
            await store.revoke_subject(kept.subject, now=now, excepted=kept.id, kinds=LOGOUT_KINDS)

    async def test_logins_and_guests_give_way_to_each_other(self, store: Any, second: Any) -> None:
        """The oldest of both end; what is of another kind neither counts nor ends."""
        subject, now = new_subject(), float(int(await store.time()))
        others = [await _made(store, subject, now + place, of_kind(kind)) for place, kind in enumerate(_NO_PERSONS)]
        accesses = [PLAIN, of_kind(Kind.GUEST), ACCESSES[-1], PLAIN, of_kind(Kind.GUEST)]
        made = [await _made(store, subject, now + 10 + place, access) for place, access in enumerate(accesses)]
        newest = new_session(now + 20, subject)
        assert await second.create(newest, now=now + 20, keep=2) == tuple(session.id for session in made[:4])
        page = await store.sessions_of(subject, now=now + 20)
        left = [newest.id, made[4].id, *(session.id for session in reversed(others))]
        assert [session.id for session in page.sessions] == left

    @pytest.mark.parametrize("kind", _NO_PERSONS)
    async def test_one_more_of_another_kind_is_refused(self, store: Any, second: Any, kind: Kind) -> None:
        """None ends for it, nothing changes, and dead ones and those of other kinds take no place."""
        subject, now = new_subject(), float(int(await store.time()))
        for access in ACCESSES:
            await _made(store, subject, now, access if access.kind is not kind else PLAIN)
        await store.create(new_session(now, subject, access=of_kind(kind), idle_deadline=now + 2), now=now)
        first = await _made(store, subject, now + 1, of_kind(kind))
        cursor = await here(store)
        late = new_session(now + 1, subject, access=of_kind(kind))
        with pytest.raises(LimitReached):
            await second.create(late, now=now + 1, keep=2)
        with pytest.raises(LimitReached):
            await second.create(late, now=now + 1, keep=0)
        assert await store.find(late.id, now=now + 1) is None
        assert await second.create(late, now=now + 2, keep=2) == ()
        assert await events_after(store, cursor) == []
        assert await store.find(first.id, now=now + 2) is not None

    async def test_the_list_is_of_the_kinds_that_are_asked_for(self, store: Any, second: Any) -> None:
        """Paged, newest first, whatever the order in which kinds were made and which of them were cut off."""
        subject, now = new_subject(), float(int(await store.time()))
        made: list[Session] = []
        for place in range(12):
            access = ACCESSES[place % len(ACCESSES)]
            epoch = (await store.standing_of(subject))[0]
            made.append(new_session(now + place // 2, subject, access=access, epoch=epoch))
            await store.create(made[-1], now=now + 9)
            if place == 8:
                await store.revoke_subject(subject, now=now + 9, kinds=frozenset({Kind.KEY}))
        live = [session for session in made if session.id != made[1].id and session.id != made[7].id]
        live.sort(key=lambda session: (session.created, session.id), reverse=True)
        for kinds in (ALL_KINDS, LOGOUT_KINDS, frozenset({Kind.GRANT}), frozenset({Kind.KEY})):
            wanted = [session.id for session in live if session.kind in kinds]
            assert await _listed(second, subject, now + 9, kinds, 2) == wanted
            assert await _listed(second, subject, now + 9, kinds, 200) == wanted

    async def test_no_kind_at_all_is_refused(self, store: Any) -> None:
        """What was to end something, and would end nothing, is a mistake."""
        session = await logged_in(store, access=A_KEY)
        with pytest.raises(Rejected):
            await store.revoke_subject(session.subject, now=session.created, kinds=frozenset())
        with pytest.raises(Rejected):
            await store.sessions_of(session.subject, now=session.created, kinds=frozenset())
        assert (await store.standing_of(session.subject))[0] == 0


async def _made(store: SessionStore, subject: str, now: float, access: Access, epoch: int = 0) -> Session:
    session = new_session(now, subject, access=access, epoch=epoch)
    await store.create(session, now=now)
    return session


async def _listed(store: SessionStore, subject: str, now: float, kinds: frozenset[Kind], limit: int) -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await store.sessions_of(subject, now=now, limit=limit, cursor=cursor, kinds=kinds)
        assert len(page.sessions) <= limit
        found += (session.id for session in page.sessions)
        cursor = page.next
        if cursor is None:
            return found

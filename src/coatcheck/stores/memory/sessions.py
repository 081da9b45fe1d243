"""Sessions and their feed in dictionaries."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from heapq import heapify, heappop, heappush
from typing import Any, Final

from ...arguments import (
    collection,
    free_texts_or_none,
    numbers,
    numbers_or_none,
    texts,
    texts_or_none,
    wholes,
    wholes_or_none,
)
from ...credentials.opaque import is_session_id
from ...decide import is_live
from ...errors import Conflict, LimitReached, NotFound
from ...model import ALL_KINDS, PERSON_KINDS, Event, EventKind, Kind, Session, Standing
from ..base import (
    CLOCK_STEP,
    MAX_ENDED,
    MAX_TOKENS,
    FeedRead,
    Gone,
    Replayed,
    Reused,
    Rotated,
    Rotation,
    SessionPage,
    Touch,
)
from ..rules import (
    Verdict,
    check_kinds,
    check_session,
    check_touches,
    check_update,
    judge,
    next_number,
    pack_cursor,
    page_size,
    to_json,
    unpack_cursor,
    used,
)
from .feed import MemoryFeed

_SLACK: Final = 1000
"""Deadlines of sessions that are gone which may lie about, beside as many as there are sessions."""


class MemorySessions:
    """The `SessionStore` part."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._sessions: dict[str, Session] = {}
        self._of_subject: dict[tuple[str, Kind], set[str]] = {}
        """Those of a kind that no cut-off has ended."""
        self._cut_off: list[set[str]] = []
        """Those of older epochs, which `prune` deletes."""
        self._deadlines: list[tuple[float, str]] = []
        """A heap with one entry for each session, so that `prune` need not look at those that live. The entry may be
        too early, since a session that is used lives longer, and may outlive its session."""
        self._epochs: dict[str, int] = {}
        self._cuts: dict[str, dict[Kind, int]] = {}
        """For each kind the epoch of the latest cut-off that ended sessions of it."""
        self._versions: dict[str, int] = {}
        self._feed = MemoryFeed(wall())

    async def open(self, *, migrate: bool = False) -> None:
        """Nothing to connect to, nothing to migrate."""

    async def close(self) -> None:
        """Nothing to give back; the sessions stay until the object goes."""

    async def time(self) -> float:
        """The machine's clock, or the one given to the constructor; never below what was issued with."""
        return max(self._wall(), self._feed.clock)

    async def standing_of(self, subject: str) -> tuple[int, int]:
        """See `SessionStore.standing_of`."""
        texts(subject=subject)
        return self._epochs.get(subject, 0), self._versions.get(subject, 0)

    async def create(self, session: Session, *, now: float, keep: int | None = None) -> tuple[str, ...]:
        """See `SessionStore.create`."""
        check_session(session, now=now)
        wholes_or_none(keep=keep)
        subject, kind = session.subject, session.kind
        if not self._cut(subject, kind) <= session.epoch <= self._epochs.get(subject, 0):
            raise Conflict("the subject was cut off while this login was under way")
        if session.id in self._sessions:
            raise Conflict("a session with this id exists already")
        beyond = self._beyond(subject, kind, now, keep)
        session = replace(session, data=json.loads(to_json(session.data)), epoch=self._cut(subject, kind))
        self._sessions[session.id] = session
        self._expect(session)
        self._feed.issued(now)
        self._of_subject.setdefault((subject, kind), set()).add(session.id)
        for old in beyond:
            self._end(old, now)
        return tuple(old.id for old in beyond)

    def _beyond(self, subject: str, kind: Kind, now: float, keep: int | None) -> list[Session]:
        """Those that end for one more, oldest first. Raises `LimitReached` where none does."""
        if keep is None:
            return []
        if kind in PERSON_KINDS:
            return self._live_of(subject, PERSON_KINDS, now)[keep - 1 :][-MAX_ENDED:][::-1]
        if len(self._live_of(subject, {kind}, now)) >= keep:
            raise LimitReached(f"there are {keep} sessions of kind {kind.value} already")
        return []

    async def find(self, session_id: str, *, now: float) -> Standing | None:
        """See `SessionStore.find`."""
        texts(session_id=session_id)
        numbers(now=now)
        session = self._live(session_id, now)
        return self._standing(session) if session else None

    async def touch(self, touches: Sequence[Touch], *, now: float) -> frozenset[str]:
        """See `SessionStore.touch`."""
        check_touches(touches, now=now)
        dead = set()
        for item in touches:
            session = self._live(item.session_id, now)
            if session is None:
                dead.add(item.session_id)
            else:
                self._sessions[session.id] = used(session, item.seen)
        return frozenset(dead)

    async def rotate(self, session_id: str, generation: int, *, window: float, now: float) -> Rotation:
        """See `SessionStore.rotate`."""
        texts(session_id=session_id)
        wholes(generation=generation)
        numbers(window=window, now=now)
        session = self._sessions.get(session_id)
        if session is None or session.epoch != self._cut(session.subject, session.kind):
            return Gone()
        verdict = judge(session, generation, window=window, now=now)
        if verdict is not Verdict.REUSED and self._live(session_id, now) is None:
            return Gone()
        match verdict:
            case Verdict.CURRENT:
                session = replace(used(session, now), generation=generation + 1, rotated=now)
                self._sessions[session.id] = session
                self._feed.issued(now)
                return Rotated(self._standing(session))
            case Verdict.REPLAYED:
                return Replayed(self._standing(session))
            case Verdict.REUSED:
                self._end(session, now)
                return Reused(_copy(session))
            case Verdict.UNKNOWN:
                return Gone()

    async def update(
        self,
        session_id: str,
        version: int,
        *,
        now: float,
        data: Mapping[str, Any] | None = None,
        label: str | None = None,
        authenticated: float | None = None,
        amr: tuple[str, ...] | None = None,
    ) -> Session | None:
        """See `SessionStore.update`."""
        check_update(session_id, version, now=now, data=data, label=label, authenticated=authenticated)
        amr = None if amr is None else collection(str, amr, "amr", "('pwd',)")
        text = None if data is None else to_json(data)
        session = self._live(session_id, now)
        if session is None:
            return None
        if session.version != version:
            raise Conflict("the session was changed in the meantime")
        session = replace(
            session,
            version=version + 1,
            data=session.data if text is None else json.loads(text),
            device=session.device if label is None else replace(session.device, label=label),
            authenticated=session.authenticated if authenticated is None else authenticated,
            amr=session.amr if amr is None else tuple(amr),
        )
        self._sessions[session_id] = session
        if authenticated is not None or amr is not None:
            self._append(EventKind.SESSION_CHANGED, now, session.subject, session_id, number=session.version)
        return _copy(session)

    async def revoke(self, session_id: str, *, now: float) -> Session | None:
        """See `SessionStore.revoke`."""
        texts(session_id=session_id)
        numbers(now=now)
        session = self._sessions.get(session_id)
        if session is None:
            if is_session_id(session_id) and not self._feed.holds(session_id):
                self._append(EventKind.SESSION_REVOKED, now, session_id=session_id)
            return None
        self._end(session, now)
        return _copy(session) if session.epoch == self._cut(session.subject, session.kind) else None

    async def revoke_subject(
        self, subject: str, *, now: float, excepted: str | None = None, kinds: frozenset[Kind] = ALL_KINDS
    ) -> int:
        """See `SessionStore.revoke_subject`."""
        texts(subject=subject)
        texts_or_none(excepted=excepted)
        numbers(now=now)
        kinds = check_kinds(kinds)
        kept = None if excepted is None else self._live(excepted, now)
        if excepted is not None and (kept is None or kept.subject != subject):
            raise NotFound("the session to keep is not a live one of this subject")
        epoch = next_number(self._epochs.get(subject, 0), now)
        self._cuts[subject] = {kind: epoch if kind in kinds else self._cut(subject, kind) for kind in Kind}
        self._epochs[subject] = epoch
        for kind in kinds:
            ended = self._of_subject.pop((subject, kind), set())
            if kept is not None and kept.kind is kind:
                ended.remove(kept.id)
                self._of_subject[subject, kind] = {kept.id}
                self._sessions[kept.id] = replace(kept, epoch=epoch)
            if ended:
                self._cut_off.append(ended)
        self._feed.append(
            Event(
                kind=EventKind.SUBJECT_CUT_OFF, at=now, subject=subject, session_id=excepted or "", number=epoch,
                spared=ALL_KINDS - kinds,
            )
        )  # fmt: skip
        return epoch

    async def step_version(self, subject: str, *, now: float) -> int:
        """See `SessionStore.step_version`."""
        texts(subject=subject)
        numbers(now=now)
        version = self._versions[subject] = next_number(self._versions.get(subject, 0), now)
        self._append(EventKind.SUBJECT_CHANGED, now, subject, number=version)
        return version

    async def revoke_token(self, session_id: str, token_id: str, *, now: float) -> bool:
        """See `SessionStore.revoke_token`."""
        texts(session_id=session_id, token_id=token_id)
        numbers(now=now)
        if self._feed.holds(session_id, token_id):
            return False
        if self._feed.tokens_of(session_id) >= MAX_TOKENS:
            await self.revoke(session_id, now=now)
            return True
        self._feed.append(Event(kind=EventKind.TOKEN_REVOKED, at=now, session_id=session_id, token_id=token_id))
        return False

    async def announce_keys(self, *, now: float) -> None:
        """See `SessionStore.announce_keys`."""
        numbers(now=now)
        self._append(EventKind.KEYS_CHANGED, now)

    async def sessions_of(
        self,
        subject: str,
        *,
        now: float,
        limit: int = 50,
        cursor: str | None = None,
        kinds: frozenset[Kind] = ALL_KINDS,
    ) -> SessionPage:
        """See `SessionStore.sessions_of`."""
        texts(subject=subject)
        free_texts_or_none(cursor=cursor)
        numbers(now=now)
        wholes(limit=limit)
        kinds = check_kinds(kinds)
        before = unpack_cursor(cursor) if cursor is not None else (math.inf, "")
        found = [session for session in self._live_of(subject, kinds, now) if (session.created, session.id) < before]
        size = page_size(limit)
        page = [_copy(session) for session in found[:size]]
        return SessionPage(sessions=page, next=pack_cursor(page[-1].created, page[-1].id) if found[size:] else None)

    async def prune(self, *, now: float, keep_events: float, limit: int = 1000) -> int:
        """See `SessionStore.prune`."""
        numbers(now=now, keep_events=keep_events)
        wholes(limit=limit)
        gone = self._prune_expired(now, limit)
        gone += self._prune_cut_off(limit - gone)
        return gone + self._feed.prune(now, keep_events, limit)

    async def events(self, cursor: str | None, *, wait: float) -> FeedRead:
        """See `SessionStore.events`. An append wakes the waiter at once."""
        free_texts_or_none(cursor=cursor)
        numbers(wait=wait)
        if cursor is not None and self._feed.start(cursor) == len(self._feed.events):
            await self._feed.grown(wait)
        return self._feed.read(cursor, self._wall())

    async def begin_anew(self, feed: str, *, since: float, now: float, clock: float | None = None) -> bool:
        """See `Founder.begin_anew`."""
        texts(feed=feed)
        numbers(since=since, now=now)
        numbers_or_none(clock=clock)
        if feed != self._feed.id:
            return False
        self._feed.begin_anew(since, now, clock)
        for session in list(self._sessions.values()):
            if clock is not None and session.created > clock + CLOCK_STEP:
                self._forget(session)
        return True

    def _live(self, session_id: str, now: float) -> Session | None:
        session = self._sessions.get(session_id)
        if session is None or not is_live(session, self._cut(session.subject, session.kind), now):
            return None
        return session

    def _cut(self, subject: str, kind: Kind) -> int:
        """The epoch of the latest cut-off that ended the subject's sessions of this kind."""
        return self._cuts[subject][kind] if subject in self._cuts else 0

    def _live_of(self, subject: str, kinds: AbstractSet[Kind], now: float) -> list[Session]:
        """The subject's live sessions of these kinds, newest first."""
        ids = [session_id for kind in kinds for session_id in self._of_subject.get((subject, kind), ())]
        live = (self._live(session_id, now) for session_id in ids)
        return sorted(filter(None, live), key=lambda session: (session.created, session.id), reverse=True)

    def _standing(self, session: Session) -> Standing:
        version = self._versions.get(session.subject, 0)
        return Standing(session=_copy(session), epoch=self._epochs.get(session.subject, 0), version=version)

    def _end(self, session: Session, now: float) -> None:
        self._forget(session)
        self._append(EventKind.SESSION_REVOKED, now, session.subject, session.id)

    def _forget(self, session: Session) -> None:
        del self._sessions[session.id]
        place = session.subject, session.kind
        siblings = self._of_subject.get(place, set())
        siblings.discard(session.id)
        if not siblings:
            self._of_subject.pop(place, None)

    def _expect(self, session: Session) -> None:
        """Have `prune` look at the session when it may be over."""
        if len(self._deadlines) > 2 * len(self._sessions) + _SLACK:
            self._deadlines = [(_deadline(each), each.id) for each in self._sessions.values()]
            heapify(self._deadlines)
        else:
            heappush(self._deadlines, (_deadline(session), session.id))

    def _prune_expired(self, now: float, limit: int) -> int:
        gone = 0
        while gone < limit and self._deadlines and self._deadlines[0][0] <= now:
            session = self._sessions.get(heappop(self._deadlines)[1])
            if session is None:
                continue
            if _deadline(session) > now:  # it was used
                heappush(self._deadlines, (_deadline(session), session.id))
            else:
                self._forget(session)
                gone += 1
        return gone

    def _prune_cut_off(self, limit: int) -> int:
        gone = 0
        while gone < limit and self._cut_off:
            if not self._cut_off[-1]:
                self._cut_off.pop()
                continue
            session = self._sessions.get(self._cut_off[-1].pop())
            if session is not None and session.epoch < self._cut(session.subject, session.kind):
                del self._sessions[session.id]
                gone += 1
        return gone

    def _append(self, kind: EventKind, at: float, subject: str = "", session_id: str = "", number: int = 0) -> None:
        self._feed.append(Event(kind=kind, at=at, subject=subject, session_id=session_id, number=number))


def _deadline(session: Session) -> float:
    return min(session.idle_deadline, session.absolute_deadline)


def _copy(session: Session) -> Session:
    """The session with data of its own, so that a caller who changes it does not change the store."""
    return replace(session, data=json.loads(to_json(session.data))) if session.data else session

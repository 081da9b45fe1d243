"""The contract once more, as plainly as it can be said: one operation after the other, in dictionaries.

The races compare a store with it: whatever two clients got must be what they would have got in one order or the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import Conflict, LimitReached, NotFound
from ...model import ALL_KINDS, PERSON_KINDS, Event, EventKind, Kind, Session, Standing
from ...stores.base import MAX_ENDED, Gone, Replayed, Reused, Rotated, Rotation, SessionStore, Touch


@dataclass
class World:
    """Sessions, epochs, and the events so far. Which epochs a store will draw nobody can know, so it is told them."""

    sessions: dict[str, Session] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    cuts: dict[tuple[str, Kind], int] = field(default_factory=dict)
    """The epoch of the latest cut-off that ended a subject's sessions of a kind."""
    events: list[Event] = field(default_factory=list)
    drawn: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Each subject's epochs in the order in which the store gave them: `epochs_of`."""

    def copy(self) -> World:
        """Another one that goes its own way."""
        return deepcopy(self)

    def live(self, session_id: str, now: float) -> Session | None:
        """The session if it holds."""
        session = self.sessions.get(session_id)
        if session is None or not self._stands(session):
            return None
        return session if now < session.idle_deadline and now < session.absolute_deadline else None

    def cut(self, session: Session) -> int:
        """The latest cut-off of sessions like this one."""
        return self.cuts.get((session.subject, session.kind), 0)

    def _stands(self, session: Session) -> bool:
        return session.epoch == self.cut(session)

    def find(self, session_id: str, *, now: float) -> Standing | None:
        """As the store's."""
        session = self.live(session_id, now)
        return self._standing(session) if session else None

    def create(self, session: Session, *, now: float, keep: int | None = None) -> tuple[str, ...]:
        """As the store's."""
        read_at = session.epoch
        if not self.cut(session) <= read_at <= self.epochs.get(session.subject, 0) or session.id in self.sessions:
            raise Conflict
        gives_way = session.kind in PERSON_KINDS
        alike = PERSON_KINDS if gives_way else {session.kind}
        mine = [other for other in self.sessions.values() if other.subject == session.subject and other.kind in alike]
        live = sorted((other.created, other.id) for other in mine if self.live(other.id, now))
        if keep is not None and not gives_way and len(live) >= keep:
            raise LimitReached
        self.sessions[session.id] = replace(session, epoch=self.cut(session))
        keep = keep if gives_way else None
        beyond = [] if keep is None else live[: max(0, len(live) + 1 - keep)][:MAX_ENDED]
        for _, session_id in beyond:
            self.revoke(session_id, now=now)
        return tuple(session_id for _, session_id in beyond)

    def touch(self, touches: Sequence[Touch], *, now: float) -> frozenset[str]:
        """As the store's."""
        dead = set()
        for item in touches:
            if session := self.live(item.session_id, now):
                self.sessions[session.id] = _moved(session, item.seen)
            else:
                dead.add(item.session_id)
        return frozenset(dead)

    def rotate(self, session_id: str, generation: int, *, window: float, now: float) -> Rotation:
        """As the store's."""
        session, live = self.sessions.get(session_id), self.live(session_id, now) is not None
        if session is None or not self._stands(session):
            return Gone()
        replayed = generation + 1 == session.generation and now - session.rotated <= window
        unused = generation == session.generation or replayed
        if not 0 <= generation <= session.generation or (unused and not live):
            return Gone()
        if generation == session.generation:
            stepped = replace(_moved(session, now), generation=generation + 1, rotated=now)
            self.sessions[session_id] = stepped
            return Rotated(self._standing(stepped))
        if replayed:
            return Replayed(self._standing(session))
        self.revoke(session_id, now=now)
        return Reused(session)

    def update(self, session_id: str, version: int, *, now: float, **fields: Any) -> Session | None:
        """As the store's."""
        session = self.live(session_id, now)
        if session is None:
            return None
        if session.version != version:
            raise Conflict
        label = fields.pop("label", session.device.label)
        changed = replace(session, version=version + 1, device=replace(session.device, label=label), **fields)
        self.sessions[session_id] = changed
        if {"amr", "authenticated"} & fields.keys():
            self._say(EventKind.SESSION_CHANGED, now, session.subject, session_id, changed.version)
        return changed

    def revoke(self, session_id: str, *, now: float) -> Session | None:
        """As the store's."""
        session = self.sessions.pop(session_id, None)
        ends = [event.session_id for event in self.events if event.kind is EventKind.SESSION_REVOKED]
        if session is not None or session_id not in ends:
            self._say(EventKind.SESSION_REVOKED, now, session.subject if session else "", session_id)
        if session is None or not self._stands(session):
            return None
        return session

    def revoke_subject(
        self, subject: str, *, now: float, excepted: str | None = None, kinds: frozenset[Kind] = ALL_KINDS
    ) -> int:
        """As the store's."""
        steps = [event for event in self.events if event.kind is EventKind.SUBJECT_CUT_OFF and event.subject == subject]
        epoch = dict(enumerate(self.drawn.get(subject, ()))).get(len(steps), -1)
        if excepted is not None:
            session = self.live(excepted, now)
            if session is None or session.subject != subject:
                raise NotFound
            if session.kind in kinds:
                self.sessions[excepted] = replace(session, epoch=epoch)
        self.epochs[subject] = epoch
        self.cuts |= {(subject, kind): epoch for kind in kinds}
        self._say(EventKind.SUBJECT_CUT_OFF, now, subject, excepted or "", epoch, ALL_KINDS - kinds)
        return epoch

    def _standing(self, session: Session) -> Standing:
        return Standing(session=session, epoch=self.epochs.get(session.subject, 0), version=0)

    def _say(
        self,
        kind: EventKind,
        at: float,
        subject: str,
        session_id: str,
        number: int = 0,
        spared: frozenset[Kind] = frozenset(),
    ) -> None:
        said = Event(kind=kind, at=at, subject=subject, session_id=session_id, number=number, spared=spared)
        self.events.append(said)


def epochs_of(events: Sequence[Event]) -> dict[str, list[int]]:
    """The epochs that a store has given, by subject, from the events of its feed."""
    found: dict[str, list[int]] = {}
    for event in events:
        if event.kind is EventKind.SUBJECT_CUT_OFF:
            found.setdefault(event.subject, []).append(event.number)
    return found


def _moved(session: Session, seen: float) -> Session:
    deadline = min(seen + session.idle_timeout, session.absolute_deadline)
    return replace(session, seen=max(seen, session.seen), idle_deadline=max(deadline, session.idle_deadline))


@dataclass(frozen=True)
class Operation:
    """One call, for a store and for a world alike. What it returned, or the class of what it raised, is the result."""

    method: str
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]

    async def on_store(self, store: SessionStore) -> object:
        """The result of a store. `StoreUnavailable` and what is not ours goes through."""
        try:
            result: object = await getattr(store, self.method)(*self.arguments, **self.named)
        except (Conflict, NotFound) as error:
            return type(error)
        return result

    def on_world(self, world: World) -> object:
        """The result of a world."""
        try:
            result: object = getattr(world, self.method)(*self.arguments, **self.named)
        except (Conflict, NotFound) as error:
            return type(error)
        return result


def op(method: str, *arguments: Any, **named: Any) -> Operation:
    """An operation, written like the call."""
    return Operation(method, arguments, named)

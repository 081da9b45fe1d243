"""Everything in the memory of one process: for tests, and for applications that may forget on restart.

An operation does not await between its first look and its last write, so it is atomic within the one event loop
that may use it.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from typing import Any

from ..decide import is_live
from ..errors import Conflict, EmailTaken, NotFound
from ..model import Account, Event, EventKind, Session, Standing
from .base import (
    FEED_PAGE,
    MAX_ENDED,
    AccountPage,
    FeedLost,
    FeedRead,
    Gone,
    Replayed,
    Reused,
    Rotated,
    Rotation,
    SealedKey,
    SessionPage,
    Touch,
)
from .rules import Verdict, judge, pack_cursor, page_size, to_json, unpack_cursor, used


class _Feed:
    """The log of events. The position of an event is ``pruned`` + its place in the list + 1."""

    def __init__(self, now: float) -> None:
        self.id = secrets.token_hex(8)
        self.events: list[Event] = []
        self.pruned = 0
        self.since = now
        self._grown = asyncio.Event()

    def append(self, event: Event) -> None:
        self.events.append(event)
        self._grown.set()
        self._grown = asyncio.Event()

    async def grown(self, wait: float) -> None:
        """Wait for the next append, at most this many seconds."""
        try:
            async with asyncio.timeout(wait):
                await self._grown.wait()
        except TimeoutError:
            pass

    def start(self, cursor: str | None) -> int:
        """Where in the list the events after the cursor begin."""
        if cursor is None:
            return 0
        feed, _, position = cursor.rpartition(":")
        if feed != self.id or not (position.isascii() and position.isdigit()):
            raise FeedLost("the cursor is of another feed")
        start = int(position) - self.pruned
        if not 0 <= start <= len(self.events):
            raise FeedLost("the cursor is older than the feed's tail or beyond its end")
        return start

    def read(self, cursor: str | None, now: float) -> FeedRead:
        start = self.start(cursor)
        end = min(len(self.events), start + FEED_PAGE)
        return FeedRead(
            feed=self.id, cursor=f"{self.id}:{self.pruned + end}", events=tuple(self.events[start:end]),
            since=self.since, now=now, more=end < len(self.events),
        )  # fmt: skip

    def prune(self, before: float, limit: int) -> int:
        old = list(takewhile(lambda event: event.at < before, islice(self.events, limit)))
        if old:
            del self.events[: len(old)]
            self.pruned += len(old)
            self.since = max(self.since, math.nextafter(max(event.at for event in old), math.inf))
        return len(old)


class MemorySessions:
    """The `SessionStore` part."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._sessions: dict[str, Session] = {}
        self._of_subject: dict[str, set[str]] = {}
        self._epochs: dict[str, int] = {}
        self._versions: dict[str, int] = {}
        self._feed = _Feed(wall())

    async def open(self, *, migrate: bool = False) -> None:
        """Nothing to connect to, nothing to migrate."""

    async def close(self) -> None:
        """Nothing to give back; the sessions stay until the object goes."""

    async def time(self) -> float:
        """The machine's clock, or the one given to the constructor."""
        return self._wall()

    async def standing_of(self, subject: str) -> tuple[int, int]:
        """See `SessionStore.standing_of`."""
        return self._epochs.get(subject, 0), self._versions.get(subject, 0)

    async def create(self, session: Session, *, now: float, keep: int | None = None) -> tuple[str, ...]:
        """See `SessionStore.create`."""
        if session.epoch != self._epochs.get(session.subject, 0):
            raise Conflict("the subject was cut off while this login was under way")
        if session.id in self._sessions:
            raise Conflict("a session with this id exists already")
        self._sessions[session.id] = replace(session, data=json.loads(to_json(session.data)))
        others = self._live_of(session.subject, now)
        self._of_subject.setdefault(session.subject, set()).add(session.id)
        beyond = [] if keep is None else others[keep - 1 :][-MAX_ENDED:][::-1]
        for old in beyond:
            self._end(old, now)
        return tuple(old.id for old in beyond)

    async def find(self, session_id: str, *, now: float) -> Standing | None:
        """See `SessionStore.find`."""
        session = self._live(session_id, now)
        return self._standing(session) if session else None

    async def touch(self, touches: Sequence[Touch], *, now: float) -> frozenset[str]:
        """See `SessionStore.touch`."""
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
        session = self._live(session_id, now)
        if session is None:
            return Gone()
        match judge(session, generation, window=window, now=now):
            case Verdict.CURRENT:
                session = replace(used(session, now), generation=generation + 1, rotated=now)
                self._sessions[session.id] = session
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
        session = self._live(session_id, now)
        if session is None:
            return None
        self._end(session, now)
        return _copy(session)

    async def revoke_subject(self, subject: str, *, now: float, excepted: str | None = None) -> int:
        """See `SessionStore.revoke_subject`."""
        epoch = self._epochs.get(subject, 0) + 1
        if excepted is not None:
            session = self._live(excepted, now)
            if session is None or session.subject != subject:
                raise NotFound("the session to keep is not a live one of this subject")
            self._sessions[excepted] = replace(session, epoch=epoch)
        self._epochs[subject] = epoch
        self._append(EventKind.SUBJECT_CUT_OFF, now, subject, excepted or "", number=epoch)
        return epoch

    async def step_version(self, subject: str, *, now: float) -> int:
        """See `SessionStore.step_version`."""
        version = self._versions[subject] = self._versions.get(subject, 0) + 1
        self._append(EventKind.SUBJECT_CHANGED, now, subject, number=version)
        return version

    async def revoke_token(self, session_id: str, token_id: str, *, now: float) -> None:
        """See `SessionStore.revoke_token`."""
        self._feed.append(Event(kind=EventKind.TOKEN_REVOKED, at=now, session_id=session_id, token_id=token_id))

    async def announce_keys(self, *, now: float) -> None:
        """See `SessionStore.announce_keys`."""
        self._append(EventKind.KEYS_CHANGED, now)

    async def sessions_of(self, subject: str, *, now: float, limit: int = 50, cursor: str | None = None) -> SessionPage:
        """See `SessionStore.sessions_of`."""
        before = unpack_cursor(cursor) if cursor is not None else (math.inf, "")
        found = [session for session in self._live_of(subject, now) if (session.created, session.id) < before]
        size = page_size(limit)
        page = [_copy(session) for session in found[:size]]
        return SessionPage(sessions=page, next=pack_cursor(page[-1].created, page[-1].id) if found[size:] else None)

    async def prune(self, *, now: float, keep_events: float, limit: int = 1000) -> int:
        """See `SessionStore.prune`."""
        dead = [session for session_id, session in self._sessions.items() if not self._live(session_id, now)][:limit]
        for session in dead:
            self._forget(session)
        return len(dead) + self._feed.prune(now - keep_events, limit)

    async def events(self, cursor: str | None, *, wait: float) -> FeedRead:
        """See `SessionStore.events`. An append wakes the waiter at once."""
        if cursor is not None and self._feed.start(cursor) == len(self._feed.events):
            await self._feed.grown(wait)
        return self._feed.read(cursor, self._wall())

    def _live(self, session_id: str, now: float) -> Session | None:
        session = self._sessions.get(session_id)
        if session is None or not is_live(session, self._epochs.get(session.subject, 0), now):
            return None
        return session

    def _live_of(self, subject: str, now: float) -> list[Session]:
        """The subject's live sessions, newest first."""
        live = (self._live(session_id, now) for session_id in self._of_subject.get(subject, ()))
        return sorted(filter(None, live), key=lambda session: (session.created, session.id), reverse=True)

    def _standing(self, session: Session) -> Standing:
        version = self._versions.get(session.subject, 0)
        return Standing(session=_copy(session), epoch=self._epochs.get(session.subject, 0), version=version)

    def _end(self, session: Session, now: float) -> None:
        self._forget(session)
        self._append(EventKind.SESSION_REVOKED, now, session.subject, session.id)

    def _forget(self, session: Session) -> None:
        del self._sessions[session.id]
        siblings = self._of_subject[session.subject]
        siblings.discard(session.id)
        if not siblings:
            del self._of_subject[session.subject]

    def _append(self, kind: EventKind, at: float, subject: str = "", session_id: str = "", number: int = 0) -> None:
        self._feed.append(Event(kind=kind, at=at, subject=subject, session_id=session_id, number=number))


def _copy(session: Session) -> Session:
    """The session with data of its own, so that a caller who changes it does not change the store."""
    return replace(session, data=json.loads(to_json(session.data))) if session.data else session


class MemoryAccounts:
    """The `AccountStore` part."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._by_email: dict[str, str] = {}
        self._failures: dict[str, tuple[int, float]] = {}

    async def insert(self, account: Account) -> None:
        """See `AccountStore.insert`."""
        if account.email_key in self._by_email:
            raise EmailTaken("another account has this address")
        if account.id in self._accounts:
            raise Conflict("an account with this id exists already")
        self._accounts[account.id] = replace(account, claims=json.loads(to_json(account.claims)))
        self._by_email[account.email_key] = account.id

    async def by_id(self, account_id: str) -> Account | None:
        """See `AccountStore.by_id`."""
        account = self._accounts.get(account_id)
        return account and replace(account, claims=json.loads(to_json(account.claims)))

    async def by_email(self, email_key: str) -> Account | None:
        """See `AccountStore.by_email`."""
        return await self.by_id(self._by_email.get(email_key, ""))

    async def set_password_hash(self, account_id: str, password_hash: str, *, expected: str) -> bool:
        """See `AccountStore.set_password_hash`."""
        account = self._accounts.get(account_id)
        if account is None or account.password_hash != expected:
            return False
        self._accounts[account_id] = replace(account, password_hash=password_hash)
        return True

    async def set_roles(self, account_id: str, roles: Iterable[str]) -> bool:
        """See `AccountStore.set_roles`."""
        account = self._accounts.get(account_id)
        if account is None:
            return False
        self._accounts[account_id] = replace(account, roles=frozenset(roles))
        return True

    async def set_disabled(self, account_id: str, disabled: bool) -> bool:
        """See `AccountStore.set_disabled`."""
        account = self._accounts.get(account_id)
        if account is None:
            return False
        self._accounts[account_id] = replace(account, disabled=disabled)
        return True

    async def page(self, *, search: str = "", limit: int = 50, cursor: str | None = None) -> AccountPage:
        """See `AccountStore.page`."""
        before = unpack_cursor(cursor) if cursor is not None else (math.inf, "")
        needle = search.casefold()
        found = [
            account
            for account in self._accounts.values()
            if needle in account.email.casefold() and (account.created, account.id) < before
        ]
        found.sort(key=lambda account: (account.created, account.id), reverse=True)
        size = page_size(limit)
        page = found[:size]
        return AccountPage(accounts=page, next=pack_cursor(page[-1].created, page[-1].id) if found[size:] else None)

    async def count_failure(self, key: str, *, now: float, window: float) -> int:
        """See `AccountStore.count_failure`."""
        for over in [name for name, (_, end) in islice(self._failures.items(), 100) if end <= now]:
            del self._failures[over]
        count, ends = await self.failures(key, now=now)
        self._failures[key] = (count + 1, ends if now < ends else now + window)
        return count + 1

    async def failures(self, key: str, *, now: float) -> tuple[int, float]:
        """See `AccountStore.failures`."""
        count, ends = self._failures.get(key, (0, now))
        return (count, ends) if now < ends else (0, now)

    async def uncount_failure(self, keys: Sequence[str], *, now: float) -> None:
        """See `AccountStore.uncount_failure`."""
        for key in keys:
            count, ends = await self.failures(key, now=now)
            if count:
                self._failures[key] = (count - 1, ends)

    async def clear_failures(self, keys: Sequence[str], *, now: float) -> None:
        """See `AccountStore.clear_failures`."""
        for key in keys:
            self._failures.pop(key, None)


class MemoryKeys:
    """The `KeyStore` part."""

    def __init__(self) -> None:
        self._keys: dict[str, SealedKey] = {}

    async def keys(self) -> Sequence[SealedKey]:
        """See `KeyStore.keys`."""
        return sorted(self._keys.values(), key=lambda key: (key.created, key.kid))

    async def add_key(self, key: SealedKey, *, expected: Sequence[str]) -> bool:
        """See `KeyStore.add_key`."""
        if set(self._keys) != set(expected) or key.kid in self._keys:
            return False
        self._keys[key.kid] = key
        return True

    async def set_retirement(self, kid: str, retires: float) -> None:
        """See `KeyStore.set_retirement`."""
        if kid in self._keys:
            self._keys[kid] = replace(self._keys[kid], retires=retires)

    async def delete_key(self, kid: str) -> None:
        """See `KeyStore.delete_key`."""
        self._keys.pop(kid, None)


class MemoryStore(MemorySessions, MemoryAccounts, MemoryKeys):
    """All three stores in one object. Use it from one event loop.

    ``wall`` is the store's clock, seconds since the Unix epoch (default: the machine's).
    """

    def __init__(self, *, wall: Callable[[], float] = time.time) -> None:
        MemorySessions.__init__(self, wall)
        MemoryAccounts.__init__(self)
        MemoryKeys.__init__(self)

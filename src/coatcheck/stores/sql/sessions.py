"""The `SessionStore` in SQL. What the statements are is in `operations` and `feed`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

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
from ...model import ALL_KINDS, EventKind, Kind, Session, Standing
from ..base import FeedRead, Hearer, Reused, Rotation, SessionPage, Touch
from ..rules import check_kinds, check_session, check_touches, check_update, to_json
from . import feed, operations
from .database import Database
from .feed import begin_anew
from .locks import session_lock, subject_lock


class SqlSessions:
    """Sessions, subjects and the feed in one database."""

    database: Database
    _wall: Callable[[], float]

    async def time(self) -> float:
        """The server's clock; of an embedded database the machine's, or the one given to the constructor. Never below
        what was issued with."""
        return await self.database.time(self._wall())

    async def check_writes(self) -> None:
        """See `ChecksWrites.check_writes`."""
        await self.database.refusals.check(self.database.why_no_writes)

    async def standing_of(self, subject: str) -> tuple[int, int]:
        """See `SessionStore.standing_of`."""
        texts(subject=subject)
        return await self.database.read(partial(operations.standing_of, subject=subject))

    async def create(self, session: Session, *, now: float, keep: int | None = None) -> tuple[str, ...]:
        """See `SessionStore.create`."""
        check_session(session, now=now)
        wholes_or_none(keep=keep)
        row = operations.to_row(session)
        insert = self.database.insert
        locks = [subject_lock(session.subject), session_lock(session.id)]
        ended = await self.database.write(lambda tx: operations.create(tx, insert, row, now, keep), locks)
        if ended:
            self.database.announce()
        return ended

    async def find(self, session_id: str, *, now: float) -> Standing | None:
        """See `SessionStore.find`."""
        texts(session_id=session_id)
        numbers(now=now)
        return await self.database.read(partial(operations.find, session_id=session_id, now=now))

    async def touch(self, touches: Sequence[Touch], *, now: float) -> frozenset[str]:
        """See `SessionStore.touch`."""
        check_touches(touches, now=now)
        if not touches:
            return frozenset()
        return await self.database.write(partial(operations.touch, touches=touches, now=now))

    async def rotate(self, session_id: str, generation: int, *, window: float, now: float) -> Rotation:
        """See `SessionStore.rotate`."""
        texts(session_id=session_id)
        wholes(generation=generation)
        numbers(window=window, now=now)
        work = partial(operations.rotate, session_id=session_id, generation=generation, window=window, now=now)
        result = await self.database.write(work, [session_lock(session_id)])
        if isinstance(result, Reused):
            self.database.announce()
        return result

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
        named: dict[str, str | float | None] = {
            "data": None if data is None else to_json(data),
            "label": label,
            "authenticated": authenticated,
            "amr": None if amr is None else to_json(list(amr)),
        }
        change = {name: value for name, value in named.items() if value is not None}
        work = partial(operations.change, session_id=session_id, version=version, now=now, change=change)
        changed = await self.database.write(work, [session_lock(session_id)])
        if changed and not {"authenticated", "amr"}.isdisjoint(change):
            self.database.announce()
        return changed

    async def revoke(self, session_id: str, *, now: float) -> Session | None:
        """See `SessionStore.revoke`."""
        texts(session_id=session_id)
        numbers(now=now)
        work = partial(operations.revoke, session_id=session_id, now=now)
        ended = await self.database.write(work, [session_lock(session_id)])
        self.database.announce()
        return ended

    async def revoke_subject(
        self, subject: str, *, now: float, excepted: str | None = None, kinds: frozenset[Kind] = ALL_KINDS
    ) -> int:
        """See `SessionStore.revoke_subject`."""
        texts(subject=subject)
        texts_or_none(excepted=excepted)
        numbers(now=now)
        kinds = check_kinds(kinds)
        insert = self.database.insert
        work = partial(
            operations.revoke_subject, insert=insert, subject=subject, now=now, excepted=excepted, kinds=kinds
        )  # fmt: skip
        locks = [subject_lock(subject), *([session_lock(excepted)] if excepted else [])]
        epoch = await self.database.write(work, locks)
        self.database.announce()
        return epoch

    async def step_version(self, subject: str, *, now: float) -> int:
        """See `SessionStore.step_version`."""
        texts(subject=subject)
        numbers(now=now)
        insert = self.database.insert
        work = partial(operations.step_version, insert=insert, subject=subject, now=now)
        version = await self.database.write(work, [subject_lock(subject)])
        self.database.announce()
        return version

    async def revoke_token(self, session_id: str, token_id: str, *, now: float) -> bool:
        """See `SessionStore.revoke_token`."""
        texts(session_id=session_id, token_id=token_id)
        numbers(now=now)
        work = partial(operations.revoke_token, session_id=session_id, token_id=token_id, now=now)
        whole = await self.database.write(work, [session_lock(session_id)])
        self.database.announce()
        return whole

    async def announce_keys(self, *, now: float) -> None:
        """See `SessionStore.announce_keys`."""
        numbers(now=now)
        await self.database.write(partial(feed.append, kind=EventKind.KEYS_CHANGED, at=now))
        self.database.announce()

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
        work = partial(operations.sessions_of, subject=subject, now=now, limit=limit, cursor=cursor, kinds=kinds)
        return await self.database.read(work)

    async def prune(self, *, now: float, keep_events: float, limit: int = 1000) -> int:
        """See `SessionStore.prune`."""
        numbers(now=now, keep_events=keep_events)
        wholes(limit=limit)
        return await self.database.write(
            lambda tx: operations.prune(tx, now, limit) + self.database.prune_feed(tx, now, keep_events, limit)
        )

    async def begin_anew(self, feed: str, *, since: float, now: float, clock: float | None = None) -> bool:
        """See `Founder.begin_anew`."""
        texts(feed=feed)
        numbers(since=since, now=now)
        numbers_or_none(clock=clock)
        # What PostgreSQL's server adds to the identity comes after a full stop.
        known = feed.partition(".")[0]
        begun = await self.database.write(partial(begin_anew, known=known, since=since, now=now, clock=clock))
        if begun:
            self.database.announce()
        return begun

    def tell(self, hearer: Hearer | None) -> None:
        """See `Herald.tell`."""
        self.database.tell(hearer)

    async def events(self, cursor: str | None, *, wait: float) -> FeedRead:
        """See `SessionStore.events`."""
        free_texts_or_none(cursor=cursor)
        numbers(wait=wait)
        end = time.monotonic() + wait
        while True:
            mark = await self.database.mark()
            read = await self.database.read_events(cursor, self._wall())
            left = end - time.monotonic()
            if read.events or read.more or cursor is None or left <= 0:
                return read
            if not await self.database.changed(mark, left):
                return read

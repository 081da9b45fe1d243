"""The `SessionStore` in Redis. What the operations do is in stores/lua, one script each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from ...credentials.opaque import is_session_id, session_slot, subject_slot
from ...errors import Conflict, LimitReached, NotFound
from ...model import ALL_KINDS, PERSON_KINDS, EventKind, Kind, Session, Standing
from ..base import (
    MAX_ENDED,
    MAX_TOKENS,
    FeedRead,
    Gone,
    Hearer,
    Replayed,
    Reused,
    Rotated,
    Rotation,
    SessionPage,
    Touch,
)
from ..rules import (
    check_kinds,
    check_session,
    check_touches,
    check_update,
    pack_cursor,
    pack_kinds,
    page_size,
    to_json,
    unpack_cursor,
)
from . import feed
from .feed import identity_of
from .records import (
    AMR,
    AUTHENTICATED,
    DATA,
    LABEL,
    Reply,
    letter,
    number,
    pack_session,
    unpack_session,
    unpack_told,
)
from .scripts import Effect, Scripts, Shard
from .wake import Wake

_TOUCHES: Final = 500
"""Sessions that one script touches at most, so that it does not keep others waiting."""
_PATIENCE: Final = 1000
"""Dead rows that one script looks at, beside what it was asked for."""
_READ_AGAIN: Final = 1.0
"""Seconds after which somebody who waits reads again, though nobody woke him."""
_MOST_AT_ONCE: Final = 10_000
"""Rows or events that one script prunes at most."""


class RedisSessions:
    """Sessions, subjects and the feed."""

    _scripts: Scripts
    _wake: Wake
    _hearer: Hearer | None = None
    _feeds: tuple[str, ...] = ()
    """The identities of the shards' feeds, as last read."""

    def tell(self, hearer: Hearer | None) -> None:
        """See `Herald.tell`."""
        self._hearer = hearer

    async def time(self) -> float:
        """The clock of the server that keeps the first shard; never below what was issued with in any."""
        replies = await self._scripts.run_on_all("time", [()] * len(self._scripts.shards), now="0")
        return max(int(replies[0][0]) / 1_000_000, *(float(highest) for _, highest in replies))

    async def check_writes(self) -> None:
        """See `ChecksWrites.check_writes`."""
        await self._scripts.refusals.check(self._scripts.why_no_writes)

    async def standing_of(self, subject: str) -> tuple[int, int]:
        """See `SessionStore.standing_of`."""
        texts(subject=subject)
        epoch, version = await self._scripts.run("standing_of", self._of(subject), subject, now="0", kind=Effect.READ)
        return epoch, version

    async def create(self, session: Session, *, now: float, keep: int | None = None) -> tuple[str, ...]:
        """See `SessionStore.create`. A session's id must begin with its subject's slot, as `new_session_id` makes it;
        any other is a `Conflict`."""
        check_session(session, now=now)
        wholes_or_none(keep=keep)
        row = pack_session(session)
        if not is_session_id(session.id) or session_slot(session.id) != subject_slot(session.subject):
            raise Conflict("the session's id is not one for this subject")
        if keep is not None and keep < 1 and session.kind not in PERSON_KINDS:
            raise LimitReached(f"there are {keep} sessions of kind {session.kind.value} already")
        limit = 0 if keep is None else max(1, keep)
        said, *ended = await self._scripts.run(
            "create",
            self._of(session.subject),
            *(session.id, row, limit, MAX_ENDED, _PATIENCE),
            now=number(now),
            kind=Effect.LASTING,
        )
        if said == b"epoch":
            raise Conflict("the subject was cut off while this login was under way")
        if said == b"id":
            raise Conflict("a session with this id exists already")
        if said == b"full":
            raise LimitReached(f"there are {keep} sessions of kind {session.kind.value} already")
        return tuple(name.decode() for name in ended[0])

    async def find(self, session_id: str, *, now: float) -> Standing | None:
        """See `SessionStore.find`."""
        texts(session_id=session_id)
        numbers(now=now)
        reply = await self._on_session("find", session_id, now=now, kind=Effect.READ)
        return _standing(session_id, *reply) if reply else None

    async def touch(self, touches: Sequence[Touch], *, now: float) -> frozenset[str]:
        """See `SessionStore.touch`. One script for each shard's part of the batch."""
        check_touches(touches, now=now)
        dead = {item.session_id for item in touches if not is_session_id(item.session_id)}
        by_shard: dict[int, list[str]] = {}
        for item in touches:
            if item.session_id not in dead:
                words = by_shard.setdefault(self._shard(session_slot(item.session_id)).number, [])
                words += (item.session_id, number(item.seen))
        for place, words in by_shard.items():
            for start in range(0, len(words), 2 * _TOUCHES):
                part = words[start : start + 2 * _TOUCHES]
                shard = self._scripts.shards[place]
                reply = await self._scripts.run("touch", shard, *part, now=number(now), kind=Effect.WRITE)
                dead |= {name.decode() for name in reply}
        return frozenset(dead)

    async def rotate(self, session_id: str, generation: int, *, window: float, now: float) -> Rotation:
        """See `SessionStore.rotate`."""
        texts(session_id=session_id)
        wholes(generation=generation)
        numbers(window=window, now=now)
        words = (str(generation), number(window))
        reply = await self._on_session("rotate", session_id, *words, now=now, kind=Effect.LASTING)
        match reply:
            case [b"rotated", *found]:
                return Rotated(_standing(session_id, *found))
            case [b"replayed", *found]:
                return Replayed(_standing(session_id, *found))
            case [b"reused", row, *_]:
                return Reused(unpack_session(session_id, row))
            case _:
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
        words: list[str | int] = []
        if data is not None:
            words += (DATA, "s", to_json(data))
        if label is not None:
            words += (LABEL, "s", label)
        if authenticated is not None:
            words += (AUTHENTICATED, "n", number(authenticated))
        if amr is not None:
            words += (AMR, "s", to_json(list(amr)))
        is_event = authenticated is not None or amr is not None
        kind = Effect.LASTING if is_event else Effect.WRITE
        reply = await self._on_session("update", session_id, version, int(is_event), *words, now=now, kind=kind)
        if not reply or reply[0] == b"gone":
            return None
        if reply[0] == b"conflict":
            raise Conflict("the session was changed in the meantime")
        return unpack_session(session_id, reply[1])

    async def revoke(self, session_id: str, *, now: float) -> Session | None:
        """See `SessionStore.revoke`."""
        texts(session_id=session_id)
        numbers(now=now)
        row = await self._on_session("revoke", session_id, now=now, kind=Effect.LASTING)
        return unpack_session(session_id, row) if row else None

    async def revoke_subject(
        self, subject: str, *, now: float, excepted: str | None = None, kinds: frozenset[Kind] = ALL_KINDS
    ) -> int:
        """See `SessionStore.revoke_subject`."""
        texts(subject=subject)
        texts_or_none(excepted=excepted)
        numbers(now=now)
        kinds = check_kinds(kinds)
        if excepted is not None and (not is_session_id(excepted) or session_slot(excepted) != subject_slot(subject)):
            raise NotFound("the session to keep is not a live one of this subject")
        each = [word for kind in Kind for word in (kind.value, int(kind in kinds))]
        words = (subject, excepted or "", pack_kinds(ALL_KINDS - kinds), *each)
        reply = await self._scripts.run(
            "revoke_subject", self._of(subject), *words, now=number(now), kind=Effect.LASTING
        )  # fmt: skip
        if reply is None:
            raise NotFound("the session to keep is not a live one of this subject")
        return int(reply)

    async def step_version(self, subject: str, *, now: float) -> int:
        """See `SessionStore.step_version`."""
        texts(subject=subject)
        numbers(now=now)
        shard = self._of(subject)
        return int(await self._scripts.run("step_version", shard, subject, now=number(now), kind=Effect.LASTING))

    async def revoke_token(self, session_id: str, token_id: str, *, now: float) -> bool:
        """See `SessionStore.revoke_token`."""
        texts(session_id=session_id, token_id=token_id)
        numbers(now=now)
        shard = self._shard(session_slot(session_id)) if is_session_id(session_id) else self._scripts.shards[0]
        return bool(await self._append(shard, EventKind.TOKEN_REVOKED, session_id, token_id, now=now))

    async def announce_keys(self, *, now: float) -> None:
        """See `SessionStore.announce_keys`."""
        numbers(now=now)
        await self._append(self._scripts.shards[0], EventKind.KEYS_CHANGED, now=now)

    async def begin_anew(self, feed: str, *, since: float, now: float, clock: float | None = None) -> bool:
        """See `Founder.begin_anew`. One shard after the other, each only if its part of the feed still is the one that
        was last read."""
        texts(feed=feed)
        numbers(since=since, now=now)
        numbers_or_none(clock=clock)
        known = self._feeds
        if not known or identity_of(known) != feed:
            return False
        begun = False
        for shard, identity in zip(self._scripts.shards, known, strict=True):
            words = (identity, number(since), "" if clock is None else number(clock))
            reply = await self._scripts.run("begin_anew", shard, *words, now=number(now), kind=Effect.LASTING)
            begun = begun or reply == 1
        return begun

    async def sessions_of(
        self,
        subject: str,
        *,
        now: float,
        limit: int = 50,
        cursor: str | None = None,
        kinds: frozenset[Kind] = ALL_KINDS,
    ) -> SessionPage:
        """See `SessionStore.sessions_of`. A page may be short though more follow, where many dead rows lie between."""
        texts(subject=subject)
        free_texts_or_none(cursor=cursor)
        numbers(now=now)
        wholes(limit=limit)
        after = ("", "") if cursor is None else _text(unpack_cursor(cursor))
        names = sorted(kind.value for kind in check_kinds(kinds))
        words: list[str | int] = [subject, page_size(limit), *after, _PATIENCE, *names]
        rows, created, last, more = await self._scripts.run(
            "sessions_of", self._of(subject), *words, now=number(now), kind=Effect.READ
        )
        pairs = zip(rows[::2], rows[1::2], strict=True)
        found = [unpack_session(name.decode(), row) for name, row in pairs]
        return SessionPage(sessions=found, next=pack_cursor(float(created), last.decode()) if more else None)

    async def prune(self, *, now: float, keep_events: float, limit: int = 1000) -> int:
        """See `SessionStore.prune`. Sessions that ran out need no pruning, Redis drops their rows an hour later; what
        goes here are those that a cut-off has ended, and old events."""
        numbers(now=now, keep_events=keep_events)
        wholes(limit=limit)
        rows = events = 0
        most = min(limit, _MOST_AT_ONCE)
        for shard in self._scripts.shards:
            while True:
                words = (number(now - keep_events), most - rows, most - events)
                went = await self._scripts.run("prune", shard, *words, now=number(now), kind=Effect.WRITE)
                rows, events = rows + went[0], events + went[1]
                if went[2] == 0 or went[0] or went[1]:  # else there may be more indexes that had run out by themselves
                    break
        return rows + events

    async def events(self, cursor: str | None, *, wait: float) -> FeedRead:
        """See `SessionStore.events`. A message by whoever appends ends the wait; without one, it is read again every
        second. Events of different subjects may come in another order than that of their commits."""
        free_texts_or_none(cursor=cursor)
        numbers(wait=wait)
        begun = time.monotonic()
        after = None if cursor is None else feed.parse_cursor(cursor, len(self._scripts.shards))
        while True:
            mark, asked = self._wake.mark(), time.monotonic()
            read = await self._read_feed(after)
            left = begun + wait - time.monotonic()
            if read.events or after is None or left <= 0:
                return read
            rung = await self._wake.rung(mark, min(left, _READ_AGAIN))
            if not rung and left <= _READ_AGAIN:
                wall = read.now - read.behind + time.monotonic() - asked
                now = max(read.now, wall)  # which stands still where the clock was put back
                return replace(read, now=now, behind=now - wall)

    async def _read_feed(self, after: feed.Cursor | None) -> FeedRead:
        shards = self._scripts.shards
        positions = [""] * len(shards) if after is None else after.positions
        size = feed.page(len(shards))
        replies = await self._scripts.run_on_all(
            "events", [(place, size, self._scripts.fenced) for place in positions], now="0"
        )
        self._feeds = tuple(identity.decode() for identity, *_ in replies)
        return feed.combine(replies, after)

    def _told(self, message: bytes) -> None:
        identity, events = unpack_told(message)
        # Channels do not know of databases: it may be another store's message.
        if self._hearer is not None and identity in self._feeds:
            self._hearer(events)

    async def _append(
        self, shard: Shard, kind: EventKind, session_id: str = "", token_id: str = "", *, now: float
    ) -> Reply:
        words = (letter(kind), session_id, token_id, MAX_TOKENS)
        return await self._scripts.run("append", shard, *words, now=number(now), kind=Effect.LASTING)

    async def _on_session(self, name: str, session_id: str, *words: str | int, now: float, kind: Effect) -> Reply:
        """The reply for a session; None for an id that cannot be one of ours, which no server need see."""
        if not is_session_id(session_id):
            return None
        shard = self._shard(session_slot(session_id))
        return await self._scripts.run(name, shard, session_id, *words, now=number(now), kind=kind)

    def _of(self, subject: str) -> Shard:
        return self._shard(subject_slot(subject))

    def _shard(self, slot: bytes) -> Shard:
        return self._scripts.shards[int.from_bytes(slot, "big") % len(self._scripts.shards)]


def _standing(session_id: str, row: bytes, epoch: int, version: int) -> Standing:
    return Standing(session=unpack_session(session_id, row), epoch=epoch, version=version)


def _text(after: tuple[float, str]) -> tuple[str, str]:
    return number(after[0]), after[1]

"""The log of events in SQL. Ids are given inside the write transaction, so on SQLite their order is commit order."""

from __future__ import annotations

import math
import re
import secrets
from itertools import takewhile
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, case, delete, func, insert, literal_column, select, update

from ...errors import StoreUnavailable
from ...model import Event, EventKind
from ..base import CLOCK_STEP, FEED_PAGE, FeedLost, FeedRead
from ..rules import stored_event
from .tables import events, feed, sessions

APPENDED: Final = "coatcheck.appended"
"""Where a connection's ``info`` collects the events of its transaction, if somebody tells of them after the commit."""
_RAISED: Final = "coatcheck.raised"
"""Where a connection's ``info`` keeps the time up to which it has raised the store's."""
_CURSOR: Final = re.compile(r"([0-9a-f]{1,64}):(\d{1,18}):([0-9a-f]{0,64})", re.ASCII)
"""The feed's identity, and id and mark of the event that the cursor stands behind."""


def given(clock: float) -> float:
    """The highest time that was given out, at the most `CLOCK_STEP` too early: ``clock`` is a time beyond which none
    was, so that only one write a second puts it forward, and not everybody's waits for one row."""
    return clock - CLOCK_STEP


_floor: Final = select(feed.c.clock - CLOCK_STEP).where(feed.c.id == 1).scalar_subquery()
_now: Final = bindparam("now", type_=feed.c.clock.type)
_ISSUED: Final = update(feed).where(feed.c.id == 1, feed.c.clock < _now).values(clock=_now + CLOCK_STEP)


def clock(tx: Connection) -> float:
    """No time beyond this was given out."""
    return float(tx.execute(select(feed.c.clock)).scalar_one())


def issued(tx: Connection, now: float) -> None:
    """Something was issued or pruned at this time: the store gives out none before it from now on. A connection that
    has just said so does not ask again."""
    if not tx.info.get(_RAISED, -math.inf) - CLOCK_STEP <= now <= tx.info.get(_RAISED, -math.inf):
        tx.execute(_ISSUED, {"now": now})
        tx.info[_RAISED] = now + CLOCK_STEP


def append(
    tx: Connection,
    kind: EventKind,
    at: float,
    subject: str = "",
    *session_ids: str,
    token_id: str = "",
    number: int = 0,
) -> None:
    """Append an event, or one for each session in this order, in the transaction that changes what it speaks of. The
    fields are as they are stored: `rules.stored_event`. It is dated no earlier than what was issued before."""
    row = {"kind": kind.value, "now": at, "subject": subject, "token_id": token_id, "number": number}
    ids = session_ids or ("",)
    appended: list[Event] | None = tx.info.get(APPENDED)
    if appended is not None:
        appended.extend(stored_event(kind, at, subject, session_id, token_id, number) for session_id in ids)
    rows = [row | {"session_id": session_id, "mark": secrets.token_hex(8)} for session_id in ids]
    tx.execute(_APPEND_PG if tx.dialect.name == "postgresql" else _APPEND, rows)


_APPEND: Final = insert(events).values(at=case((_floor > _now, _floor), else_=_now))
_APPEND_PG: Final = _APPEND.values(txn=func.pg_current_xact_id())
# The kinds stand in the statement, as in the index.
_OF_SESSION: Final = events.c.session_id == bindparam("session_id")
_ENDED: Final = select(events.c.id).where(events.c.kind == literal_column("'session_revoked'"), _OF_SESSION).limit(1)
_TOKENS: Final = (
    select(events.c.token_id)
    .where(events.c.kind == literal_column("'token_revoked'"), _OF_SESSION)
    .limit(bindparam("most"))
)


def has_ended(tx: Connection, session_id: str) -> bool:
    """Whether the feed holds the end of this session."""
    return tx.execute(_ENDED, {"session_id": session_id}).first() is not None


def ended_tokens(tx: Connection, session_id: str, most: int) -> frozenset[str]:
    """The tokens of this session whose ends the feed holds."""
    return frozenset(tx.scalars(_TOKENS, {"session_id": session_id, "most": most}))


_AT: Final = events.alias("at")
_marked: Final = select(_AT.c.mark).where(_AT.c.id == bindparam("after")).scalar_subquery().label("marked")
_READ: Final = (
    select(feed.c.identity, feed.c.since, feed.c.pruned, feed.c.pruned_mark, feed.c.clock, _marked, events)
    .select_from(feed.outerjoin(events, events.c.id > bindparam("after")))
    .where(feed.c.id == 1)
    .order_by(events.c.id)
    .limit(bindparam("most"))
)


def read(tx: Connection, cursor: str | None, wall: float, limit: int | None = None) -> FeedRead:
    """What comes after the cursor, in one statement, so that identity, tail and events are of one moment."""
    identity, after, mark = _parse(cursor) if cursor is not None else ("", 0, "")
    limit = min(limit or FEED_PAGE, FEED_PAGE)
    rows = tx.execute(_READ, {"after": after, "most": limit + 1}).all()
    if not rows:
        raise StoreUnavailable("the feed has no identity")
    head = rows[0]
    if cursor is None:
        after, mark = head.pruned, head.pruned_mark
    elif identity != head.identity:
        raise FeedLost("the cursor is of another feed")
    elif after < head.pruned:
        raise FeedLost("the cursor is older than the feed's tail")
    elif mark != (head.pruned_mark if after == head.pruned else head.marked):
        raise FeedLost("the event at the cursor is not in this history")
    page = [row for row in rows[:limit] if row.id is not None]
    if page:
        after, mark = page[-1].id, page[-1].mark
    now = max(wall, given(head.clock))
    return FeedRead(
        feed=head.identity, cursor=f"{head.identity}:{after}:{mark}", events=[to_event(row) for row in page],
        since=head.since, now=now, behind=now - wall, heights=(head.clock,), more=len(rows) > limit,
    )  # fmt: skip


def _parse(cursor: str) -> tuple[str, int, str]:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise FeedLost("the cursor is not one of a feed like this")
    return found[1], int(found[2]), found[3]


def begin_anew(tx: Connection, known: str, since: float, now: float, clock: float | None) -> bool:
    """See `Founder.begin_anew`."""
    ours = select(feed.c.since, feed.c.clock).where(feed.c.id == 1, feed.c.identity == known).with_for_update()
    found = tx.execute(ours).first()
    if found is None:
        return False
    since = max(since, now)
    changed: dict[str, object] = {"identity": secrets.token_hex(8)}
    if clock is None:
        since = max(since, found.since, given(found.clock))
    else:
        changed["clock"] = clock + CLOCK_STEP
        tx.execute(update(events).where(events.c.at > clock).values(at=clock))
        tx.execute(delete(sessions).where(sessions.c.created > clock + CLOCK_STEP))
    tx.execute(update(feed).where(feed.c.id == 1).values(since=since, **changed))
    return True


def prune(tx: Connection, now: float, keep: float, limit: int) -> int:
    """Delete the oldest events, at most ``limit``, up to the first that is not older than ``keep`` seconds."""
    issued(tx, now)
    oldest = tx.execute(select(events.c.id, events.c.at, events.c.mark).order_by(events.c.id).limit(limit)).all()
    old = list(takewhile(lambda row: row.at < now - keep, oldest))
    if old:
        since = tx.execute(select(feed.c.since)).scalar_one()
        covered = max(since, math.nextafter(max(row.at for row in old), math.inf))
        tx.execute(update(feed).values(pruned=old[-1].id, pruned_mark=old[-1].mark, since=covered))
        tx.execute(delete(events).where(events.c.id <= old[-1].id))
    return len(old)


def to_event(row: Row[Any]) -> Event:
    """A row of the table as an event."""
    return stored_event(EventKind(row.kind), row.at, row.subject, row.session_id, row.token_id, row.number)

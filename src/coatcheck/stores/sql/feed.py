"""The log of events in SQL. Ids are given inside the write transaction, so on SQLite their order is commit order."""

from __future__ import annotations

import math
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from ...errors import StoreUnavailable
from ...model import Event, EventKind
from ..base import FEED_PAGE, FeedLost, FeedRead
from .tables import events, feed

APPENDED: Final = "coatcheck.appended"
"""Where a connection's ``info`` collects the events of its transaction, if somebody tells of them after the commit."""


def append(
    tx: Connection,
    kind: EventKind,
    at: float,
    subject: str = "",
    *session_ids: str,
    token_id: str = "",
    number: int = 0,
) -> None:
    """Append an event, or one for each session in this order, in the transaction that changes what it speaks of."""
    row = {"kind": kind.value, "at": at, "subject": subject, "token_id": token_id, "number": number}
    ids = session_ids or ("",)
    appended: list[Event] | None = tx.info.get(APPENDED)
    if appended is not None:
        appended.extend(
            Event(kind=kind, at=at, subject=subject, session_id=session_id, token_id=token_id, number=number)
            for session_id in ids
        )
    statement = insert(events)
    if tx.dialect.name == "postgresql":
        statement = statement.values(txn=func.pg_current_xact_id())
    tx.execute(statement, [row | {"session_id": session_id} for session_id in ids])


def read(tx: Connection, cursor: str | None, now: float, limit: int | None = None) -> FeedRead:
    """What comes after the cursor, in one statement, so that identity, tail and events are of one moment."""
    identity, _, position = (cursor or "").rpartition(":")
    if cursor is not None and not (position.isascii() and position.isdigit() and len(position) < 19):
        raise FeedLost("the cursor is not one of a feed like this")
    after = int(position) if cursor is not None else 0
    limit = min(limit or FEED_PAGE, FEED_PAGE)
    newest = select(func.max(events.c.id)).scalar_subquery().label("newest")
    rows = tx.execute(
        select(feed.c.identity, feed.c.since, feed.c.pruned, newest, events)
        .select_from(feed.outerjoin(events, events.c.id > after))
        .where(feed.c.id == 1)
        .order_by(events.c.id)
        .limit(limit + 1)
    ).all()
    if not rows:
        raise StoreUnavailable("the feed has no identity")
    head = rows[0]
    end = head.newest or head.pruned
    if cursor is not None and identity != head.identity:
        raise FeedLost("the cursor is of another feed")
    if cursor is not None and not head.pruned <= after <= end:
        raise FeedLost("the cursor is older than the feed's tail or beyond its end")
    page = [row for row in rows[:limit] if row.id is not None]
    more = len(rows) > limit
    return FeedRead(
        feed=head.identity, cursor=f"{head.identity}:{page[-1].id if more else end}",
        events=[to_event(row) for row in page], since=head.since, now=now, more=more,
    )  # fmt: skip


def prune(tx: Connection, before: float, limit: int) -> int:
    """Delete the oldest events, at most ``limit``, up to the first that is not older than ``before``."""
    oldest = tx.execute(select(events.c.id, events.c.at).order_by(events.c.id).limit(limit)).all()
    last, newest_time, count = 0, -math.inf, 0
    for row in oldest:
        if row.at >= before:
            break
        last, newest_time, count = row.id, max(newest_time, row.at), count + 1
    if count:
        since = tx.execute(select(feed.c.since)).scalar_one()
        covered = max(since, math.nextafter(newest_time, math.inf))
        tx.execute(update(feed).values(pruned=last, since=covered))
        tx.execute(delete(events).where(events.c.id <= last))
    return count


def to_event(row: Row[Any]) -> Event:
    """A row of the table as an event."""
    return Event(
        kind=EventKind(row.kind),
        at=row.at,
        subject=row.subject,
        session_id=row.session_id,
        token_id=row.token_id,
        number=row.number,
    )

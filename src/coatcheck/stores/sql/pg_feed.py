"""The feed on PostgreSQL, read in commit order without making anyone commit in turn.

An event's id says when it was written, not when it was committed, so a position in a list proves nothing: a
transaction may hold a lower one back. A cursor is therefore the *snapshot* that its read saw, which says of every
transaction whether it was visible. The next read gives the events of exactly those that were not visible then and are
now. So nothing is passed, nothing comes twice, and no writer waits for another.

A crash takes back the numbers of transactions that left nothing on the disk (rolled back, or a bare NOTIFY), although
snapshots have counted them as over, and gives them to later ones. Ids it never takes back once one was seen: so a
cursor holds the newest id too, and what has a later one has not been read, whatever its transaction's number.

A data directory that is put back from a copy takes back both, and nothing on the server tells. So a cursor also holds
the mark of the newest event, which is drawn by lot: where that event is still there, every later one has a later id.

Events are ordered by transaction and id. Transactions on one subject take its lock before they get their number, so for
each subject this is the order in which they were committed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final, Self

from sqlalchemy import BindParameter, Connection, Row, TextClause, bindparam, literal_column, select, text, update
from sqlalchemy.types import Text

from ...errors import StoreUnavailable
from ..base import FEED_PAGE, FeedLost, FeedRead
from .feed import given, issued, to_event
from .tables import events, feed

_MAX_CURSOR: Final = 1 << 18
"""Characters: a snapshot names each transaction under way, so at most as many as the server has connections."""
_LARGEST: Final = (1 << 63) - 1
_NUMBER: Final = r"(\d{1,20})"
_SNAPSHOT: Final = r"(\d{1,20}:\d{1,20}:(?:\d{1,20}(?:,\d{1,20})*)?;\d{1,19}-[0-9a-f]{0,64})"
_CURSOR: Final = re.compile(rf"([0-9a-f.]{{1,120}})/{_SNAPSHOT}(?:/{_SNAPSHOT}?/{_NUMBER}:{_NUMBER})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """PostgreSQL's pg_snapshot: what is below ``xmin`` was visible or never will be, what is not below ``xmax`` was not
    visible, and between them neither were those ``under_way``. ``newest`` is the highest id of an event that had been
    there by then, and ``mark`` is that event's."""

    text: str
    xmin: int
    xmax: int
    under_way: str
    newest: int
    mark: str

    @classmethod
    def parse(cls, found: str) -> Self:
        text, _, place = found.partition(";")
        newest, _, mark = place.partition("-")
        xmin, xmax, under_way = text.split(":")
        ordered = [int(xmin), *map(int, filter(None, under_way.split(","))), int(xmax)]
        if ordered != sorted(ordered) or max(ordered[-1], int(newest)) > _LARGEST:
            raise FeedLost("the cursor is not one of a feed like this")
        return cls(text, ordered[0], ordered[-1], under_way, int(newest), mark)

    def __str__(self) -> str:
        return f"{self.text};{self.newest}-{self.mark}"


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a reader stands. While a run of pages lasts, ``until`` is what the run goes up to, and ``last`` is the
    transaction and id that the last page ended with."""

    feed: str
    seen: _Snapshot | None
    until: _Snapshot | None = None
    last: tuple[int, int] = (0, 0)

    @classmethod
    def parse(cls, cursor: str) -> Self:
        found = _CURSOR.fullmatch(cursor) if len(cursor) <= _MAX_CURSOR else None
        if found is None:
            raise FeedLost("the cursor is not one of a feed like this")
        identity, snapshot, before, txn, event_id = found.groups()
        if txn is None:
            return cls(identity, _Snapshot.parse(snapshot))
        last = int(txn), int(event_id)
        if max(last) > _LARGEST:
            raise FeedLost("the cursor is not one of a feed like this")
        return cls(identity, _Snapshot.parse(before) if before else None, _Snapshot.parse(snapshot), last)

    def __str__(self) -> str:
        if self.until is None:
            return f"{self.feed}/{self.seen or ''}"
        return f"{self.feed}/{self.until}/{self.seen or ''}/{self.last[0]}:{self.last[1]}"


_IDENTITY: Final = """f.identity || '.' || (SELECT to_hex(system_identifier) FROM pg_control_system())
    || '.' || to_hex((SELECT oid::bigint FROM pg_database WHERE datname = current_database()))
    || '.' || to_hex(f.tableoid::bigint) || '.' || lower(left(pg_walfile_name(pg_current_wal_lsn()), 8))"""
"""The feed's own, and the server, database, table and timeline that it is kept on. A backup put back and a replica made
primary have another timeline: they may have lost events. A server that still is a replica has none and fails."""

_EVENTS: Final = """SELECT e.* FROM coatcheck_events e WHERE {}
    AND (pg_visible_in_snapshot(e.txn, s.until) OR (:whole AND e.txn >= pg_snapshot_xmax(s.now)))"""
# What is numbered beyond the server's present comes from the backup of another server: only a whole read gives it.

# Each of the three has one condition that an index can answer: however long the feed is, what was read before is
# not looked at again: the others are written so that no index is tempted.
_AFTER: Final = "(e.txn, e.id) > (CAST(CAST(:txn AS text) AS xid8), CAST(:id AS bigint))"
_IN_THIS_RUN: Final = """(e.txn > CAST(CAST(:last_txn AS text) AS xid8)
            OR e.txn = CAST(CAST(:last_txn AS text) AS xid8) AND e.id > CAST(:last_id AS bigint))"""
_WAS_UNDER_WAY: Final = f"e.txn = ANY (CAST(CAST(:under_way AS text) AS xid8[])) AND {_IN_THIS_RUN}"
_AFTER_A_CRASH: Final = f"""e.id > CAST(:newest AS bigint) AND {_IN_THIS_RUN}
            AND pg_visible_in_snapshot(e.txn, CAST(CAST(:seen AS text) AS pg_snapshot))"""

_WHOLE_EVENTS: Final = _EVENTS.format(_AFTER)
_NEW_EVENTS: Final = " UNION ALL ".join(map(_EVENTS.format, (_WAS_UNDER_WAY, _AFTER, _AFTER_A_CRASH)))

_READ: Final = f"""
SELECT {_IDENTITY} AS feed, f.since, f.pruned, f.pruned_mark, f.pruned_txn::text AS pruned_txn, f.clock,
    s.now::text || ';' || coalesce(n.id || '-' || n.mark, f.pruned || '-' || f.pruned_mark) AS snapshot,
    (SELECT mark FROM coatcheck_events WHERE id = CAST(CAST(:seen_newest AS text) AS bigint)) AS seen_mark,
    (SELECT mark FROM coatcheck_events WHERE id = CAST(CAST(:until_newest AS text) AS bigint)) AS until_mark,
    date_part('epoch', clock_timestamp()) AS wall, e.txn::text AS event_txn,
    e.id, e.kind, e.at, e.subject, e.session_id, e.token_id, e.number
FROM coatcheck_feed f
CROSS JOIN (SELECT pg_current_snapshot() AS now,
    coalesce(CAST(CAST(:until AS text) AS pg_snapshot), pg_current_snapshot()) AS until) s
LEFT JOIN (SELECT id, mark FROM coatcheck_events ORDER BY id DESC LIMIT 1) n ON true
LEFT JOIN LATERAL (
    SELECT * FROM ({{}}) u ORDER BY u.txn, u.id LIMIT :page
) e ON true
WHERE f.id = 1 ORDER BY e.txn, e.id
"""  # noqa: S608 - put together from constants


def _statement(events: str, *names: str) -> TextClause:
    texts: list[BindParameter[Any]] = [bindparam(name, type_=Text) for name in names]
    return text(_READ.format(events)).bindparams(*texts)


_HELD: Final = ("until", "seen_newest", "until_newest", "txn")
_read_whole: Final = _statement(_WHOLE_EVENTS, *_HELD)
_read_new: Final = _statement(_NEW_EVENTS, *_HELD, "last_txn", "under_way", "seen")


def read(tx: Connection, cursor: str | None) -> FeedRead:
    """Everything after the cursor, in one statement, so that identity, tail, events and clock are of one moment."""
    at = _Cursor.parse(cursor) if cursor is not None else _Cursor("", None)
    rows = tx.execute(_read_new if at.seen else _read_whole, _parameters(at)).all()
    if not rows:
        raise StoreUnavailable("the feed has no identity")
    head, now = rows[0], _Snapshot.parse(rows[0].snapshot)
    if cursor is not None:
        _check(at, head, now)
    page = [row for row in rows[:FEED_PAGE] if row.id is not None]
    until = at.until or now
    if len(rows) > FEED_PAGE:
        after = _Cursor(head.feed, at.seen, until, (int(page[-1].event_txn), page[-1].id))
    else:
        after = _Cursor(head.feed, until)
    # The end of a run proves what its *first* page saw; so one more read follows it.
    more = at.until is not None or after.until is not None
    time = max(head.wall, given(head.clock))
    return FeedRead(
        feed=head.feed, cursor=str(after), events=[to_event(row) for row in page], since=head.since, now=time,
        behind=time - head.wall, heights=(head.clock,), more=more,
    )  # fmt: skip


def _parameters(at: _Cursor) -> dict[str, object]:
    common: dict[str, object] = {
        "until": at.until.text if at.until else None,
        "seen_newest": str(at.seen.newest) if at.seen else None,
        "until_newest": str(at.until.newest) if at.until else None,
        "whole": at.seen is None,
        "page": FEED_PAGE + 1,
    }
    if at.seen is None:
        return common | {"txn": str(at.last[0]), "id": at.last[1]}
    txn, event_id = max(at.last, (at.seen.xmax - 1, _LARGEST))
    last = {"last_txn": str(at.last[0]), "last_id": at.last[1]}
    seen = {"seen": at.seen.text, "under_way": f"{{{at.seen.under_way}}}", "newest": at.seen.newest}
    return common | {"txn": str(txn), "id": event_id} | last | seen


def _check(at: _Cursor, head: Row[Any], now: _Snapshot) -> None:
    """Raise `FeedLost` when the cursor proves nothing here."""
    if at.feed != head.feed:
        raise FeedLost("the cursor is of another feed")
    for snapshot, mark in ((at.seen, head.seen_mark), (at.until, head.until_mark)):
        if snapshot is None:
            continue
        if snapshot.xmax > now.xmax or snapshot.newest > now.newest:
            raise FeedLost("the cursor is beyond the feed's end")
        held = head.pruned_mark if snapshot.newest == head.pruned else mark
        if snapshot.newest >= head.pruned and snapshot.mark != held:
            raise FeedLost("the event at the cursor is not in this history")
    if at.seen is not None and at.seen.newest < head.pruned:
        raise FeedLost("the cursor is older than the feed's tail")
    unread_from = at.seen.xmin if at.seen else at.last[0] + 1
    # A number beyond the present comes from another server's backup.
    if unread_from <= int(head.pruned_txn) < now.xmax:
        raise FeedLost("the cursor is older than the feed's tail")


def prune(tx: Connection, now: float, keep: float, limit: int) -> int:
    """Delete the oldest events, at most ``limit``, up to the first that is not older than ``keep`` seconds or that some
    transaction under way might still come before. Others who prune wait their turn."""
    issued(tx, now)
    since = tx.execute(select(feed.c.since).where(feed.c.id == 1).with_for_update()).scalar_one()
    horizon, end = tx.execute(
        text("SELECT pg_snapshot_xmin(now)::text, pg_snapshot_xmax(now)::text FROM pg_current_snapshot() now")
    ).one()
    found = select(events.c.id, events.c.at, events.c.mark, literal_column("txn::text", Text).label("number"))
    oldest, newest_time, newest_txn, mark = [], -math.inf, 0, ""
    for row in tx.execute(found.order_by(events.c.id).limit(limit)):
        foreign = int(row.number) >= int(end)
        if row.at >= now - keep or (int(row.number) >= int(horizon) and not foreign):
            break
        oldest.append(row.id)
        mark = row.mark
        newest_time, newest_txn = max(newest_time, row.at), max(newest_txn, 0 if foreign else int(row.number))
    if oldest:
        covered = max(since, math.nextafter(newest_time, math.inf))
        last = text("greatest(pruned_txn, CAST(CAST(:txn AS text) AS xid8))").bindparams(txn=str(newest_txn))
        tx.execute(update(feed).values(pruned=oldest[-1], pruned_mark=mark, since=covered, pruned_txn=last))
        tx.execute(text("DELETE FROM coatcheck_events WHERE id = ANY (:ids)"), {"ids": oldest})
    return len(oldest)

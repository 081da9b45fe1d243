"""The statements of each operation on sessions and subjects. Portable SQL; each runs in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    select,
    text,
    tuple_,
    update,
)

from ...credentials.opaque import is_session_id
from ...decide import is_live
from ...errors import Conflict, NotFound
from ...model import Device, EventKind, Mode, Session, Standing
from ..base import MAX_ENDED, MAX_TOKENS, Gone, Replayed, Reused, Rotated, Rotation, SessionPage, Touch
from ..rules import Verdict, judge, next_number, pack_cursor, page_size, to_json, unpack_cursor
from . import feed
from .database import Insert
from .tables import sessions, subjects

_AT_ONCE: Final = 500
"""Ids in one IN list."""

_AFTER_THOSE_BEFORE: Final = text(
    "SELECT pg_logical_emit_message(true, 'coatcheck', '') WHERE current_setting('synchronous_standby_names') <> ''"
)
"""Makes a COMMIT that has changed nothing wait for the standbys too. A revoke whose COMMIT they have not confirmed in
time has failed, and yet is seen: trying again must not find it done before they have it."""

_STANDING: Final = select(subjects.c.epoch, subjects.c.version).where(subjects.c.subject == bindparam("subject"))

_epoch: Final = func.coalesce(subjects.c.epoch, 0)
_version: Final = func.coalesce(subjects.c.version, 0)


def _current_epoch() -> ColumnElement[int]:
    """The epoch of a session row's subject, for statements on the one table."""
    found = select(subjects.c.epoch).where(subjects.c.subject == sessions.c.subject).correlate(sessions)
    return func.coalesce(found.scalar_subquery(), 0)


def _live(now: float) -> ColumnElement[bool]:
    """What `decide.is_live` says, for statements on the one table."""
    return and_(
        sessions.c.epoch == _current_epoch(),
        sessions.c.idle_deadline > now,
        sessions.c.absolute_deadline > now,
    )


def _used(seen: ColumnElement[float] | float) -> dict[str, ColumnElement[float]]:
    """What `rules.used` says, as values of an UPDATE."""
    moved = _least(seen + sessions.c.idle_timeout, sessions.c.absolute_deadline)
    return {"seen": _greatest(sessions.c.seen, seen), "idle_deadline": _greatest(sessions.c.idle_deadline, moved)}


def _greatest(a: ColumnElement[float], b: ColumnElement[float] | float) -> ColumnElement[float]:
    return case((a >= b, a), else_=b)


def _least(a: ColumnElement[float], b: ColumnElement[float]) -> ColumnElement[float]:
    return case((a <= b, a), else_=b)


def standing_of(tx: Connection, subject: str) -> tuple[int, int]:
    """Epoch and version."""
    row = tx.execute(_STANDING, {"subject": subject}).first()
    return (row.epoch, row.version) if row else (0, 0)


@cache
def _inserting(insert: Callable[[Table], Insert]) -> Insert:
    return insert(sessions).on_conflict_do_nothing()


def create(
    tx: Connection, insert: Callable[[Table], Insert], row: Mapping[str, Any], now: float, keep: int | None
) -> tuple[str, ...]:
    """Insert, or raise `Conflict`; then end the oldest that are too many."""
    epoch, _ = standing_of(tx, row["subject"])
    if epoch != row["epoch"]:
        raise Conflict("the subject was cut off while this login was under way")
    if tx.execute(_inserting(insert), row).rowcount != 1:
        raise Conflict("a session with this id exists already")
    feed.issued(tx, now)
    return () if keep is None else _end_beyond(tx, row, now, keep)


def _end_beyond(tx: Connection, row: Mapping[str, Any], now: float, keep: int) -> tuple[str, ...]:
    """End the oldest of the new session's siblings beyond ``keep``, with their events."""
    others = select(sessions.c.id).where(
        sessions.c.subject == row["subject"],
        sessions.c.epoch == row["epoch"],
        sessions.c.idle_deadline > now,
        sessions.c.absolute_deadline > now,
        sessions.c.id != row["id"],
    )
    spared = max(keep, 1) - 1
    # Counted no further than needed: a subject with very many sessions costs no more.
    # In the index's order: PostgreSQL would otherwise rather look at every row there is.
    others = others.order_by(sessions.c.created, sessions.c.id)
    counted = select(func.count()).select_from(others.limit(spared + MAX_ENDED).subquery())
    beyond = tx.execute(counted).scalar_one() - spared
    if beyond <= 0:
        return ()
    oldest = tuple(tx.scalars(others.limit(beyond)))
    tx.execute(delete(sessions).where(sessions.c.id.in_(_lock(tx, oldest))))
    feed.append(tx, EventKind.SESSION_REVOKED, now, row["subject"], *oldest)
    return oldest


def find(tx: Connection, session_id: str, now: float) -> Standing | None:
    """The live session."""
    return _find(tx, session_id, sessions.c.idle_deadline > now, sessions.c.absolute_deadline > now)


def _find(tx: Connection, session_id: str, *further: ColumnElement[bool]) -> Standing | None:
    """The session of its subject's epoch, whatever its deadlines."""
    row = tx.execute(
        select(sessions, _epoch.label("subject_epoch"), _version.label("subject_version"))
        .select_from(sessions.outerjoin(subjects, subjects.c.subject == sessions.c.subject))
        .where(sessions.c.id == session_id, sessions.c.epoch == _epoch, *further)
    ).first()
    return Standing(session=to_session(row), epoch=row.subject_epoch, version=row.subject_version) if row else None


def touch(tx: Connection, touches: Sequence[Touch], now: float) -> frozenset[str]:
    """Move those that are live, name the others.

    First the rows are locked, in the order of their ids, so that two batches never wait for each other in a circle.
    What the next statement sees of them can then no longer change, and it sees all subjects' epochs at one moment:
    these up to 500 are touched there and then. So it needs none of the subjects' locks."""
    asked = {item.session_id for item in touches}
    live: set[str] = set()
    for start in range(0, len(asked), _AT_ONCE):
        ids = _lock(tx, sorted(asked)[start : start + _AT_ONCE])
        live.update(tx.scalars(select(sessions.c.id).where(sessions.c.id.in_(ids), _live(now))) if ids else ())
    moved = [{"touched": item.session_id, "at": item.seen} for item in touches if item.session_id in live]
    if moved:
        at = bindparam("at", type_=sessions.c.seen.type)
        tx.execute(update(sessions).where(sessions.c.id == bindparam("touched")).values(_used(at)), moved)
    return frozenset(asked) - live


def _lock(tx: Connection, ids: Sequence[str]) -> Sequence[str]:
    """Lock these rows in the one order that all keep to; those that are there."""
    rows = select(sessions.c.id).where(sessions.c.id.in_(ids)).order_by(sessions.c.id).with_for_update()
    return tx.scalars(rows).all()


def rotate(tx: Connection, session_id: str, generation: int, window: float, now: float) -> Rotation:
    """Step the generation if it is the current one; otherwise judge what came."""
    stepped = tx.execute(
        update(sessions)
        .where(sessions.c.id == session_id, sessions.c.generation == generation, _live(now))
        .values(generation=generation + 1, rotated=now, **_used(now))
    )
    standing = _find(tx, session_id)
    if standing is None:
        return Gone()
    if stepped.rowcount == 1:
        feed.issued(tx, now)
        return Rotated(standing)
    match judge(standing.session, generation, window=window, now=now):
        case Verdict.REPLAYED if is_live(standing.session, standing.epoch, now):
            return Replayed(standing)
        case Verdict.REUSED:
            ended = revoke(tx, session_id, now)
            return Reused(ended) if ended else Gone()
        case _:
            return Gone()


def change(
    tx: Connection, session_id: str, version: int, now: float, change: Mapping[str, str | float]
) -> Session | None:
    """Write the named columns if the version still is the one given."""
    row = tx.execute(
        update(sessions)
        .where(sessions.c.id == session_id, sessions.c.version == version, _live(now))
        .values(version=version + 1, **change)
        .returning(*sessions.c)
    ).first()
    if row is None:
        if find(tx, session_id, now) is None:
            return None
        raise Conflict("the session was changed in the meantime")
    session = to_session(row)
    if "authenticated" in change or "amr" in change:
        feed.append(tx, EventKind.SESSION_CHANGED, now, session.subject, session_id, number=session.version)
    return session


def revoke(tx: Connection, session_id: str, now: float) -> Session | None:
    """Delete the row and append the event, which the feed then has once."""
    ending = delete(sessions).where(sessions.c.id == session_id).returning(*sessions.c)
    row = tx.execute(ending.where(sessions.c.epoch == _current_epoch())).first()
    if row is not None:
        session = to_session(row)
        feed.append(tx, EventKind.SESSION_REVOKED, now, session.subject, session.id)
        return session
    cut_off = tx.execute(ending).first()
    if cut_off is not None:
        feed.append(tx, EventKind.SESSION_REVOKED, now, cut_off.subject, session_id)
    elif is_session_id(session_id):
        _append_once(tx, feed.has_ended(tx, session_id), EventKind.SESSION_REVOKED, session_id, now)
    return None


def revoke_token(tx: Connection, session_id: str, token_id: str, now: float) -> bool:
    """Append the event, unless the feed has it or has too many of the session's."""
    ended = feed.ended_tokens(tx, session_id, MAX_TOKENS)
    if token_id not in ended and len(ended) == MAX_TOKENS:
        revoke(tx, session_id, now)
        return True
    _append_once(tx, token_id in ended, EventKind.TOKEN_REVOKED, session_id, now, token_id)
    return False


def _append_once(
    tx: Connection, is_held: bool, kind: EventKind, session_id: str, now: float, token_id: str = ""
) -> None:
    if not is_held:
        feed.append(tx, kind, now, "", session_id, token_id=token_id)
    elif tx.dialect.name == "postgresql":
        tx.execute(_AFTER_THOSE_BEFORE)


def revoke_subject(
    tx: Connection, insert: Callable[[Table], Insert], subject: str, now: float, excepted: str | None
) -> int:
    """Step the epoch and take the excepted session along, or raise `NotFound`."""
    before, epoch = _step(tx, insert, subject, subjects.c.epoch, now)
    if excepted is not None:
        kept = tx.execute(
            update(sessions)
            .where(
                sessions.c.id == excepted,
                sessions.c.subject == subject,
                sessions.c.epoch == before,
                sessions.c.idle_deadline > now,
                sessions.c.absolute_deadline > now,
            )
            .values(epoch=epoch)
        )
        if kept.rowcount != 1:
            raise NotFound("the session to keep is not a live one of this subject")
    feed.append(tx, EventKind.SUBJECT_CUT_OFF, now, subject, excepted or "", number=epoch)
    return epoch


def step_version(tx: Connection, insert: Callable[[Table], Insert], subject: str, now: float) -> int:
    """Step the version and append the event."""
    _, version = _step(tx, insert, subject, subjects.c.version, now)
    feed.append(tx, EventKind.SUBJECT_CHANGED, now, subject, number=version)
    return version


def _step(
    tx: Connection, insert: Callable[[Table], Insert], subject: str, counter: Column[int], now: float
) -> tuple[int, int]:
    """The counter before and after. The subject's lock is held, so nobody steps it in between."""
    epoch, version = standing_of(tx, subject)
    before = epoch if counter is subjects.c.epoch else version
    after = next_number(before, now)
    row = {"subject": subject, "epoch": 0, "version": 0, "swept": 0, counter.name: after}
    tx.execute(
        insert(subjects)
        .values(**row)
        .on_conflict_do_update(index_elements=[subjects.c.subject], set_={counter.name: after})
    )
    return before, after


def sessions_of(tx: Connection, subject: str, now: float, limit: int, cursor: str | None) -> SessionPage:
    """One page by the index, newest first."""
    epoch = select(subjects.c.epoch).where(subjects.c.subject == subject).scalar_subquery()
    size = page_size(limit)
    query = (
        select(sessions)
        .where(
            sessions.c.subject == subject,
            sessions.c.epoch == func.coalesce(epoch, 0),
            sessions.c.idle_deadline > now,
            sessions.c.absolute_deadline > now,
        )
        .order_by(sessions.c.created.desc(), sessions.c.id.desc())
        .limit(size + 1)
    )
    if cursor is not None:
        query = query.where(tuple_(sessions.c.created, sessions.c.id) < tuple_(*unpack_cursor(cursor)))
    found = [to_session(row) for row in tx.execute(query)]
    page = found[:size]
    return SessionPage(sessions=page, next=pack_cursor(page[-1].created, page[-1].id) if found[size:] else None)


def prune(tx: Connection, now: float, limit: int) -> int:
    """Delete at most ``limit`` dead sessions: over by one deadline, by the other, or of an older epoch."""
    unswept = subjects.c.swept < subjects.c.epoch
    older = and_(sessions.c.subject == subjects.c.subject, sessions.c.epoch < subjects.c.epoch)
    causes: tuple[Select[tuple[str]], ...] = (
        select(sessions.c.id).where(sessions.c.idle_deadline <= now),
        select(sessions.c.id).where(sessions.c.absolute_deadline <= now),
        select(sessions.c.id).select_from(subjects.join(sessions, older)).where(unswept),
    )
    left = limit
    for dead in causes:
        if left > 0:
            batch = dead.limit(left).with_for_update(of=sessions, skip_locked=True)
            left -= tx.execute(delete(sessions).where(sessions.c.id.in_(batch))).rowcount
    none_left = ~exists().where(older).correlate(subjects)
    swept = select(subjects.c.subject).where(unswept, none_left).limit(limit)
    ids = tx.scalars(swept.with_for_update(skip_locked=True)).all()
    if ids:  # Looked at again now that their epochs cannot change.
        tx.execute(update(subjects).where(subjects.c.subject.in_(ids), none_left).values(swept=subjects.c.epoch))
    return limit - left


def to_row(session: Session) -> dict[str, Any]:
    """A session as the values of its row. Raises `Rejected` for data that is not JSON."""
    row = {column.name: getattr(session, column.name) for column in sessions.c if hasattr(session, column.name)}
    device = session.device
    return row | {
        "mode": session.mode.value,
        "amr": to_json(list(session.amr)),
        "data": to_json(session.data),
        "user_agent": device.user_agent,
        "ip": device.ip,
        "label": device.label,
    }


def to_session(row: Row[Any]) -> Session:
    """A row of the table as a session. SQLite's RETURNING gives whole numbers back as integers."""
    return Session(
        id=row.id,
        subject=row.subject,
        epoch=row.epoch,
        mode=Mode(row.mode),
        created=float(row.created),
        authenticated=float(row.authenticated),
        seen=float(row.seen),
        idle_timeout=float(row.idle_timeout),
        idle_deadline=float(row.idle_deadline),
        absolute_deadline=float(row.absolute_deadline),
        amr=tuple(json.loads(row.amr)),
        device=Device(user_agent=row.user_agent, ip=row.ip, label=row.label),
        remember=bool(row.remember),
        generation=row.generation,
        rotated=float(row.rotated),
        data=json.loads(row.data),
        version=row.version,
    )

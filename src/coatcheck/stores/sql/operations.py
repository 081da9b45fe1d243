"""The statements of each operation on sessions and subjects. Portable SQL; each runs in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import (
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
    union_all,
    update,
)

from ...credentials.opaque import is_session_id
from ...decide import is_live
from ...errors import Conflict, LimitReached, NotFound
from ...model import ALL_KINDS, PERSON_KINDS, Device, EventKind, Kind, Mode, Session, Standing
from ..base import MAX_ENDED, MAX_TOKENS, Gone, Replayed, Reused, Rotated, Rotation, SessionPage, Touch
from ..rules import (
    Verdict,
    judge,
    next_number,
    pack_access,
    pack_cursor,
    pack_kinds,
    page_size,
    to_json,
    unpack_access,
    unpack_cursor,
)
from . import feed
from .cuts import COLUMNS, CUT_OFF, MORE, ROW_EPOCH, cuts_of, is_current, lanes
from .database import Insert
from .tables import sessions, subjects

_AT_ONCE: Final = 500
"""Ids in one IN list."""

_AFTER_THOSE_BEFORE: Final = text(
    "SELECT pg_logical_emit_message(true, 'coatcheck', '') WHERE current_setting('synchronous_standby_names') <> ''"
)
"""Makes a COMMIT that has changed nothing wait for the standbys too. A revoke whose COMMIT they have not confirmed in
time has failed, and yet is seen: trying again must not find it done before they have it."""

_epoch: Final = func.coalesce(subjects.c.epoch, 0)
_version: Final = func.coalesce(subjects.c.version, 0)


def _in_time(now: float) -> ColumnElement[bool]:
    return and_(sessions.c.idle_deadline > now, sessions.c.absolute_deadline > now)


def _live(now: float) -> ColumnElement[bool]:
    """What `decide.is_live` says, for statements on the one table."""
    return and_(is_current(), _in_time(now))


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
    found = cuts_of(tx, subject)
    return found.epoch, found.version


@cache
def _inserting(insert: Callable[[Table], Insert]) -> Insert:
    return insert(sessions).on_conflict_do_nothing()


def create(
    tx: Connection, insert: Callable[[Table], Insert], row: Mapping[str, Any], now: float, keep: int | None
) -> tuple[str, ...]:
    """Insert, or raise `Conflict`; then end the oldest that are too many."""
    kind, before = Kind(row["kind"]), cuts_of(tx, row["subject"])
    if not before.of[kind] <= row["epoch"] <= before.epoch:
        raise Conflict("the subject was cut off while this login was under way")
    more = MORE if row["access"] or kind is not Kind.LOGIN else 0
    if tx.execute(_inserting(insert), {**row, "epoch": before.of[kind] + more}).rowcount != 1:
        raise Conflict("a session with this id exists already")
    feed.issued(tx, now)
    return () if keep is None else _end_beyond(tx, row, now, keep)


def _end_beyond(tx: Connection, row: Mapping[str, Any], now: float, keep: int) -> tuple[str, ...]:
    """End the oldest of the new session's siblings beyond ``keep``, with their events; or raise `LimitReached`."""
    kind = Kind(row["kind"])
    spared = max(keep, 1) - 1
    # Counted no further than needed: a subject with very many sessions costs no more.
    # In the index's order: PostgreSQL would otherwise rather look at every row there is.
    others = [
        select(sessions.c.created, sessions.c.id)
        .where(lane, _in_time(now), sessions.c.id != row["id"])
        .order_by(sessions.c.created, sessions.c.id)
        for lane in lanes(row["subject"], PERSON_KINDS if kind in PERSON_KINDS else {kind})
    ]
    most = spared + MAX_ENDED
    counts = [select(func.count()).select_from(lane.limit(most).subquery()).scalar_subquery() for lane in others]
    beyond = min(sum(tx.execute(select(*counts)).one()), most) - spared
    if kind not in PERSON_KINDS and (beyond > 0 or keep < 1):
        raise LimitReached(f"there are {keep} sessions of kind {kind.value} already")
    if beyond <= 0:
        return ()
    found = sorted(tuple(other) for lane in others for other in tx.execute(lane.limit(beyond)))
    oldest = tuple(session_id for _, session_id in found[:beyond])
    tx.execute(delete(sessions).where(sessions.c.id.in_(_lock(tx, oldest))))
    feed.append(tx, EventKind.SESSION_REVOKED, now, row["subject"], *oldest)
    return oldest


def find(tx: Connection, session_id: str, now: float) -> Standing | None:
    """The live session."""
    return _find(tx, session_id, _in_time(now))


def _find(tx: Connection, session_id: str, *further: ColumnElement[bool]) -> Standing | None:
    """The session that no cut-off has ended, whatever its deadlines."""
    row = tx.execute(
        select(sessions, _epoch.label("subject_epoch"), _version.label("subject_version"))
        .select_from(sessions.outerjoin(subjects, subjects.c.subject == sessions.c.subject))
        .where(sessions.c.id == session_id, sessions.c.epoch == ROW_EPOCH, *further)
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
        case Verdict.REPLAYED if is_live(standing.session, standing.session.epoch, now):
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
    row = tx.execute(ending.where(is_current())).first()
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
    tx: Connection,
    insert: Callable[[Table], Insert],
    subject: str,
    now: float,
    excepted: str | None,
    kinds: frozenset[Kind],
) -> int:
    """Step the epoch and take the excepted session along, or raise `NotFound`."""
    before = cuts_of(tx, subject)
    epoch = next_number(before.epoch, now)
    if excepted is not None:
        _except(tx, subject, excepted, kinds, now, epoch)
    spared = ALL_KINDS - kinds
    cuts = {COLUMNS[kind].name: before.of[kind] if kind in spared else epoch for kind in Kind}
    _write(tx, insert, subject, {"epoch": epoch, **({"cuts_at": epoch, **cuts} if spared else {})})
    feed.append(tx, EventKind.SUBJECT_CUT_OFF, now, subject, excepted or "", token_id=pack_kinds(spared), number=epoch)
    return epoch


def _except(tx: Connection, subject: str, excepted: str, kinds: frozenset[Kind], now: float, epoch: int) -> None:
    """Before the epoch is stepped: the session keeps standing."""
    mine = and_(sessions.c.id == excepted, sessions.c.subject == subject, _live(now))
    kept = tx.execute(select(sessions.c.kind, sessions.c.epoch).where(mine).with_for_update(of=sessions)).first()
    if kept is None:
        raise NotFound("the session to keep is not a live one of this subject")
    if kept.kind in kinds:
        tx.execute(update(sessions).where(sessions.c.id == excepted).values(epoch=epoch + (kept.epoch & MORE)))


def step_version(tx: Connection, insert: Callable[[Table], Insert], subject: str, now: float) -> int:
    """Step the version and append the event."""
    version = next_number(cuts_of(tx, subject).version, now)
    _write(tx, insert, subject, {"version": version})
    feed.append(tx, EventKind.SUBJECT_CHANGED, now, subject, number=version)
    return version


def _write(tx: Connection, insert: Callable[[Table], Insert], subject: str, changed: Mapping[str, int]) -> None:
    """The subject's lock is held, so nobody steps anything of it in between."""
    row = {"subject": subject, "epoch": 0, "version": 0, "swept": 0, **changed}
    made = insert(subjects).values(**row)
    tx.execute(made.on_conflict_do_update(index_elements=[subjects.c.subject], set_=dict(changed)))


def sessions_of(
    tx: Connection, subject: str, now: float, limit: int, cursor: str | None, kinds: frozenset[Kind]
) -> SessionPage:
    """One page by the index, newest first."""
    size = page_size(limit)
    after = None if cursor is None else tuple_(sessions.c.created, sessions.c.id) < tuple_(*unpack_cursor(cursor))
    parts = []
    for lane in lanes(subject, kinds):
        part = select(sessions).where(lane, _in_time(now), *(() if after is None else (after,)))
        part = part.order_by(sessions.c.created.desc(), sessions.c.id.desc()).limit(size + 1)
        parts.append(select(part.subquery()))
    rows = sorted(tx.execute(union_all(*parts)), key=lambda row: (row.created, row.id), reverse=True)
    page = [to_session(row) for row in rows[:size]]
    return SessionPage(sessions=page, next=pack_cursor(page[-1].created, page[-1].id) if rows[size:] else None)


def prune(tx: Connection, now: float, limit: int) -> int:
    """Delete at most ``limit`` dead sessions: over by one deadline, by the other, or cut off."""
    unswept = subjects.c.swept < subjects.c.epoch
    causes: list[Select[tuple[str]]] = [
        select(sessions.c.id).where(sessions.c.idle_deadline <= now),
        select(sessions.c.id).where(sessions.c.absolute_deadline <= now),
    ]
    causes += (select(sessions.c.id).select_from(subjects.join(sessions, older)).where(unswept) for older in CUT_OFF)
    left = limit
    for dead in causes:
        if left > 0:
            batch = dead.limit(left).with_for_update(of=sessions, skip_locked=True)
            left -= tx.execute(delete(sessions).where(sessions.c.id.in_(batch))).rowcount
    none_left = and_(*(~exists().where(older).correlate(subjects) for older in CUT_OFF))
    swept = select(subjects.c.subject).where(unswept, none_left).limit(limit)
    ids = tx.scalars(swept.with_for_update(skip_locked=True)).all()
    if ids:  # Looked at again now that their epochs cannot change.
        tx.execute(update(subjects).where(subjects.c.subject.in_(ids), none_left).values(swept=subjects.c.epoch))
    return limit - left


def to_row(session: Session) -> dict[str, Any]:
    """A session as the values of its row, but for the epoch, which `create` decides. Raises `Rejected` for data that is
    not JSON."""
    row = {column.name: getattr(session, column.name) for column in sessions.c if hasattr(session, column.name)}
    device = session.device
    return row | {
        "mode": session.mode.value,
        "amr": to_json(list(session.amr)),
        "data": to_json(session.data),
        "user_agent": device.user_agent,
        "ip": device.ip,
        "label": device.label,
        "access": pack_access(session.access),
        "kind": session.kind.value,
    }


def to_session(row: Row[Any]) -> Session:
    """A row of the table as a session. SQLite's RETURNING gives whole numbers back as integers."""
    return Session(
        id=row.id,
        subject=row.subject,
        epoch=row.epoch & ~MORE,
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
        access=unpack_access(row.kind, row.access),
    )

"""Cut-offs by kind, as columns and conditions.

A subject's row has its epoch, and for each kind the epoch of the latest cut-off that ended sessions of it. A running
older version knows the epoch alone: what it steps ends everything. So the others count only while ``cuts_at`` says that
they were written with the epoch that is there.

A session that is no plain login has `MORE` added to its epoch: a running older version, which would take it for one,
finds it of no epoch that it knows, and neither lets it in, nor counts it, nor deletes it as one that was cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, ScalarSelect, and_, bindparam, case, func, select

from ...model import Kind
from .tables import sessions, subjects

MORE: Final = 1 << 62

COLUMNS: Final = {kind: subjects.c[f"cut_{kind.value}"] for kind in Kind}


class Cuts(NamedTuple):
    """A subject's row."""

    epoch: int = 0
    version: int = 0
    of: Mapping[Kind, int] = dict.fromkeys(Kind, 0)


_SUBJECT: Final = select(subjects).where(subjects.c.subject == bindparam("subject"))


def cuts_of(tx: Connection, subject: str) -> Cuts:
    """A subject's row, or what stands for one."""
    row = tx.execute(_SUBJECT, {"subject": subject}).first()
    if row is None:
        return Cuts()
    known = row.cuts_at == row.epoch
    values = {kind: row._mapping[column.name] if known else row.epoch for kind, column in COLUMNS.items()}
    return Cuts(row.epoch, row.version, values)


def cut(kind: Kind) -> ColumnElement[int]:
    """The latest cut-off of a kind, on the table of subjects."""
    return case((subjects.c.cuts_at == subjects.c.epoch, COLUMNS[kind]), else_=subjects.c.epoch)


_IS_MORE: Final = sessions.c.epoch >= MORE
_OF_KIND: Final = case(*((sessions.c.kind == kind.value, column) for kind, column in COLUMNS.items()))
CUT: Final[ColumnElement[int]] = case((subjects.c.cuts_at == subjects.c.epoch, _OF_KIND), else_=subjects.c.epoch)
"""The latest cut-off of a session's kind, where both tables are joined. NULL for a kind that only a newer version
knows: such a session is none."""

ROW_EPOCH: Final[ColumnElement[int]] = func.coalesce(CUT, 0) + case((_IS_MORE, MORE), else_=0)
"""What the epoch of a session's row is, while it was not cut off; in an outer join."""


def is_current() -> ColumnElement[bool]:
    """Whether no cut-off has ended a session's row, for statements on that one table."""
    found = select(CUT).where(subjects.c.subject == sessions.c.subject).correlate(sessions)
    return sessions.c.epoch == func.coalesce(found.scalar_subquery(), 0) + case((_IS_MORE, MORE), else_=0)


def lanes(subject: str, kinds: Iterable[Kind]) -> list[ColumnElement[bool]]:
    """The conditions of a subject's sessions of these kinds that no cut-off has ended. Each finds its rows in an index,
    in the order in which they were made; no row is found by two."""
    found = []
    for kind in sorted(kinds):
        epoch: ScalarSelect[int] = select(cut(kind)).where(subjects.c.subject == subject).scalar_subquery()
        mine = sessions.c.subject == subject
        if kind is Kind.LOGIN:
            found.append(and_(mine, sessions.c.epoch == func.coalesce(epoch, 0)))
        more = sessions.c.epoch == func.coalesce(epoch, 0) + MORE
        found.append(and_(mine, more, sessions.c.kind == kind.value))
    return found


_SAME: Final = sessions.c.subject == subjects.c.subject
CUT_OFF: Final = (
    and_(_SAME, sessions.c.epoch < cut(Kind.LOGIN)),
    and_(_SAME, sessions.c.epoch >= MORE, sessions.c.epoch < subjects.c.epoch + MORE, sessions.c.epoch < CUT + MORE),
)
"""What joins a subject to the rows that a cut-off has ended: plain logins, and others."""

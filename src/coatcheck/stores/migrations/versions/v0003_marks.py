"""Events have a mark, and the feed knows the highest time that was given out."""

from __future__ import annotations

import secrets

from alembic.operations import Operations
from sqlalchemy import Column, Double, Text, column, table, text, update

revision = "0003"
down_revision = "0002"


def upgrade(op: Operations) -> None:
    """Add the columns. Events of before, and those that a running older version appends, have the empty mark."""
    op.add_column("coatcheck_events", Column("mark", Text, server_default=text("''"), nullable=False))
    op.add_column("coatcheck_feed", Column("pruned_mark", Text, server_default=text("''"), nullable=False))
    op.add_column("coatcheck_feed", Column("clock", Double, server_default="0", nullable=False))
    marked = update(table("coatcheck_feed", column("pruned_mark"))).values(pruned_mark=secrets.token_hex(8))
    op.get_bind().execute(marked)
    ends = text("kind IN ('session_revoked', 'token_revoked')")
    op.create_index(
        "coatcheck_events_ended", "coatcheck_events", ["session_id"], sqlite_where=ends, postgresql_where=ends
    )

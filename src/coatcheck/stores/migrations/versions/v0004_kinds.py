"""Sessions are of a kind, and cut-offs end some kinds."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, Text, text

revision = "0004"
down_revision = "0003"


def upgrade(op: Operations) -> None:
    """Add the columns. What is there, and what a running older version writes, are logins, and its cut-offs end
    everything: `cuts_at` is no epoch of theirs."""
    for name in ("cuts_at", "cut_login", "cut_key", "cut_grant", "cut_acting", "cut_guest"):
        op.add_column("coatcheck_subjects", Column(name, BigInteger, server_default="0", nullable=False))
    op.add_column("coatcheck_sessions", Column("kind", Text, server_default=text("'login'"), nullable=False))
    op.add_column("coatcheck_sessions", Column("access", Text, server_default=text("''"), nullable=False))

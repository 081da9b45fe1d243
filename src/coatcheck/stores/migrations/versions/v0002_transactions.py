"""Events know their transaction, so that PostgreSQL's feed is read in commit order."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import Column, Integer

from coatcheck.stores.sql.types import TransactionId

revision = "0002"
down_revision = "0001"


def upgrade(op: Operations) -> None:
    """Add what only PostgreSQL fills in."""
    txn = TransactionId().with_variant(Integer, "sqlite")
    op.add_column("coatcheck_events", Column("txn", txn, server_default="0", nullable=False))
    op.add_column("coatcheck_feed", Column("pruned_txn", txn, server_default="0", nullable=False))
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("coatcheck_events_txn", "coatcheck_events", ["txn", "id"])

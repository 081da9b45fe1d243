"""The first schema."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    text,
)

from coatcheck.stores.sql.types import ID

revision = "0001"
down_revision = None


def upgrade(op: Operations) -> None:
    """Make every table."""
    _subjects_and_sessions(op)
    _feed(op)
    _accounts_and_keys(op)


def _subjects_and_sessions(op: Operations) -> None:
    op.create_table(
        "coatcheck_subjects",
        Column("subject", ID, nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("swept", BigInteger, nullable=False),
        PrimaryKeyConstraint("subject"),
    )
    op.create_index(
        "coatcheck_subjects_unswept",
        "coatcheck_subjects",
        ["subject"],
        sqlite_where=text("swept < epoch"),
        postgresql_where=text("swept < epoch"),
    )
    op.create_table(
        "coatcheck_sessions",
        Column("id", ID, nullable=False),
        Column("subject", ID, nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("mode", Text, nullable=False),
        Column("created", Double, nullable=False),
        Column("authenticated", Double, nullable=False),
        Column("seen", Double, nullable=False),
        Column("idle_timeout", Double, nullable=False),
        Column("idle_deadline", Double, nullable=False),
        Column("absolute_deadline", Double, nullable=False),
        Column("amr", Text, nullable=False),
        Column("user_agent", Text, nullable=False),
        Column("ip", Text, nullable=False),
        Column("label", Text, nullable=False),
        Column("remember", Boolean, nullable=False),
        Column("generation", BigInteger, nullable=False),
        Column("rotated", Double, nullable=False),
        Column("data", Text, nullable=False),
        Column("version", BigInteger, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("coatcheck_sessions_of_subject", "coatcheck_sessions", ["subject", "epoch", "created", "id"])
    op.create_index("coatcheck_sessions_idle", "coatcheck_sessions", ["idle_deadline"])
    op.create_index("coatcheck_sessions_absolute", "coatcheck_sessions", ["absolute_deadline"])


def _feed(op: Operations) -> None:
    op.create_table(
        "coatcheck_feed",
        Column("id", Integer, autoincrement=False, nullable=False),
        Column("identity", Text, nullable=False),
        Column("since", Double, nullable=False),
        Column("pruned", BigInteger, nullable=False),
        PrimaryKeyConstraint("id"),
        CheckConstraint("id = 1", name="coatcheck_feed_is_one"),
    )
    op.create_table(
        "coatcheck_events",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), autoincrement=True, nullable=False),
        Column("kind", Text, nullable=False),
        Column("at", Double, nullable=False),
        Column("subject", Text, nullable=False),
        Column("session_id", Text, nullable=False),
        Column("token_id", Text, nullable=False),
        Column("number", BigInteger, nullable=False),
        PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )


def _accounts_and_keys(op: Operations) -> None:
    op.create_table(
        "coatcheck_accounts",
        Column("id", ID, nullable=False),
        Column("email", Text, nullable=False),
        Column("email_key", Text, nullable=False),
        Column("email_folded", Text, nullable=False),
        Column("password_hash", Text, nullable=False),
        Column("roles", Text, nullable=False),
        Column("claims", Text, nullable=False),
        Column("disabled", Boolean, nullable=False),
        Column("created", Double, nullable=False),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("email_key"),
    )
    op.create_index("coatcheck_accounts_created", "coatcheck_accounts", ["created", "id"])
    op.create_table(
        "coatcheck_failures",
        Column("key", Text, nullable=False),
        Column("count", BigInteger, nullable=False),
        Column("ends", Double, nullable=False),
        PrimaryKeyConstraint("key"),
    )
    op.create_index("coatcheck_failures_ends", "coatcheck_failures", ["ends"])
    op.create_table(
        "coatcheck_signing_keys",
        Column("kid", Text, nullable=False),
        Column("algorithm", Text, nullable=False),
        Column("sealed", LargeBinary, nullable=False),
        Column("created", Double, nullable=False),
        Column("signs_from", Double, nullable=False),
        Column("retires", Double, nullable=True),
        PrimaryKeyConstraint("kid"),
    )

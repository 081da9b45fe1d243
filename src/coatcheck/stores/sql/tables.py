"""The schema. One for every dialect; times are seconds since the Unix epoch, JSON is kept as text."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

from ...model import Kind
from .types import ID, AnyText, TransactionId

metadata: Final = MetaData()

VERSION_TABLE: Final = "coatcheck_schema"
"""Where Alembic keeps the revision. Every name has the prefix: an application may share its database with us."""

_COUNTING: Final = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up only in a column of exactly the type INTEGER."""
_TXN: Final = TransactionId().with_variant(Integer, "sqlite")

subjects: Final = Table(
    "coatcheck_subjects",
    metadata,
    Column("subject", ID, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    # The epoch up to which older sessions have been deleted, so that prune finds the others without a scan.
    Column("swept", BigInteger, nullable=False),
    # The latest cut-off of each kind of session, as of the epoch `cuts_at`: see `cuts`.
    Column("cuts_at", BigInteger, server_default="0", nullable=False),
    *(Column(f"cut_{kind.value}", BigInteger, server_default="0", nullable=False) for kind in Kind),
)
Index(
    "coatcheck_subjects_unswept",
    subjects.c.subject,
    sqlite_where=subjects.c.swept < subjects.c.epoch,
    postgresql_where=subjects.c.swept < subjects.c.epoch,
)

sessions: Final = Table(
    "coatcheck_sessions",
    metadata,
    Column("id", ID, primary_key=True),
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
    Column("user_agent", AnyText, nullable=False),
    Column("ip", AnyText, nullable=False),
    Column("label", AnyText, nullable=False),
    Column("remember", Boolean, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("rotated", Double, nullable=False),
    Column("data", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("kind", Text, server_default=text("'login'"), nullable=False),
    # What else a session's `Access` says, as `rules.pack_access` writes it.
    Column("access", Text, server_default=text("''"), nullable=False),
    Index("coatcheck_sessions_of_subject", "subject", "epoch", "created", "id"),
    Index("coatcheck_sessions_idle", "idle_deadline"),
    Index("coatcheck_sessions_absolute", "absolute_deadline"),
)

feed: Final = Table(
    "coatcheck_feed",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("identity", Text, nullable=False),
    Column("since", Double, nullable=False),
    # The newest event that was pruned; 0 when none was.
    Column("pruned", BigInteger, nullable=False),
    # PostgreSQL only: the latest transaction of which an event was pruned.
    Column("pruned_txn", _TXN, server_default="0", nullable=False),
    # The mark of the newest event that was pruned; before there was one, the feed's own.
    Column("pruned_mark", Text, server_default=text("''"), nullable=False),
    # No time beyond this was given out: `feed.given`.
    Column("clock", Double, server_default="0", nullable=False),
    CheckConstraint("id = 1", name="coatcheck_feed_is_one"),
)

events: Final = Table(
    "coatcheck_events",
    metadata,
    Column("id", _COUNTING, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("subject", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("token_id", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    # PostgreSQL only: the transaction that appended it. See `pg_feed`.
    Column("txn", _TXN, server_default="0", nullable=False),
    # Drawn by lot, so that another history does not have the same event in this place.
    Column("mark", Text, server_default=text("''"), nullable=False),
    # Never give an id twice, not even after the newest event was pruned.
    sqlite_autoincrement=True,
)
Index("coatcheck_events_txn", events.c.txn, events.c.id).ddl_if(dialect="postgresql")
_ENDS: Final = events.c.kind.in_(("session_revoked", "token_revoked"))
Index("coatcheck_events_ended", events.c.session_id, sqlite_where=_ENDS, postgresql_where=_ENDS)

accounts: Final = Table(
    "coatcheck_accounts",
    metadata,
    Column("id", ID, primary_key=True),
    Column("email", Text, nullable=False),
    Column("email_key", Text, nullable=False, unique=True),
    # The address as `search` compares it: SQL's own lower-casing differs between dialects.
    Column("email_folded", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("claims", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created", Double, nullable=False),
    Index("coatcheck_accounts_created", "created", "id"),
)

failures: Final = Table(
    "coatcheck_failures",
    metadata,
    Column("key", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("ends", Double, nullable=False),
    Index("coatcheck_failures_ends", "ends"),
)

signing_keys: Final = Table(
    "coatcheck_signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("algorithm", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created", Double, nullable=False),
    Column("signs_from", Double, nullable=False),
    Column("retires", Double, nullable=True),
)

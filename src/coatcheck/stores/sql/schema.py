"""Which schema a database has, and bringing it up to date. Alembic is imported only for the latter."""

from __future__ import annotations

import secrets
from enum import Enum
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, column, insert, inspect, select, table

from ...errors import SchemaMismatch
from .tables import VERSION_TABLE, feed

REVISIONS: Final = ("0001", "0002", "0003", "0004")
"""Every revision this program knows, oldest first."""
MIGRATIONS: Final = Path(__file__).parent.parent / "migrations"

_versions: Final = table(VERSION_TABLE, column("version_num"))


class SchemaState(Enum):
    """How a database's schema compares with the one this program works with."""

    MISSING = "missing"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


def state(tx: Connection) -> SchemaState:
    """The state of the connected database."""
    if not inspect(tx).has_table(VERSION_TABLE):
        return SchemaState.MISSING
    found = tx.execute(select(_versions.c.version_num)).scalar()
    if found is None:
        return SchemaState.MISSING
    if found not in REVISIONS:
        return SchemaState.NEWER
    return SchemaState.CURRENT if found == REVISIONS[-1] else SchemaState.OLDER


def require(found: SchemaState) -> None:
    """Raise `SchemaMismatch` unless it is the current one."""
    if found is SchemaState.NEWER:
        raise SchemaMismatch("this database was made by a newer Coatcheck; upgrade the program")
    if found is SchemaState.OLDER:
        raise SchemaMismatch("this database was made by an older Coatcheck; run `coatcheck migrate`")
    if found is SchemaState.MISSING:
        raise SchemaMismatch("this database has no Coatcheck tables yet; run `coatcheck migrate`")


def upgrade(tx: Connection, now: float) -> None:
    """Bring the schema up to date, all or nothing, in the caller's write transaction; ``now`` dates a new feed.

    Whoever comes second finds nothing left to do. Migrations are handed their operations instead of using Alembic's
    global proxies, so that several databases can be migrated at once.
    """
    found = state(tx)
    if found is SchemaState.CURRENT:
        return
    if found is SchemaState.NEWER:
        require(found)
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext, RevisionStep, StampStep
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(MIGRATIONS)

    def steps(revision: str, context: MigrationContext) -> list[StampStep | RevisionStep]:
        return list(script._upgrade_revs("head", revision))

    context = MigrationContext.configure(connection=tx, opts={"version_table": VERSION_TABLE, "fn": steps})
    context.run_migrations(op=Operations(context))
    if tx.execute(select(feed.c.id)).first() is None:
        tx.execute(insert(feed).values(_new_feed(now)))


def _new_feed(now: float) -> dict[str, object]:
    return {"id": 1, "identity": secrets.token_hex(8), "since": now, "pruned": 0, "pruned_mark": secrets.token_hex(8)}

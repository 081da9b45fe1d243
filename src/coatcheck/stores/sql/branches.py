"""The tables of features: one Alembic branch each, with a version table of its own, so that none knows of another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, MetaData, Table, column, inspect, select, table

from ...errors import SchemaMismatch
from .database import Database
from .locks import SCHEMA
from .tables import VERSION_TABLE, metadata

OF_CORE: Final = (*metadata.tables, VERSION_TABLE)
"""Tables that no branch may touch."""


def version_table(name: str) -> str:
    """Where the branch's revision is kept. Older programs, which do not know the feature, never look at it."""
    return f"coatcheck_{name}_version"


async def ensure(database: Database, name: str, migrations: Path, *, migrate: bool) -> None:
    """Have the branch's tables, as this program works with them: with ``migrate`` they are made or brought up to date,
    all or nothing, by any number of processes at once. Raises `SchemaMismatch` and `StoreUnavailable`."""
    known = revisions(migrations)
    found = await database.read(lambda tx: _revision(tx, name))
    if found == known[-1]:
        return
    if found is not None and found not in known:
        raise SchemaMismatch(
            f"the tables of the feature {name} were made by a newer version of it; upgrade the program"
        )
    if not migrate:
        raise SchemaMismatch(f"the feature {name} has no tables here, or older ones; run `coatcheck migrate`")
    await database.write(lambda tx: _run(tx, name, migrations, "up"), [SCHEMA])


async def remove(database: Database, name: str, migrations: Path) -> bool:
    """Take the branch's tables away, with all that is in them. False when there were none."""
    if await database.read(lambda tx: _revision(tx, name)) is None:
        return False
    await database.write(lambda tx: _run(tx, name, migrations, "down"), [SCHEMA])
    return True


def revisions(migrations: Path) -> Sequence[str]:
    """Every revision of a branch, oldest first."""
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(migrations)
    if len(script.get_heads()) != 1:
        raise SchemaMismatch(f"{migrations.name}/versions has {len(script.get_heads())} last migrations, and needs one")
    return [one.revision for one in script.walk_revisions()][::-1]


def _revision(tx: Connection, name: str) -> str | None:
    versions = version_table(name)
    if not inspect(tx).has_table(versions):
        return None
    found: str | None = tx.execute(select(table(versions, column("version_num")).c.version_num)).scalar()
    return found


def _run(tx: Connection, name: str, migrations: Path, way: str) -> None:
    """Whoever comes second finds nothing left to do."""
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext, RevisionStep, StampStep
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(migrations)

    def steps(revision: str, context: MigrationContext) -> list[StampStep | RevisionStep]:
        if way == "up":
            return list(script._upgrade_revs("head", revision))
        return list(script._downgrade_revs("base", revision))

    context = MigrationContext.configure(connection=tx, opts={"version_table": version_table(name), "fn": steps})
    context.run_migrations(op=Operations(context))
    if way == "down":
        Table(version_table(name), MetaData()).drop(tx, checkfirst=True)

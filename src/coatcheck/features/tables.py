"""Tables of features in the database of an `Auth`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .base import Feature, Tables

if TYPE_CHECKING:
    from ..stores.sql.database import Database


def database_of(store: object) -> Database:
    """The SQL database behind a store. Raises `ConfigurationError` where there is none."""
    from ..stores.sql import SqlStore

    if not isinstance(store, SqlStore):
        raise ConfigurationError("this needs a SQL database: name one first, and this one as sessions=...")
    return store.database


async def ensure_tables(features: Iterable[Feature], store: object, *, migrate: bool) -> None:
    """Have the tables of these features. With ``migrate`` they are made and brought up to date.

    Raises `ConfigurationError` where there is no SQL database, `SchemaMismatch` and `StoreUnavailable`."""
    tables = {feature.name: feature.tables for feature in features if feature.tables is not None}
    if not tables:
        return
    from ..stores.sql.branches import ensure

    _check_apart(tables)
    for name, own in tables.items():
        await ensure(database_of(store), name, own.migrations, migrate=migrate)


async def remove_tables(feature: Feature | type[Feature], store: object) -> bool:
    """Take the feature's tables away, with all that is in them. False when there were none. Raises as `ensure_tables`.

    Another feature's and the core's stay as they are, and so does whatever runs without this feature."""
    if feature.tables is None:
        return False
    _check_apart({feature.name: feature.tables})
    from ..stores.sql.branches import remove

    return await remove(database_of(store), feature.name, feature.tables.migrations)


def _check_apart(tables: Mapping[str, Tables]) -> None:
    """Raise `ConfigurationError` where a table of one feature is another's as well, or one of Coatcheck's:
    ``coatcheck_notes_tags`` is as good a name for a table of the feature ``notes`` as for one of ``notes_tags``."""
    from ..stores.sql.branches import OF_CORE, version_table

    owners = dict.fromkeys(OF_CORE, "Coatcheck")
    for feature, own in tables.items():
        for name in (version_table(feature), *own.metadata.tables):
            if name in owners:
                raise ConfigurationError(f"{owners[name]} has a table {name} already, and so has {feature}")
            owners[name] = feature

"""Tables of features in the database of an `Auth`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .base import Feature

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
    for feature in features:
        if feature.tables is None:
            continue
        from ..stores.sql.branches import ensure

        await ensure(database_of(store), feature.name, feature.tables.migrations, migrate=migrate)


async def remove_tables(feature: Feature | type[Feature], store: object) -> bool:
    """Take the feature's tables away, with all that is in them. False when there were none. Raises as `ensure_tables`.

    Another feature's and the core's stay as they are, and so does whatever runs without this feature."""
    if feature.tables is None:
        return False
    from ..stores.sql.branches import remove

    return await remove(database_of(store), feature.name, feature.tables.migrations)

"""Which databases of Coatcheck lie in the working directory, for whoever forgot to name theirs.

They are only looked at: read-only, without waiting for anybody, and nothing is left beside them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from ..errors import ConfigurationError
from ..service.settings import DEFAULT_DATABASE, Settings
from ..stores import embedded_path
from .output import printable

_SUFFIXES: Final = (".db", ".sqlite", ".sqlite3")
_MOST: Final = 1000
"""Files of a directory that are looked at by their names."""
_MOST_OPENED: Final = 20
_MAGIC: Final = b"SQLite format 3\0"
_TABLE: Final = "coatcheck_schema"
"""Which every database of ours has, whatever else is in it."""


def others_here(settings: Settings) -> list[str]:
    """The URLs of the databases here, where the default one is meant and there is none. Otherwise none."""
    path = embedded_path(settings.database)
    if settings.database != DEFAULT_DATABASE or path is None or os.path.lexists(path):
        return []
    try:
        with os.scandir() as entries:
            names = sorted(one.name for one in islice(entries, _MOST) if _may_be(one))
    except OSError:
        return []
    return [f"sqlite:///{name}" for name in names[:_MOST_OPENED] if _is_ours(Path(name))]


def refuse_default(settings: Settings) -> None:
    """Raise `ConfigurationError` where the default database is meant, and there are only others."""
    if others := others_here(settings):
        raise ConfigurationError(
            f"there is no {embedded_path(settings.database)} here, but {_are(others)}: pass "
            f"{' or '.join(f'--database {url}' for url in others)}, or set COATCHECK_DATABASE"
        )


def made_beside(others: Sequence[str]) -> str:
    """What the service says that has made a new one all the same."""
    return (
        f"A new database was made, although {_are(others)} here. If that is the one you mean: "
        f"{' or '.join(f'--database {url}' for url in others)}."
    )


def _are(urls: Sequence[str]) -> str:
    names = [url.removeprefix("sqlite:///") for url in urls]
    return f"{' and '.join(names)} {'is a Coatcheck database' if len(names) == 1 else 'are Coatcheck databases'}"


def _may_be(entry: os.DirEntry[str]) -> bool:
    """By its name alone, which must also do as a URL and on a command line."""
    name = entry.name
    plain = printable(name) == name and not set(name) & set("?#% '\"\\`$;&|<>()*") and name[0] not in ".-"
    return plain and name.endswith(_SUFFIXES) and entry.is_file()


def _is_ours(path: Path) -> bool:
    """Whether it has our tables. Another program may write meanwhile: what cannot be read is none of ours."""
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return False
        # What is only in a log of a program that runs is read with it, and the index of that log is left as it is.
        has_log = all(path.with_name(path.name + suffix).exists() for suffix in ("-wal", "-shm"))
        how = "mode=ro&readonly_shm=1" if has_log else "mode=ro&immutable=1"
        with closing(sqlite3.connect(f"file:{path}?{how}", uri=True, timeout=0)) as connection:
            named = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
            return connection.execute(named, (_TABLE,)).fetchone() is not None
    except (OSError, sqlite3.Error):
        return False

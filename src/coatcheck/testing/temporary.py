"""Which databases tests may write into: in memory, or a file that is surely a test's.

It needs no pytest: applications are tested without it too. And it imports nothing of Coatcheck before it is asked of an
`Auth`, for the plugin uses it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..auth import Auth

SETTING: Final = "coatcheck_database"
"""Its name among pytest's settings."""
REAL: Final = "real"


def is_temporary(file: Path, projects: Iterable[Path], base: Path | None = None) -> bool:
    """Whether a test has made this file, or is about to: below pytest's own temporary directory ``base``, or below the
    system's; but a project that is worked on there has a real database all the same. ``file`` is resolved;
    ``projects`` are folders of such projects, which may begin above them."""
    if base is not None and file.is_relative_to(base.resolve()):
        return True
    shared = Path(tempfile.gettempdir()).resolve()
    if not file.is_relative_to(shared):
        return False
    folders = [project.resolve() for project in projects]
    return not any(file.is_relative_to(_topmost(each, shared)) for each in folders if each.is_relative_to(shared))


def _topmost(folder: Path, shared: Path) -> Path:
    """The first folder below ``shared`` on the way to this one."""
    return shared.joinpath(*folder.relative_to(shared).parts[:1])


def refuse_real(auth: Auth) -> None:
    """Raise `ConfigurationError` for an `Auth` that works with what may be no database of a test's, or would once it
    starts. What counts is what was opened: not what its URL was, nor who is there now to put something in its place."""
    from .. import stand_ins
    from ..errors import ConfigurationError

    answer = stand_ins.answering()
    for place in _opened(auth, is_answered=answer is not None):
        for file in _lasting(place):
            if answer is None and (file is None or not is_temporary(file.resolve(), [Path.cwd()])):
                raise ConfigurationError(
                    "login_as writes into no database that may be the real one: run the tests with pytest and "
                    "Coatcheck's plugin, or give the application one in memory"
                )
            if answer is not None and not answer.may_write(file):
                raise ConfigurationError(
                    "login_as writes into no database that may be the real one, as that of a store object or of an "
                    "Auth that was started before Coatcheck's plugin: give the application one in memory, or say "
                    f"{SETTING} = {REAL} in pytest's settings where it is one for tests"
                )


def _opened(auth: Auth, *, is_answered: bool) -> Iterator[object]:
    """The stores it has opened. Before its start the places it names, without those that others will stand in for."""
    parts = auth._parts
    if parts is not None:
        yield from (parts.store, parts.sessions)
        return
    for place in (auth._url, auth._sessions):
        if place is not None and not (is_answered and isinstance(place, str)):
            yield place


def _lasting(place: object) -> Iterator[Path | None]:
    """The file of a URL or a store, None where it lasts somewhere else; nothing where it is in memory."""
    from ..stores import embedded_path
    from ..stores.memory import MemoryStore

    if isinstance(place, str):
        if not is_in_memory(place):
            yield embedded_path(place)
        return
    if isinstance(place, MemoryStore):
        return
    from ..stores.sql import SqlStore
    from ..stores.sql.sqlite import SqliteDatabase

    if not isinstance(place, SqlStore) or not isinstance(place.database, SqliteDatabase):
        yield None  # on a server, or a store of somebody's own, of which nobody knows
    elif place.database.path is not None:
        yield place.database.path


def is_in_memory(url: str) -> bool:
    """Whether what is behind this URL is gone with the process. Raises `ConfigurationError` for what is no URL."""
    from ..stores import embedded_path

    return url.startswith("memory:") or (url.startswith("sqlite:") and embedded_path(url) is None)

"""Which databases tests open. An embedded one that is not in the temporary directory is the real one, or would become
it: a new one is opened in its place. A server's cannot be told from the real one, so it is refused.

Nothing of Coatcheck is imported before an `Auth` starts: this is loaded in every test run where Coatcheck is installed.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import pytest

if TYPE_CHECKING:
    from ..auth import Auth
    from ..blocking import Auth as BlockingAuth

SETTING: Final = "coatcheck_database"
"""Its name among pytest's settings."""
THROW_AWAY: Final = "throw-away"
REAL: Final = "real"


@dataclass(slots=True)
class _StandIn:
    file: Path
    opened_by: WeakSet[Any] = field(default_factory=WeakSet)


class Databases:
    """What stands in for which file, in one process that runs tests.

    Whoever opens the same file in the same test gets the same database. Each test begins with an empty one, unless an
    `Auth` runs on from an earlier test: then all go on with that."""

    def __init__(self, config: pytest.Config) -> None:
        self.real: bool = _setting(config) == REAL
        self.spared: dict[str, None] = {}
        """The files that were not opened, as they are shown, in the order in which they were asked for."""
        self._config = config
        self._stand_ins: dict[Path, _StandIn] = {}
        self._lock = threading.Lock()

    def __call__(self, url: str, auth: Auth) -> str:
        """What ``auth`` is to open for this URL. Raises `ConfigurationError` for a server's, and for what is no URL."""
        from ..errors import ConfigurationError
        from ..stores import embedded_path

        if self.real or _is_in_memory(url):
            return url
        path = embedded_path(url)
        if path is None:
            raise ConfigurationError(
                "tests open no database on a server, for it could be the real one: give the application memory_auth() "
                f"of coatcheck.testing, or say {SETTING} = {REAL} in pytest's settings where it is one for tests"
            )
        with self._lock:  # an Auth for threads starts in a thread of its own
            return f"sqlite:///{self._file_for(path.resolve(), auth)}"

    def next_test(self) -> None:
        """A test begins."""
        with self._lock:
            self._stand_ins = {
                real: found
                for real, found in self._stand_ins.items()
                if any(auth.is_running for auth in found.opened_by)
            }

    def _file_for(self, real: Path, auth: Auth) -> Path:
        projects = (self._config.rootpath, self._config.invocation_params.dir)
        if is_temporary(real, projects, None if self._factory is None else self._factory.getbasetemp()):
            return real
        found = self._stand_ins.get(real)
        if found is None:
            found = self._stand_ins[real] = _StandIn(self._new_folder() / real.name)
            self.spared.setdefault(_shown(real, self._config.invocation_params.dir))
        found.opened_by.add(auth)
        return found.file

    def _new_folder(self) -> Path:
        factory = self._factory
        return Path(tempfile.mkdtemp(prefix="coatcheck-")) if factory is None else factory.mktemp("coatcheck")

    @property
    def _factory(self) -> pytest.TempPathFactory | None:
        """Whence tests have their ``tmp_path``; None where pytest's own plugin for that is switched off."""
        return getattr(self._config, "_tmp_path_factory", None)


def is_temporary(file: Path, projects: Iterable[Path], base: Path | None = None) -> bool:
    """Whether a test has made this file, or is about to: below pytest's own temporary directory ``base``, or below the
    system's; but a project that is worked on there has a real database all the same. ``file`` is resolved."""
    if base is not None and file.is_relative_to(base.resolve()):
        return True
    shared = Path(tempfile.gettempdir()).resolve()
    if not file.is_relative_to(shared):
        return False
    folders = [project.resolve() for project in projects]
    return not any(folder.is_relative_to(shared) and file.is_relative_to(folder) for folder in folders)


def refuse_real(auth: Auth | BlockingAuth) -> None:
    """Raise `ConfigurationError` for what may be no database of a test's, where nobody has seen to that at its start:
    outside of pytest or without the plugin, and outside of Django's test environment or before it."""
    from .. import stand_ins
    from ..auth import Auth
    from ..errors import ConfigurationError
    from ..stores import embedded_path

    inner = auth if isinstance(auth, Auth) else auth._life.inner
    if stand_ins.is_answered() and (not inner.is_running or stand_ins.was_answered(inner)):
        return
    for place in (inner._url, inner._sessions):
        if not isinstance(place, str) or _is_in_memory(place):
            continue
        path = embedded_path(place)
        if path is None or not is_temporary(path.resolve(), [Path.cwd()]):
            raise ConfigurationError(
                "login_as writes into no database that may be the real one: run the tests with pytest and Coatcheck's "
                "plugin, or give the application one in memory"
            )


def _setting(config: pytest.Config) -> str:
    found = str(config.getini(SETTING))
    if found not in (THROW_AWAY, REAL):
        raise pytest.UsageError(f"{SETTING} is {THROW_AWAY} or {REAL}, not {found!r}")
    return found


def _is_in_memory(url: str) -> bool:
    from ..stores import embedded_path

    return url.startswith("memory:") or (url.startswith("sqlite:") and embedded_path(url) is None)


def _shown(file: Path, folder: Path) -> str:
    return str(file.relative_to(folder.resolve()) if file.is_relative_to(folder.resolve()) else file)

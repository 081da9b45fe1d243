"""Which databases tests open. An embedded one that is not in the temporary directory is the real one, or would become
it: a new one is opened in its place. A server's cannot be told from the real one, so it is refused.

Nothing of Coatcheck is imported before an `Auth` starts: this is loaded in every test run where Coatcheck is installed.
"""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import pytest

from .temporary import REAL, SETTING, is_in_memory, is_temporary

if TYPE_CHECKING:
    from ..auth import Auth

THROW_AWAY: Final = "throw-away"


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
        self._folders: list[Path] = []
        """Made by us where pytest's own was not there, so taken away by us."""
        self._lock = threading.Lock()

    def __call__(self, url: str, auth: Auth) -> str:
        """What ``auth`` is to open for this URL. Raises `ConfigurationError` for a server's, and for what is no URL."""
        from ..errors import ConfigurationError
        from ..stores import embedded_path

        if self.real or is_in_memory(url):
            return url
        path = embedded_path(url)
        if path is None:
            raise ConfigurationError(
                "tests open no database on a server, for it could be the real one: give the application memory_auth() "
                f"of coatcheck.testing, or say {SETTING} = {REAL} in pytest's settings where it is one for tests"
            )
        with self._lock:  # an Auth for threads starts in a thread of its own
            return f"sqlite:///{self._file_for(path.resolve(), auth)}"

    def may_write(self, file: Path | None) -> bool:
        """See `stand_ins.Answer.may_write`: a stand-in, a file of the tests' own, or whatever the settings allow."""
        if self.real:
            return True
        return file is not None and (
            any(file.is_relative_to(folder) for folder in self._folders) or self._is_temporary(file.resolve())
        )

    def next_test(self) -> None:
        """A test begins."""
        with self._lock:
            self._stand_ins = {
                real: found
                for real, found in self._stand_ins.items()
                if any(auth.is_running for auth in found.opened_by)
            }

    def _file_for(self, real: Path, auth: Auth) -> Path:
        if self._is_temporary(real):
            return real
        found = self._stand_ins.get(real)
        if found is None:
            found = self._stand_ins[real] = _StandIn(self._new_folder() / real.name)
            self.spared.setdefault(_shown(real, self._config.invocation_params.dir))
        found.opened_by.add(auth)
        return found.file

    def _is_temporary(self, file: Path) -> bool:
        projects = (self._config.rootpath, self._config.invocation_params.dir)
        return is_temporary(file, projects, None if self._factory is None else self._factory.getbasetemp())

    def _new_folder(self) -> Path:
        if self._factory is not None:
            return self._factory.mktemp("coatcheck")
        self._folders.append(Path(tempfile.mkdtemp(prefix="coatcheck-")))
        return self._folders[-1]

    @property
    def _factory(self) -> pytest.TempPathFactory | None:
        """Whence tests have their ``tmp_path``; None where pytest's own plugin for that is switched off."""
        return getattr(self._config, "_tmp_path_factory", None)


def _setting(config: pytest.Config) -> str:
    found = str(config.getini(SETTING))
    if found not in (THROW_AWAY, REAL):
        raise pytest.UsageError(f"{SETTING} is {THROW_AWAY} or {REAL}, not {found!r}")
    return found


def _shown(file: Path, folder: Path) -> str:
    return str(file.relative_to(folder.resolve()) if file.is_relative_to(folder.resolve()) else file)

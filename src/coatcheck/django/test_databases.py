"""Which databases are opened under ``manage.py test``: as Django puts a test database in the place of its own, a
throw-away SQLite file is opened in the place of one that lasts. A server's cannot be told from the real one, so it is
refused. Under pytest Coatcheck's plugin sees to it, and nothing here is asked.

It holds while Django's test environment is set up (`django.test.utils.setup_test_environment`), and at no other time.
Everything in one process that names the same file has the same stand-in, until the process ends.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from ..errors import ConfigurationError
from ..stand_ins import answer_while
from ..stores import embedded_path
from . import conf

_lock: Final = threading.Lock()
_stand_ins: Final[dict[tuple[int, Path], Path]] = {}
"""By process id, for ``--parallel`` forks, and by the file that is spared."""


def watch() -> None:
    """Look to it from now on. The application's start does it; idempotent."""
    answer_while(is_test_environment, _THROW_AWAY)


def is_test_environment() -> bool:
    """Whether Django's test environment is set up."""
    utils = sys.modules.get("django.test.utils")  # nobody has set it up who has not imported it
    return utils is not None and hasattr(utils._TestState, "saved_data")


class ThrowAway:
    """Who says what is opened while it holds, see `coatcheck.stand_ins.Answer`."""

    def __call__(self, url: str, auth: Any) -> str:
        """Raises `ConfigurationError` for a server's, and for what is no URL."""
        return _throw_away(url)

    def may_write(self, file: Path | None) -> bool:
        """A stand-in, a file of the tests' own, or whatever the settings allow."""
        if conf.opens_real_in_tests(conf.given()):
            return True
        return file is not None and (file in _stand_ins.values() or _is_temporary(file.resolve()))


_THROW_AWAY: Final = ThrowAway()


def _throw_away(url: str) -> str:
    if conf.opens_real_in_tests(conf.given()) or url.startswith("memory:"):
        return url
    path = embedded_path(url)
    if path is None and url.startswith("sqlite:"):
        return url
    if path is None:
        raise ConfigurationError(
            "tests open no database on a server, for it could be the real one: in the settings for tests write "
            f"COATCHECK = {{'url': 'memory://'}}, or COATCHECK['test_database'] = {conf.REAL!r} where it is for them"
        )
    real = path.resolve()
    if _is_temporary(real):
        return url
    with _lock:  # an Auth starts in a thread of its own
        found = _stand_ins.get((os.getpid(), real))
        if found is None:
            found = _stand_ins[os.getpid(), real] = _new_folder() / real.name
            sys.stderr.write(f"coatcheck: tests have a throw-away database in the place of {real}\n")
    return f"sqlite:///{found}"


def _new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="coatcheck-"))
    # And not atexit, which a worker of --parallel does not come to.
    Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=0)
    return folder


def _is_temporary(file: Path) -> bool:
    """Whether a test has made this file: it is below the temporary directory. A project that is worked on there has a
    real database all the same."""
    shared = Path(tempfile.gettempdir()).resolve()
    projects = [Path(folder).resolve() for folder in (getattr(settings, "BASE_DIR", None), Path.cwd()) if folder]
    if any(
        project != shared and project.is_relative_to(shared) and file.is_relative_to(project) for project in projects
    ):
        return False
    return file.is_relative_to(shared)

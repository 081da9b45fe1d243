"""What Coatcheck does not bring along and somebody needs is named in one line, with the command that installs it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from coatcheck import extras
from tests.support.patience import PATIENCE
from tests.support.service import environment

_PROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"
_BCRYPT = "$2b$04$" + "." * 22 + "." * 31

START = """
import asyncio
from coatcheck import Auth, ApplicationSubjects
asyncio.run(Auth({url!r}, secret="kJ8sQ2mZ5vX1pR7tY4wN0bL3cF6hG9dA", subjects=ApplicationSubjects()).start())
"""
REMOTE = """
from coatcheck import RemoteVerifier
RemoteVerifier("https://auth.example.com/auth", service_key="kJ8sQ2mZ5vX1pR7tY4wN0bL3cF6hG9dA")
"""
STORED = f"""
from coatcheck.accounts import PasswordHasher
PasswordHasher(stored=[{_BCRYPT!r}])
"""
DJANGO = """
from django.conf import settings
settings.configure(INSTALLED_APPS=["coatcheck.django"])
import django
django.setup()
"""

SETTINGS = {
    ("asyncpg", "postgresql"): START.format(url="postgresql://db.invalid/app"),
    ("redis", "redis"): START.format(url="redis://cache.invalid/0"),
    ("redis", "redis "): START.format(url="valkeys+cluster://cache.invalid"),
    ("httpx", "remote"): REMOTE,
    ("httpx", "remote "): REMOTE.replace("coatcheck import", "coatcheck.blocking import"),
    ("bcrypt", "bcrypt"): STORED,
}
"""By the package and its extra."""
MODULES = {
    ("flask", "flask"): "import coatcheck.flask",
    ("flask", "flask "): "from coatcheck.flask.views import login_required",
    ("django", "django"): "import coatcheck.django",
    ("django", "django "): "from coatcheck.django.conf import knower",
    ("litestar", "litestar"): "import coatcheck.litestar",
    ("rest_framework", "djangorestframework"): DJANGO + "import coatcheck.django.rest",
    ("pytest", "pytest"): "from coatcheck.testing import StoreContract",
    ("pytest", "pytest "): "from coatcheck.testing import FeatureContract",
    ("httpx", "httpx"): "from coatcheck.testing import FeatureContract",
}
"""By the package and what installs it."""


def _without(package: str, code: str, folder: Path) -> str:
    """The last line of what the code says in a process of its own, in which this package cannot be imported."""
    hidden = f"import sys; sys.modules[{package!r}] = None\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", hidden], cwd=folder, env=environment(), capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 1, done.stderr
    assert list(folder.iterdir()) == []
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("case", SETTINGS, ids=lambda case: "-".join(case))
def test_what_a_setting_needs(case: tuple[str, str], tmp_path: Path) -> None:
    """A `ConfigurationError` of one line."""
    package, extra = case
    said = _without(package, SETTINGS[case], tmp_path)
    line = f" needs {package}: pip install 'coatcheck[{extra.strip()}]'"
    assert re.fullmatch(rf"coatcheck\.errors\.ConfigurationError: an? [\w:/+ ]+{re.escape(line)}", said, re.A), said


@pytest.mark.parametrize("case", MODULES, ids=lambda case: "-".join(case))
def test_what_a_module_needs(case: tuple[str, str], tmp_path: Path) -> None:
    """A `ModuleNotFoundError` of one line that says which module of ours it was."""
    package, install = case
    said = _without(package, MODULES[case], tmp_path)
    assert re.fullmatch(
        rf"ModuleNotFoundError: coatcheck\.[A-Za-z.]+ needs {package}: pip install {install.strip()}", said
    )


def test_every_extra_is_tried() -> None:
    """And is the one that brings the package."""
    declared = tomllib.loads(_PROJECT.read_text())["project"]["optional-dependencies"]
    assert {extra.strip() for _, extra in SETTINGS} == set(declared)
    for package, extra in SETTINGS:
        assert extras.missing("it", package) == f"it needs {package}: pip install 'coatcheck[{extra.strip()}]'"
        assert any(each.startswith(package) for each in declared[extra.strip()])


def test_what_else_is_missing_is_said_as_ever() -> None:
    """A package that another one lacks is not taken for that one."""
    with pytest.raises(ModuleNotFoundError, match="no_such_package"), extras.setting_needs("it", "redis"):
        import no_such_package  # type: ignore[import-not-found]
    with pytest.raises(ModuleNotFoundError, match="no_such_package"), extras.module_needs("it", "flask"):
        import no_such_package  # noqa: F401

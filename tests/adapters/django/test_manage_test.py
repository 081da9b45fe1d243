"""``manage.py test`` leaves the real database alone, as it does with Django's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kit import run_pytest
from tests.support.service import PATIENCE, environment

MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
"""
SETTINGS = """
from pathlib import Path
BASE_DIR = Path(__file__).parent
SECRET_KEY = "not one"
ROOT_URLCONF = "urls"
INSTALLED_APPS = ["coatcheck.django"]
MIDDLEWARE = ["coatcheck.django.AuthMiddleware"]
COATCHECK = {"url": "sqlite:///app.db", "users": "coatcheck"}
"""
URLS = """
from django.urls import include, path
urlpatterns = [path("auth/", include("coatcheck.django.urls"))]
"""
TESTS = """
from django.test import SimpleTestCase

class Registers(SimpleTestCase):
    address = "ann@example.com"

    def test_register(self):
        body = {"email": self.address, "password": "nine brown owls"}
        made = self.client.post("/auth/register", body, "application/json", headers={"Sec-Fetch-Site": "none"})
        self.assertEqual(made.status_code, 201, made.content)

class Again(Registers):
    address = "bob@example.com"
"""
FILES = {"manage.py": MANAGE, "settings.py": SETTINGS, "urls.py": URLS, "tests.py": TESTS}


def manage(
    folder: Path, *arguments: str, settings: str = "", files: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of the project, with a temporary directory of its own."""
    for name, text in {**FILES, **(files or {})}.items():
        (folder / name).write_text(text + (settings if name == "settings.py" else ""), "utf-8")
    (folder / "tmp").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=folder,
        env=environment({"TMPDIR": str(folder / "tmp")}),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )


def left(folder: Path) -> list[str]:
    """Databases and secrets in the project, and all that is left in its temporary directory."""
    return [*(file.name for file in folder.glob("*.db*")), *os.listdir(folder / "tmp")]


@pytest.mark.parametrize("parallel", [(), ("--parallel", "2")])
def test_spared(tmp_path: Path, parallel: tuple[str, ...]) -> None:
    """The file and the secret beside it are not made; one line says so, and nothing stays behind."""
    done = manage(tmp_path, "test", *parallel)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran 2 tests" in done.stderr
    said = f"coatcheck: tests have a throw-away database in the place of {tmp_path / 'app.db'}\n"
    assert done.stderr.count(said) == (2 if parallel else 1)
    assert left(tmp_path) == []


def test_an_auth_of_ones_own(tmp_path: Path) -> None:
    """It holds for each Auth of the process."""
    given = (
        "from coatcheck.blocking import Auth\nCOATCHECK = {'users': 'coatcheck', 'auth': Auth('sqlite:///own.db')}\n"
    )
    done = manage(tmp_path, "test", settings=given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert left(tmp_path) == []


def test_memory(tmp_path: Path) -> None:
    """What is in memory anyhow is as it is, without a word."""
    for url in ("memory://", "sqlite://"):
        done = manage(tmp_path, "test", settings=f"COATCHECK['url'] = {url!r}\n")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "coatcheck:" not in done.stderr
        assert left(tmp_path) == []


def test_a_file_of_the_tests_own(tmp_path: Path) -> None:
    """What is in the temporary directory is made there on purpose."""
    file = tmp_path / "tmp" / "mine.db"
    done = manage(tmp_path, "test", settings=f"BASE_DIR = None\nCOATCHECK['url'] = 'sqlite:///{file}'\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert file.exists()
    assert "coatcheck:" not in done.stderr


@pytest.mark.parametrize("setting", ["url", "sessions"])
def test_a_server(tmp_path: Path, setting: str) -> None:
    """One line says what to write, and nothing is asked of the server."""
    url = "redis://user:hunter2@127.0.0.1:1/0"
    done = manage(
        tmp_path,
        "test",
        settings=f"COATCHECK.update({setting}={url!r}, secret={'k7Qm0vXr2LkT9dHs4WbNc8YpEf3GzJa6U'!r})\n",
    )
    assert done.returncode != 0
    assert re.search(
        r"^coatcheck\.errors\.ConfigurationError: tests open no database on a server.*COATCHECK = \{'url': 'memory://'\}"
        r".*COATCHECK\['test_database'\] = 'real'",
        done.stderr,
        re.MULTILINE,
    ), done.stderr
    assert "hunter2" not in done.stderr


def test_opted_in(tmp_path: Path) -> None:
    """Who says that it is one for tests has what is named."""
    done = manage(tmp_path, "test", "tests.Registers", settings="COATCHECK['test_database'] = 'real'\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "coatcheck:" not in done.stderr
    assert (tmp_path / "app.db").exists()
    wrong = manage(tmp_path, "test", settings="COATCHECK['test_database'] = 'reel'\n")
    assert "COATCHECK['test_database'] is 'throw-away' or 'real'" in wrong.stderr


_LOGIN_AS = """
from django.test import SimpleTestCase
from coatcheck.testing import login_as

class Enters(SimpleTestCase):
    def test_enters(self):
        self.assertTrue(login_as(self.client, "ann").session.subject)
"""
_STARTS = """
from coatcheck.django.apps import CoatcheckConfig

class Starts(CoatcheckConfig):
    def ready(self):
        super().ready()
        from coatcheck.django import auth
        auth.start()
"""


def test_login_as(tmp_path: Path) -> None:
    """It writes into what is thrown away, and not into what was opened before the tests began."""
    done = manage(tmp_path, "test", files={"tests.py": _LOGIN_AS})
    assert done.returncode == 0, done.stdout + done.stderr
    assert left(tmp_path) == []
    early = "INSTALLED_APPS = ['starts.Starts']\n"
    done = manage(tmp_path, "test", settings=early, files={"tests.py": _LOGIN_AS, "starts.py": _STARTS})
    assert "login_as writes into no database that may be the real one" in done.stderr
    assert "Ran 1 test" in done.stderr


_OUTSIDE = """
from django.core.management.base import BaseCommand
from django.test.utils import setup_test_environment, teardown_test_environment
from coatcheck.django import auth
from coatcheck import stand_ins

setup_test_environment()
assert stand_ins.answering()
teardown_test_environment()
assert not stand_ins.answering()
auth.start()
"""


def test_outside_of_tests(tmp_path: Path) -> None:
    """Whatever is imported, and after the tests' environment has been torn down, it is the database itself."""
    done = manage(tmp_path, "shell", "-c", _OUTSIDE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "app.db").exists()
    assert done.stderr == ""


_CONFTEST = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
from django.test.utils import setup_test_environment
setup_test_environment()
"""


@pytest.mark.parametrize("choice", ["throw-away", "real"])
def test_under_pytest(tmp_path: Path, choice: str) -> None:
    """There the plugin's word counts, whichever it is."""
    (tmp_path / "tests.py").write_text(TESTS, "utf-8")
    done = run_pytest(
        tmp_path, {**FILES, "conftest.py": _CONFTEST}, "-o", f"coatcheck_database={choice}", "tests.py::Registers"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tests have a throw-away" not in done.stderr
    assert (tmp_path / "app.db").exists() == (choice == "real")

"""`login_as` writes into no database that may be the real one, however an application has come by it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from coatcheck.testing.temporary import is_temporary
from tests.support.kit import run_pytest
from tests.support.service import environment
from tests.testing.programs import FASTAPI, TESTS
from tests.testing.runs import databases_in, left_alone_but_for_the_start, passes, run_python


def test_what_is_temporary(tmp_path: Path) -> None:
    """Pytest's own folder always; the system's but for a project within it."""
    shared, base = Path(tempfile.gettempdir()).resolve(), tmp_path / "base"
    project, above = shared / "project", shared.parent
    assert is_temporary(base / "app.db", [project, tmp_path], base)
    assert not is_temporary(tmp_path / "app.db", [tmp_path], base)
    assert not is_temporary(project / "data" / "app.db", [project])
    assert not is_temporary(project / "app.db", [project / "tests", project])
    assert not is_temporary(project / "app.db", [project / "tests" / "unit"])
    assert not is_temporary(project / "other" / "app.db", [project / "tests"])
    assert is_temporary(shared / "app.db", [project])
    assert is_temporary(shared / "project2" / "app.db", [project])
    assert is_temporary(shared / "app.db", [above])
    assert not is_temporary(shared / "app.db", [shared])
    assert not is_temporary(above / "app.db", [])


_WITHOUT_PYTEST = """
import warnings
warnings.simplefilter("ignore")
from fastapi.testclient import TestClient
from coatcheck.testing import login_as
from main import app

with TestClient(app) as client:
    login_as(client, "ann", roles=["admin"])
"""


def test_login_as_without_pytest(tmp_path: Path) -> None:
    """Where nobody has put anything in its place, `login_as` makes nobody in what may be the real database."""
    (tmp_path / "main.py").write_text(FASTAPI)
    with left_alone_but_for_the_start(tmp_path):
        done = run_python(tmp_path, _WITHOUT_PYTEST)
        assert done.returncode == 1
        assert "ConfigurationError: login_as writes into no database that may be the real one" in done.stderr
    with tempfile.TemporaryDirectory() as apart:
        for url in ("memory://", "sqlite://", f"sqlite:///{apart}/app.db"):
            (tmp_path / "main.py").write_text(FASTAPI.replace("sqlite:///app.db", url))
            done = run_python(tmp_path, _WITHOUT_PYTEST)
            assert done.returncode == 0, done.stderr


_UNITTEST = """
import sys
import unittest
import warnings

sys.modules["pytest"] = None  # as where it is not installed
from fastapi import FastAPI
from fastapi.testclient import TestClient
from coatcheck.fastapi import CurrentUser, mount_auth
from coatcheck.testing import assert_refused_after_revoke, login_as, logout, memory_auth

app = FastAPI()
mount_auth(app, memory_auth())

@app.get("/me")
async def me(user: CurrentUser):
    return user.subject

class Tests(unittest.TestCase):
    def test_me(self):
        with TestClient(app) as client:
            made = login_as(client, "ann")
            self.assertEqual(client.get("/me").json(), made.session.subject)
            logout(client)
            self.assertEqual(client.get("/me").status_code, 401)
            assert_refused_after_revoke(client, "GET", "/me")

unittest.main(warnings="ignore")
"""


def test_unittest(tmp_path: Path) -> None:
    """Where pytest is not installed, everything for a client is there all the same."""
    done = run_python(tmp_path, _UNITTEST)
    assert done.returncode == 0, done.stderr
    assert "Ran 1 test" in done.stderr


_STORE_OBJECT = """
from pathlib import Path
import pytest
from coatcheck import ConfigurationError, blocking
from coatcheck.flask import Coatcheck
from coatcheck.stores import open_store
from coatcheck.testing import login_as
from flask import Flask

SECRET = "of the tests, and of no more than that"

def client_of(auth):
    app = Flask(__name__)
    Coatcheck(app, auth)
    return app.test_client()

@pytest.mark.parametrize("start", [False, True])
def test_a_real_one(start):
    auth = blocking.Auth(open_store("sqlite:///app.db"), secret=Path("app.db.secret").read_text().strip())
    client = client_of(auth)
    if start:
        auth.start()
    with pytest.raises(ConfigurationError, match="coatcheck_database = real") as raised:
        login_as(client, "ann", roles=["admin"])
    assert "\\n" not in str(raised.value)
    auth.close()

@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "postgresql://ann@127.0.0.1:1/app"])
@pytest.mark.parametrize("which", ["url", "sessions"])
def test_a_server(url, which):
    place = open_store(url)
    auth = blocking.Auth(place, secret=SECRET) if which == "url" else blocking.Auth("memory://", sessions=place)
    with pytest.raises(ConfigurationError, match="coatcheck_database = real"):
        login_as(client_of(auth), "ann")

def test_one_of_the_tests(tmp_path):
    with blocking.Auth(f"sqlite:///{tmp_path}/app.db", secret=SECRET):
        pass
    for url in (f"sqlite:///{tmp_path}/app.db", "sqlite://", "memory://"):
        store = open_store(url)
        with blocking.Auth(store, secret=SECRET) as auth:
            login_as(client_of(auth), "ann")
"""


def test_a_store_object(tmp_path: Path) -> None:
    """`login_as` writes into none that lasts, for nobody puts anything in its place; unless the settings allow it."""
    with left_alone_but_for_the_start(tmp_path):
        passes(tmp_path, {"test_it.py": _STORE_OBJECT}, count=7)
    done = run_pytest(tmp_path, {"test_it.py": _STORE_OBJECT}, "-o", "coatcheck_database=real", "-k", "a_real_one")
    assert "DID NOT RAISE" in done.stdout, done.stdout


_EARLY = """
from coatcheck import blocking
from coatcheck.flask import Coatcheck
from flask import Flask

auth = blocking.Auth("sqlite:///app.db").start()
app = Flask(__name__)
Coatcheck(app, auth)
"""


def test_started_before_the_plugin(tmp_path: Path) -> None:
    """An `Auth` that was started before has the real one open: `login_as` sees it, until it starts anew."""
    text = """
import pytest
from coatcheck import ConfigurationError
from coatcheck.testing import login_as
from early import app, auth

def test_it():
    with pytest.raises(ConfigurationError, match="started before Coatcheck's plugin"):
        login_as(app.test_client(), "ann", roles=["admin"])
    auth.close()
    login_as(app.test_client(), "ann", roles=["admin"])
"""
    with left_alone_but_for_the_start(tmp_path):
        files = {"early.py": _EARLY, "test_it.py": text}
        for name in files:
            (tmp_path / name).write_text(files[name])
        path = environment()["PYTHONPATH"]
        done = run_pytest(tmp_path, files, "-p", "early", env={"PYTHONPATH": f"{path}{os.pathsep}{tmp_path}"})
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("way", ["pytest", "python"])
def test_a_project_in_the_temporary_directory(way: str, tmp_path: Path) -> None:
    """Its database is a real one, also where tests are run in a folder of it, which pytest takes for the whole."""
    project, inner = tmp_path / "temp" / "project", tmp_path / "temp" / "project" / "tests"
    inner.mkdir(parents=True)
    with left_alone_but_for_the_start(project):
        path, url = environment()["PYTHONPATH"], f"sqlite:///{project}/app.db"
        env = {"TMPDIR": str(tmp_path / "temp"), "PYTHONPATH": f"{path}{os.pathsep}{project}"}
        (project / "main.py").write_text(FASTAPI.replace("sqlite:///app.db", url))
        if way == "pytest":
            before = databases_in(project)
            done = run_pytest(inner, {"test_main.py": TESTS}, env=env)
            assert databases_in(project) == before
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            done = run_python(inner, _WITHOUT_PYTEST, env)
            assert "ConfigurationError: login_as writes into no database" in done.stderr

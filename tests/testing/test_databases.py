"""Tests of other people's applications leave their databases alone: real pytest runs, each in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.kit import OPTIONS, run_pytest
from tests.testing.programs import FASTAPI, PROJECTS, TESTS
from tests.testing.runs import NOTICE, databases_in, left_alone, passes, run_python


@pytest.mark.parametrize("name", PROJECTS)
def test_there_is_one(name: str, tmp_path: Path) -> None:
    """In every framework: a real one keeps its bytes to the last, and so does its secret. It is said."""
    with left_alone(tmp_path):
        said = passes(tmp_path, PROJECTS[name], count=1)
    assert said.count(NOTICE) == 1


@pytest.mark.parametrize("name", ["fastapi", "flask"])
def test_there_is_none(name: str, tmp_path: Path) -> None:
    """A database that is not there does not come into being, nor does its secret. It is said."""
    said = passes(tmp_path, PROJECTS[name], count=1)
    assert said.count(NOTICE) == 1
    assert databases_in(tmp_path) == {}


def test_each_test_begins_anew(tmp_path: Path) -> None:
    """What a test has left is not there in the next; within one test, all who open the file have the same."""
    text = """
import pytest
from coatcheck import Auth
from coatcheck.testing import login_as
from fastapi.testclient import TestClient
from main import app

@pytest.mark.parametrize("number", [1, 2])
def test_one(number):
    account = {"email": "ann@example.com", "password": "nine brown owls"}
    with TestClient(app, base_url="https://app.example") as client:
        assert client.post("/auth/register", json=account).status_code == 201
    with TestClient(app, base_url="https://app.example") as client:
        assert client.post("/auth/register", json=account).status_code == 409

@pytest.mark.asyncio
async def test_two():
    async with Auth("sqlite:///app.db") as one, Auth("sqlite:///./app.db") as two, Auth("sqlite:///other/app.db") as no:
        made = await one.accounts.register("ann@example.com", "nine brown owls")
        assert await two.accounts.get(made.id) == made
        assert await no.accounts.find_by_email("ann@example.com") is None
"""
    said = passes(tmp_path, {"main.py": FASTAPI, "test_it.py": text}, count=3)
    assert "in the place of app.db, other/app.db\n" in said
    assert databases_in(tmp_path) == {}


def test_what_runs_on(tmp_path: Path) -> None:
    """An `Auth` that runs on from test to test keeps its database, and others share it; closed, it begins anew."""
    text = """
import pytest
from coatcheck import blocking

auth = blocking.Auth("sqlite:///app.db")

def found(auth):
    return auth.run(lambda auth: auth.accounts.find_by_email("ann@example.com"))

def test_one():
    auth.run(lambda auth: auth.accounts.register("ann@example.com", "nine brown owls"))

def test_two():
    assert found(auth)
    with blocking.Auth("sqlite:///app.db") as other:
        assert found(other)
    auth.close()
    assert found(auth)
    auth.close()

def test_three():
    assert not found(auth)
"""
    passes(tmp_path, {"test_it.py": text}, count=3)
    assert databases_in(tmp_path) == {}


@pytest.mark.parametrize("place", ["tmp_path", "tempfile", "basetemp", "chdir"])
def test_a_file_of_the_tests(place: str, tmp_path: Path) -> None:
    """What a test makes in pytest's temporary directory, or the system's, is opened as it is, and nothing is said."""
    text = f"""
import os, tempfile
from pathlib import Path
from coatcheck import blocking

def test_it(tmp_path, monkeypatch):
    folder = Path(tempfile.mkdtemp()) if {place!r} == "tempfile" else tmp_path
    monkeypatch.chdir(folder)
    url = "sqlite:///app.db" if {place!r} == "chdir" else f"sqlite:///{{folder / 'app.db'}}"
    with blocking.Auth(url):
        assert {{"app.db", "app.db.secret"}} <= set(os.listdir(folder))
"""
    arguments = [f"--basetemp={tmp_path / 'temporary'}"] if place == "basetemp" else []
    assert "throw-away" not in passes(tmp_path, {"test_it.py": text}, *arguments, count=1)


def test_a_link(tmp_path: Path) -> None:
    """A link in the temporary directory that leads to a real database leads nobody there."""
    text = """
from pathlib import Path
from coatcheck import blocking

def test_it(tmp_path):
    (tmp_path / "link.db").symlink_to(Path("app.db").absolute())
    with blocking.Auth(f"sqlite:///{tmp_path / 'link.db'}") as auth:
        assert auth.run(lambda auth: auth.accounts.find_by_email("ann@example.com")) is None
"""
    with left_alone(tmp_path):
        assert NOTICE in passes(tmp_path, {"test_it.py": text}, count=1)


@pytest.mark.parametrize("url", ["postgresql://ann:hunter2@127.0.0.1:1/app", "redis://:hunter2@127.0.0.1:1/0"])
@pytest.mark.parametrize("which", ["url", "sessions"])
def test_a_server(url: str, which: str, tmp_path: Path) -> None:
    """One on a server is refused before anything is opened, in one line with the way on, which shows no password."""
    arguments = f"'memory://', sessions={url!r}" if which == "sessions" else repr(url)
    text = f"""
import pytest
from coatcheck import ConfigurationError, StoreUnavailable, blocking

SECRET = "of the tests, and of no more than that"

def test_it():
    with pytest.raises(ConfigurationError) as raised:
        blocking.Auth({arguments}, secret=SECRET).start()
    said = str(raised.value)
    assert "memory_auth()" in said and "coatcheck_database = real" in said
    assert "hunter2" not in said and "\\n" not in said
"""
    passes(tmp_path, {"test_it.py": text}, count=1)
    done = run_pytest(tmp_path, {"test_it.py": text}, "-o", "coatcheck_database=real")
    assert "StoreUnavailable" in done.stdout, done.stdout


def test_the_real_one(tmp_path: Path) -> None:
    """Whoever says so gets the real database, by one setting, and sees it said."""
    files = {"pytest.ini": "[pytest]\ncoatcheck_database = real\n", **PROJECTS["fastapi"]}
    said = passes(tmp_path, files, "-v", count=1)
    assert "coatcheck: coatcheck_database = real" in said
    assert "throw-away" not in said
    assert {"app.db", "app.db.secret"} <= set(databases_in(tmp_path))


def test_another_setting(tmp_path: Path) -> None:
    """A setting that is none is refused before a test runs."""
    done = run_pytest(tmp_path, PROJECTS["fastapi"], "-o", "coatcheck_database=reel")
    assert (done.returncode, "throw-away or real, not 'reel'" in done.stderr) == (4, True), done.stdout + done.stderr
    assert databases_in(tmp_path) == {}


def test_workers(tmp_path: Path) -> None:
    """Each worker of pytest-xdist has its own, and what they tell is said once."""
    pytest.importorskip("xdist")
    text = TESTS + "\n\n@pytest.mark.parametrize('n', range(4))\ndef test_more(client, n):\n    test_me(client)\n"
    with left_alone(tmp_path):
        said = passes(tmp_path, {"main.py": FASTAPI, "test_main.py": text}, "-p", "xdist", "-n", "2", count=5)
    assert said.count(NOTICE) == 1


@pytest.mark.parametrize("arguments", [("-p", "no:tmpdir"), ("-o", "tmp_path_retention_policy=failed")])
def test_no_folder_is_kept(arguments: tuple[str, str], tmp_path: Path) -> None:
    """Where pytest has no temporary directory or takes it away, all is well, to the end of the process."""
    done = run_pytest(tmp_path, PROJECTS["at import"], *arguments)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert NOTICE in said
    assert "closed" not in said
    assert "Traceback" not in said
    assert databases_in(tmp_path) == {}


def test_no_plugin_to_be_seen(tmp_path: Path) -> None:
    """What is imported of it changes nothing, nor does pytest once it has ended: the file is the one that is named."""
    program = """
import pathlib
import coatcheck.testing.plugin
import pytest
from coatcheck import blocking

assert pytest.main(["-q", "-p", "no:cacheprovider", *OPTIONS, "test_main.py"]) == 0
assert not pathlib.Path("app.db").exists()
with blocking.Auth("sqlite:///app.db"):
    assert pathlib.Path("app.db").exists()
"""
    for name, text in PROJECTS["fastapi"].items():
        (tmp_path / name).write_text(text)
    done = run_python(tmp_path, program.replace("OPTIONS", repr(OPTIONS)))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_process_of_its_own(tmp_path: Path) -> None:
    """A process that a test starts opens what it is told to: nothing is handed down to it."""
    text = """
import subprocess, sys

def test_it():
    program = "from coatcheck import blocking; blocking.Auth('sqlite:///app.db').start()"
    subprocess.run([sys.executable, "-c", program], check=True)
"""
    passes(tmp_path, {"test_it.py": text}, count=1)
    assert {"app.db", "app.db.secret"} <= set(databases_in(tmp_path))

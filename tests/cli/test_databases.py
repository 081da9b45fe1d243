"""Whoever forgets to name the database is told which ones lie here; none is made, and none is touched."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from coatcheck import Auth
from coatcheck.cli.databases import others_here
from coatcheck.service.settings import Settings
from tests.support.service import eventually, running_service

from .conftest import Cli, assert_refused

COMMANDS = [
    ("user", "list"), ("user", "roles", "ann@example.com"), ("user", "import", "users.csv"),
    ("sessions", "list", "ann"), ("sessions", "revoke", "--subject", "ann"), ("keys", "list"), ("keys", "rotate"),
    ("migrate",), ("restored",), ("token", "inspect", "ccs_x"), ("bench", "--seconds", "1"),
]  # fmt: skip
SAID = (
    "there is no coatcheck.db here, but app.db is a Coatcheck database: pass --database sqlite:///app.db, "
    "or set COATCHECK_DATABASE"
)


def _state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


@pytest.fixture
async def beside(empty: Cli) -> Cli:
    """A folder in which an application has its own ``app.db``, among other files."""
    async with Auth(f"sqlite:///{empty.folder}/app.db"):
        pass
    with closing(sqlite3.connect(empty.folder / "other.db")) as connection:
        connection.execute("CREATE TABLE things (name TEXT)")
    (empty.folder / "list.sqlite").write_text("no database at all")
    (empty.folder / "users.csv").write_text("email,password_hash\n")
    return empty


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command[:2]))
def test_the_database_that_lies_here_is_named(beside: Cli, command: tuple[str, ...]) -> None:
    """By every command that opens one."""
    before = _state(beside.folder)
    done = beside(*command)
    assert done.returncode == 2
    assert done.stderr == f"coatcheck: {SAID}\n"
    assert _state(beside.folder) == before
    assert "migrate" not in done.stderr


def test_doctor_says_it_too(beside: Cli) -> None:
    """As what is not well."""
    before = _state(beside.folder)
    assert beside.json("doctor", code=1)["findings"][-1] == {
        "well": False, "text": "the database sqlite:///coatcheck.db", "cure": SAID
    }  # fmt: skip
    assert _state(beside.folder) == before


def test_what_it_says_works(beside: Cli) -> None:
    """Both ways, and a database that is named is made where it is asked for."""
    assert beside("user", "list", "--database", "sqlite:///app.db").stdout == "no accounts\n"
    assert beside("user", "list", COATCHECK_DATABASE="sqlite:///app.db").stdout == "no accounts\n"
    assert beside("migrate", COATCHECK_DATABASE="sqlite:///coatcheck.db").returncode == 0
    assert beside("user", "list").stdout == "no accounts\n"  # there is one now
    (beside.folder / "coatcheck.db").unlink()
    assert beside("migrate", "--database", "sqlite:///coatcheck.db").returncode == 0


def test_all_of_several_are_named(beside: Cli) -> None:
    """In the order of their names."""
    (beside.folder / "shop.sqlite3").write_bytes((beside.folder / "app.db").read_bytes())
    assert_refused(
        beside("user", "list"), 2, "app.db and shop.sqlite3 are Coatcheck databases",
        "pass --database sqlite:///app.db or --database sqlite:///shop.sqlite3, or set COATCHECK_DATABASE",
    )  # fmt: skip


async def test_one_that_is_in_use(empty: Cli) -> None:
    """Also where all that tells is in its log yet; nothing is written to it, and nobody waits for who holds it."""
    app = empty.folder / "app.db"
    with closing(sqlite3.connect(app, isolation_level=None)) as own:  # as an application that keeps its tables there
        own.execute("PRAGMA journal_mode=WAL")
        own.execute("PRAGMA wal_autocheckpoint=0")
        own.execute("CREATE TABLE things (name TEXT)")
        async with Auth(f"sqlite:///{app}"):
            own.execute("BEGIN IMMEDIATE")
            before = _state(empty.folder)
            assert "app.db-wal" in before
            done = await asyncio.to_thread(empty, "user", "list")
            assert done.stderr == f"coatcheck: {SAID}\n"
            assert _state(empty.folder) == before
            own.execute("ROLLBACK")


async def test_a_log_that_was_left_behind(empty: Cli) -> None:
    """By a process that was killed: it is left as it is."""
    app = empty.folder / "app.db"
    async with Auth(f"sqlite:///{app}"):
        left = {path.name: path.read_bytes() for path in empty.folder.iterdir() if not path.name.endswith(".secret")}
    assert "app.db-wal" in left
    for name, content in left.items():
        (empty.folder / name).write_bytes(content)
    before = _state(empty.folder)
    assert empty("user", "list").stderr == f"coatcheck: {SAID}\n"
    assert _state(empty.folder) == before


def test_only_what_may_be_meant_is_opened(beside: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files here with such a name, and a bounded number of them; not where another database is named."""
    monkeypatch.chdir(beside.folder)
    content = (beside.folder / "app.db").read_bytes()
    for name in ("app.db.bak", "no way.db", "a;b.db", "a?b.db", "-x.db", "n\nl.db", ".hidden.db"):
        (beside.folder / name).write_bytes(content)
    (beside.folder / "in").mkdir()
    (beside.folder / "in" / "in.db").write_bytes(content)
    (beside.folder / "gone.db").symlink_to("nowhere")
    os.mkfifo(beside.folder / "pipe.db")
    assert others_here(Settings()) == ["sqlite:///app.db"]
    assert others_here(Settings(database="sqlite:///mine.db")) == []
    for number in range(50):
        (beside.folder / f"b{number:02}.db").write_bytes(content)
    assert len(others_here(Settings())) == 20
    (beside.folder / "coatcheck.db").symlink_to("nowhere")
    assert others_here(Settings()) == []


def test_nothing_is_advised_where_there_is_nothing(empty: Cli) -> None:
    """As ever: the schema is made by who says so."""
    assert_refused(empty("user", "list"), 2, "coatcheck migrate")
    assert empty("migrate").returncode == 0


def test_the_service_makes_its_own_and_says_so(beside: Cli) -> None:
    """In one line of its output, the first time only."""
    line = (
        "A new database was made, although app.db is a Coatcheck database here. If that is the one you mean: "
        "--database sqlite:///app.db."
    )
    with running_service(beside.folder) as service:
        eventually(lambda: line in service.output(), what="the line is there")
        assert service.output().count("A new database") == 1
    assert (beside.folder / "coatcheck.db").exists()
    with running_service(beside.folder) as service:
        eventually(lambda: "Development over plain http" in service.output(), what="all that it says is there")
        assert "A new database" not in service.output()

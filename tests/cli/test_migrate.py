"""``coatcheck migrate``."""

from __future__ import annotations

import sqlite3

from tests.support.databases import shared_postgresql

from .conftest import Cli, assert_refused


def test_it_makes_the_schema_once(empty: Cli) -> None:
    """The first call makes it, the second finds nothing to do, and both say so."""
    assert empty("migrate").stdout == "sqlite:///coatcheck.db: schema made\n"
    before = (empty.folder / "coatcheck.db").read_bytes()
    assert empty("migrate").stdout == "sqlite:///coatcheck.db: nothing to do\n"
    assert (empty.folder / "coatcheck.db").read_bytes() == before


def test_it_answers_in_json(empty: Cli) -> None:
    """Each database is named with what it was before."""
    url = f"sqlite:///{empty.folder}/other.db"
    assert empty.json("migrate", "--database", url) == {"databases": [{"database": url, "before": "missing"}]}


def test_sessions_elsewhere_are_migrated_too(empty: Cli) -> None:
    """Both files have the schema afterwards."""
    empty.json("migrate", "--database", "sqlite:///a.db", "--sessions", "sqlite:///b.db")
    for name in ("a.db", "b.db"):
        connection = sqlite3.connect(empty.folder / name)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


def test_memory_has_no_schema_to_keep(empty: Cli) -> None:
    """A database in memory is refused: it would be gone at once."""
    assert_refused(empty("migrate", "--database", "memory://"), 2, "sqlite:///")


def test_a_database_on_a_server_is_migrated(empty: Cli) -> None:
    """PostgreSQL by its URL; the password is not shown."""
    server = shared_postgresql()
    url = server.url(server.create_database()).replace("postgres@", "postgres:hunter2@")
    shown = url.replace("postgres:hunter2@", "")
    assert empty("migrate", "--database", url).stdout == f"{shown}: schema made\n"
    assert empty("migrate", "--database", url).stdout == f"{shown}: nothing to do\n"
    assert_refused(empty("migrate", "--database", f"{url}-not"), 2, "no database of this name")


def test_sessions_without_a_schema_are_left_alone(empty: Cli) -> None:
    """Redis needs no migration, and is not even asked."""
    done = empty("migrate", "--database", "sqlite:///a.db", "--sessions", "redis://127.0.0.1:1/0")
    assert done.stdout == "sqlite:///a.db: schema made\n"

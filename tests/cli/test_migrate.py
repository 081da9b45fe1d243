"""``coatcheck migrate``."""

from __future__ import annotations

import sqlite3

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

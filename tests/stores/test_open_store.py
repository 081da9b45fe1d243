"""Which URL opens what, and how a wrong one is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from coatcheck.errors import ConfigurationError
from coatcheck.stores import embedded_path, open_store
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.sql import SqlStore
from coatcheck.testing.clock import TravelClock
from coatcheck.testing.store_contract.support import logged_in


def test_a_url_names_the_engine_and_the_file() -> None:
    """memory, SQLite in memory, and SQLite files, relative and absolute."""
    assert isinstance(open_store("memory://"), MemoryStore)
    for url in ("sqlite://", "sqlite:///x.db", "sqlite:////y/x.db"):
        assert isinstance(open_store(url), SqlStore)
    assert embedded_path("sqlite:///x.db") == Path("x.db")
    assert embedded_path("sqlite:////y/x.db") == Path("/y/x.db")
    for url in ("memory://", "sqlite://", "sqlite:///:memory:", "postgresql://h/d"):
        assert embedded_path(url) is None


@pytest.mark.parametrize("url", ["memory://", "sqlite://"])
async def test_a_store_in_memory_is_ready_when_it_is_open(url: str) -> None:
    """There is nothing to migrate, and the clock is the one handed in."""
    clock = TravelClock(7000.0)
    store = open_store(url, wall=clock.now)
    await store.open()
    clock.advance(1.5)
    assert await store.time() == 7001.5
    assert await logged_in(store)
    await store.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "coatcheck.db",
        "/srv/coatcheck.db",
        "sqlite:coatcheck.db",
        "sqlite://coatcheck.db",
        "sqlite://user:hunter2@host/x.db",
        "sqlite:///x.db?mode=ro&password=hunter2",
        "sqlite+pysqlite:///x.db",
        "sqlite:///x\0.db",
        "memory://hunter2",
        "postgresql+nosuch://user:hunter2@host/db",
        "mysql://user:hunter2@host/db",
        "user:hunter2@host://",
        "://hunter2",
    ],
)
def test_a_wrong_url_is_refused_in_one_line_without_its_password(url: str) -> None:
    """At once, before anything is opened."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(url)
    text = str(caught.value)
    assert "sqlite:///" in text or "memory://" in text
    assert "\n" not in text
    assert "hunter2" not in text


def test_an_unknown_scheme_is_told_the_known_ones() -> None:
    """By name."""
    with pytest.raises(ConfigurationError, match=r"no store for mysql.*memory://.*sqlite:///"):
        open_store("mysql://host/db")


def test_who_only_verifies_loads_no_database_driver() -> None:
    """Importing the stores, and opening one in memory, leaves SQLAlchemy, aiosqlite and Alembic out."""
    code = (
        "import sys; from coatcheck.stores import open_store; open_store('memory://');"
        "print(sorted({'sqlalchemy', 'aiosqlite', 'alembic', 'sqlite3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_who_opens_a_current_database_loads_no_migrations(path: Path) -> None:
    """Alembic is only for migrating."""
    code = (
        "import asyncio, sys; from coatcheck.stores import open_store\n"
        "async def main():\n"
        "    store = open_store(sys.argv[1]); await store.open(migrate=True); await store.close()\n"
        "asyncio.run(main()); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, f"sqlite:///{path}"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

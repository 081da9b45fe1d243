"""Runs in other people's projects that have a real database, and whether that was left alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from coatcheck import Auth
from tests.support.kit import run_pytest
from tests.support.patience import PATIENCE
from tests.support.service import environment

NOTICE = "coatcheck: tests had throw-away databases in the place of app.db\n"


def passes(folder: Path, files: Mapping[str, str], *arguments: str, count: int) -> str:
    """What a run says in which so many tests pass."""
    done = run_pytest(folder, files, *arguments)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert f"{count} passed" in said
    return said


def databases_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if ".db" in path.name}


def make_real(folder: Path) -> dict[str, bytes]:
    """A database with an account in it, and its secret."""

    async def work() -> None:
        async with Auth(f"sqlite:///{folder / 'app.db'}") as auth:
            await auth.accounts.register("ann@example.com", "nine brown owls")

    asyncio.run(work())
    made = databases_in(folder)
    assert {"app.db", "app.db.secret"} <= set(made)
    return made


@contextmanager
def left_alone(folder: Path) -> Iterator[None]:
    """Nothing comes, goes or changes of the database and what is beside it, nor is anything written to it."""
    before = make_real(folder)
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    yield
    assert databases_in(folder) == before
    assert {name: (folder / name).stat().st_mtime_ns for name in times} == times


@contextmanager
def left_alone_but_for_the_start(folder: Path) -> Iterator[None]:
    """The application runs on the real database, as it was told to; who is in it and with which roles stays."""
    make_real(folder)
    yield

    async def work() -> None:
        async with Auth(f"sqlite:///{folder / 'app.db'}") as auth:
            account = await auth.accounts.find_by_email("ann@example.com")
            assert account is not None
            assert account.roles == frozenset()
            assert not (await auth.sessions.sessions_of(account.id, now=auth.clock.now())).sessions

    asyncio.run(work())


def run_python(folder: Path, program: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    (folder / "program.py").write_text(program)
    return subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env=environment({"PYTHONWARNINGS": "default", **(env or {})}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

"""What the pages on PostgreSQL and Redis tell an operator to do after a restore is done, to the letter, after one."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from coatcheck import Auth, Credentials, InvalidCredential, Mode, bearer
from coatcheck.cli import root
from tests.docs.pages import ROOT
from tests.faults.fleet.stores import SECRET
from tests.support.histories import ColdCopy, History, Snapshot
from tests.support.servers import postgresql, redis
from tests.support.service import coatcheck_command, environment

ANN = "ann@example.com"


@dataclass(frozen=True)
class Place:
    """A store with what the pages call it by."""

    database: str
    sessions: str | None
    shown: str
    """The URL as the page writes it."""
    history: History

    def auth(self) -> Auth:
        return Auth(self.database, sessions=self.sessions, secret=SECRET)


@contextmanager
def _postgresql(folder: Path) -> Iterator[Place]:
    with postgresql() as server:
        url = server.url(server.create_database())
        done = coatcheck_command("migrate", "--database", url, cwd=folder)
        assert done.returncode == 0, done.stderr
        shown = "postgresql://coatcheck:PASSWORD@db.internal/coatcheck"
        yield Place(url, None, shown, ColdCopy(server, server.directory / "data"))


@contextmanager
def _redis(folder: Path) -> Iterator[Place]:
    with redis() as server:
        shown = "redis://coatcheck:PASSWORD@redis.internal:6379/0"
        yield Place(f"sqlite:///{folder}/accounts.db", server.url(), shown, Snapshot(server))


PLACES = {"postgresql.md": _postgresql, "redis.md": _redis}


def commands_after_a_restore(page: str) -> list[str]:
    """The lines of the section's blocks."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    section = text.split("\n## After a restore\n")[1].split("\n## ")[0]
    return [line for block in re.findall(r"```text\n(.*?)```", section, re.S) for line in block.splitlines()]


@pytest.mark.parametrize("page", PLACES)
def test_the_remedy(page: str, tmp_path: Path) -> None:
    """After a restore through which no process has lived: an access token whose session the backup does not have is
    refused, and so is what was ended before, was back, and was ended once more by the page's command."""
    with PLACES[page](tmp_path) as place:
        back = asyncio.run(_login(place, ANN))
        place.history.save()
        forgotten = asyncio.run(_login(place, ANN if place.sessions else "bob@example.com"))
        asyncio.run(_end(place, back, forgotten))
        place.history.put_back()
        commands = commands_after_a_restore(page)
        assert [shlex.split(command)[1] for command in commands] == ["restored", "sessions"]
        for command in commands:
            assert place.shown in command
            words = shlex.split(command.replace(place.shown, place.sessions or place.database))
            env = {"COATCHECK_SECRET": SECRET, "COATCHECK_DATABASE": place.database}
            done = coatcheck_command(*words[1:], cwd=tmp_path, env=env)
            assert done.returncode == 0, done.stderr
        asyncio.run(_refused(place, back, forgotten))


async def _login(place: Place, email: str) -> Credentials:
    async with place.auth() as auth:
        account = await auth.accounts.find_by_email(email) or await auth.accounts.register(email, "nine brown owls")
        return await auth.login(account.id, mode=Mode.JWT)


async def _end(place: Place, *logins: Credentials) -> None:
    async with place.auth() as auth:
        for made in logins:
            assert await auth.revoke(made.session.id)


async def _refused(place: Place, *logins: Credentials) -> None:
    async with place.auth() as auth:
        for made in logins:
            with pytest.raises(InvalidCredential):
                await auth.verify(bearer(made.access_token or ""))


def test_the_command_line_has_what_the_pages_say() -> None:
    """Help and pages speak of the same command."""
    assert "restored" in root.list_commands(None)  # type: ignore[arg-type]
    done = subprocess.run(
        [sys.executable, "-m", "coatcheck", "restored", "--help"],
        env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "--clock" in done.stdout

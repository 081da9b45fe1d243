"""A deployment in a folder of its own, and our command run in it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from coatcheck import Auth
from tests.support.service import PASSWORD, coatcheck_command


class Cli:
    """Runs ``coatcheck`` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return coatcheck_command(*arguments, cwd=self.folder, env=env, stdin=stdin)

    def json(self, *arguments: str, stdin: str = "", code: int = 0) -> Any:
        """The JSON answer of a command that ends with this code."""
        dashes = arguments.index("--") if "--" in arguments else len(arguments)
        done = self(*arguments[:dashes], "--json", *arguments[dashes:], stdin=stdin)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def add(self, email: str = "ann@example.com", *roles: str) -> dict[str, Any]:
        """An account with the usual password."""
        options = [option for role in roles for option in ("--role", role)]
        added = self.json("user", "add", email, "--password-stdin", *options, stdin=f"{PASSWORD}\n")
        subject: dict[str, Any] = added["subject"]
        return subject

    def auth(self) -> Auth:
        """The deployment as an application has it, not yet started."""
        return Auth(f"sqlite:///{self.folder}/coatcheck.db")


@pytest.fixture
def empty(tmp_path: Path) -> Cli:
    """A folder with nothing in it."""
    return Cli(tmp_path)


@pytest.fixture
async def cli(tmp_path: Path) -> Cli:
    """A deployment that has been started once: it has a database, a secret and a signing key."""
    made = Cli(tmp_path)
    async with made.auth():
        pass
    return made


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One line on standard error that says what to do, nothing on standard output, and this exit code."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("coatcheck: ")
    for word in words:
        assert word in lines[0]

"""coatcheck doctor."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.cli.conftest import Cli
from tests.support.service import coatcheck_command


async def test_all_is_well(cli: Cli) -> None:
    """Each line says what was looked at; the exit code is 0, and nothing was changed."""
    folder = cli.folder
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    done = coatcheck_command("doctor", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(line.startswith("ok ") for line in done.stdout.splitlines())
    assert "1 signing key, and the secret opens all" in done.stdout
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before


async def test_as_json(cli: Cli) -> None:
    """For programs, the same."""
    found = json.loads(coatcheck_command("doctor", "--json", cwd=cli.folder).stdout)
    assert found["well"] is True
    assert {finding["well"] for finding in found["findings"]} == {True}


def test_no_database(tmp_path: Path) -> None:
    """A database that is not there is said, and not made."""
    done = coatcheck_command("doctor", cwd=tmp_path)
    assert done.returncode == 1
    assert "BAD" in done.stdout
    assert list(tmp_path.iterdir()) == []


async def test_another_secret(cli: Cli) -> None:
    """A secret that does not open the signing keys is found."""
    done = coatcheck_command("doctor", cwd=cli.folder, env={"COATCHECK_SECRET": "pLr0Q3u2m9yVx8sT1nZ4wK6eB5hG7jD0"})
    assert (done.returncode, "BAD" in done.stdout) == (1, True)
    assert "pLr0Q3" not in done.stdout + done.stderr


async def test_an_older_schema(cli: Cli) -> None:
    """A schema that this version does not work with is found, with what to do."""
    with closing(sqlite3.connect(cli.folder / "coatcheck.db")) as database:
        database.execute("UPDATE coatcheck_schema SET version_num = '0001'")
        database.commit()
    done = coatcheck_command("doctor", cwd=cli.folder)
    assert (done.returncode, "coatcheck migrate" in done.stdout) == (1, True)


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    """They are a usage error, as everywhere."""
    assert coatcheck_command("doctor", cwd=tmp_path, env={"COATCHECK_PORT": "many"}).returncode == 2
    assert not os.listdir(tmp_path)

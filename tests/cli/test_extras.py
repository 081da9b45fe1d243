"""A package that is missing is one line on standard error that says what to install, and nothing is made."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.patience import PATIENCE
from tests.support.service import environment

from .conftest import Cli, assert_refused

_BCRYPT = "$2b$04$" + "." * 22 + "." * 31
_SECRET = "kJ8sQ2mZ5vX1pR7tY4wN0bL3cF6hG9dA"


def _without(package: str, cli: Cli, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``coatcheck`` in a process in which this package cannot be imported."""
    secret = {} if (cli.folder / "coatcheck.db.secret").exists() else {"COATCHECK_SECRET": _SECRET}
    command = f"import sys; sys.modules[{package!r}] = None; from coatcheck.cli import main; main(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", command, *arguments],
        cwd=cli.folder, env=environment(secret), capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [("serve", "--port", "0"), ("user", "list"), ("keys", "list"), ("migrate",), ("sessions", "list", "ann")],
    ids=lambda command: command[0],
)
def test_without_asyncpg(empty: Cli, command: tuple[str, ...]) -> None:
    """Of every command that opens a database."""
    done = _without("asyncpg", empty, *command, "--database", "postgresql://db.invalid/app")
    assert_refused(done, 2, "a postgresql:// database needs asyncpg: pip install 'coatcheck[postgresql]'")
    assert list(empty.folder.iterdir()) == []


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("user", "list"), ("restored",)], ids=lambda c: c[0])
@pytest.mark.parametrize("option", ["--database", "--sessions"])
def test_without_redis(cli: Cli, option: str, command: tuple[str, ...]) -> None:
    """Wherever it is named."""
    done = _without("redis", cli, *command, option, "redis://cache.invalid/0")
    assert_refused(done, 2, "a redis:// store needs redis: pip install 'coatcheck[redis]'")


def test_doctor_without_redis(cli: Cli) -> None:
    """It is what is not well."""
    done = _without("redis", cli, "doctor", "--sessions", "redis://cache.invalid/0", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["findings"][-1]["cure"].endswith("pip install 'coatcheck[redis]'")


def test_an_import_without_bcrypt(cli: Cli) -> None:
    """It is said once, not of every line, and nobody is imported."""
    lines = "".join(f"user{number}@example.com,{_BCRYPT}\n" for number in range(50))
    (cli.folder / "users.csv").write_text(f"email,password_hash\n{lines}")
    done = _without("bcrypt", cli, "user", "import", "users.csv")
    assert_refused(done, 2, "a bcrypt password hash needs bcrypt: pip install 'coatcheck[bcrypt]'")
    assert cli.json("user", "list")["subjects"] == []


def test_a_start_without_bcrypt(cli: Cli) -> None:
    """Where accounts have such hashes: none of them could log in, so the service does not start as if all were well."""
    (cli.folder / "users.csv").write_text(f"email,password_hash\nann@example.com,{_BCRYPT}\n")
    assert cli("user", "import", "users.csv").returncode == 0
    done = _without("bcrypt", cli, "serve", "--port", "0")
    assert_refused(done, 2, "a bcrypt password hash needs bcrypt: pip install 'coatcheck[bcrypt]'")

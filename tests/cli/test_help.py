"""What the command says of itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from coatcheck import __version__
from tests.support.patience import PATIENCE
from tests.support.service import environment

from .conftest import Cli

COMMANDS = [
    ("serve",),
    ("migrate",),
    ("user", "add"),
    ("user", "invite"),
    ("user", "list"),
    ("user", "password"),
    ("user", "disable"),
    ("user", "enable"),
    ("user", "roles"),
    ("sessions", "list"),
    ("sessions", "revoke"),
    ("restored",),
    ("keys", "list"),
    ("keys", "rotate"),
    ("keys", "withdraw"),
    ("token", "inspect"),
    ("bench",),
]


def test_the_first_page_names_every_command_and_exit_code(empty: Cli) -> None:
    """Whoever asks for help sees all commands and what the exit codes mean."""
    done = empty("--help")
    assert done.returncode == 0
    for command in {names[0] for names in COMMANDS}:
        assert f"\n  {command} " in done.stdout
    assert "1 refused or not found" in " ".join(done.stdout.split())


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(empty: Cli, names: tuple[str, ...]) -> None:
    """Each help text fits a terminal, and has no option for a secret: command lines can be read by others."""
    done = empty(*names, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: coatcheck {' '.join(names)} ")
    assert "--database URL" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "--password " not in done.stdout
    assert "--secret" not in done.stdout
    assert list(empty.folder.iterdir()) == []


def test_the_version_is_that_of_the_package(empty: Cli) -> None:
    """``--version`` says which one is installed."""
    assert empty("--version").stdout == f"coatcheck {__version__}\n"


def test_a_wrong_option_is_a_usage_error(empty: Cli) -> None:
    """Exit code 2 without a traceback."""
    done = empty("serve", "--prot", "1")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_help_loads_no_database_driver_and_no_server(empty: Cli) -> None:
    """Asking for help is quick, because what is heavy is imported when it is used."""
    program = (
        "import sys, coatcheck.cli\n"
        "try: coatcheck.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'alembic', 'uvicorn', 'fastapi', 'starlette', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], env=environment(), cwd=empty.folder, check=True, timeout=PATIENCE)

"""The ``coatcheck`` command. One file per command group.

Exit codes: 0 done; 1 refused or not found; 2 usage or configuration; 3 a store did not answer. What went wrong is one
line on standard error.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Final, NoReturn

import click

from .. import __version__
from ..errors import CoatcheckError, ConfigurationError, StoreUnavailable

REFUSED: Final = 1
USAGE: Final = 2
UNAVAILABLE: Final = 3

_COMMANDS: Final = {
    "serve": "Run the service.",
    "migrate": "Make the database's schema, or bring it up to date.",
    "doctor": "Look whether all is well, and say what to do.",
    "user": "Add, list, disable and enable accounts, and set their passwords and roles.",
    "sessions": "List sessions and end them.",
    "restored": "Say that a backup of the sessions was put back.",
    "keys": "List, rotate and withdraw signing keys.",
    "token": "Look into a token and say whether it would be accepted.",
    "bench": "Measure it on this machine, with your store.",
}


def _of_features() -> dict[str, click.Command]:
    """Of other packages' features; one cannot take a name that is taken."""
    from ..features.registry import GROUP, known

    if not entry_points(group=GROUP):
        return {}
    found: dict[str, click.Command] = {}
    for kind in known().values():
        for command in kind.commands():
            name = command.name or ""
            if name in _COMMANDS or name in found:
                raise ConfigurationError(f"the feature {kind.name} has a command {name}, which there is already")
            found[name] = command
    return found


class _Commands(click.Group):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS, *_of_features()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return _of_features().get(cmd_name)
        command = importlib.import_module(f".{cmd_name}", __name__).command
        assert isinstance(command, click.Command)  # noqa: S101 - tells the type checker
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))
        if others := _of_features():
            with formatter.section("Commands of features"):
                formatter.write_dl([(name, command.get_short_help_str(80)) for name, command in others.items()])


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings also come from COATCHECK_* variables and a TOML file (--config). "
    "Exit codes: 0 done, 1 refused or not found, 2 usage or configuration, 3 store unavailable.",
)
@click.version_option(__version__, prog_name="coatcheck", message="%(prog)s %(version)s")
def root() -> None:
    """Sessions and JWTs with the same guarantees.

    \b
    coatcheck serve                       run the service on this machine
    coatcheck user add ann@example.com    add an account, ask for its password
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point. Ends the process with one of the exit codes above."""
    logging.getLogger("coatcheck").addHandler(logging.NullHandler())
    try:
        root.main(args=arguments, prog_name="coatcheck")
    except ConfigurationError as error:
        _fail(error, USAGE)
    except StoreUnavailable as error:
        _fail(error, UNAVAILABLE)
    except CoatcheckError as error:
        _fail(error, REFUSED)
    except OSError as error:  # a file or folder that the system does not let us have
        _fail(f"{error.filename or 'the system'}: {error.strerror}", USAGE)
    raise AssertionError("click ends the process")  # pragma: no cover


def _fail(error: CoatcheckError | str, code: int) -> NoReturn:
    click.echo(f"coatcheck: {' '.join(str(error).split())}", err=True)
    sys.exit(code)

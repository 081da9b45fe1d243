"""The project's own stores for the ``coatcheck`` command line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final

import click
from django.core.management.base import CommandError

from ...errors import CoatcheckError, ConfigurationError, StoreUnavailable
from .. import conf
from ..users import DjangoUsers

_REFUSED: Final = 1
_USAGE: Final = 2
_UNAVAILABLE: Final = 3
"""The exit codes of ``coatcheck``."""


def hand_over(*arguments: str) -> None:
    """Run a command of ``coatcheck`` on the project's stores. Raises `CommandError` with the exit code that it has."""
    # The command line stands above the adapters, and Django looks for commands below them: loaded when one is run.
    root: click.Command = import_module("coatcheck.cli").root
    try:
        with _environment(_stores()):
            root.main(args=list(arguments), prog_name="coatcheck", standalone_mode=False)
    except click.ClickException as error:
        raise CommandError(error.format_message(), returncode=_USAGE) from error
    except ConfigurationError as error:
        raise CommandError(str(error), returncode=_USAGE) from error
    except StoreUnavailable as error:
        raise CommandError(str(error), returncode=_UNAVAILABLE) from error
    except CoatcheckError as error:
        raise CommandError(str(error), returncode=_REFUSED) from error


def subject_of(name: str) -> str:
    """What the command line knows a user by: the subject of the Django user with this login name, and any other name
    (an e-mail address of our own accounts, a subject's id) as it is."""
    users = conf.made().users
    if isinstance(users, DjangoUsers):
        user = users.named(name)
        return name if user is None else users.subject_of(user)
    return name


def _stores() -> dict[str, str]:
    """In the environment and not on the command line: the URLs may hold passwords."""
    given = conf.given()
    if "auth" in given:
        raise ConfigurationError("COATCHECK['auth'] hides its stores: use the coatcheck command itself")
    url, sessions = given.get("url") or conf.default_url(), given.get("sessions")
    if not isinstance(url, str) or not (sessions is None or isinstance(sessions, str)):
        raise ConfigurationError("COATCHECK has a store of its own: only one that is named by a URL can be opened here")
    return {"COATCHECK_DATABASE": url} | ({"COATCHECK_SESSIONS": sessions} if sessions else {})


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: value for name, value in os.environ.items() if name.startswith("COATCHECK_")}
    for name in before:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update(before)

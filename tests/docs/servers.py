"""Commands in the documentation that run until they are stopped, and how each is given a free port of 127.0.0.1."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Program:
    """A server's command line."""

    starts: re.Pattern[str]
    """The part of a command by which it is known."""
    port: re.Pattern[str]
    """Where its arguments name a port."""
    usual: str
    """The port that it has when they name none."""
    free: str
    """What is added instead, so that the system chooses one. Empty: the program's own text is changed (`Own`)."""
    says: re.Pattern[str]
    """What it prints, with the port that it got."""


_VARIABLES = r"(?:[A-Z_]+=\S+ )*"
_PORT_OPTION = re.compile(r" (?:--port|-p)[ =](\d+)")


def _known(command: str) -> re.Pattern[str]:
    return re.compile(rf"{_VARIABLES}(?:python -m )?{command}(?=\s|$)", re.S)


def _address_after(words: str) -> re.Pattern[str]:
    return re.compile(rf"{words} http://127\.0\.0\.1:([1-9]\d*)")


_UVICORN = _address_after("Uvicorn running on")
_OWN_PORT = re.compile(r" +# serves on port (\d+)$")

PROGRAMS = (
    Program(_known("coatcheck serve"), _PORT_OPTION, "8000", " --port 0", _address_after("Coatcheck is at")),
    Program(_known("uvicorn"), _PORT_OPTION, "8000", " --port 0", _UVICORN),
    Program(_known(r"litestar(?: --app\S* \S+)? run"), _PORT_OPTION, "8000", " --port 0", _UVICORN),
    Program(_known(r"flask\b.*? run"), _PORT_OPTION, "5000", " --port 0", _address_after("Running on")),
    Program(
        _known("gunicorn"),
        re.compile(r" (?:-b|--bind)[ =](?:127\.0\.0\.1|localhost)?:(\d+)"),
        "8000",
        " --bind 127.0.0.1:0 --no-control-socket",
        _address_after("Listening at:"),
    ),
    Program(
        _known(r"(?:python manage\.py|django-admin) runserver"),
        re.compile(r" (?:(?:127\.0\.0\.1|localhost):)?(\d+)(?=\s|$)"),
        "8000",
        " --noreload 127.0.0.1:0",
        _address_after("Starting development server at"),
    ),
)


@dataclass(frozen=True)
class Start:
    """What has to be run."""

    command: str
    shown: str
    """The port that the page names, or that a reader's server would have."""
    says: re.Pattern[str] | None
    """None: it has the port ``chosen``, and nothing that it prints counts."""
    chosen: str = ""


def start_of(command: str, folder: Path) -> Start | None:
    """How to run a command as a server; None for one that ends by itself.

    ``python FILE  # serves on port N`` has no option for its port: wherever FILE says N, it says a free port instead.
    """
    command = re.sub(r"\bmake serve\b", "coatcheck serve", command)
    own = _OWN_PORT.search(command)
    if own is not None:
        command = command[: own.start()]
        return Start(command, own[1], None, _move(folder / command.split()[-1], own[1]))
    for program in PROGRAMS:
        if program.starts.match(command):
            named = program.port.search(command)
            command = program.port.sub("", command) if named else command
            return Start(command + program.free, named[1] if named else program.usual, program.says)
    return None


def _move(file: Path, port: str) -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        chosen = str(free.getsockname()[1])
    text, times = re.subn(rf"\b{port}\b", chosen, file.read_text("utf-8"))
    assert times, f"{file.name} serves on port {port}, so the page says, but the program does not name it"
    file.write_text(text, "utf-8")
    return chosen

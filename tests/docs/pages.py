"""Runs a page of the documentation as its reader would: files are written, commands run, Python executed, in order.

What a fenced block means:

- ``console``: after ``$ `` a command (a backslash at the end continues it), below it what it prints. ``…`` stands for
  anything, a line of its own for any lines. No output means that none is compared. A command that is meant to fail
  says ``# exit code N`` at its end.
- ``sh``: commands only.
- A file's name after the language (``python main.py``, ``toml coatcheck.toml``): the file is written.
- ``python`` without a name: executed, with ``await`` allowed; the blocks of a page share their names. In a comment
  (``<!-- python``) stands what the reader need not see.
- ``text``, ``json``, ``http``, ``nginx``: only to be read.

``coatcheck serve``, ``make serve``, ``uvicorn``, ``gunicorn``, ``flask run``, ``litestar run``, ``python manage.py
runserver`` and ``django-admin runserver`` run until the page ends or starts another one with the same port, on a free
port of 127.0.0.1. Everywhere on the page 127.0.0.1 with the port that the command names, or the one that the program
usually has (5000 for Flask, 8000 for the others), stands for it. A program of one's own that serves says so at the end
of its command, ``$ python main.py  # serves on port 8080``; it must name that port and 127.0.0.1 in its text.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from coatcheck import Auth
from tests.docs.servers import Start, start_of
from tests.support import kit
from tests.support.service import PATIENCE, environment, eventually

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/README.md"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^(?:```(?P<info>[^\n`]*)|<!-- (?P<hidden>python))\n(?P<text>.*?)^(?:```|-->)$", re.M | re.S)
_ONLY_READ = {"text", "json", "http", "nginx"}
_NOT_HERE = ("make test", "pip install")
"""Commands that the tests cannot run in the middle of the tests."""
_VARIABLES = re.compile(r"((?:[A-Z_]+=\S+ )*)(.*)", re.S)
_EXIT_CODE = re.compile(r"# exit code (\d+)$")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    name: str
    text: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    source = page.read_text("utf-8")
    assert source.count("```") % 2 == 0, f"{page}: a fence is not closed"
    found = []
    for match in _BLOCK.finditer(source):
        language, _, name = (match["hidden"] or match["info"]).partition(" ")
        found.append(Block(language, name, match["text"], source.count("\n", 0, match.start()) + 2))
    return found


def commands_of(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Commands with what they should print."""
    command, output = "", list[str]()
    lines = block.text.splitlines()
    while lines:
        line = lines.pop(0)
        is_command = block.language == "sh" or line.startswith("$ ")
        if not is_command:
            output.append(line)
            continue
        if command:
            yield command, output
        command, output = line.removeprefix("$ "), []
        while command.endswith("\\"):
            command += "\n" + lines.pop(0)
    if command:
        yield command, output


class PageRun:
    """What one page is executed in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._env = environment({"PATH": path, "HOME": str(folder), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"})
        self._env["PYTEST_ADDOPTS"] = " ".join(kit.OPTIONS)
        self._env.pop("PYTHONWARNINGS")  # a reader has the usual filters, and others' packages warn
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._addresses: dict[str, str] = {}
        self._names: dict[str, Any] = {"__name__": "page"}
        self._runner = asyncio.Runner()
        self._set_curl()
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for port in tuple(self._servers):
            self._stop_server(port)
        self._shell.communicate(timeout=PATIENCE)
        with self._runner:
            for value in self._names.values():
                if isinstance(value, Auth):
                    self._runner.run(value.close())

    def run(self, page: Path) -> None:
        """Everything on the page. Raises where it does not do what it says."""
        for block in blocks_of(page):
            where = f"{page.relative_to(ROOT) if page.is_relative_to(ROOT) else page.name}:{block.line}"
            if block.language in ("console", "sh"):
                for command, expected in commands_of(block):
                    self._command(command, expected, where)
            elif block.name:
                file = self._folder / block.name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(self.here(block.text))
            elif block.language == "python":
                self._python(block, where)
            else:
                assert block.language in _ONLY_READ, f"{where}: nobody knows how to run {block.language!r}"

    def here(self, text: str) -> str:
        """What a reader's text is in this run: with the ports that the servers got."""
        for shown, address in self._addresses.items():
            text = text.replace(shown, address)
        return text

    def _shown(self, text: str) -> str:
        for shown, address in self._addresses.items():
            text = text.replace(address, shown)
        return text

    def _set_curl(self) -> None:
        """A terminal's reader is not shown a progress meter either, and does not wait for ever. What curl sends is the
        reader's to the letter, for cookies are called by the port; only the connection goes elsewhere."""
        lines = ["silent", f"max-time = {PATIENCE}"]
        lines += [f'connect-to = "{shown}:{address}"' for shown, address in self._addresses.items()]
        (self._folder / ".curlrc").write_text("\n".join(lines) + "\n")

    def _python(self, block: Block, where: str) -> None:
        source = "\n" * (block.line - 1) + self.here(block.text)
        code = compile(source, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            self._runner.run(eval(code, self._names))
        else:
            exec(code, self._names)

    def _command(self, command: str, expected: list[str], where: str) -> None:
        if command.startswith(_NOT_HERE):
            return
        start = None if _EXIT_CODE.search(command) else start_of(command, self._folder)
        said = self._in_shell(command, where) if start is None else self._serve(start)
        if expected:
            assert _pattern(expected).fullmatch(f"{said}\n"), f"{where}: $ {command}\n{said}"

    def _in_shell(self, command: str, where: str) -> str:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        typed = command if "curl " in command else self.here(command)
        self._shell.stdin.write(f"{{ {typed}\n}} </dev/null; printf '\\n@@@%s\\n' $?\n")
        self._shell.stdin.flush()
        said = ""
        for line in self._shell.stdout:
            if line.startswith("@@@"):
                code = _EXIT_CODE.search(command)
                assert int(line[3:]) == int(code[1] if code else 0), f"{where}: $ {command}\n{said}"
                break
            said += line
        return self._shown(said).strip("\n")

    @property
    def url(self) -> str:
        """Where the server is that runs."""
        return self.here("http://127.0.0.1:8000")

    def serve(self, command: str) -> None:
        """Start a server in the place of the one that runs, and wait until it answers."""
        start = start_of(command, self._folder)
        assert start is not None, command
        self._serve(start)

    def _serve(self, start: Start) -> str:
        self._stop_server(start.shown)
        path = self._folder / f".server-{start.shown}.log"
        with path.open("wb") as log:
            server = self._servers[start.shown] = subprocess.Popen(
                ["bash", "-c", _exec(self.here(start.command))],
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

        def port() -> str:
            said = path.read_text()
            assert server.poll() is None, said
            if start.says is None:
                return start.chosen
            found = start.says.search(said)
            return found[1] if found else ""

        def answers() -> bool:
            assert server.poll() is None, path.read_text()
            try:
                return httpx.get(f"http://{address}", timeout=PATIENCE).status_code > 0
            except httpx.TransportError:
                return False

        address = f"127.0.0.1:{eventually(port, what='the server says where it is')}"
        self._addresses[f"127.0.0.1:{start.shown}"] = address
        self._set_curl()
        eventually(answers, what="the server answers")
        said = self._shown(path.read_text())
        return "\n".join(line for line in said.splitlines() if not re.match(r"\d{4}-\d\d-\d\dT", line))

    def _stop_server(self, shown: str) -> None:
        server = self._servers.pop(shown, None)
        if server is not None:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(PATIENCE / 2)
            finally:
                server.kill()


def _exec(command: str) -> str:
    """The command in the place of its shell, so that ending the one ends the other."""
    variables, program = _VARIABLES.fullmatch(command).groups()  # type: ignore[union-attr]  # it matches every text
    return f"{variables}exec {program}"


def _pattern(expected: list[str]) -> re.Pattern[str]:
    any_lines, anything = r"(?:.*\n)*", re.escape("…")
    return re.compile(
        "".join(any_lines if line == "…" else re.escape(line).replace(anything, ".*") + r"\n" for line in expected)
    )

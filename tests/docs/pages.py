"""Runs a page of the documentation as its reader would: files are written, commands run, Python executed, in order.

What a fenced block means:

- ``console``: after ``$ `` a command (a backslash at the end continues it), below it what it prints. ``…`` stands for
  anything, a line of its own for any lines. No output means that none is compared. A command that is meant to fail
  says ``# exit code N`` at its end.
- ``sh``: commands only.
- A file's name after the language (``python main.py``, ``toml coatcheck.toml``): the file is written.
- ``python`` without a name: executed, with ``await`` allowed; the blocks of a page share their names. In a comment
  (``<!-- python``) stands what the reader need not see.
- ``text``, ``json``, ``http``: only to be read.

``coatcheck serve``, ``make serve`` and ``uvicorn`` run until the page ends or starts another one with the same port, on
a free port; 127.0.0.1:8000, or the port that the command names, stands for it everywhere.
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
from tests.support.service import PATIENCE, environment, eventually

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/README.md"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^(?:```(?P<info>[^\n`]*)|<!-- (?P<hidden>python))\n(?P<text>.*?)^(?:```|-->)$", re.M | re.S)
_ONLY_READ = {"text", "json", "http"}
_NOT_HERE = ("make test", "pip install")
"""Commands that the tests cannot run in the middle of the tests."""
_SERVER = re.compile(r"((?:[A-Z_]+=\S+ )*)(coatcheck serve|make serve|uvicorn)\b(.*)", re.S)
_ADDRESS = re.compile(r"(?:Coatcheck is at|Uvicorn running on) http://127\.0\.0\.1:(\d+)")
_EXIT_CODE = re.compile(r"# exit code (\d+)$")
_PORT = re.compile(r" --port (\d+)")


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
        self._env = environment({"PATH": path, "HOME": str(folder), "NO_COLOR": "1"})
        self._env.pop("PYTHONWARNINGS")  # a reader has the usual filters, and others' packages warn
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._addresses: dict[str, str] = {}
        self._names: dict[str, Any] = {"__name__": "page"}
        self._runner = asyncio.Runner()
        (folder / ".curlrc").write_text("silent\n")  # a terminal's reader is not shown a progress meter either
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
            where = f"{page.relative_to(ROOT)}:{block.line}"
            if block.language in ("console", "sh"):
                for command, expected in commands_of(block):
                    self._command(command, expected, where)
            elif block.name:
                (self._folder / block.name).write_text(self._here(block.text))
            elif block.language == "python":
                self._python(block, where)
            else:
                assert block.language in _ONLY_READ, f"{where}: nobody knows how to run {block.language!r}"

    def _here(self, text: str) -> str:
        for shown, address in self._addresses.items():
            text = text.replace(shown, address)
        return text

    def _shown(self, text: str) -> str:
        for shown, address in self._addresses.items():
            text = text.replace(address, shown)
        return text

    def _python(self, block: Block, where: str) -> None:
        source = "\n" * (block.line - 1) + self._here(block.text)
        code = compile(source, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            self._runner.run(eval(code, self._names))
        else:
            exec(code, self._names)

    def _command(self, command: str, expected: list[str], where: str) -> None:
        if command.startswith(_NOT_HERE):
            return
        server = _SERVER.match(command)
        if server and not _EXIT_CODE.search(command):
            said = self.serve(server[2].replace("make", "coatcheck"), server[3], variables=server[1])
        else:
            said = self._in_shell(command, where)
        if expected:
            assert _pattern(expected).fullmatch(f"{said}\n"), f"{where}: $ {command}\n{said}"

    def _in_shell(self, command: str, where: str) -> str:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{{ {self._here(command)}\n}} </dev/null; printf '\\n@@@%s\\n' $?\n")
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
        return self._here("http://127.0.0.1:8000")

    def serve(self, program: str, arguments: str, *, variables: str = "") -> str:
        """Start a server in the place of the one that runs. Returns what it says, when it answers."""
        named = _PORT.search(arguments)
        shown = named[1] if named else "8000"
        self._stop_server(shown)
        path = self._folder / f".server-{shown}.log"
        with path.open("wb") as log:
            server = self._servers[shown] = subprocess.Popen(
                ["bash", "-c", f"{self._here(variables)}exec {program} {_PORT.sub('', arguments)} --port 0"],
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

        def port() -> str:
            said = path.read_text()
            assert server.poll() is None, said
            found = _ADDRESS.search(said)
            return found[1] if found else ""

        def answers() -> bool:
            assert server.poll() is None, path.read_text()
            return httpx.get(f"http://{address}", timeout=PATIENCE).status_code > 0

        address = f"127.0.0.1:{eventually(port, what='the server says where it is')}"
        self._addresses[f"127.0.0.1:{shown}"] = address
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


def _pattern(expected: list[str]) -> re.Pattern[str]:
    any_lines, anything = r"(?:.*\n)*", re.escape("…")
    return re.compile(
        "".join(any_lines if line == "…" else re.escape(line).replace(anything, ".*") + r"\n" for line in expected)
    )

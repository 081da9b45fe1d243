"""Migrated files to copy, and other processes that work on them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

WORKER = Path(__file__).with_name("worker.py")


class Worker:
    """Another process with a store of its own on the file. One line of JSON to it, one line back."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, str(WORKER), str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, **order: Any) -> Self:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self

    def receive(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def workers(path: Path, count: int) -> Iterator[list[Worker]]:
    """So many processes, started and ready."""
    started = [Worker(path) for _ in range(count)]
    try:
        assert [worker.receive() for worker in started] == ["ready"] * count
        yield started
    finally:
        for worker in started:
            worker.end()

"""The supervisor, with workers that do not do as they are told."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.support.service import PATIENCE, environment, eventually

_PROGRAM = """
import os, pathlib, signal, sys, time
from coatcheck.service.supervisor import Supervisor, end_with_parent

STARTS = pathlib.Path("starts")

def note():
    with STARTS.open("a") as file:
        file.write(f"{os.getpid()}\\n")

def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note()
    while True:
        time.sleep(60)

def unlucky():
    note()
    if len(STARTS.read_text().split()) < 4:
        sys.exit(1)
    end_with_parent()
    time.sleep(600)

if __name__ == "__main__":
    Supervisor({"stubborn": stubborn, "unlucky": unlucky}[sys.argv[1]], int(sys.argv[2]), last_resort=0.2).run()
"""


def _start(folder: Path, target: str, count: int) -> subprocess.Popen[str]:
    (folder / "program.py").write_text(_PROGRAM)
    command = [sys.executable, "program.py", target, str(count)]
    return subprocess.Popen(command, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True)


def _starts(folder: Path) -> list[int]:
    path = folder / "starts"
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def test_a_worker_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """So the whole always ends, and in good order."""
    with _start(tmp_path, "stubborn", 2) as process:
        pids = eventually(lambda: found if len(found := _starts(tmp_path)) == 2 else [], what="both have started")
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert log.count("did not end and is killed") == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_worker_that_cannot_start_is_tried_again(tmp_path: Path) -> None:
    """What it lacked may have come back; nobody has to restart the service by hand."""
    with _start(tmp_path, "unlucky", 1) as process:
        *failed, last = eventually(lambda: found if len(found := _starts(tmp_path)) >= 4 else [], what="a fourth start")
        assert len(failed) == 3
        assert Path(f"/proc/{last}").exists()
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert log.count("ended with 1 and is replaced") == 3

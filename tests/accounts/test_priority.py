"""The threads in which passwords are hashed let requests go first, and yet get there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from coatcheck.accounts import PasswordHasher
from coatcheck.accounts.priority import NICER
from tests.accounts.support import CHEAP
from tests.support.patience import PATIENCE

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness is the whole process's")


def niceness() -> int:
    """Of the calling thread: field 19 of proc_pid_stat(5)."""
    text = Path(f"/proc/self/task/{threading.get_native_id()}/stat").read_text()
    return int(text.rpartition(")")[2].split()[16])


@linux
async def test_hashing_threads_are_nicer() -> None:
    """Each hashing thread is nicer than the event loop's, which is as it was."""
    before = niceness()
    hasher = PasswordHasher(CHEAP, concurrency=2)
    found = await asyncio.gather(*(hasher._run(niceness) for _ in range(8)))
    assert found == [min(19, before + NICER)] * 8
    assert found[0] > before or before == 19
    assert niceness() == before
    await hasher.close()


@pytest.mark.parametrize("platform", ["linux", "darwin"])
async def test_passwords_are_hashed_all_the_same(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """Where a sandbox forbids it, or niceness is the whole process's, nothing changes."""
    calls: list[object] = []

    def forbidden(*given: object) -> None:
        calls.append(given)
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", forbidden, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    hasher = PasswordHasher(CHEAP, concurrency=1)
    assert await hasher.verify(await hasher.hash("aquickriver"), "aquickriver")
    assert len(calls) == (platform == "linux")
    await hasher.close()


_STARVED = """
import asyncio, os, subprocess, sys, time
from coatcheck.accounts import PasswordHasher

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
alive = "import os\\nwhile os.getppid() == %d: pass" % os.getpid()
neighbour = subprocess.Popen([sys.executable, "-c", alive])

def others():
    with open(f"/proc/{neighbour.pid}/schedstat") as file:
        return int(file.read().split()[0])

async def main():
    hasher = PasswordHasher(concurrency=1)
    await hasher._run(lambda: None)
    began, theirs = time.process_time_ns(), others()
    for _ in range(3):
        await hasher.hash("aquickriver")
    print(time.process_time_ns() - began, others() - theirs)
    neighbour.kill()
    neighbour.wait()
    await hasher.close()

asyncio.run(main())
"""


@linux
def test_hashing_does_not_starve() -> None:
    """Beside a neighbour that would fill the only core, hashing gets a twentieth of it at least."""
    done = subprocess.run(
        [sys.executable, "-c", _STARVED], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = map(int, done.stdout.split())
    assert theirs < 20 * ours

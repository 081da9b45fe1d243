"""Processor instructions per request, with Coatcheck and without it: the same on a busy machine as on an idle one.

    python -m bench.speed.instructions [--requests 1500]

Counts with Valgrind's callgrind, which makes a server some 50 times as slow: both applications are in one process, and
one client sends each the same requests in turns bare, guarded, guarded, bare, after a warm-up. No part of `make bench`,
and needs valgrind. The lowest count of each is told, for the follower and other upkeep run beside the requests.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.servers import free_port, redis

from .contenders import Contender, listed
from .load import Failed

_USERS = 200
_PATIENCE = 180.0


@contextmanager
def counted(contender: Contender, redis_url: str, folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run a contender under callgrind. Gives its process and what it says when it is ready."""
    ready = folder / "ready.json"
    environment = os.environ | {
        "PORT": str(free_port()), "BARE_PORT": str(free_port()), "USERS": str(_USERS), "REDIS_URL": redis_url,
        "SCRATCH": str(folder), "READY": str(ready), "PYTHONHASHSEED": "0",
    }  # fmt: skip
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/counts", *contender.command]
    with subprocess.Popen(command, cwd=contender.folder, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            give_up = time.monotonic() + _PATIENCE
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > give_up:
                    raise Failed(f"{contender.id} did not start under valgrind")
                time.sleep(0.2)
            yield process.pid, json.loads(ready.read_text("utf-8"))
        finally:
            process.terminate()


def send(url: str, headers: Sequence[str], requests: int) -> None:
    """Over one connection, one after the other, each with another user's header."""
    place = urlsplit(url).netloc
    host, _, port = place.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        for number in range(requests):
            header = headers[number % len(headers)]
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {place}\r\n{header}\r\n\r\n".encode())
            answer = b""
            while not answer.endswith(b"]}"):
                part = connection.recv(65536)
                if not part:
                    raise Failed("the server ended the connection")
                answer += part
            if b" 200 " not in answer[:20]:
                raise Failed(f"a request was answered with {answer[:20]!r}")


def count(pid: int, folder: Path, url: str, headers: Sequence[str], requests: int) -> float:
    """Instructions per request."""
    subprocess.run(["callgrind_control", "-z", str(pid)], check=True, capture_output=True)
    send(url, headers, requests)
    before = set(folder.glob("counts*"))
    subprocess.run(["callgrind_control", "-d", str(pid)], check=True, capture_output=True)
    time.sleep(2)  # it writes on after the command has returned
    dumped = sorted(set(folder.glob("counts*")) - before)
    found = re.findall(r"^(?:summary|totals): (\d+)", dumped[-1].read_text("utf-8"), re.MULTILINE)
    return int(found[-1]) / requests


def measure(contender: Contender, requests: int) -> tuple[float, float]:
    """Of the bare application and of the guarded one."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        redis() as server,
        counted(contender, server.url(database=1), Path(scratch)) as (pid, said),
    ):
        urls = {"bare": said["bare_url"], "guarded": said["url"]}
        for url in urls.values():
            send(url, said["headers"], 2 * _USERS)
        found: dict[str, list[float]] = {name: [] for name in urls}
        for name in ("bare", "guarded", "guarded", "bare"):
            found[name].append(count(pid, Path(scratch), urls[name], said["headers"], requests))
    return min(found["bare"]), min(found["guarded"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=1500)
    parser.add_argument("--only", default="asgi,starlette,fastapi,litestar")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is needed: apt-get install valgrind")
    wanted = [f"coatcheck-{name}-{mode}" for name in options.only.split(",") for mode in ("session", "jwt")]
    print(f"{'instructions per request':<40}{'bare':>10}{'Coatcheck':>12}{'added':>9}{'share':>9}")
    for contender in listed(python=sys.executable):
        if contender.id in wanted:
            bare, guarded = measure(contender, options.requests)
            print(
                f"{contender.label:<40}{bare:>10,.0f}{guarded:>12,.0f}{guarded - bare:>9,.0f}{bare / guarded:>9.1%}",
                flush=True,
            )


if __name__ == "__main__":
    main()

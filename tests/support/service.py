"""The real service as a process: started on a free port, looked into, killed and ended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from ssl import SSLContext
from typing import Any, TypeVar

import httpx

import coatcheck

from .patience import PATIENCE as PATIENCE

T = TypeVar("T")

PASSWORD = "correct horse battery staple"
_SOURCE = Path(coatcheck.__file__).parent.parent
_URL = re.compile(r"Coatcheck is at (https?://[^/\s]+)/")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a command of ours gets: none of the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}
    return kept | {"PYTHONPATH": str(_SOURCE), "PYTHONWARNINGS": "error", **(extra or {})}


def coatcheck_command(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run ``coatcheck`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "coatcheck", *arguments],
        cwd=cwd,
        env=environment(env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def eventually(probe: Callable[[], T], *, what: str, pause: float = 0.02) -> T:
    """The first true answer of ``probe``."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        if found := probe():
            return found
        time.sleep(pause)
    raise AssertionError(f"it never happened: {what}")


class Service:
    """A running ``coatcheck serve`` in ``folder``, whose database is ``coatcheck.db`` there."""

    def __init__(
        self, folder: Path, *, workers: int, arguments: Sequence[str], env: Mapping[str, str], verify: SSLContext | bool
    ) -> None:
        self.folder = folder
        self.verify = verify
        self._count = workers
        self._log = folder / "service.log"
        self._offset = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "coatcheck", "serve", "--port", "0", "--workers", str(workers), *arguments],
                cwd=folder,
                env=environment(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.base_url = ""

    @property
    def database(self) -> Path:
        return self.folder / "coatcheck.db"

    def output(self) -> str:
        """What it has said since it was started."""
        return self._log.read_bytes()[self._offset :].decode()

    def wait_until_ready(self) -> None:
        """Until every worker answers."""

        def url() -> str:
            self._check_running()
            found = _URL.search(self.output())
            return found[1] if found else ""

        self.base_url = eventually(url, what="the service says where it is")
        eventually(self._is_ready, what="the service is ready")
        if self._count > 1:
            for pid in eventually(self._all_workers, what="all workers are there"):
                with self.client_of(pid):
                    pass

    def workers(self) -> list[int]:
        """The process ids of the workers that are there."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in _command_line(int(pid))]

    @contextmanager
    def client_of(self, worker: int) -> Iterator[httpx.Client]:
        """A client whose one connection is to this worker. The others stand still while it connects."""
        others = [pid for pid in self.workers() if pid != worker]
        one = httpx.Limits(max_connections=1, keepalive_expiry=None)
        with httpx.Client(base_url=self.base_url, timeout=PATIENCE, limits=one, verify=self.verify) as client:
            for pid in others:
                os.kill(pid, signal.SIGSTOP)
            try:
                response = client.get("/auth/healthz")
            finally:
                for pid in others:
                    os.kill(pid, signal.SIGCONT)
            assert self.answered_by(response) == worker
            yield client

    def answered_by(self, response: httpx.Response) -> int:
        """The process that holds the other end of this response's connection."""
        stream = response.extensions["network_stream"]
        here, there = stream.get_extra_info("client_addr"), stream.get_extra_info("server_addr")
        inode = _inode(local=there[1], remote=here[1])
        for pid in [*self.workers(), self.process.pid]:
            for link in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    if os.readlink(link) == f"socket:[{inode}]":
                        return pid
                except FileNotFoundError:
                    continue
        raise AssertionError("nobody holds this connection")

    def stop(self) -> int:
        """End it as an operator does. Returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """``kill -9`` of everything at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def _all_workers(self) -> list[int]:
        found = self.workers()
        return found if len(found) == self._count else []

    def _is_ready(self) -> bool:
        self._check_running()
        try:
            return httpx.get(f"{self.base_url}/auth/readyz", timeout=PATIENCE, verify=self.verify).status_code == 200
        except httpx.TransportError:
            return False

    def _check_running(self) -> None:
        if self.process.poll() is not None:
            raise AssertionError(f"the service ended with {self.process.returncode}:\n{self.output()}")


@contextmanager
def running_service(
    folder: Path,
    *,
    workers: int = 1,
    arguments: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    verify: SSLContext | bool = True,
) -> Iterator[Service]:
    """``coatcheck serve`` on a free port, ready. ``folder`` is where it runs and keeps its database. ``verify`` is what
    clients trust, where it ends TLS itself."""
    service = Service(folder, workers=workers, arguments=arguments, env=env or {}, verify=verify)
    try:
        service.wait_until_ready()
        yield service
        service.stop()
    finally:
        service.kill()


def add_user(service_folder: Path, email: str, *roles: str, password: str = PASSWORD) -> dict[str, Any]:
    """An account, added by the command line. The database must be there."""
    options = [option for role in roles for option in ("--role", role)]
    done = coatcheck_command(
        "user", "add", email, "--password-stdin", "--json", *options, cwd=service_folder, stdin=f"{password}\n"
    )
    assert done.returncode == 0, done.stderr
    subject: dict[str, Any] = json.loads(done.stdout)["subject"]
    return subject


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def _inode(*, local: int, remote: int) -> str:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        ports = [int(address.rpartition(":")[2], 16) for address in columns[1:3]]
        if ports == [local, remote]:
            return columns[9]
    raise AssertionError("there is no such connection")

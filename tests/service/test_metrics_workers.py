"""``/metrics`` of several real processes: one figure for the whole service, which never jumps back."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.proxies.programs import served
from tests.support.service import PASSWORD, PATIENCE, coatcheck_command, environment, eventually, running_service

KEY = "a-service-key-of-the-tests-0123456789"
KEYED = {"Authorization": f"Bearer {KEY}"}
_STRANGER = httpx.Client(timeout=PATIENCE, limits=httpx.Limits(max_keepalive_connections=0))
"""Has a connection of its own for each request, and so meets any of the processes."""
Series = dict[tuple[str, str], float]


def scrape(url: str) -> Series:
    """What whichever process is met tells."""
    response = _STRANGER.get(url, headers=KEYED)
    assert response.status_code == 200, response.text
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


class Scraping:
    """Scrapes all the time, and notes each counter that is told less of than before."""

    def __init__(self, url: str) -> None:
        self.times = 0
        self.fallen: list[tuple[tuple[str, str], float, float]] = []
        self.failed: list[httpx.HTTPError] = []
        self._url = url
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Scraping:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        last: Series = {}
        while not self._done.wait(0.01):
            try:
                told = scrape(self._url)
            except httpx.TransportError as error:  # of a worker that was killed
                self.failed.append(error)
                continue
            self.times += 1
            for name, value in last.items():
                if name[0].endswith("_total") and told.get(name, -1.0) < value:
                    self.fallen.append((name, value, told.get(name, -1.0)))
            last = told

    def goes_on(self, times: int) -> None:
        """Until it has looked more often than that."""
        eventually(lambda: self.times > times, what="it has looked often enough")


def hits(told: Series) -> float:
    return told.get(("coatcheck_http_answers_total", "GET /session 401"), 0.0)


def ask(base: str, times: int) -> None:
    """Requests to any of the processes."""
    for _ in range(times):
        assert _STRANGER.get(f"{base}/session").status_code == 401


def until_told(url: str, sent: int) -> None:
    """And never more than that."""

    def is_told() -> bool:
        told = hits(scrape(url))
        assert told <= sent
        return told == sent

    eventually(is_told, what="all are told")


def until_gone(pid: int) -> None:
    eventually(lambda: not is_alive(pid), what="it is gone")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def test_workers(tmp_path: Path) -> None:
    """Whichever worker is asked: the sum is what was sent, also after one was killed, and nothing ever jumps back."""
    with running_service(tmp_path, workers=3) as service:
        base, url = f"{service.base_url}/auth", f"{service.base_url}/metrics"
        with Scraping(url) as first, Scraping(url) as second:
            ask(base, 60)
            until_told(url, 60)
            for sent in (90, 120):
                victim, *_ = service.workers()
                os.kill(victim, signal.SIGKILL)
                until_gone(victim)
                assert hits(scrape(url)) == sent - 30
                ask(base, 30)
                until_told(url, sent)
            first.goes_on(20)
            second.goes_on(20)
        assert service.output().count("is replaced") == 2
        assert first.fallen == []
        assert second.fallen == []


def test_gauges_are_the_services(tmp_path: Path) -> None:
    """Each worker verifies a credential once, so that it is in three tables; one that stands still has no lease."""
    with running_service(tmp_path, workers=3) as service:
        base, url = f"{service.base_url}/auth", f"{service.base_url}/metrics"
        body = {"email": "ann@example.com", "password": PASSWORD, "mode": "jwt"}
        token = httpx.post(f"{base}/register", json=body, timeout=PATIENCE).json()["access_token"]
        for worker in service.workers():
            with service.client_of(worker) as client:
                bearer = {"Authorization": f"Bearer {token}"}
                client.get("/auth/session", headers=bearer).raise_for_status()

        def told(name: str) -> float:
            return scrape(url)[f"coatcheck_{name}", ""]

        eventually(lambda: told("table_entries") == 3, what="three are told")
        assert told("writes_taken") == 1
        assert told("max_staleness_seconds") == 2
        assert 0 < told("lease_remaining_seconds") <= 2
        still, *_ = service.workers()
        others = [worker for worker in service.workers() if worker != still]
        with service.client_of(others[0]) as client:
            os.kill(still, signal.SIGSTOP)
            text = "coatcheck_lease_remaining_seconds 0.0\n"
            eventually(lambda: text in client.get("/metrics").text, what="nobody knows what it would trust")
            assert "coatcheck_table_entries 3.0\n" in client.get("/metrics").text
            os.kill(still, signal.SIGKILL)
            os.kill(still, signal.SIGCONT)
            eventually(lambda: text not in client.get("/metrics").text, what="it lives no more")
            assert "coatcheck_table_entries 2.0\n" in client.get("/metrics").text


def test_where_workers_count_together(tmp_path: Path) -> None:
    """In a directory of their own that nobody else reads, and that is gone when they are."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with running_service(tmp_path, workers=2, env={"TMPDIR": str(temporary)}) as service:
        scrape(f"{service.base_url}/metrics")
        [folder] = temporary.iterdir()
        files = list(folder.iterdir())
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert len([file for file in files if file.suffix == ".process"]) == 2
        assert service.stop() == 0
        assert list(temporary.iterdir()) == []
        assert "metrics" not in service.output()


def test_workers_count_where_the_variable_says(tmp_path: Path, directory: Path) -> None:
    """And make no directory of their own; what is there counts on with the next service."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    variables = {"TMPDIR": str(temporary), "PROMETHEUS_MULTIPROC_DIR": str(directory)}
    for workers, sent in ((2, 4), (1, 8)):
        with running_service(tmp_path, workers=workers, env=variables) as service:
            ask(f"{service.base_url}/auth", 4)
            until_told(f"{service.base_url}/metrics", sent)
            assert len(list(directory.glob("*.process"))) == workers
            assert list(temporary.iterdir()) == []
            assert service.stop() == 0


def test_one_worker_shares_nothing(tmp_path: Path) -> None:
    """It tells its own figures, from memory."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with running_service(tmp_path, env={"TMPDIR": str(temporary)}) as service:
        ask(f"{service.base_url}/auth", 3)
        assert hits(scrape(f"{service.base_url}/metrics")) == 3
        assert list(temporary.iterdir()) == []


def test_without_a_place_for_it_the_service_does_not_start(tmp_path: Path) -> None:
    """One line says why, before any worker exists."""
    for variables, said in (
        ({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "nowhere")}, "No such file or directory"),
        ({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}, "run: chmod 700"),
    ):
        tmp_path.chmod(0o755)
        done = coatcheck_command("serve", "--port", "0", "--workers", "2", cwd=tmp_path, env=variables)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


_FASTAPI = f"""
from fastapi import FastAPI
from coatcheck import Auth
from coatcheck.fastapi import mount_auth
app = FastAPI()
mount_auth(app, Auth("sqlite:///app.db"), service_keys=["{KEY}"])
"""
_FLASK = f"""
from flask import Flask
from coatcheck.flask import Auth, mount_auth
app = Flask(__name__)
mount_auth(app, Auth("sqlite:///app.db"), service_keys=["{KEY}"])
"""
_GUNICORN = ("gunicorn", "main:app", "--no-control-socket", "--workers", "3", "--bind", "127.0.0.1:{port}")
_SERVED = {
    "uvicorn": (_FASTAPI, ("uvicorn", "main:app", "--no-access-log", "--port", "{port}", "--workers", "3")),
    "gunicorn": (_FLASK, (*_GUNICORN, "--threads", "2")),
    "gunicorn --preload": (_FLASK, (*_GUNICORN, "--preload")),
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    folder = tmp_path / "metrics"
    folder.mkdir(mode=0o700)
    return folder


@pytest.mark.parametrize(("program", "command"), _SERVED.values(), ids=_SERVED.keys())
def test_an_application_with_workers(tmp_path: Path, directory: Path, program: str, command: tuple[str, ...]) -> None:
    """The same under a server of its own. What it counted goes on when it is started again in the same directory, and
    begins anew when somebody clears that."""
    for sent in (60, 120):
        with served(tmp_path, program, command, {"PROMETHEUS_MULTIPROC_DIR": str(directory)}) as server:
            url = f"http://127.0.0.1:{server.where}/auth/metrics"
            with Scraping(url) as scraping:
                ask(url.removesuffix("/metrics"), 60)
                until_told(url, sent)
                victim, *_ = (
                    pid for pid in map(int, map(Path.read_text, directory.glob("*.process"))) if is_alive(pid)
                )
                os.kill(victim, signal.SIGKILL)
                until_gone(victim)
                assert hits(scrape(url)) == sent
                scraping.goes_on(5)
            assert scraping.fallen == []
            server.stop()
            assert "coatcheck.metrics" not in server.output(), server.output()
    assert len(list(directory.glob("*.process"))) <= 6
    for file in directory.iterdir():
        file.unlink()
    with served(tmp_path, program, command, {"PROMETHEUS_MULTIPROC_DIR": str(directory)}) as server:
        assert hits(scrape(f"http://127.0.0.1:{server.where}/auth/metrics")) == 0


@pytest.mark.parametrize("program", [_FASTAPI, _FLASK], ids=["fastapi", "flask"])
def test_an_application_with_a_wrong_directory(tmp_path: Path, directory: Path, program: str) -> None:
    """It does not start, and says why."""
    directory.chmod(0o755)
    (tmp_path / "main.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-c", "import main"], cwd=tmp_path,
        env=environment({"PROMETHEUS_MULTIPROC_DIR": str(directory)}),
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"ConfigurationError: the directory {directory} for metrics is open to others" in done.stderr

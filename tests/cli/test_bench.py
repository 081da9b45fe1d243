"""``coatcheck bench``: what it measures, and that it leaves a store in use as it found it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate

from coatcheck import ApplicationSubjects, Auth, Mode, Policy, bearer
from coatcheck.cli.bench import elsewhere, operations, requests
from coatcheck.cli.bench.guest import LIFETIME, MOST_SESSIONS, Guest
from coatcheck.model import EventKind
from coatcheck.policy import SIGNING_ALGORITHMS
from coatcheck.service.settings import Settings
from tests.support.servers import Redis, redis
from tests.support.service import PATIENCE, environment, eventually

from .conftest import Cli, assert_refused

SECRET = "of-the-deployment-and-never-to-be-shown"
OURS = "coatcheck-bench-"

_POSITIVE = {"type": "number", "exclusiveMinimum": 0}
_COUNT = {"type": "integer", "minimum": 1}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


_OPERATION = _object(count=_COUNT, per_second=_POSITIVE, p50_ms=_POSITIVE, p99_ms=_POSITIVE)
_OPERATIONS = _object(login=_OPERATION, first_sight=_OPERATION, refresh=_OPERATION, revoke=_OPERATION)
SCHEMA = _object(
    coatcheck={"type": "string"},
    python={"type": "string"},
    url={"type": "string"},
    seconds=_POSITIVE,
    cores=_COUNT,
    load={"type": "number", "minimum": 0},
    request=_object(
        hit_us=_POSITIVE,
        hmac_us=_POSITIVE,
        access_token=_object(algorithm={"const": "ES256"}, first_sight_us=_POSITIVE, primitive_us=_POSITIVE),
    ),
    store=_object(one_at_a_time=_OPERATIONS, sixteen_at_once=_OPERATIONS),
    revocation={
        "anyOf": [
            {"type": "null"},
            _object(rounds=_COUNT, p50_ms={"minimum": 0}, max_ms={"minimum": 0}, bound_ms={"const": 2000}),
        ]
    },
    http=_object(
        requests=_COUNT,
        bare_per_second=_POSITIVE,
        authenticated_per_second=_POSITIVE,
        share=_POSITIVE,
        share_quartiles={"type": "array", "items": _POSITIVE, "minItems": 2, "maxItems": 2},
    ),
    passwords=_object(
        profile={"const": "owasp"},
        memory_kib={"const": 19456},
        one_ms=_POSITIVE,
        at_once=_COUNT,
        logins_per_second=_POSITIVE,
    ),
    sessions={"type": "integer", "minimum": 1, "maximum": MOST_SESSIONS},
)


class InUse:
    """A deployment with a signing key, and with somebody who is logged in."""

    def __init__(self, folder: Path, url: str, server: Redis | None = None) -> None:
        self.folder = folder
        self.url = url
        self._server = server
        self._token = asyncio.run(self._log_in())
        self._before = self._everything()

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin to measure, as from a terminal: in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "coatcheck", "bench", "--database", self.url, *arguments],
            cwd=self.folder, env=environment({"COATCHECK_SECRET": SECRET}), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    @contextmanager
    def measuring(self) -> Iterator[subprocess.Popen[str]]:
        """It is in the middle of it."""
        process = self.start()
        try:
            eventually(lambda: len(self._everything()) > len(self._before) + 10, what="sessions are written")
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def assert_untouched(self) -> int:
        """Everything is as it was before, but for the feed. How many sessions its new events say have ended."""
        assert self._everything() == self._before
        return asyncio.run(self._ended())

    def _auth(self) -> Auth:
        return Auth(self.url, secret=SECRET, subjects=ApplicationSubjects())

    async def _log_in(self) -> str:
        async with self._auth() as auth:
            token = (await auth.login("ann", mode=Mode.JWT)).access_token
            assert token is not None
            return token

    async def _ended(self) -> int:
        async with self._auth() as auth:
            assert (await auth.verify(bearer(self._token))).subject == "ann"
            events = (await auth.sessions.events(None, wait=0)).events
        new = [event for event in events if event.kind is not EventKind.KEYS_CHANGED]
        assert len(events) - len(new) <= 1  # of the deployment's own first start
        assert all(event.kind is EventKind.SESSION_REVOKED and event.subject.startswith(OURS) for event in new)
        assert len({event.session_id for event in new}) == len(new)
        return len(new)

    def _everything(self) -> dict[str, Any]:
        """All rows or keys, without those of the feed."""
        if self._server is not None:
            keys = self._server.cli("KEYS", "*").splitlines()
            return {key: key for key in keys if not key.endswith((":f", ":m", ":d", ":c"))}
        connection = sqlite3.connect(self.folder / "coatcheck.db")
        try:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            kept = [name for name in tables if name not in ("coatcheck_events", "coatcheck_feed", "sqlite_sequence")]
            return {str((name, row)): row for name in kept for row in connection.execute(f"SELECT * FROM {name}")}
        finally:
            connection.close()


@pytest.fixture(params=["sqlite", "redis"])
def in_use(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InUse]:
    if request.param == "sqlite":
        yield InUse(tmp_path, f"sqlite:///{tmp_path}/coatcheck.db")
        return
    with redis() as server:
        yield InUse(tmp_path, server.url(), server)


def test_a_store_in_use(in_use: InUse) -> None:
    """All figures are there, and afterwards nothing is left in the store but the ends of its own sessions."""
    process = in_use.start("--seconds", "1", "--json")
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    results = json.loads(out)
    validate(results, SCHEMA)
    assert results["revocation"]["max_ms"] <= results["revocation"]["bound_ms"]
    assert in_use.assert_untouched() == results["sessions"]
    assert SECRET not in out + err
    assert "This writes at most 2000 sessions" in " ".join(err.split())


@pytest.mark.parametrize(
    ("in_use", "number"), [("sqlite", signal.SIGINT), ("redis", signal.SIGTERM)], indirect=["in_use"], ids=str
)
def test_it_is_stopped(in_use: InUse, number: signal.Signals) -> None:
    """Ctrl+C, which all its processes hear, and SIGTERM end what it wrote, and nobody sees a traceback."""
    with in_use.measuring() as process:
        if number is signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (128 + number, "")
    assert err.splitlines()[-1] == f"coatcheck: stopped by {number.name}; the sessions that this wrote have been ended"
    assert "Traceback" not in err
    assert in_use.assert_untouched() > 0


def test_it_is_killed(tmp_path: Path) -> None:
    """Its other process ends as well, and its sessions end by themselves within minutes."""
    in_use = InUse(tmp_path, f"sqlite:///{tmp_path}/coatcheck.db")
    with in_use.measuring() as process:
        children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        assert children
        process.kill()
        process.wait(PATIENCE)
    eventually(lambda: not any(_runs(pid) for pid in children), what="the other processes end")
    connection = sqlite3.connect(tmp_path / "coatcheck.db")
    rows = connection.execute("SELECT subject, created, absolute_deadline FROM coatcheck_sessions").fetchall()
    connection.close()
    left = [deadline - created for subject, created, deadline in rows if subject.startswith(OURS)]
    assert left
    assert max(left) <= LIFETIME + 0.001


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_store_goes_away(tmp_path: Path) -> None:
    """It says so and what may be left, and ends as any command that gets no answer."""
    with redis() as server:
        in_use = InUse(tmp_path, server.url(), server)
        with in_use.measuring() as process:
            server.kill()
            out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (3, "")
    assert "end by themselves within 5 minutes" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_in_memory_on_a_narrow_terminal_without_unicode(empty: Cli) -> None:
    """It needs no store that is there, draws in ASCII as wide as told, without colours, and leaves no file. Modes and
    algorithm are those of the settings."""
    environ = {"COLUMNS": "60", "PYTHONIOENCODING": "ascii", "COATCHECK_DATABASE": "memory://"}
    policy = {"COATCHECK_POLICY_SIGNING_ALGORITHM": "HS256", "COATCHECK_POLICY_MODES": "jwt-cookie"}
    done = empty("bench", "--seconds", "1", **environ, **policy)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert max(map(len, (done.stdout + done.stderr).splitlines())) <= 60
    assert "\x1b" not in done.stdout + done.stderr
    assert "there is no second process" in " ".join(done.stdout.split())
    assert "##########" in done.stdout
    assert "bare HS256 check" in done.stdout
    assert "session token" not in done.stdout
    assert list(empty.folder.iterdir()) == []


@pytest.mark.parametrize("algorithm", SIGNING_ALGORITHMS)
async def test_every_algorithm(algorithm: str) -> None:
    """The first sight of an access token is there beside the bare check, and costs more."""
    found = await requests.measure(Policy(signing_algorithm=algorithm), 0.05)
    assert found["access_token"]["algorithm"] == algorithm
    assert found["hit_us"] < found["access_token"]["primitive_us"] < found["access_token"]["first_sight_us"]


async def test_sessions_alone() -> None:
    """They have no access tokens and no refresh."""
    guest = Guest.of(Settings(database="memory://", policy=Policy(modes=(Mode.SESSION,))))
    assert (await requests.measure(guest.policy, 0.01))["access_token"] is None
    async with guest.auth() as auth:
        found = await operations.measure(auth, guest, 16, 0.05)
        assert found["refresh"] is None
        assert found["first_sight"]["count"] > 0
        await guest.clear_up(auth)


def test_a_store_that_is_not_there(empty: Cli) -> None:
    """One line, the usual exit codes, and no file is made."""
    assert_refused(empty("bench", "--database", "redis://127.0.0.1:1"), 3, "Redis")
    assert_refused(empty("bench"), 2, "there is no database file", "coatcheck migrate")
    assert list(empty.folder.iterdir()) == []


def test_the_bound_holds() -> None:
    """What is announced is what the parts may write together."""
    assert sum(operations.MOST.values()) + elsewhere.MOST_ROUNDS + elsewhere.USERS <= MOST_SESSIONS

"""``kill -9`` in the middle of logins, refreshes and revocations.

What was answered is true after the restart: an ended session stays ended in every mode, a finished login is not lost,
and whoever did not hear the answer to a refresh gets it by asking again. What was not answered may be either way, but
it is the same everywhere.

``FAULT_SECONDS`` (default 20) is how long each test goes on killing.
"""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

import httpx

from coatcheck import Mode
from tests.support.service import PATIENCE, Service, eventually, running_service

from .devices import Held, login, register

SECONDS = float(os.environ.get("FAULT_SECONDS", "20"))
PEOPLE = 6
ENDED = 10
"""Sessions that were ended before anything is killed: by then everything is under way."""
KEPT = 30
"""Sessions of each kind that are checked again in later rounds."""
STALENESS = 0.5
ENV = {
    "COATCHECK_POLICY_MAX_STALENESS": str(STALENESS),
    # Whoever has not heard the answer asks again after the restart, and a slow machine is no failure.
    "COATCHECK_POLICY_REUSE_WINDOW": "300",
}


class Person(threading.Thread):
    """Logs in, refreshes and logs out until the service breaks off or the crowd is told to go home.

    ``alive`` and ``ended`` hold what was answered. Requests without an answer are in neither, except for a refresh:
    then the session is still held, with the token that was sent.
    """

    def __init__(self, base_url: str, address: str, emails: list[str], home: threading.Event) -> None:
        super().__init__(daemon=True)
        self._base_url, self._address, self._emails, self._home = base_url, address, emails, home
        self._random = Random(secrets.randbits(64))
        self.alive: list[Held] = []
        self.ended: list[Held] = []
        self.unknown: list[Held] = []
        self.refreshed = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._home.is_set():
                self._until_broken_off()
        except BaseException as error:
            self.failure = error

    def _until_broken_off(self) -> None:
        # An address of its own: what a killed worker was counting counts as failed logins of that address.
        transport = httpx.HTTPTransport(local_address=self._address)
        with httpx.Client(base_url=self._base_url, transport=transport, timeout=PATIENCE) as client:
            try:
                while not self._home.is_set():
                    self._random.choice((self._login, self._login, self._refresh, self._logout))(client)
            except httpx.TransportError:
                self._home.wait(0.02)

    def _login(self, client: httpx.Client) -> None:
        response, held = login(client, self._random.choice(self._emails), self._random.choice(list(Mode)))
        assert response.status_code == 200, response.text
        assert held is not None
        self.alive.append(held)

    def _refresh(self, client: httpx.Client) -> None:
        held = self._pick(lambda held: held.mode is not Mode.SESSION)
        if held is not None:
            before = held.tokens
            response = held.refresh(client)
            assert response.status_code == 200, response.text
            self.refreshed += 1
            if self._random.random() < 0.5:
                held.tokens = before  # as if the answer had been lost on the way

    def _logout(self, client: httpx.Client) -> None:
        held = self._pick(lambda held: True)
        if held is None:
            return
        self.alive.remove(held)
        self.unknown.append(held)
        response = held.post(client, "/auth/logout")
        assert response.status_code == 204, response.text
        self.unknown.remove(held)
        self.ended.append(held)

    def _pick(self, fits: Callable[[Held], bool]) -> Held | None:
        found = [held for held in self.alive if fits(held)]
        return self._random.choice(found) if found else None


class Crowd:
    """People at work, and what they know together."""

    def __init__(self) -> None:
        self.alive: list[Held] = []
        self.ended: list[Held] = []
        self.unknown: list[Held] = []
        self.refreshed = 0
        self.checked = 0
        self._round = 0

    @contextmanager
    def at_work(self, service: Service, emails: list[str]) -> Iterator[list[Person]]:
        """While the block runs. Then they go home, and what they were told is remembered."""
        self._round += 1
        home = threading.Event()
        people = [
            Person(service.base_url, f"127.{self._round // 200 + 1}.{self._round % 200 + 1}.{n + 1}", emails, home)
            for n in range(PEOPLE)
        ]
        for person in people:
            person.start()
        try:
            yield people
        finally:
            home.set()
            for person in people:
                person.join(PATIENCE)
        for person in people:
            if person.failure is not None:
                raise person.failure
            self.alive += person.alive
            self.ended += person.ended
            self.unknown += person.unknown
            self.refreshed += person.refreshed

    def check(self, client: httpx.Client) -> None:
        """What was answered is true at this worker."""
        self.checked += len(self.ended) + len(self.alive)
        for held in self.ended:
            assert not held.is_accepted(client), f"an ended session lives: {held}"
            if held.mode is not Mode.SESSION:
                assert held.refresh(client).status_code == 401, f"an ended session refreshes: {held}"
        for held in self.alive:
            if held.mode is not Mode.SESSION:
                twin = Held(held.mode, held.session_id, held.tokens)
                for one in (held, twin):
                    response = one.refresh(client)
                    assert response.status_code == 200, f"a refresh token is lost: {held}: {response.text}"
                assert twin.tokens["refresh"] == held.tokens["refresh"]
            assert held.is_accepted(client), f"a finished login is lost: {held}"

    def settle(self, clients: list[httpx.Client]) -> None:
        """What was not answered is the same everywhere. Then keep a sample of all that was checked, so that a round
        takes as long as the one before."""
        for held in self.unknown:
            assert len({held.is_accepted(client) for client in clients}) == 1
        self.unknown.clear()
        for known in (self.alive, self.ended):
            known[:] = Random(0).sample(known, min(len(known), KEPT))

    def report(self, rounds: int) -> None:
        """For whoever looks (``pytest -s``)."""
        print(f"{rounds} kills, {self.checked} answers checked, {self.refreshed} refreshes")


def _emails(service: Service, people: int = 8) -> list[str]:
    emails = [f"{secrets.token_hex(6)}@example.com" for _ in range(people)]
    with httpx.Client(base_url=service.base_url, timeout=PATIENCE) as client:
        for email in emails:
            register(client, email)
    return emails


def _work_and_wait(people: list[Person], random: Random) -> None:
    """Until everything is under way, and then for a moment whose end nobody can foresee."""

    def under_way() -> bool:
        busy = sum(len(person.ended) for person in people) >= ENDED and any(person.refreshed for person in people)
        return busy or _broken(people)

    eventually(under_way, what="everything is under way")
    time.sleep(random.uniform(0, 0.3))


def _broken(people: list[Person]) -> bool:
    return any(person.failure is not None for person in people)


def _assert_whole(database: Path) -> None:
    connection = sqlite3.connect(database)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    finally:
        connection.close()


def _check_everywhere(crowd: Crowd, service: Service) -> None:
    one, other = service.workers()
    with service.client_of(one) as first, service.client_of(other) as second:
        crowd.check(first)
        crowd.check(second)
        crowd.settle([first, second])


def test_a_service_killed_at_any_moment_keeps_its_word(tmp_path: Path) -> None:
    """All processes at once, again and again, on the same file."""
    crowd, random, rounds = Crowd(), Random(secrets.randbits(64)), 0
    emails: list[str] = []
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline or rounds < 3:
        with running_service(tmp_path, workers=2, env=ENV) as service:
            _check_everywhere(crowd, service)
            emails = emails or _emails(service)
            with crowd.at_work(service, emails) as people:
                _work_and_wait(people, random)
                service.kill()
        rounds += 1
        _assert_whole(service.database)
    with running_service(tmp_path, workers=2, env=ENV) as service:
        _check_everywhere(crowd, service)
    crowd.report(rounds)


def test_a_worker_killed_at_any_moment_takes_nothing_with_it(tmp_path: Path) -> None:
    """The other one and the replacement agree on what was answered, by the bound at the latest."""
    crowd, random, rounds = Crowd(), Random(secrets.randbits(64)), 0
    with running_service(tmp_path, workers=2, env=ENV) as service:
        emails = _emails(service)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline or rounds < 3:
            with crowd.at_work(service, emails) as people:
                _work_and_wait(people, random)
                victim = random.choice(service.workers())
                os.kill(victim, signal.SIGKILL)
                eventually(partial(_replaced, service, victim), what="a new worker")
            rounds += 1
            time.sleep(STALENESS)  # the stated bound: from here on nobody may be behind
            _check_everywhere(crowd, service)
    _assert_whole(service.database)
    crowd.report(rounds)


def _replaced(service: Service, victim: int) -> bool:
    found = service.workers()
    return len(found) == 2 and victim not in found

"""Two workers on one SQLite file: one login is known to both, and once it is ended neither accepts it."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from coatcheck import Mode, Policy
from tests.support.service import Service, coatcheck_command, eventually, running_service

from .devices import Held, login, register

BOUND = Policy().max_staleness
POLL = 0.002


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with two workers."""
    with running_service(tmp_path_factory.mktemp("service"), workers=2) as running:
        yield running


@pytest.fixture
def clients(service: Service) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """One client of each worker."""
    one, other = service.workers()
    with service.client_of(one) as first, service.client_of(other) as second:
        yield first, second
        assert [service.answered_by(client.get("/auth/healthz")) for client in (first, second)] == [one, other]


@pytest.fixture
def email(clients: tuple[httpx.Client, httpx.Client]) -> str:
    """A fresh account."""
    address = f"{secrets.token_hex(6)}@example.com"
    register(clients[0], address)
    return address


def _logged_in(client: httpx.Client, email: str, mode: Mode) -> Held:
    response, held = login(client, email, mode)
    assert held is not None, response.text
    return held


def _time_to_refusal(held: Held, client: httpx.Client, began: float) -> float:
    """Seconds since ``began`` until this worker refuses. Never more than the stated bound."""
    asked = began
    while held.is_accepted(client):
        assert asked - began < BOUND, "still accepted after max_staleness"
        time.sleep(POLL)
        asked = time.monotonic()
    return time.monotonic() - began


Way = Callable[[Service, httpx.Client, Held, Held], None]


def _logout(service: Service, client: httpx.Client, held: Held, other: Held) -> None:
    assert held.post(client, "/auth/logout").status_code == 204


def _from_another_device(service: Service, client: httpx.Client, held: Held, other: Held) -> None:
    assert other.post(client, f"/auth/sessions/{held.session_id}", "DELETE").status_code == 204


def _logout_others(service: Service, client: httpx.Client, held: Held, other: Held) -> None:
    assert other.post(client, "/auth/logout/others").status_code == 204


def _logout_everywhere(service: Service, client: httpx.Client, held: Held, other: Held) -> None:
    assert held.post(client, "/auth/logout/everywhere").status_code == 204


def _by_command(service: Service, client: httpx.Client, held: Held, other: Held) -> None:
    done = coatcheck_command("sessions", "revoke", "--", held.session_id, cwd=service.folder)
    assert done.returncode == 0, done.stderr


WAYS: list[Way] = [_logout, _from_another_device, _logout_others, _logout_everywhere, _by_command]


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
def test_what_one_worker_ends_the_other_refuses(
    service: Service,
    clients: tuple[httpx.Client, httpx.Client],
    email: str,
    mode: Mode,
    way: Way,
) -> None:
    """In every mode and by every way of ending it, within the bound; what was not meant lives on."""
    first, second = clients
    held, other = _logged_in(first, email, mode), _logged_in(second, email, Mode.JWT)
    for client in (first, second, first, second):  # now both have it in their tables
        assert held.is_accepted(client)
        assert other.is_accepted(client)
    way(service, first, held, other)
    began = time.monotonic()
    if way is not _by_command:
        assert not held.is_accepted(first)
    took = max(_time_to_refusal(held, client, began) for client in (second, first))
    print(f"refused everywhere after {took * 1000:.1f} ms ({mode}, {way.__name__.strip('_')})")
    for client in (first, second):
        assert other.is_accepted(client) is (way is not _logout_everywhere)
        if mode is not Mode.SESSION:
            assert held.refresh(client).status_code == 401


@pytest.mark.parametrize("mode", [Mode.JWT, Mode.JWT_COOKIE])
def test_any_worker_refreshes_what_another_issued(
    clients: tuple[httpx.Client, httpx.Client], email: str, mode: Mode
) -> None:
    """And both hand out the same successor when they are asked with the same token."""
    first, second = clients
    held = _logged_in(first, email, mode)
    twin = Held(mode, held.session_id, held.tokens)
    assert held.refresh(second).status_code == 200
    assert twin.refresh(first).status_code == 200
    assert twin.tokens["refresh"] == held.tokens["refresh"]
    for client in clients:
        assert held.is_accepted(client)
        assert twin.is_accepted(client)


@pytest.mark.parametrize("mode", list(Mode))
def test_changed_roles_count_at_every_worker(
    service: Service, clients: tuple[httpx.Client, httpx.Client], email: str, mode: Mode
) -> None:
    """A session has them at its next request, an access token after a refresh and not before."""
    first, second = clients
    held = _logged_in(first, email, mode)
    assert held.is_accepted(second)
    assert coatcheck_command("user", "roles", email, "editor", cwd=service.folder).returncode == 0
    if mode is not Mode.SESSION:
        for client in clients:
            _time_to_refusal(held, client, time.monotonic())
        assert held.refresh(second).status_code == 200
    for client in clients:

        def roles(client: httpx.Client = client) -> list[str]:
            answer: list[str] = client.get("/auth/session", headers=held.headers).json()["roles"]
            return answer

        assert eventually(roles, what="the new roles") == ["editor"]


def test_a_killed_worker_is_replaced_and_knows_what_was_ended(service: Service) -> None:
    """Its successor starts with an empty table and a view of all that still matters."""
    victim, email = service.workers()[0], f"{secrets.token_hex(6)}@example.com"
    with service.client_of(victim) as client:
        register(client, email)
        ended = [_logged_in(client, email, mode) for mode in Mode]
        alive = [_logged_in(client, email, mode) for mode in Mode]
        for held in ended:
            assert held.post(client, "/auth/logout").status_code == 204
        os.kill(victim, signal.SIGKILL)

    def replaced() -> list[int]:
        found = service.workers()
        return found if len(found) == 2 and victim not in found else []

    for pid in eventually(replaced, what="a new worker"):
        with service.client_of(pid) as client:
            assert [held.is_accepted(client) for held in ended] == [False] * 3
            assert [held.is_accepted(client) for held in alive] == [True] * 3

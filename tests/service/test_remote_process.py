"""A remote verifier and the real service, each a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from coatcheck import InvalidCredential, RemoteVerifier, StoreUnavailable, bearer
from tests.support.issuer import SERVICE_KEY, until
from tests.support.servers.processes import free_port
from tests.support.service import PASSWORD, PATIENCE, Service, add_user, coatcheck_command, environment, running_service

KEYS = {"COATCHECK_SERVICE_KEYS": SERVICE_KEY, "COATCHECK_PASSWORD_PROFILE": "owasp"}
EMAIL = "ada@example.test"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two workers on one SQLite file."""
    folder = tmp_path_factory.mktemp("issuer")
    assert coatcheck_command("migrate", cwd=folder).returncode == 0
    add_user(folder, EMAIL)
    with running_service(folder, workers=2, env=KEYS) as service:
        yield service


def login(service: Service) -> str:
    """An access token."""
    body = {"email": EMAIL, "password": PASSWORD, "mode": "jwt"}
    answer = httpx.post(f"{service.base_url}/auth/login", json=body, timeout=PATIENCE)
    return str(answer.json()["access_token"])


def logout(service: Service, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.post(f"{service.base_url}/auth/logout", headers=headers, timeout=PATIENCE).status_code == 204


def remote_of(service: Service, **more: float) -> RemoteVerifier:
    return RemoteVerifier(f"{service.base_url}/auth", service_key=SERVICE_KEY, **more)  # type: ignore[arg-type]


async def refused(remote: RemoteVerifier, token: str) -> None:
    await until(lambda: remote.known(bearer(token).key) is None)
    with pytest.raises(InvalidCredential):
        await remote.verify(bearer(token))


async def test_logout_reaches_the_other_process(service: Service) -> None:
    """Whichever worker logged out and whichever one answers the follower."""
    async with remote_of(service) as remote:
        for _ in range(6):
            token = login(service)
            assert (await remote.verify(bearer(token))).subject
            logout(service, token)
            await refused(remote, token)


_ALONE = """
import asyncio, sys
from coatcheck import InvalidCredential, RemoteVerifier, bearer

async def main():
    url, key, token = sys.argv[1:]
    async with RemoteVerifier(url, service_key=key) as remote:
        print((await remote.verify(bearer(token))).subject, flush=True)
        while remote.known(bearer(token).key) is not None:
            await asyncio.sleep(0.001)
        try:
            await remote.verify(bearer(token))
        except InvalidCredential:
            print("refused", flush=True)

asyncio.run(main())
"""


def test_alone(service: Service) -> None:
    """A bare process with nothing but the URL and a key verifies, and refuses after the logout."""
    token = login(service)
    command = [sys.executable, "-c", _ALONE, f"{service.base_url}/auth", SERVICE_KEY, token]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip()
            logout(service, token)
            assert process.stdout.readline() == "refused\n"
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


async def test_a_service_that_stands_still(service: Service) -> None:
    """Stopped, every worker: memory serves until the lease is over, then 503; when it goes on, so does everything."""
    async with remote_of(service, timeout=0.3) as remote:
        token = login(service)
        await remote.verify(bearer(token))
        workers = service.workers()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        try:
            await until(lambda: not remote.follower.is_live())
            assert remote.known(bearer(token).key) is None
            with pytest.raises(StoreUnavailable):
                await remote.verify(bearer(token))
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
        await until(remote.follower.is_live)
        assert (await remote.verify(bearer(token))).subject
        logout(service, token)
        await refused(remote, token)


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_a_service_that_is_started_again(tmp_path: Path, ending: str) -> None:
    """A restart costs nobody anything, and what was revoked stays so. While nobody is there: 503 after the lease."""
    assert coatcheck_command("migrate", cwd=tmp_path).returncode == 0
    add_user(tmp_path, EMAIL)
    port = ("--port", str(free_port()))
    with running_service(tmp_path, arguments=port, env=KEYS) as service:
        remote = remote_of(service)
        await remote.start()
        kept, ended = login(service), login(service)
        await remote.verify(bearer(kept))
        logout(service, ended)
        await asyncio.to_thread(getattr(service, ending))
        await until(lambda: not remote.follower.is_live())
        with pytest.raises(StoreUnavailable):
            await remote.verify(bearer(kept))
    with running_service(tmp_path, arguments=port, env=KEYS) as service:
        await until(remote.follower.is_live)
        assert remote.known(bearer(kept).key) is not None
        await refused(remote, ended)
        logout(service, kept)
        await refused(remote, kept)
    await remote.close()


async def test_followers_do_not_hold_up_the_end(tmp_path: Path) -> None:
    """A service that is told to end answers who waits, and ends within its grace."""
    with running_service(tmp_path, env=KEYS) as service:
        key = {"Authorization": f"Bearer {SERVICE_KEY}"}
        async with httpx.AsyncClient(base_url=service.base_url, headers=key, timeout=PATIENCE) as client:
            start = (await client.get("/auth/events")).json()
            asked = {"cursor": start["cursor"], "wait": 5}
            waiting = [asyncio.create_task(client.get("/auth/events", params=asked)) for _ in range(20)]
            await asyncio.sleep(2.0)
            assert await asyncio.to_thread(service.stop) == 0
            assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 20

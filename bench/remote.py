"""What following over HTTP costs: revocation to refusal in a remote verifier, and the issuing service under followers.

    PYTHONPATH=src python bench/remote.py [--revocations 200] [--followers 200] [--seconds 10]

The issuing service is a process of its own with one worker on SQLite; the remote verifier and the followers are here,
on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from coatcheck import ApplicationSubjects, Auth, Mode, RemoteVerifier, bearer
from coatcheck.remote_client import IssuingService

KEY = "a-key-of-the-bench-0123456789-abcdef"


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """The issuing service, when it answers."""
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "coatcheck", "serve", "--port", str(port)],
        cwd=folder, env=os.environ | {"COATCHECK_SERVICE_KEYS": KEY}, stdout=log, stderr=log,
    )  # fmt: skip
    for _ in range(1000):
        try:
            if httpx.get(f"http://127.0.0.1:{port}/auth/readyz").status_code == 200:
                return process
        except httpx.TransportError:
            time.sleep(0.05)
    raise SystemExit("the service does not start")


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def revocations(auth: Auth, remote: RemoteVerifier, count: int, service: httpx.AsyncClient | None) -> str:
    """Milliseconds from the return of the revocation to the last acceptance here: by a logout at the issuing service,
    or without one by ``revoke`` in this process, which shares its database."""
    found = []
    for _ in range(count):
        made = await auth.login("ann", mode=Mode.JWT)
        credential = bearer(made.access_token or "")
        await remote.verify(credential)
        if service is None:
            await auth.revoke(made.session.id)
        else:
            await service.post("/logout", headers={"Authorization": f"Bearer {made.access_token}"})
        began = time.perf_counter()
        while remote.known(credential.key) is not None:
            await asyncio.sleep(0)
        found.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(secrets.randbelow(40) / 1000)
    found.sort()
    return (
        f"{count} revocations: p50 {statistics.median(found):.1f} ms, p99 {found[int(count * 0.99) - 1]:.1f} ms, "
        f"max {found[-1]:.1f} ms until the refusal here"
    )


async def follow(service: IssuingService, until: float) -> int:
    """One follower as an idle `RemoteVerifier` is. Returns how often it asked."""
    asked, cursor = 0, (await service.events(None, wait=0)).cursor
    while time.monotonic() < until:
        cursor = (await service.events(cursor, wait=0.5)).cursor
        asked += 1
    return asked


async def followers(url: str, pid: int, count: int, seconds: float) -> None:
    """The service's processor time with this many idle followers."""
    services = [IssuingService(url, KEY, timeout=30, tls=None, allow_plain_http=False) for _ in range(count)]
    for service in services:
        service.open()
    before, began = cpu(pid), time.monotonic()
    asked = sum(await asyncio.gather(*(follow(service, began + seconds) for service in services)))
    spent, took = cpu(pid) - before, time.monotonic() - began
    print(f"{count} idle followers: {asked / took:.0f} requests/s, {spent / took:.0%} of a core, "
          f"{spent / max(asked, 1) * 1000:.2f} ms of processor time each")  # fmt: skip
    for service in services:
        await service.close()


async def main(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), arguments.port
        process = start(folder, port)
        url = f"http://127.0.0.1:{port}/auth"
        try:
            async with (
                Auth(f"sqlite:///{folder / 'coatcheck.db'}", subjects=ApplicationSubjects()) as auth,
                RemoteVerifier(url, service_key=KEY) as remote,
            ):
                async with httpx.AsyncClient(base_url=url) as service:
                    told = await revocations(auth, remote, arguments.revocations, service)
                print(f"by a logout at the issuing service, {told}")
                told = await revocations(auth, remote, arguments.revocations, None)
                print(f"by another process on its SQLite file, {told}")
            await followers(url, process.pid, arguments.followers, arguments.seconds)
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--revocations", type=int, default=200)
    parser.add_argument("--followers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--port", type=int, default=18765)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    given = parser.parse_args()
    if given.quick:
        given.revocations, given.followers = given.revocations // 10, given.followers // 10
        given.seconds /= 10
    asyncio.run(main(given))

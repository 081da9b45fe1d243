"""Logins and refreshes per second, with passwords hashed and without, in one process on each store.

*login*: `Auth.login` of an application that knows its users, in mode ``session`` and ``jwt``. *refresh*:
`Auth.refresh`, each client with a session of its own. *password*: `Auth.authenticate` and then `Auth.login`, with
Coatcheck's own accounts; argon2 at its default cost, in as many threads as the hasher makes.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from bench.scaling.deployments import Deployment, deployment
from coatcheck import ApplicationSubjects, Auth, Mode
from coatcheck.accounts import PasswordHasher

STORES: Final = ("memory", "sqlite", "postgresql", "redis")
QUICK_STORES: Final = ("memory", "sqlite", "redis")
CLIENTS: Final = (1, 16)
SUBJECTS: Final = 1_000
SECRET: Final = "of-a-benchmark-and-thrown-away-with-it"
PASSWORD: Final = "correct horse battery staple"

Step = Callable[[int], Awaitable[object]]
"""What a client does once; its argument is the client's number."""


async def repeated(step: Step, clients: int, seconds: float) -> dict[str, float]:
    """So many clients do it again and again, for so long, and each at least once."""
    took: list[float] = []
    began, used = time.perf_counter(), time.process_time()

    async def client(number: int) -> None:
        start = began
        while start - began < seconds:
            start = time.perf_counter()
            await step(number)
            took.append(time.perf_counter() - start)
            await asyncio.sleep(0)

    await asyncio.gather(*map(client, range(clients)))
    wall, used = time.perf_counter() - began, time.process_time() - used
    cuts = statistics.quantiles(took * 2, n=100, method="inclusive")  # twice, since one alone has no quantiles
    return {
        "clients": clients, "times": len(took), "per_second": len(took) / wall, "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000, "processor_us": used / len(took) * 1e6,
    }  # fmt: skip


async def without_passwords(target: Deployment, seconds: float) -> dict[str, list[dict[str, float]]]:
    """Logins and refreshes of an application's own users."""
    async with Auth(target.url, secret=SECRET, subjects=ApplicationSubjects()) as auth:
        numbers = itertools.count()

        def login(mode: Mode) -> Step:
            return lambda client: auth.login(f"user-{next(numbers) % SUBJECTS}", mode=mode)

        tokens = {n: (await auth.login(f"tab-{n}", mode=Mode.JWT)).refresh_token or "" for n in range(max(CLIENTS))}

        async def refresh(client: int) -> None:
            tokens[client] = (await auth.refresh(tokens[client])).refresh_token or ""

        steps = {"login, session": login(Mode.SESSION), "login, jwt": login(Mode.JWT), "refresh": refresh}
        return {name: [await repeated(step, n, seconds) for n in CLIENTS] for name, step in steps.items()}


async def with_passwords(
    database: str, sessions: str | None, clients: tuple[int, ...], seconds: float
) -> list[dict[str, float]]:
    """Logins with a password, each client to an account of its own."""
    hasher = PasswordHasher()
    stored = await hasher.hash(PASSWORD)
    await hasher.close()
    async with Auth(database, sessions=sessions, secret=SECRET) as auth:
        names = [f"client{number}@example.com" for number in range(max(clients))]
        for name in names:
            await auth.accounts.adopt(name, stored)

        async def login(client: int) -> None:
            who = await auth.authenticate(names[client], PASSWORD, ip=f"203.0.113.{client}")
            await auth.login(who.subject, epoch=who.epoch)

        return [await repeated(login, n, seconds) for n in clients]


def run(quick: bool) -> dict[str, Any]:
    """Measure all stores; with Redis the accounts are in SQLite."""
    seconds = 0.1 if quick else 1.5
    found: dict[str, Any] = {"stores": {}}
    for name in QUICK_STORES if quick else STORES:
        with deployment(name) as target, tempfile.TemporaryDirectory() as folder:
            rows = asyncio.run(without_passwords(target, seconds))
            database = target.url if name != "redis" else f"sqlite:///{Path(folder) / 'accounts.db'}"
            sessions = target.url if name == "redis" else None
            rows["password"] = asyncio.run(with_passwords(database, sessions, (1, 4) if quick else CLIENTS, seconds))
        found["stores"][name] = rows
    return found


def table(found: dict[str, Any]) -> str:
    """For reading."""
    lines = [f"{'store':<12}{'':<18}{'clients':>8}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}{'processor us':>14}"]
    for store, operations in found["stores"].items():
        for name, rows in operations.items():
            for row in rows:
                lines.append(
                    f"{store:<12}{name:<18}{row['clients']:>8}{row['per_second']:>12.0f}{row['p50_ms']:>9.2f}"
                    f"{row['p99_ms']:>9.2f}{row['processor_us']:>14.0f}"
                )
    return "\n".join(lines)

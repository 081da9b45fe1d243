"""What operations cost against the number of other sessions, and how many bytes a session and an event take.

    python bench/scale.py [--stores sqlite postgresql redis] [--sizes 1000 10000 100000 1000000] [--one 100000]

Real servers, started by this script and filled through `bench.scaling.load`. Each operation is timed and what it makes
the store do is counted. Then one subject is given very many sessions, and is logged out everywhere. Results go to
bench/results/scale.json and docs/img/scale.svg.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.scaling import draw  # noqa: E402
from bench.scaling.deployments import STORES, Deployment, deployment, opened  # noqa: E402
from bench.scaling.load import load_events, load_sessions, of_one, others, session_of  # noqa: E402
from bench.scaling.work import UNITS, Counter  # noqa: E402
from coatcheck.model import Session  # noqa: E402
from coatcheck.stores.base import Touch  # noqa: E402

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
ONE: Final = 100_000
EVENTS: Final = 100_000
TIMED: Final = 40
COUNTED: Final = 8
"""Times each operation is run for the clock and for the count; the median counts."""
DEAD: Final = 4
"""Sessions that one measured `prune` deletes."""
KEEP: Final = 100
RESULTS = ROOT / "bench" / "results"

Operation = Callable[[Session], Awaitable[Any]]


def operations_of(store: Any, now: float) -> dict[str, Operation]:
    """Each on one of the sessions that `subjects_for` made."""
    return {
        "create": lambda one: store.create(session_of(one.subject, now), now=now, keep=KEEP),
        "find": lambda one: store.find(one.id, now=now),
        "touch": lambda one: store.touch([Touch(session_id=one.id, seen=now)], now=now),
        "rotate": lambda one: store.rotate(one.id, 0, window=30.0, now=now),
        "sessions_of": lambda one: store.sessions_of(one.subject, now=now),
        "revoke": lambda one: store.revoke(one.id, now=now),
        "revoke_subject": lambda one: store.revoke_subject(one.subject, now=now),
        "prune": lambda one: store.prune(now=now, keep_events=1e6, limit=DEAD),
    }


async def subjects_for(store: Any, now: float, run: str) -> list[Session]:
    """A session of each of as many subjects as there are runs. Each has four others; those end when it is cut off."""
    made = []
    for number in range(TIMED + COUNTED):
        subject = f"0197a3c2-{run}-{number:08d}"
        for _ in range(4):
            await store.create(session_of(subject, now - 60), now=now)
        made.append(session_of(subject, now - 30))
        await store.create(made[-1], now=now)
    return made


async def measure(target: Deployment, store: Any, size: int) -> dict[str, dict[str, float]]:
    """Milliseconds and units of each operation, with so many sessions of others in the store."""
    now = await store.time()
    counter = Counter(target, store)
    await counter.prepare()
    subjects = await subjects_for(store, now, f"s{size}")
    found = {}
    for name, operation in operations_of(store, now).items():
        seconds = []
        for one in subjects[:TIMED]:
            began = time.perf_counter()
            await operation(one)
            seconds.append(time.perf_counter() - began)
        units = [(await counter.spent(lambda one=one, run=operation: run(one)))[0] for one in subjects[TIMED:]]
        found[name] = {"ms": statistics.median(seconds) * 1000, "units": statistics.median(units)}
    while await store.prune(now=now, keep_events=1e6):
        pass
    return found


async def one_subject(
    target: Deployment, store: Any, count: int, subject: str = "0197a3c2-everybody"
) -> dict[str, Any]:
    """The same for a subject with very many sessions, and what its logout everywhere costs."""
    now = await store.time()
    sessions = list(of_one(subject, count, now - 60))
    await load_sessions(store, iter(sessions), target.url)
    settle(target)
    counter = Counter(target, store)
    await counter.prepare()
    kept = sessions[count // 2]
    steps: dict[str, Callable[[], Awaitable[Any]]] = {
        "sessions_of": lambda: store.sessions_of(subject, now=now),
        "find": lambda: store.find(kept.id, now=now),
        "create, any number": lambda: store.create(session_of(subject, now), now=now),
        "create, limit 100 (ends 100)": lambda: store.create(session_of(subject, now), now=now, keep=KEEP),
        "revoke": lambda: store.revoke(sessions[1].id, now=now),
        "revoke_subject": lambda: store.revoke_subject(subject, now=now, excepted=kept.id),
    }
    found: dict[str, Any] = {}
    for name, step in steps.items():
        units, seconds = await counter.spent(step)
        found[name] = {"ms": seconds * 1000, "units": units}
    assert await store.find(kept.id, now=now) is not None
    assert await store.find(sessions[2].id, now=now) is None
    batches = []
    while True:
        began = time.perf_counter()
        went = await store.prune(now=now, keep_events=1e6)
        if not went:
            break
        batches.append((time.perf_counter() - began) * 1000)
    if batches:
        found["prune of 1,000"] = {"ms": statistics.median(batches), "worst": max(batches), "batches": len(batches)}
    return found


def settle(target: Deployment) -> None:
    """What autovacuum does by itself a minute later."""
    if target.name == "postgresql":
        target.asked("VACUUM ANALYZE")


def bytes_of(target: Deployment) -> int:
    """What the store takes on the disk, or of the server's memory."""
    if target.name == "postgresql":
        target.asked("CHECKPOINT")
        return int(target.asked("SELECT pg_database_size(current_database())"))
    if target.name == "redis":
        return int(target.server.info("memory", "used_memory"))  # type: ignore[union-attr] # it has a server
    assert target.path is not None
    with closing(sqlite3.connect(target.path)) as connection:
        (pages,), (free,), (size,) = (
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


async def run(target: Deployment, sizes: list[int], one: int, events: int) -> dict[str, Any]:
    found: dict[str, Any] = {"store": target.name, "unit": UNITS[target.name], "operations": {}}
    there = 0
    async with opened(target) as store:
        now = await store.time()
        before = bytes_of(target)
        await load_events(store, events, now, target.url)
        found["bytes_per_event"] = (bytes_of(target) - before) / events
        for size in sizes:
            before, began = bytes_of(target), time.perf_counter()
            await load_sessions(store, others(there, size - there, now), target.url)
            loaded = time.perf_counter() - began
            settle(target)
            per_session = (bytes_of(target) - before) / (size - there)
            there = size
            for name, cost in (await measure(target, store, size)).items():
                found["operations"].setdefault(name, []).append({"others": size} | cost)
            print(f"{target.name}: {size:,} others, loaded in {loaded:.0f} s, {per_session:.0f} bytes each", flush=True)
            found["bytes_per_session"] = per_session
        found["one_subject"] = await one_subject(target, store, one)
        found["one_subject_sessions"] = one
    return found


def table(found: dict[str, Any]) -> str:
    sizes = [row["others"] for row in found["operations"]["find"]]
    lines = [f"{found['store']}: ms and {found['unit']}" + "".join(f"{size:>18,}" for size in sizes)]
    for name, rows in found["operations"].items():
        lines.append(f"  {name:<26}" + "".join(f"{row['ms']:>10.2f}{row['units']:>8.0f}" for row in rows))
    lines += [f"  one subject, {name}: {cost}" for name, cost in found["one_subject"].items()]
    lines.append(f"  bytes: {found['bytes_per_session']:.0f} a session, {found['bytes_per_event']:.0f} an event")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--one", type=int, default=ONE, help="sessions of the one subject")
    parser.add_argument("--quick", action="store_true", help="small sizes, nothing written")
    options = parser.parse_args()
    sizes, one, events = sorted(options.sizes), options.one, EVENTS
    if options.quick:
        sizes, one, events = [500, 5_000], 2_000, 5_000
    found = []
    for name in options.stores:
        with deployment(name) as target:
            found.append(asyncio.run(run(target, sizes, one, events)))
        print(table(found[-1]), flush=True)
    if not options.quick:
        file = RESULTS / "scale.json"
        stores = json.loads(file.read_text())["stores"] if file.exists() else []
        new = {row["store"] for row in found}
        stores = [*(row for row in stores if row["store"] not in new), *found]
        stores.sort(key=lambda row: STORES.index(row["store"]))
        file.write_text(json.dumps({"cores": os.cpu_count(), "stores": stores}, indent=1) + "\n")
        draw.cost_against_size(stores, ROOT / "docs" / "img" / "scale.svg")


if __name__ == "__main__":
    main()

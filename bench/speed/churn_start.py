"""A start beside very many recent revocations: seconds until it is ready, and the memory that they take.

Each start is in a fresh process, which has imported everything before the clock runs. With no revocations and with
many, in turn. A store in the memory of a process has none when the process starts, so it has no line here.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from typing import Any, Final

from bench.feed import resident
from bench.scaling.deployments import Deployment, deployment, opened
from bench.scaling.load import load_events
from coatcheck import ApplicationSubjects, Auth

STORES: Final = ("sqlite", "postgresql", "redis")
QUICK_STORES: Final = ("redis",)
SECRET: Final = "of-a-benchmark-and-thrown-away-with-it"


def start(url: str) -> dict[str, float]:
    """Start an `Auth` and stop it again."""

    async def main() -> dict[str, float]:
        auth = Auth(url, secret=SECRET, subjects=ApplicationSubjects())
        before, began, used = resident(), time.perf_counter(), time.process_time()
        await auth.start()
        found = {
            "seconds": time.perf_counter() - began, "processor_seconds": time.process_time() - used,
            "bytes": resident() - before,
        }  # fmt: skip
        await auth.close()
        return found

    return asyncio.run(main())


def fresh(url: str) -> dict[str, float]:
    """`start` in a process that has done nothing before."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return pool.apply(start, (url,))


async def fill(target: Deployment, events: int) -> None:
    """As many revocations as can be read."""
    async with opened(target) as store:
        await load_events(store, events, await store.time(), target.url)


def run(quick: bool) -> dict[str, Any]:
    """Measure all stores."""
    events, rounds = (5_000, 1) if quick else (100_000, 5)
    found: dict[str, Any] = {"revocations": events, "stores": {}}
    for name in QUICK_STORES if quick else STORES:
        with deployment(name) as empty, deployment(name) as full:
            start(empty.url)  # makes the signing key
            start(full.url)
            asyncio.run(fill(full, events))
            starts: dict[str, list[dict[str, float]]] = {"empty": [], "full": []}
            for _ in range(rounds):
                starts["empty"].append(fresh(empty.url))
                starts["full"].append(fresh(full.url))
        found["stores"][name] = starts | compared(starts["empty"], starts["full"], events)
    return found


def compared(empty: list[dict[str, float]], full: list[dict[str, float]], events: int) -> dict[str, float]:
    """The medians, and what one revocation adds."""

    def median(rows: list[dict[str, float]], name: str) -> float:
        return statistics.median(row[name] for row in rows)

    return {
        "empty_seconds": median(empty, "seconds"),
        "full_seconds": median(full, "seconds"),
        "full_processor_seconds": median(full, "processor_seconds"),
        "processor_us_per_event": (median(full, "processor_seconds") - median(empty, "processor_seconds"))
        / events
        * 1e6,
        "bytes_per_event": (median(full, "bytes") - median(empty, "bytes")) / events,
    }


def table(found: dict[str, Any]) -> str:
    """For reading."""
    lines = [
        f"start beside {found['revocations']:,} recent revocations",
        f"{'store':<12}{'none, s':>10}{'all, s':>10}{'processor s':>13}{'us each':>9}{'bytes each':>12}",
    ]
    for store, row in found["stores"].items():
        lines.append(
            f"{store:<12}{row['empty_seconds']:>10.3f}{row['full_seconds']:>10.3f}"
            f"{row['full_processor_seconds']:>13.3f}{row['processor_us_per_event']:>9.1f}{row['bytes_per_event']:>12.0f}"
        )
    return "\n".join(lines)

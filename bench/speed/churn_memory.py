"""What an entry of the table takes, filled by real verifications, beside what the table believes.

In a process of its own for each figure: once as Python counts its memory, once as the system does. The sessions are in
SQLite, so that nothing in an entry is shared with the store. What a session takes in each store is measured by
`bench.speed.size`.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import tracemalloc
from typing import Any, Final

from bench.feed import resident
from bench.scaling.deployments import deployment
from bench.speed.churn_table import MODES, SECRET, credentials_of
from coatcheck import ApplicationSubjects, Auth, Mode, SubjectFacts

TOLERATED: Final = 0.15
"""How far the table's estimate may be off."""


def facts(subject: str) -> SubjectFacts:
    """What an application's database gives: objects that belong to nobody else."""
    return SubjectFacts(roles=frozenset(["reader", "editor"]), claims={"plan": "plus"})


def measure(url: str, mode: Mode, count: int, traced: bool) -> dict[str, float]:
    """Bytes of an entry, and by the table's estimate. For a process of its own."""

    async def main() -> dict[str, float]:
        async with Auth(url, secret=SECRET, subjects=ApplicationSubjects(facts)) as auth:
            auth.verifier._view.since -= 3600  # a deployment older than a minute
            credentials = await credentials_of(auth, url, mode, count + 100)
            for credential in credentials[:100]:  # whatever is made once
                await auth.verify(credential)
            auth.table.clear()
            gc.collect()
            keys = [bytes(bytearray(each.key)) for each in credentials[100:]]
            before = tracemalloc.get_traced_memory()[0] if traced else resident()
            for credential, key in zip(credentials[100:], keys, strict=True):
                # A key of its own, as a request brings it.
                await auth.verify(type(credential)(credential.carrier, credential.token, bytes(bytearray(key))))
            gc.collect()
            after = tracemalloc.get_traced_memory()[0] if traced else resident()
            assert len(auth.table) == count
            return {"bytes": (after - before) / count, "estimated": auth.table.bytes / count, "key": len(keys[0])}

    if traced:
        tracemalloc.start()
    try:
        return asyncio.run(main())
    finally:
        tracemalloc.stop()


def run(quick: bool) -> dict[str, Any]:
    """Measure both kinds of credential."""
    count = 500 if quick else 8_000
    context = multiprocessing.get_context("spawn")
    found: dict[str, Any] = {"entries": count, "tolerated": TOLERATED, "modes": {}}
    for mode in MODES:
        rows = {}
        for name, traced in (("traced", True), ("resident", False)):
            with deployment("sqlite") as target, context.Pool(1, maxtasksperchild=1) as pool:
                rows[name] = pool.apply(measure, (target.url, mode, count, traced))
        found["modes"][mode.value] = compared(rows["traced"], rows["resident"])
    return found


def compared(traced: dict[str, float], system: dict[str, float]) -> dict[str, Any]:
    """The estimate as a share of what Python counts: pages that are half full are not the entry's."""
    off = traced["estimated"] / traced["bytes"] - 1
    return {
        "traced_bytes": traced["bytes"], "resident_bytes": system["bytes"], "estimated_bytes": traced["estimated"],
        "key_bytes": traced["key"], "estimate_off": off, "estimate_holds": abs(off) <= TOLERATED,
    }  # fmt: skip


def table(found: dict[str, Any]) -> str:
    """For reading."""
    lines = [
        f"bytes of an entry of the table, of {found['entries']:,}",
        f"{'mode':<10}{'key':>8}{'traced':>9}{'resident':>10}{'estimate':>10}{'off by':>9}",
    ]
    for mode, row in found["modes"].items():
        lines.append(
            f"{mode:<10}{row['key_bytes']:>8.0f}{row['traced_bytes']:>9.0f}{row['resident_bytes']:>10.0f}"
            f"{row['estimated_bytes']:>10.0f}{row['estimate_off']:>+9.0%}{'' if row['estimate_holds'] else '  too far'}"
        )
    return "\n".join(lines)

"""What operations cost against the number of live sessions: flat, or not.

    python -m bench.speed.size [--quick] [--stores memory sqlite postgresql redis]

For each store there are as many deployments as sizes, each on a server or file of its own, filled in bulk by the loader
of `bench.scale`. All of them are asked in turn, a few calls at a time, so that a drift of the machine meets all sizes
alike. What counts is, in each round, the median of the largest divided by the median of the smallest.

An operation is called *flat* when the median of these ratios is at most `FLAT`. Beside it stands what no other work on
the machine can change: how much the store does for it (instructions, blocks, commands), counted at each size. A *hit*
asks no store; it is measured in a real `Auth` over each deployment, and in tables of different size.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bench import feed, scale  # noqa: E402
from bench.scaling import deployments  # noqa: E402
from bench.scaling.deployments import Deployment, deployment  # noqa: E402
from bench.scaling.load import load_sessions, others, session_of  # noqa: E402
from bench.scaling.work import UNITS, Counter  # noqa: E402
from bench.speed import size_table  # noqa: E402
from coatcheck import ApplicationSubjects, Auth, Mode  # noqa: E402
from coatcheck.credentials.transport import Carrier, cookie  # noqa: E402
from coatcheck.model import Session  # noqa: E402

STORES: Final = ("memory", *deployments.STORES)
SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
QUICK_SIZES: Final = (1_000, 10_000)
FLAT: Final = 1.5
"""So many times as long may the largest take. A thousand times as many sessions make a linear cost a thousandfold and
a tree one or two levels deeper; less than half as much again is what a shared machine cannot tell from nothing."""
SECRET: Final = "of-a-benchmark-and-thrown-away-with-it"
SIBLINGS: Final = 4
"""Other sessions of each subject that an operation is tried on."""
COUNTED: Final = 3
USERS: Final = 100
"""Credentials that take turns in being hit."""
HITS: Final = 5_000
"""Hits in one slice."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    sizes: tuple[int, ...]
    rounds: int
    calls: int
    """Calls of each operation, at each size, in a round."""


FULL: Final = Plan(SIZES, rounds=9, calls=5)
QUICK: Final = Plan(QUICK_SIZES, rounds=5, calls=3)

Rounds = dict[int, list[float]]
"""By size: what was measured in each round."""


@dataclass(frozen=True)
class Sized:
    """A deployment with so many sessions of others, and an open client of it."""

    size: int
    target: Deployment
    store: Any
    now: float


def judged(rounds: Rounds) -> dict[str, Any]:
    """The medians at each size, the ratio of the largest to the smallest in each round, and what is to be said of it.

    ``inside_spread``: whether the largest's median is among what single rounds of the smallest have shown."""
    small, large = rounds[min(rounds)], rounds[max(rounds)]
    ratios = [big / little for little, big in zip(small, large, strict=True)]
    return {
        "by_size": {str(size): statistics.median(values) for size, values in sorted(rounds.items())},
        "rounds": {str(size): values for size, values in sorted(rounds.items())},
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        "flat": statistics.median(ratios) <= FLAT,
        "inside_spread": min(small) <= statistics.median(large) <= max(small),
    }


def turned(items: Sequence[Any], by: int) -> list[Any]:
    """The same in another order, so that nobody is always the first."""
    start = by % len(items)
    return [*items[start:], *items[:start]]


async def fill(target: Deployment, size: int, subjects: int) -> tuple[Sized, dict[str, Any]]:
    """Open it and load the others; then the subjects that operations are tried on, with `SIBLINGS` more each."""
    store = target.open()
    await store.open()
    now = await store.time()
    before, began = _bytes(target), time.perf_counter()
    await load_sessions(store, others(0, size, now), target.url)
    filled = {"seconds": time.perf_counter() - began, "bytes_per_session": (_bytes(target) - before) / size}
    tried = (_subject(number) for number in range(subjects))
    siblings = (session_of(subject, now - 60 - n) for subject in tried for n in range(SIBLINGS))
    await load_sessions(store, siblings, target.url)
    scale.settle(target)
    return Sized(size, target, store, now), filled


def _subject(number: int) -> str:
    return f"0197a3c2-tried-{number:08d}"


def _bytes(target: Deployment) -> int:
    if target.name != "memory":
        return scale.bytes_of(target)
    gc.collect()
    return feed.resident()


async def operations(sized: Sequence[Sized], plan: Plan) -> dict[str, Rounds]:
    """Milliseconds of each operation, in each round, at each size."""
    found: dict[str, Rounds] = {name: {one.size: [] for one in sized} for name in scale.operations_of(None, 0.0)}
    for number in range(plan.rounds):
        ones = {one.size: await _newest(one, number * plan.calls, plan.calls) for one in sized}
        for name, by_size in found.items():
            for one in turned(sized, number):
                by_size[one.size].append(await _milliseconds(one, name, ones[one.size]))
    return found


async def _newest(one: Sized, start: int, count: int) -> list[Session]:
    """A session each of so many subjects: what the operations are tried on."""
    made = [session_of(_subject(number), one.now - 30) for number in range(start, start + count)]
    await load_sessions(one.store, iter(made), one.target.url)
    return made


async def _milliseconds(one: Sized, name: str, sessions: list[Session]) -> float:
    operation = scale.operations_of(one.store, one.now)[name]
    seconds = []
    for session in sessions:
        began = time.perf_counter()
        await operation(session)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1000


async def units(sized: Sequence[Sized], start: int) -> dict[str, dict[str, float]]:
    """What each operation makes the store do, at each size."""
    found: dict[str, dict[str, float]] = {}
    for one in sized:
        counter = Counter(one.target, one.store)
        await counter.prepare()
        sessions = await _newest(one, start, COUNTED)
        # Of this moment: at a time before what was issued meanwhile, an event costs the store a step more.
        now = await one.store.time()
        for name, operation in scale.operations_of(one.store, now).items():
            spent = [(await counter.spent(partial(operation, on)))[0] for on in sessions]
            found.setdefault(name, {})[str(one.size)] = statistics.median(spent)
    return found


@asynccontextmanager
async def hitting(one: Sized) -> AsyncIterator[Callable[[], float]]:
    """What measures a slice of hits, in nanoseconds each, in an `Auth` over this deployment."""
    # A memory store exists once; of any other this is a client of its own.
    store = one.store if one.target.name == "memory" else one.target.open()
    async with Auth(store, secret=SECRET, subjects=ApplicationSubjects()) as auth:
        keys = []
        for number in range(USERS):
            made = await auth.login(f"hit-{number}", mode=Mode.SESSION)
            credential = cookie(Carrier.SESSION_COOKIE, "coatcheck", made.session_token or "")
            await auth.verify(credential)
            keys.append(credential.key)
        turns = keys * (HITS // USERS)

        def measure() -> float:
            return size_table.nanoseconds(auth.known, turns)

        yield measure


async def hits(sized: Sequence[Sized], plan: Plan) -> Rounds:
    """Nanoseconds of a hit, in each round, at each size: the least of three slices."""
    found: Rounds = {one.size: [] for one in sized}
    async with AsyncExitStack() as stack:
        measures = [(one.size, await stack.enter_async_context(hitting(one))) for one in sized]
        for number in range(plan.rounds):
            for size, measure in turned(measures, number):
                found[size].append(min(measure() for _ in range(3)))
                await asyncio.sleep(0)  # the followers keep their leases
    return found


async def measure(targets: Sequence[tuple[int, Deployment]], plan: Plan) -> dict[str, Any]:
    """One store, at all sizes."""
    name = targets[0][1].name
    sized, filled = [], {}
    for size, target in targets:
        one, filled[str(size)] = await fill(target, size, plan.rounds * plan.calls + COUNTED)
        sized.append(one)
    gc.collect()
    gc.freeze()  # a million sessions in memory shall not be looked at again and again by the collector
    try:
        timed = await operations(sized, plan)
        found = {operation: {"unit": "ms"} | judged(rounds) for operation, rounds in timed.items()}
        found["hit"] = {"unit": "ns"} | judged(await hits(sized, plan))
        if name in UNITS:
            for operation, by_size in (await units(sized, plan.rounds * plan.calls)).items():
                found[operation]["counted"] = by_size
    finally:
        gc.unfreeze()
        for one in sized:
            await one.store.close()
    return {"counts": UNITS.get(name, ""), "operations": found, "filled": filled}


def run(quick: bool, stores: Sequence[str] = STORES) -> dict[str, Any]:
    """Measure. Raises `tests.support.servers.Missing` when a server is not installed."""
    plan = QUICK if quick else FULL
    found: dict[str, Any] = {
        "sizes": plan.sizes, "rounds": plan.rounds, "calls_per_round": plan.calls, "flat_up_to_ratio": FLAT,
        "stores": {},
    }  # fmt: skip
    for name in stores:
        with ExitStack() as stack:
            targets = [(size, stack.enter_context(deployment(name))) for size in plan.sizes]
            found["stores"][name] = asyncio.run(measure(targets, plan))
    found["table"] = {what: {"unit": "ns"} | judged(by_size) for what, by_size in size_table.run(quick).items()}
    return json.loads(json.dumps(found))  # type: ignore[no-any-return] # as it will be read


def table(found: dict[str, Any]) -> str:
    """For reading."""
    lines = []
    for store, measured in found["stores"].items():
        lines.append(_heading(store, found["sizes"], measured["counts"]))
        lines += [_line(name, row, "counted" in row) for name, row in measured["operations"].items()]
        largest = measured["filled"][str(found["sizes"][-1])]
        lines.append(f"  {largest['bytes_per_session']:,.0f} bytes a session; filled in {largest['seconds']:.0f} s\n")
    first = next(iter(found["table"].values()))
    lines.append(_heading("the table, by its entries", [int(size) for size in first["by_size"]], ""))
    lines += [_line(name, row, False) for name, row in found["table"].items()]
    lines.append(f"\nRatio: the largest to the smallest, median of all rounds; flat up to {found['flat_up_to_ratio']}.")
    return "\n".join(lines)


def _heading(name: str, sizes: Sequence[int], counts: str) -> str:
    title = f"{name} (and {counts})" if counts else name
    return f"{title:<34}" + "".join(f"{size:>15,}" for size in sizes) + f"{'ratio':>9}"


def _line(name: str, row: dict[str, Any], counted: bool) -> str:
    def cell(size: str, value: float) -> str:
        text = f"{value:.3f}" if value < 10 else f"{value:.0f}"
        more = f" ({row['counted'][size]:.0f})" if counted else ""
        return f"{text + more:>15}"

    cells = "".join(cell(size, value) for size, value in row["by_size"].items())
    return f"  {name + ', ' + row['unit']:<32}{cells}{row['ratio']:>9.2f}{'' if row['flat'] else '  not flat'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="fewer sessions and rounds: some seconds")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    options = parser.parse_args()
    print(table(run(options.quick, options.stores)))


if __name__ == "__main__":
    main()

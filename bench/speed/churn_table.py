"""More credentials than the table of verified ones has room for: how many are hits still, and what each miss costs.

In this process, a real `Auth` on a store, its table bounded to a few hundred entries. Two orders: *cycling*, the worst
for any table that drops the oldest, and *Zipf*, in which the n-th most frequent credential comes 1/n as often. Beside
the hits stands what a table that drops the least recently used would have had.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.scaling.deployments import Deployment, deployment
from bench.scaling.load import load_sessions, session_of
from bench.speed.size_table import entries_of
from coatcheck import ApplicationSubjects, Auth, Mode, Policy, SubjectFacts
from coatcheck.credentials.transport import Carrier, Credential, bearer, cookie
from coatcheck.model import Standing
from coatcheck.table import Entry, Table

STORES: Final = ("memory", "sqlite", "redis")
MODES: Final = (Mode.SESSION, Mode.JWT)
"""An access token that is missed asks no store, so it is measured beside the first one only."""
MULTIPLES: Final = (1, 2, 10)
ORDERS: Final = ("cycling", "zipf")
SECRET: Final = "of-a-benchmark-and-thrown-away-with-it"
ROLES: Final = frozenset({"reader", "editor"})
_TURN: Final = 50
"""Verifications between two turns of the event loop, which the follower needs for its lease."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    room: int
    """Entries of the table."""
    seconds: float
    """For each combination."""


FULL: Final = Plan(500, 1.0)
QUICK: Final = Plan(100, 0.06)


def order_of(kind: str, count: int, seed: int = 1) -> Iterator[int]:
    """For ever: which of ``count`` credentials comes next."""
    if kind == "cycling":
        yield from itertools.cycle(range(count))
    rng = random.Random(seed)
    weights = [1 / (place + 1) for place in range(count)]
    while True:
        yield from rng.choices(range(count), weights, k=1000)


def least_recently_used(order: Sequence[int], room: int, begin: int) -> float:
    """The share of hits, from the place ``begin`` on, in a table of so much room that drops the least recently used."""
    held: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for place, each in enumerate(order):
        if each in held:
            held.move_to_end(each)
            hits += place >= begin
        else:
            held[each] = None
            if len(held) > room:
                held.popitem(last=False)
    return hits / (len(order) - begin)


async def credentials_of(auth: Auth, url: str, mode: Mode, count: int) -> list[Credential]:
    """Credentials of as many sessions of as many subjects, loaded in bulk."""
    now = auth.clock.now()
    sessions = [session_of(f"0197a3c2-{mode.value}-{number:08d}", now, mode=mode) for number in range(count)]
    await load_sessions(auth.sessions, iter(sessions), url)
    facts = SubjectFacts(roles=ROLES)
    made = []
    for session in sessions:
        issued = auth.issuer._credentials(Standing(session=session, epoch=0, version=0), facts, now)
        if issued.session_token is not None:
            made.append(cookie(Carrier.SESSION_COOKIE, "__Host-coatcheck", issued.session_token))
        else:
            assert issued.access_token is not None
            made.append(bearer(issued.access_token))
    return made


async def verify(auth: Auth, credentials: Sequence[Credential], order: Iterator[int], seconds: float) -> dict[str, Any]:
    """Verify one after the other for so long, as an adapter does: the hit first."""
    known, first_sight = auth.known, auth.verify
    done = misses = 0
    seen: list[int] = []
    began, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        await asyncio.sleep(0)
        turn = list(itertools.islice(order, _TURN))
        for place in turn:
            credential = credentials[place]
            if known(credential.key) is None:
                misses += 1
                await first_sight(credential)
        done += len(turn)
        seen += turn
    return {
        "verifications": done, "misses": misses, "hit_rate": 1 - misses / done, "seen": seen,
        "us": (time.perf_counter() - began) / done * 1e6,
        "processor_us": (time.process_time() - used) / done * 1e6,
    }  # fmt: skip


async def measure(target: Deployment, mode: Mode, plan: Plan) -> list[dict[str, Any]]:
    """One store and mode: each multiple and order."""
    rows = []
    policy = Policy(table_entries=plan.room)
    async with Auth(target.url, secret=SECRET, policy=policy, subjects=ApplicationSubjects(_roles)) as auth:
        # As in a deployment that is older than a minute: until then a JWT's first sight asks the store as well.
        auth.verifier._view.since -= 3600
        credentials = await credentials_of(auth, target.url, mode, plan.room * max(MULTIPLES))
        hit = 0.0
        for multiple in MULTIPLES:
            for kind in ORDERS:
                auth.table.clear()
                order = order_of(kind, plan.room * multiple)
                warm = list(itertools.islice(order, 2 * plan.room)) if multiple > 1 else list(range(plan.room))
                for place in warm:
                    if auth.known(credentials[place].key) is None:
                        await auth.verify(credentials[place])
                row = await verify(auth, credentials, order, plan.seconds)
                seen = row.pop("seen")
                row["hit_rate_lru"] = least_recently_used([*warm, *seen], plan.room, len(warm))
                if not row["misses"]:
                    hit = row["us"]
                missed = (row["us"] - row["hit_rate"] * hit) * row["verifications"]
                row["us_per_miss"] = missed / row["misses"] if row["misses"] else None
                rows.append({"credentials": multiple, "order": kind} | row)
    return rows


def _roles(subject: str) -> SubjectFacts:
    return SubjectFacts(roles=ROLES)


def insertions(room: int) -> dict[str, Any]:
    """Nanoseconds of one insertion, medians: with room left, and at ten times as many credentials in each order."""
    entries = entries_of(10 * room)
    table = Table(room, 1 << 40)
    found: dict[str, Any] = {"with_room": statistics.median(_insertion(table, each) for each in entries[:room])}
    clock = 0.0
    for kind in ORDERS:
        spent = []
        for place in itertools.islice(order_of(kind, len(entries)), 40 * room):
            entry = entries[place]
            clock += 1.0
            entry.seen = clock
            if not any(table.of_session(entry.identity.session_id)):
                entry.placed = clock
                spent.append(_insertion(table, entry))
        found[f"evicting_{kind}"] = statistics.median(spent)
    return found


def _insertion(table: Table, entry: Entry) -> int:
    began = time.perf_counter_ns()
    table.put(entry)
    return time.perf_counter_ns() - began


def run(quick: bool) -> dict[str, Any]:
    """Measure all stores and modes."""
    plan = QUICK if quick else FULL
    found: dict[str, Any] = {"table_entries": plan.room, "insertion_ns": insertions(1_000), "stores": {}}
    for name in STORES:
        with deployment(name) as target:
            modes = MODES if name == STORES[0] else MODES[:1]
            found["stores"][name] = {mode.value: asyncio.run(measure(target, mode, plan)) for mode in modes}
    return found


def table(found: dict[str, Any]) -> str:
    """For reading."""
    lines = [
        f"{found['table_entries']} entries of the table; microseconds of a verification and of a miss",
        f"{'store':<10}{'mode':<10}{'order':<10}{'credentials':>12}{'hits':>9}{'LRU':>9}{'each':>10}{'miss':>10}",
    ]
    for store, modes in found["stores"].items():
        for mode, rows in modes.items():
            for row in rows:
                miss = "" if row["us_per_miss"] is None else f"{row['us_per_miss']:.0f}"
                lines.append(
                    f"{store:<10}{mode:<10}{row['order']:<10}{row['credentials']:>11}x{row['hit_rate']:>9.1%}"
                    f"{row['hit_rate_lru']:>9.1%}{row['us']:>10.2f}{miss:>10}"
                )
    costs = ", ".join(f"{name.replace('_', ' ')} {value:.0f}" for name, value in found["insertion_ns"].items())
    return "\n".join([*lines, f"an insertion, ns: {costs}"])

"""How fast a process takes the feed in, and how much memory it needs for it.

    python bench/feed.py [--events 200000] [--stores memory sqlite postgresql redis]

Memory: bytes per entry of the view and of the table, in a fresh process each, as Python counts them and as the system
does. Speed: events per second through a real `Follower` from a real store, decoding included, and without a store.
Storm: revocations at a steady rate, and how far behind a follower gets. Results go to bench/results/feed.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.scaling.deployments import STORES, Deployment, deployment, opened  # noqa: E402
from bench.scaling.load import load_events  # noqa: E402
from coatcheck.clock import Clock  # noqa: E402
from coatcheck.credentials.opaque import new_session_id  # noqa: E402
from coatcheck.follower import Follower  # noqa: E402
from coatcheck.model import Event, EventKind, Identity, Mode  # noqa: E402
from coatcheck.policy import Policy  # noqa: E402
from coatcheck.table import Entry, Table  # noqa: E402
from coatcheck.view import RevocationView, _holds  # noqa: E402

RESULTS = ROOT / "bench" / "results"
MILLION: Final = 1_000_000
SESSION_TOKEN: Final = 60
ACCESS_TOKEN: Final = 620
"""Characters; an ES256 access token with two roles."""


def subject(number: int) -> str:
    return f"0197a3c2-7d3e-7000-8000-{number:012d}"


def events_of(kind: EventKind, count: int) -> Iterator[Event]:
    """As they come from a store: every text is an object of its own, and ids are as long as ours."""
    for number in range(count):
        who = subject(number)
        yield Event(
            kind=kind,
            at=float(number),
            subject=who,
            session_id="" if kind is EventKind.SUBJECT_CUT_OFF else f"{number:024x}",
            token_id=f"{number:024x}" if kind is EventKind.TOKEN_REVOKED else "",
            number=number % 7 + 1,
        )


def fill_view(kind: EventKind, count: int) -> RevocationView:
    view = RevocationView(990.0)
    for event in events_of(kind, count):
        view.apply(event)
    return view


def fill_table(size: int, mode: Mode, count: int) -> Table:
    """A table with so many credentials of ``size`` characters, each of a session of its own."""
    table = Table(count, 1 << 40)
    for entry in entries(size, mode, count):
        table.put(entry)
    return table


def entries(size: int, mode: Mode, count: int) -> Iterator[Entry]:
    for number in range(count):
        who = subject(number)
        identity = Identity(
            subject=who, session_id=new_session_id(who), roles=frozenset({"user", "editor"}), claims={},
            auth_time=float(number), amr=("pwd",), mode=mode,
        )  # fmt: skip
        token_id = "" if mode is Mode.SESSION else new_session_id(who)
        key = f"{number:0{size}d}".encode()
        yield Entry(key, identity, 1e9 + number, seen=float(number), token_id=token_id, idle=1800.0)


HELD: Final[dict[str, Callable[[int], object]]] = {
    "view: revoked session": lambda count: fill_view(EventKind.SESSION_REVOKED, count),
    "view: revoked token": lambda count: fill_view(EventKind.TOKEN_REVOKED, count),
    "view: subject cut off": lambda count: fill_view(EventKind.SUBJECT_CUT_OFF, count),
    "view: subject changed": lambda count: fill_view(EventKind.SUBJECT_CHANGED, count),
    "view: session changed": lambda count: fill_view(EventKind.SESSION_CHANGED, count),
    "table: session token": lambda count: fill_table(SESSION_TOKEN, Mode.SESSION, count // 10),
    "table: access token": lambda count: fill_table(ACCESS_TOKEN, Mode.JWT, count // 10),
}


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure_memory(name: str, count: int, traced: bool) -> float:
    """Bytes that are held; by Python's count, or by the system's."""
    if not traced:
        before = resident()
        held = HELD[name](count)
        size = resident() - before
        del held
        return size
    tracemalloc.start()
    try:
        held = HELD[name](count)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def memory(count: int) -> dict[str, dict[str, float]]:
    """Bytes per entry, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    found = {}
    for name in HELD:
        many = count // 10 if name.startswith("table") else count
        with context.Pool(1, maxtasksperchild=1) as pool:
            traced = pool.apply(measure_memory, (name, count, True))
        with context.Pool(1, maxtasksperchild=1) as pool:
            system = pool.apply(measure_memory, (name, count, False))
        found[name] = {"entries": many, "traced": traced / many, "resident": system / many}
    return found


async def no_keys() -> None:
    """There are no signing keys here."""


class Watching(Follower):
    """Notes when the events that somebody waits for are applied."""

    def __init__(self, store: Any) -> None:
        self.policy = Policy()
        table = Table(self.policy.table_entries, self.policy.table_bytes)
        view = RevocationView(self.policy.event_retention)
        super().__init__(store, table, view, Clock(), self.policy, no_keys)
        self.watched: dict[str, float] = {}
        self.delays: list[float] = []

    def apply(self, event: Event) -> None:
        super().apply(event)
        began = self.watched.pop(event.session_id, None)
        if began is not None:
            self.delays.append(time.perf_counter() - began)


def pure_speed(count: int) -> dict[str, float]:
    """Events per second of `Follower.apply` alone: of sessions unknown here, and of those in the table."""
    events = list(events_of(EventKind.SESSION_REVOKED, count))
    found = {}
    for name in ("unknown here", "in the table"):
        follower = Watching(None)
        if name == "in the table":
            follower._table = Table(count, 1 << 40)
            for event, entry in zip(events, entries(SESSION_TOKEN, Mode.SESSION, count), strict=True):
                entry.identity = replace(entry.identity, session_id=event.session_id)
                follower._table.put(entry)
        apply = super(Watching, follower).apply
        with processor() as spent:
            for event in events:
                apply(event)
        found[name] = count / spent()
    return found


@contextmanager
def processor() -> Iterator[Callable[[], float]]:
    """Seconds of processor time of this process: what others do beside it does not count."""
    began = time.process_time()
    yield lambda: time.process_time() - began


async def read_speed(target: Deployment, count: int) -> dict[str, float]:
    """A start on a feed with so many events: seconds, events per second, and what it costs the server."""
    async with opened(target) as store:
        await load_events(store, count, await store.time(), target.url)
        follower = Watching(store)
        sent, server = network(target), target.processor()
        began, wall = time.process_time(), time.perf_counter()
        await follower.start()
        used, wall = time.process_time() - began, time.perf_counter() - wall
        await follower.stop()
        server = target.processor() - server
        found = {"events": count, "seconds": wall, "per_second": count / wall, "processor_us": used / count * 1e6,
                 "server_us": server / count * 1e6}  # fmt: skip
        if sent is not None:
            found["wire_bytes"] = ((network(target) or 0) - sent) / count
    return found


def network(target: Deployment) -> int | None:
    """Bytes that a Redis server has sent."""
    if target.name != "redis":
        return None
    return int(target.server.info("stats", "total_net_output_bytes"))  # type: ignore[union-attr] # it has a server


async def storm(target: Deployment, rate: int, seconds: float) -> dict[str, float]:
    """Revocations at this rate, in batches of a hundredth of a second; the last of each batch is watched."""
    async with opened(target) as writer, opened(target) as store:
        await writer.events(None, wait=0)
        follower = Watching(store)
        await follower.start()
        lags = asyncio.create_task(_lags(seconds))
        began, batches = time.perf_counter(), int(seconds * 100)
        for number in range(batches):
            who = subject(number)
            ids = [new_session_id(who) for _ in range(rate // 100)]
            await _append(writer, who, ids, target)
            if not _holds(follower._view._new.sessions, follower._view._old.sessions, ids[-1]):
                follower.watched[ids[-1]] = time.perf_counter()
            else:
                follower.delays.append(0.0)
            await asyncio.sleep(max(0.0, began + (number + 1) / 100 - time.perf_counter()))
        took = time.perf_counter() - began
        while follower.watched:
            await asyncio.sleep(0.001)
        late = await lags
        await follower.stop()
    cuts = statistics.quantiles(follower.delays, n=100)
    return {"asked": rate, "reached": batches * (rate // 100) / took, "p50_ms": cuts[49] * 1000,
            "p99_ms": cuts[98] * 1000, "max_ms": max(follower.delays) * 1000, "loop_p99_ms": late * 1000}  # fmt: skip


async def _append(writer: Any, who: str, ids: list[str], target: Deployment) -> None:
    from coatcheck.stores.sql import feed

    if hasattr(writer, "database"):
        await writer.database.write(
            lambda tx: feed.append(tx, EventKind.SESSION_REVOKED, time.time(), who, *ids)
        )  # fmt: skip
        writer.database.announce()
        return
    # One script each, as `revoke` does.
    await asyncio.gather(*(writer.revoke_token(session_id, "", now=time.time()) for session_id in ids[:-1]))
    shard = writer._of(who)
    await writer._append(shard, EventKind.SESSION_REVOKED, ids[-1], now=time.time())


async def _lags(seconds: float) -> float:
    """How late the loop is, 99th percentile: what a request beside the follower would feel."""
    late = []
    end = time.perf_counter() + seconds
    while (now := time.perf_counter()) < end:
        await asyncio.sleep(0.005)
        late.append(time.perf_counter() - now - 0.005)
    return statistics.quantiles(late, n=100)[98]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    parser.add_argument("--quick", action="store_true", help="few events, nothing written")
    options = parser.parse_args()
    count, many, seconds = options.events, MILLION, 5.0
    if options.quick:
        count, many, seconds = 5_000, 20_000, 1.0
    found: dict[str, Any] = {"cores": os.cpu_count(), "memory": memory(many), "apply": pure_speed(count)}
    found |= {"read": {}, "storm": {}}
    for name in options.stores:
        with deployment(name) as target:
            found["read"][name] = asyncio.run(read_speed(target, count))
            found["storm"][name] = [asyncio.run(storm(target, rate, seconds)) for rate in (1_000, 10_000)]
    print(json.dumps(found, indent=1))
    if not options.quick:
        (RESULTS / "feed.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

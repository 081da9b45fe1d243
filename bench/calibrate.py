"""What reads and writes cost a store and a follower, and whether the simulation says the same as reality.

    python bench/calibrate.py [--stores sqlite postgresql redis] [--followers 20 50 100 200]

Real followers, each with a store and connections of its own, share one process; the server has the machine's other
processor. The first size gives the unit costs, in seconds of processor time; with these the simulation predicts the
others. Results go to bench/results/calibration.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.feed import Watching  # noqa: E402
from bench.scaling.deployments import STORES, Deployment, deployment, opened  # noqa: E402
from bench.scaling.load import session_of  # noqa: E402
from bench.scaling.simulation import Setting, Simulation  # noqa: E402
from bench.scaling.wire import Relay  # noqa: E402
from coatcheck.credentials.opaque import new_session_id  # noqa: E402
from coatcheck.model import Event  # noqa: E402
from coatcheck.stores.base import Touch  # noqa: E402

RESULTS = ROOT / "bench" / "results"
RATE: Final = 4.0
"""Events a second, at random moments."""
SEED: Final = 7
"""The same moments in reality and in the simulation."""


class Timed(Watching):
    """Notes when every event is first applied: a store that tells of events has them read once more."""

    def __init__(self, store: Any, name: int) -> None:
        super().__init__(store)
        self.name = name
        self.applied: dict[str, float] = {}

    def apply(self, event: Event) -> None:
        super().apply(event)
        self.applied.setdefault(event.session_id, time.perf_counter())


def follow(target: Deployment, count: int, pipe: Connection) -> None:
    """A process with so many followers. Told anything, it says what it has spent so far; told None, it ends."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    async def run() -> None:
        stores = [target.open() for _ in range(count)]
        for store in stores:
            await store.open()
        followers = [Timed(store, number) for number, store in enumerate(stores)]
        for follower in followers:
            await follower.start()
        told: asyncio.Queue[Any] = asyncio.Queue()
        asyncio.get_running_loop().add_reader(pipe.fileno(), lambda: told.put_nowait(_heard(pipe)))
        pipe.send("ready")
        while await told.get() is not None:
            pipe.send((time.process_time(), [list(one.applied.items()) for one in followers]))
        for follower in followers:
            await follower.stop()
        for store in stores:
            await store.close()

    asyncio.run(run())


def _heard(pipe: Connection) -> Any:
    """What was said, None when nobody is there any more."""
    try:
        return pipe.recv()
    except EOFError:
        asyncio.get_running_loop().remove_reader(pipe.fileno())
        return None


@contextmanager
def following(target: Deployment, count: int) -> Iterator[Callable[[], Any]]:
    """So many followers in another process; gives what asks them."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=follow, args=(Deployment(target.name, target.url), count, theirs), daemon=True)
    process.start()
    ours.recv()

    def ask() -> Any:
        ours.send("?")
        return ours.recv()

    try:
        yield ask
    finally:
        ours.send(None)
        process.join(20)


def reads_of(target: Deployment) -> int:
    """Reads of the feed that a server has answered, and scripts that append."""
    if target.name == "redis":
        found = target.server.cli("INFO", "commandstats")  # type: ignore[union-attr] # it has a server
        return sum(int(line.split("calls=")[1].split(",")[0]) for line in found.splitlines() if "cmdstat_eval" in line)
    return int(
        target.asked(
            "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query LIKE '%pg_current_snapshot() AS now%'"
        )
    )


def connections_of(target: Deployment) -> int:
    if target.name == "redis":
        return int(target.server.info("clients", "connected_clients")) - 1  # type: ignore[union-attr] # ours
    return int(target.asked("SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"))


async def observe(target: Deployment, count: int, seconds: float, rate: float) -> dict[str, Any]:
    """What really happens with so many followers: reads, processor time, and delays when events come."""
    chance, moments, now = random.Random(SEED), [], 0.0
    while rate and (now := now + chance.expovariate(rate)) < seconds:
        moments.append(now)
    committed: dict[str, float] = {}
    async with opened(target) as writer:
        with following(target, count) as ask:
            await asyncio.sleep(1)
            connections = connections_of(target)
            reads, server, (client, _) = reads_of(target), target.processor(), ask()
            began = time.perf_counter()
            for moment in moments:
                await asyncio.sleep(max(0.0, began + moment - time.perf_counter()))
                session_id = new_session_id("s")
                await writer.revoke_token(session_id, "", now=time.time())
                committed[session_id] = time.perf_counter()
            await asyncio.sleep(max(0.5, began + seconds - time.perf_counter()))
            took = time.perf_counter() - began
            used, applied = ask()
            server = target.processor() - server
            reads = reads_of(target) - reads - (len(moments) if target.name == "redis" else 0)
    delays = [max(0.0, at - committed[name]) * 1000 for seen in applied for name, at in seen if name in committed]
    found = {"followers": count, "events": len(moments), "connections": connections,
             "reads_per_second": reads / took / count, "server": server / took, "server_us": server / reads * 1e6,
             "client": (used - client) / took, "client_us": (used - client) / reads * 1e6}  # fmt: skip
    if delays:
        assert len(delays) == count * len(moments), "an event did not reach everyone"
        cuts = statistics.quantiles(delays, n=100)
        found |= {"p50_ms": cuts[49], "p99_ms": cuts[98], "max_ms": max(delays)}
    return found


def predict(name: str, sizes: list[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
    """The same by simulation. Costs per read are those of the largest size, where they are least disturbed. What a
    wake-up costs a follower is set so that the median of the smallest size is met."""
    small, large = sizes[0], sizes[-1]

    def simulated(count: int, heed: float) -> dict[str, Any]:
        outcome = Simulation(
            Setting(
                followers=count, sharing=count, read=large["server_us"] / 1e6, client=large["client_us"] / 1e6,
                heed=heed, latency=50e-6, rate=RATE, seconds=seconds + 1, seed=SEED,
                reads_at_end=name == "postgresql", servers=1,  # the other processor is the followers'
            )
        ).run()  # fmt: skip
        return {
            "reads_per_second": outcome.reads / outcome.seconds / count, "server": outcome.busy / outcome.seconds,
            "p50_ms": outcome.percentile(0.5) * 1000, "p99_ms": outcome.percentile(0.99) * 1000,
            "max_ms": outcome.percentile(1.0) * 1000,
        }  # fmt: skip

    missing = small["p50_ms"] - simulated(small["followers"], 0.0)["p50_ms"]
    heed = max(0.0, missing / small["followers"] / 1000)
    return [simulated(measured["followers"], heed) for measured in sizes]


async def operations(target: Deployment, count: int) -> dict[str, float]:
    """Microseconds of the server's processor per operation; of the client's for SQLite, which is in the client."""
    now = time.time()
    found: dict[str, float] = {}
    async with opened(target) as store:
        made = [session_of(f"0197a3c2-7d3e-7000-8000-{number:012d}", now) for number in range(count)]
        steps = {
            "create": lambda one: store.create(one, now=now, keep=100),
            "find": lambda one: store.find(one.id, now=now),
            "rotate": lambda one: store.rotate(one.id, 0, window=30.0, now=now),
            "revoke": lambda one: store.revoke(one.id, now=now),
        }
        for name, step in steps.items():
            if name == "revoke":
                spent = _spent(target)
                for start in range(0, count, 500):
                    touches = [Touch(session_id=one.id, seen=now + 1) for one in made[start : start + 500]]
                    await store.touch(touches, now=now)
                found["touch"] = spent() / count * 1e6
            spent = _spent(target)
            for start in range(0, count, 8):
                await asyncio.gather(*map(step, made[start : start + 8]))
            found[name] = spent() / count * 1e6
    return found


def _spent(target: Deployment) -> Callable[[], float]:
    measure = time.process_time if target.server is None else target.processor
    before = measure()
    return lambda: measure() - before


async def wire(target: Deployment) -> dict[str, float]:
    """Bytes of an idle read and of an event in a read, both ways, without the headers of TCP and IP."""
    server = target.server
    assert server is not None
    loop = asyncio.get_running_loop()
    relay = Relay(server.port)
    threading.Thread(target=relay.run, daemon=True).start()
    await loop.run_in_executor(None, relay.ready.wait)
    url = target.url.replace(f":{server.port}", f":{relay.port}")
    async with opened(Deployment(target.name, url, server=server, database=target.database)) as store:
        read = await store.events(None, wait=0)
        read = await store.events(read.cursor, wait=0)
        before, reads = relay.bytes, 200
        for _ in range(reads):
            read = await store.events(read.cursor, wait=0)
        idle = (relay.bytes - before) / reads
        async with opened(target) as writer:
            for _ in range(1_000):
                who = "0197a3c2-7d3e-7000-8000-000000000000"
                made = session_of(who, time.time())
                await writer.create(made, now=made.created)
                await writer.revoke(made.id, now=made.created)
        await asyncio.sleep(0.1)
        before = relay.bytes
        read = await store.events(read.cursor, wait=0)
        per_event = (relay.bytes - before - idle) / len(read.events)
    relay.stop()
    return {"idle_read_bytes": idle, "event_bytes": per_event}


def at_rest(target: Deployment, count: int, seconds: float) -> dict[str, Any]:
    """The share of a processor that a follower takes when nothing happens, where there is no server to be asked."""
    with following(target, count) as ask:
        time.sleep(1)
        began, (before, _) = time.perf_counter(), ask()
        time.sleep(seconds)
        used, _ = ask()
        return {"followers": count, "client": (used - before) / (time.perf_counter() - began)}


async def calibrate(target: Deployment, sizes: list[int], seconds: float, count: int) -> dict[str, Any]:
    found: dict[str, Any] = {"operations_us": await operations(target, count)}
    if target.server is None:
        return found | {"idle": at_rest(target, sizes[0], seconds)}
    found["wire"] = await wire(target)
    found["idle"] = await observe(target, sizes[0], seconds, 0.0)
    measured = [await observe(target, size, seconds, RATE) for size in sizes]
    predicted = predict(target.name, measured, seconds)
    found["sizes"] = [{"measured": one, "predicted": other} for one, other in zip(measured, predicted, strict=True)]
    for one, other in zip(measured, predicted, strict=True):
        shown = "  ".join(f"{key} {one[key]:.2f}/{other[key]:.2f}" for key in other)
        print(f"{target.name}, {one['followers']} followers, measured/predicted: {shown}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    parser.add_argument("--followers", nargs="+", type=int, default=[20, 50, 100, 200])
    parser.add_argument("--quick", action="store_true", help="few followers, nothing written")
    options = parser.parse_args()
    sizes, seconds, count = sorted(options.followers), 10.0, 4_000
    if options.quick:
        sizes, seconds, count = [4, 8], 2.0, 400
    file = RESULTS / "calibration.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    for name in options.stores:
        with deployment(name) as target:
            found[name] = asyncio.run(calibrate(target, sizes, seconds, count))
        print(json.dumps({key: found[name][key] for key in found[name] if key != "sizes"}, indent=1))
    if not options.quick:
        file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

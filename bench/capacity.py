"""The capacity model: how far each kind of deployment goes, what gives first, and whether a simulation agrees.

    python bench/capacity.py

Takes the unit costs that the other scripts have measured (bench/results/*.json). The model is `bench.scaling.model`,
the simulation `bench.scaling.simulation`. Results go to bench/results/capacity.json and docs/img/fleet.svg.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.scaling import draw  # noqa: E402
from bench.scaling.model import FULL, Costs, Habits, Load, Store, first_to_give, load, reads_per_second  # noqa: E402
from bench.scaling.simulation import Setting, Simulation  # noqa: E402

RESULTS: Final = ROOT / "bench" / "results"
PROCESSES: Final = (10, 1_000, 100_000)
SESSIONS: Final = (10**6, 10**7, 10**8, 10**9)
SIMULATED: Final = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
HABITS: Final = Habits()


def costs_of(name: str, measured: Mapping[str, Any]) -> Costs:
    """The unit costs of a store, from what the other scripts wrote."""
    found = measured["calibration"][name]
    operations = {each: cost / 1e6 for each, cost in found["operations_us"].items()}
    read = measured["feed"]["read"][name]
    busy = [row["measured"] for row in found["sizes"]]
    size = next(row["bytes_per_session"] for row in measured["scale"]["stores"] if row["store"] == name)
    return Costs(
        read=statistics.median(row["server_us"] for row in busy) / 1e6,
        client=statistics.median(row["client_us"] for row in busy) / 1e6,
        idle_bytes=found["wire"]["idle_read_bytes"],
        event_bytes=found["wire"]["event_bytes"],
        connections=found["idle"]["connections"] / found["idle"]["followers"],
        apply=1 / measured["feed"]["apply"]["unknown here"],
        decode=read["processor_us"] / 1e6,
        serve_event=read["server_us"] / 1e6,
        session_bytes=size,
        reads_at_end=name == "postgresql",
        **{each: operations[each] for each in ("find", "touch", "rotate", "create", "revoke")},
    )


def stores_of(measured: Mapping[str, Any]) -> dict[str, Store]:
    """The deployments that are compared. How many processors and connections a server has is an assumption."""
    redis, postgresql = costs_of("redis", measured), costs_of("postgresql", measured)
    return {
        "Redis, 1 server": Store(name="redis", costs=redis),
        "Redis Cluster, 16 primaries": Store(name="redis", costs=redis, nodes=16),
        "PostgreSQL, 16 processors": Store(
            name="postgresql", costs=postgresql, processors=16, connections=500
        ),
    }  # fmt: skip


def most(good: Callable[[float], bool]) -> float:
    """The largest number, to a hundredth, for which this holds; 0 when it does not for one."""
    if not good(1.0):
        return 0.0
    low, high = 1.0, 2.0
    while good(high) and high < 1e12:
        low, high = high, high * 2
    while high / low > 1.01:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if good(middle) else (low, middle)
    return low


def limits(store: Store) -> dict[str, float]:
    """How many followers and how many sessions a store takes, resource by resource, the others being idle."""
    room, costs = store.processors * FULL, store.costs

    def at(processes: float, sessions: float, **more: Any) -> Load:
        return load(store, sessions, processes, habits=HABITS, **more)

    return {
        "followers, processor at rest": most(lambda n: at(n, 1e3).store_feed <= room),
        "followers, processor at 10 events/s": most(lambda n: at(n, 10 / HABITS.events).store_feed <= room),
        "followers, last one within 10 ms": 0.010 * store.processors / costs.read,
        "followers, last one within the lease": 2.0 * store.processors / costs.read,
        "followers, connections": store.connections / costs.connections,
        "sessions, opaque, to one process": most(lambda s: at(1_000, s, sticky=True).store_sessions <= room),
        "sessions, opaque, to any process": most(lambda s: at(1_000, s).store_sessions <= room),
        "sessions, JWT": most(lambda s: at(1_000, s, jwt=1.0).store_sessions <= room),
        "revocations/s, processor": room * store.nodes / costs.revoke,
    }


def simulate(store: Store) -> list[dict[str, float]]:
    """Load and delay against the number of followers, by simulation and by the model, at two events a second."""
    found = []
    costs, rate = store.costs, 2.0
    for count in SIMULATED:
        setting = Setting(
            followers=count, read=costs.read, client=costs.client, servers=int(store.processors), rate=rate,
            reads_at_end=costs.reads_at_end, seconds=6.0 if count < 50_000 else 12.0, append=costs.revoke,
        )  # fmt: skip
        outcome = Simulation(setting).run()
        reads = reads_per_second(rate, 0.0004 + costs.read + costs.client, costs.reads_at_end)
        found.append(
            {"followers": count, "reads": outcome.reads / outcome.seconds / count, "reads_model": reads,
             "busy": outcome.busy / outcome.seconds / store.processors,
             "busy_model": min(1.0, (count * reads * costs.read + rate * costs.revoke) / store.processors),
             "p99_ms": outcome.percentile(0.99) * 1000,
             "p99_model_ms": (0.0004 + costs.client + costs.read + count * costs.read / store.processors) * 1000,
             "lease_age": outcome.oldest_lease}
        )  # fmt: skip
    return found


def table_of(store: Store, view_entry: float) -> list[dict[str, Any]]:
    """What it comes to for every size of fleet: every process a follower, half of the sessions in a mode of JWTs."""
    rows = []
    for processes in PROCESSES:
        for sessions in SESSIONS:
            found = load(store, sessions, processes, habits=HABITS, jwt=0.5, view_entry=view_entry)
            gives, share = first_to_give(store, found)
            rows.append({"processes": processes, "sessions": sessions, "gives": gives, "share": share} | asdict(found))
    return rows


def fed(read: float, request: float) -> list[dict[str, Any]]:
    """The delay of the last process when every process reads the store, when issuing services stand between, and when
    there is one more level of relays. Each level's number is the one with which all levels take equally long."""
    rows = []
    for processes in (*PROCESSES[1:], 10 * PROCESSES[-1]):
        two = (processes * read * request) ** (1 / 2)
        three = (processes * read * request**2) ** (1 / 3)
        first, second = two / read, three / read
        level = Setting(followers=max(1, round(processes / first)), read=request, client=0.0, rate=2.0, seconds=10)
        top = Setting(followers=max(1, round(first)), read=read, client=0.0, rate=2.0, seconds=10)
        rows.append(
            {"processes": processes, "direct_ms": processes * read * 1000,
             "services": first, "services_ms": 2 * two * 1000,
             "services_simulated_ms": sum(Simulation(one).run().percentile(1.0) for one in (top, level)) * 1000,
             "relays": [second, second * three / request], "relays_ms": 3 * three * 1000}
        )  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="nothing written")
    options = parser.parse_args()
    measured = {name: json.loads((RESULTS / f"{name}.json").read_text()) for name in ("calibration", "feed", "scale")}
    view_entry = measured["feed"]["memory"]["view: revoked session"]["resident"]
    found: dict[str, Any] = {"habits": asdict(HABITS), "stores": {}}
    for name, store in stores_of(measured).items():
        found["stores"][name] = {"limits": limits(store), "table": table_of(store, view_entry)}
        print(f"\n{name}")
        for what, number in found["stores"][name]["limits"].items():
            print(f"  {what:<40}{number:>16,.0f}")
        if store.nodes == 1:
            found["stores"][name]["simulated"] = rows = simulate(store)
            for row in rows:
                print("  " + "  ".join(f"{key} {value:.4g}" for key, value in row.items()), flush=True)
    remote = measured["calibration"].get("remote")
    if remote:
        found["fed"] = fed(costs_of("redis", measured).read, remote["request_us"] / 1e6)
        print("\n".join(map(str, found["fed"])))
    if not options.quick:
        (RESULTS / "capacity.json").write_text(json.dumps(found, indent=1) + "\n")
        simulated = {name: each["simulated"] for name, each in found["stores"].items() if "simulated" in each}
        draw.fleet(simulated, ROOT / "docs" / "img" / "fleet.svg")


if __name__ == "__main__":
    main()

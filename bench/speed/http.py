"""Requests per second of every contender, over real HTTP, in rounds that alternate over all of them.

    python -m bench.speed.http [--quick] [--only PATTERN,PATTERN]

Those that are compared run at once (`GROUPS`), pinned to one core, and wrk and Redis share another; only one server is
loaded at a time. A round loads each of a group for a second, in an order that each round begins elsewhere; Coatcheck
takes turns with its own bare application. What is compared are the figures of one round, so that a drift of the machine
meets both. Not all at once: a server that has waited for a minute is cold, and some systems have given its memory away.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from statistics import median
from typing import Any, Final

from .contenders import KINDS, Contender, Running, listed, running
from .load import CONNECTIONS, Failed, Load, cores, load, processor_seconds
from .machine import say
from .pairs import ABBA, shares, turn
from .targets import named_by_targets

_SECONDS: Final = 1
GROUPS: Final = (
    ("express-session", "fastify-session", "better-auth*", "coatcheck-asgi-session"),
    ("express-jwt-*", "fastify-jwt*", "coatcheck-asgi-jwt*"),
    ("starlette-*", "starsessions", "coatcheck-starlette-*"),
    ("fastapi-*", "crudauth-*", "coatcheck-fastapi-*"),
    ("litestar-*", "coatcheck-litestar-*"),
    ("*",),
)
"""Ids of those that are compared with each other. A contender is in the first group that names it."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    users: int
    """What each contender has credentials for."""
    seconds_in_all: float
    """No round begins later, and in a quick run no load."""
    order: str = ABBA
    is_quick: bool = False


FULL: Final = Plan(rounds=4, users=1000, seconds_in_all=600.0)
QUICK: Final = Plan(rounds=1, users=200, seconds_in_all=50.0, order="ab", is_quick=True)


@dataclass
class Measured:
    """What was found for one contender, in the order of the rounds."""

    made: Running
    loads: list[Load] = field(default_factory=list)
    turns: list[tuple[Load, Load]] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        about = self.made.contender
        data: dict[str, Any] = {
            "label": about.label,
            "kind": about.kind,
            "bare": about.bare or None,
            "documentation": about.documentation,
            "versions": self.made.versions,
            "requests_per_second": [round(each.per_second, 1) for each in self.loads],
            "processor_us_per_request": [round(1e6 / each.per_processor_second, 2) for each in self.loads],
            "server_busy": [round(each.processor_seconds / each.seconds, 3) for each in self.loads],
            "other_core_busy": [round(each.other_core_busy, 3) for each in self.loads],
            "p50_us": [each.p50_us for each in self.loads],
            "p99_us": [each.p99_us for each in self.loads],
        }
        if self.turns:
            data["share_of_bare"] = shares(self.turns)
        return data


def run(quick: bool, contenders: Sequence[Contender] | None = None, plan: Plan | None = None) -> dict[str, Any]:
    """Measure all contenders; with ``quick`` some of them. Raises `Failed` when none could be measured."""
    plan = plan or (QUICK if quick else FULL)
    begun = time.monotonic()
    if contenders is None:
        contenders = listed()
        if quick:
            contenders = [each for each in contenders if in_quick_run(each.id)]
    measured: dict[str, Measured] = {}
    failed: dict[str, str] = {}
    idle = 0.0
    for group in [list(contenders)] if plan.is_quick else grouped(contenders):
        say(f"http: starting {len(group)} servers")
        with running(group, users=plan.users) as (ready, unready):
            for name, reason in unready.items():
                say(f"http: {name}: {reason}")
            failed |= unready
            here = {each.id: Measured(ready[each.id]) for each in group if each.id in ready}
            measured |= here
            idle = max(idle, idle_busy(list(ready.values())))
            _rounds(here, failed, plan, begun + plan.seconds_in_all)
    if not measured:
        raise Failed(f"no contender could be measured: {failed}")
    return {
        "method": {
            "users": plan.users,
            "connections": CONNECTIONS,
            "rounds": max((len(each.loads) for each in measured.values()), default=0),
            "seconds_per_load": _SECONDS,
            "order_of_a_pair": plan.order,
            "core_of_servers": cores()[0],
            "core_of_load_and_redis": cores()[1],
            "idle_servers_busy": round(idle, 4),
        },
        "contenders": {name: each.plain() for name, each in measured.items() if each.loads and name not in failed},
        "failed": failed,
    }


def grouped(contenders: Sequence[Contender]) -> list[list[Contender]]:
    """Those of each of the `GROUPS`, without groups that nobody is in."""
    left = {each.id: each for each in contenders}
    groups = []
    for patterns in GROUPS:
        named = [name for name in left if any(fnmatchcase(name, pattern) for pattern in patterns)]
        groups.append([left.pop(name) for name in named])
    return [each for each in groups if each]


def in_quick_run(name: str) -> bool:
    """Those that a target names, but for the third mode and the configurations that nobody documents."""
    return named_by_targets(name) and not name.endswith(("-jwt-cookie", "-memory"))


def _rounds(measured: dict[str, Measured], failed: dict[str, str], plan: Plan, deadline: float) -> None:
    """All rounds. Who fails under load is named, and takes no further part."""
    names = list(measured)
    warm_up(measured, failed, plan)
    for number in range(plan.rounds):
        if time.monotonic() > deadline:
            say(f"http: out of time after {number} rounds")
            break
        for name in rotated(names, number, plan.rounds):
            if name in failed:
                continue
            if plan.is_quick and time.monotonic() > deadline:
                say(f"http: out of time, {name} was not measured")
                continue
            try:
                _load(measured[name], plan.order)
            except Failed as error:
                failed[name] = str(error)
                say(f"http: {name}: {error}")
            else:
                say(f"http: round {number + 1} of {plan.rounds}: {name}: {_told(measured[name])}")


def warm_up(measured: dict[str, Measured], failed: dict[str, str], plan: Plan) -> None:
    """A load that does not count: a compiler has to see the code run. In a quick run for Node alone, which has one."""
    for name, one in measured.items():
        if "node" in one.made.versions or not plan.is_quick:
            try:
                _load(Measured(one.made), "ab")
            except Failed as error:
                failed[name] = str(error)
                say(f"http: {name}: {error}")


def _load(one: Measured, order: str) -> None:
    made = one.made
    if made.bare_url:
        one.turns.append(turn(made, seconds=_SECONDS, order=order))
        one.loads.append(one.turns[-1][1])
    else:
        one.loads.append(load(made.url, made.file, made.pid, store=made.store, seconds=_SECONDS))


def _told(one: Measured) -> str:
    text = f"{one.loads[-1].per_second:,.0f} requests/s"
    if one.turns:
        bare, guarded = one.turns[-1]
        text += f", {guarded.per_second / bare.per_second:.1%} of its bare application"
    return text


def rotated(names: Sequence[str], number: int, rounds: int) -> list[str]:
    """The order of a round: the first begins at the first, and the beginnings of all lie evenly apart."""
    begin = number * len(names) // rounds
    return [*names[begin:], *names[:begin]]


def idle_busy(made: Sequence[Running], *, clock: Callable[[], float] = time.monotonic, seconds: float = 1.0) -> float:
    """The share of a core that all servers together use while nobody asks them: what they take from whom is loaded."""
    begun, before = clock(), sum(processor_seconds(each.pid) for each in made)
    time.sleep(seconds)
    return (sum(processor_seconds(each.pid) for each in made) - before) / (clock() - begun)


def table(data: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{'contender':<52}{'requests/s':>11}{'lowest':>9}{'highest':>9}{'µs each':>9}{'of bare':>9}"]
    for kind in KINDS:
        lines.append(f"{kind}:")
        for each in by_speed(data, kind):
            rates, costs = each["requests_per_second"], each["processor_us_per_request"]
            share = f"{median(each['share_of_bare']['throughput']):.1%}" if "share_of_bare" in each else ""
            lines.append(
                f"  {each['label']:<50}{median(rates):>11,.0f}{min(rates):>9,.0f}{max(rates):>9,.0f}"
                f"{median(costs):>9.1f}{share:>9}"
            )
    return "\n".join([*lines, *(f"{name}: {reason}" for name, reason in data["failed"].items())])


def by_speed(data: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """The contenders of this kind, the fastest first."""
    found = [each for each in data["contenders"].values() if each["kind"] == kind]
    return sorted(found, key=lambda each: -median(each["requests_per_second"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", help="ids of contenders, with commas between; they may hold * as in fastapi-users*")
    options = parser.parse_args()
    chosen = None
    if options.only:
        patterns = options.only.split(",")
        chosen = [each for each in listed() if any(fnmatchcase(each.id, pattern) for pattern in patterns)]
    print(table(run(options.quick, chosen)))


if __name__ == "__main__":
    main()

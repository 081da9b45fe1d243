"""What a run is told in: one JSON file, and a page with its tables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from .contenders import KINDS
from .http import by_speed
from .targets import Outcome, Row, Target

TITLES = {"session": "Sessions", "jwt": "JWTs", "none": "Without authentication"}


def write_json(run: Mapping[str, Any], file: Path) -> None:
    """One line per list of numbers: the file is kept in the repository."""
    text = json.dumps(run, indent=1, ensure_ascii=False, default=str)
    inner = re.compile(r"\[\n\s+([^\[\]{}\"]*?)\n\s+\]")
    file.write_text(inner.sub(lambda found: "[" + " ".join(found[1].split()) + "]", text) + "\n", "utf-8")


PICTURES = {
    "requests": "Requests per second of every contender",
    "shares": "What is left of the bare application's speed",
    "first_sight": "Microseconds of one verification",
    "churn": "Logins and refreshes per second; hits where the table is too small",
    "size": "Milliseconds against the number of live sessions",
    "tail": "Latency alone and disturbed",
}
"""What stands under a plot, by its part or what it shows of it."""


def picture(name: str) -> list[str]:
    """The plot of a part, where it has one."""
    return [f"![{PICTURES[name]}](speed-{name.replace('_', '-')}.svg)", ""] if name in PICTURES else []


def page(run: Mapping[str, Any], outcomes: Sequence[Outcome], tables: Mapping[str, str]) -> str:
    """The page of a run. ``tables``: what the other parts say for people, by part."""
    lines = ["# Speed", "", about(run["machine"]), "", "## What it must show", "", *targets_table(outcomes)]
    if "contenders" in (http := run["parts"].get("http", {})):
        lines += ["", "## Requests per second", "", method(http), "", *picture("requests")]
        for kind in KINDS:
            lines += [f"### {TITLES[kind]}", "", *http_table(http, kind), ""]
        lines += [
            *failures(http),
            "### Coatcheck beside its own bare application",
            "",
            *picture("shares"),
            *shares_table(http),
            "",
        ]
        lines += ["### Versions and configuration", "", *versions_table(http)]
    for name, text in tables.items():
        lines += ["", f"## {name.replace('_', ' ').capitalize()}", "", *picture(name), "```text", text, "```"]
    for name, data in run["parts"].items():
        if "error" in data:
            lines += ["", f"Part {name} was not measured: {data['error']}"]
    return "\n".join(lines).rstrip() + "\n"


def about(machine: Mapping[str, Any]) -> str:
    """The machine, in two sentences."""
    return (
        f"Made by `make bench` on {machine['date'][:16].replace('T', ' at ')} UTC with Coatcheck "
        f"{machine['coatcheck']} ({machine['commit']}): {machine['cores']} cores ({machine['processor']}), "
        f"{machine['memory_gb']} GB, {machine['kernel']}; Python {machine['python']}, Node {machine['node']}, "
        f"Redis {machine['redis']}, wrk {machine['wrk']}. The load average before was "
        f"{machine['load_average_before']}."
    )


def method(http: Mapping[str, Any]) -> str:
    """How the HTTP part measured."""
    how = http["method"]
    return (
        f"Each server is one process on one core; wrk with {how['connections']} connections and Redis have the other. "
        f"{how['users']:,} users take turns. Medians of {how['rounds']} rounds of {how['seconds_per_load']} s, which "
        f"alternate over all contenders (lowest to highest), after a load that does not count. "
        f"µs: processor time of the server for a request. Other "
        f"core: how much of it wrk and Redis used; near 100 % they are the limit. All servers together, idle, use "
        f"{how['idle_servers_busy']:.1%} of a core."
    )


def spread(values: Sequence[float]) -> str:
    """Of requests per second."""
    return f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def per_cent(values: Sequence[float]) -> str:
    """Of shares."""
    return f"{median(values):.1%} ({min(values):.1%} to {max(values):.1%})"


def http_table(http: Mapping[str, Any], kind: str) -> list[str]:
    """The contenders of a kind, the fastest first."""
    lines = ["| contender | requests/s | µs | p99, ms | other core |", "|---|---|---|---|---|"]
    for each in by_speed(http, kind):
        cost, tail = median(each["processor_us_per_request"]), median(each["p99_us"]) / 1000
        busy = median(each["other_core_busy"])
        label = f"**{each['label']}**" if "share_of_bare" in each else each["label"]
        lines.append(f"| {label} | {spread(each['requests_per_second'])} | {cost:.1f} | {tail:.1f} | {busy:.0%} |")
    return lines


def shares_table(http: Mapping[str, Any]) -> list[str]:
    """What is left of the bare application's speed."""
    lines = [
        "Both are in one process and get the same headers; turns go bare, guarded, guarded, bare.",
        "",
        "| application | bare requests/s | share of them | share by processor time | added, µs |",
        "|---|---|---|---|---|",
    ]
    for each in http["contenders"].values():
        if (found := each.get("share_of_bare")) is not None:
            added = found["added_us"]
            cells = [
                each["label"],
                f"{median(found['bare_per_second']):,.0f}",
                per_cent(found["throughput"]),
                per_cent(found["processor"]),
                f"{median(added):.1f} ({min(added):.1f} to {max(added):.1f})",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def failures(http: Mapping[str, Any]) -> list[str]:
    """Who could not be measured, and why."""
    if not http["failed"]:
        return []
    return ["### Not measured", "", *(f"- {name}: {reason}" for name, reason in http["failed"].items()), ""]


def versions_table(http: Mapping[str, Any]) -> list[str]:
    """What each contender is made of, and where its authors recommend this configuration."""
    lines = ["| contender | versions | configured as in |", "|---|---|---|"]
    for each in http["contenders"].values():
        versions = ", ".join(f"{name} {number}" for name, number in each["versions"].items())
        lines.append(f"| {each['label']} | {versions} | {each['documentation']} |")
    return lines


# --- targets -----------------------------------------------------------------------------------------------


def targets_table(outcomes: Sequence[Outcome]) -> list[str]:
    """Each target, and each comparison that it consists of."""
    lines = ["| target | compared | measured | |", "|---|---|---|---|"]
    for outcome in outcomes:
        target = outcome.target
        first = f"{target.name}: {target.said}"
        for row in outcome.rows:
            note = f"; {row.note}" if row.note else ""
            lines.append(f"| {first} | {row.label} | {measured(target, row)}{note} | {verdict(target, row)} |")
            first = ""
        for reason in outcome.missing:
            lines.append(f"| {first} | {_cell(reason)} | | not measured |")
            first = ""
    return lines


def targets_text(outcomes: Sequence[Outcome]) -> str:
    """The same for a terminal."""
    lines = []
    for outcome in outcomes:
        lines.append(f"{outcome.verdict.upper():<14}{outcome.target.name}: {outcome.target.said}")
        for row in outcome.rows:
            note = f" ({row.note})" if row.note else ""
            told = measured(outcome.target, row)
            lines.append(f"{'':<14}  {row.label}: {told}{note}: {verdict(outcome.target, row)}")
        lines += [f"{'':<14}  not measured: {reason}" for reason in outcome.missing]
    return "\n".join(lines)


def measured(target: Target, row: Row) -> str:
    """The median, and the spread of the rounds."""
    low, high = min(row.values), max(row.values)
    if len(row.values) == 1:
        return value(target, row.middle)
    return f"{value(target, row.middle)} ({value(target, low)} to {value(target, high)})"


def value(target: Target, number: float) -> str:
    """A number as the target's unit has it."""
    if target.unit == "%":
        return f"{number:.1%}"
    if target.unit == "1/":
        return f"1/{1 / number:,.1f}" if number > 0 else "nothing"
    return f"{number:.2f} ×"  # noqa: RUF001  # the sign, not the letter


def verdict(target: Target, row: Row) -> str:
    """Met, or missed and by how much of the bound."""
    short = target.missed_by(row.middle)
    return f"missed by {short:.1%}" if short else "met"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())

"""The figures as people read them: bars of plain characters, as wide as the terminal, without colours."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

NARROWEST: Final = 40
WIDEST: Final = 100
_SHORTEST_BAR: Final = 10
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_OPERATIONS: Final = {"login": "login", "first_sight": "first sight", "refresh": "refresh", "revoke": "revoke"}


@dataclass(frozen=True)
class Bar:
    """One line of a chart. ``size`` is the length of the bar, by a scale that the chart's lines share."""

    label: str
    value: str
    size: float
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """Bars under a title, which says what is counted."""

    title: str
    bars: Sequence[Bar]
    remark: str = ""


def can_show(encoding: str | None) -> bool:
    """Whether a terminal of this encoding has the characters; ASCII does it as well."""
    try:
        f"{_EIGHTHS}█".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def draw(results: dict[str, Any], *, width: int, is_ascii: bool) -> str:
    """The whole report."""
    width = max(NARROWEST, min(WIDEST, width))
    where = (
        f"Coatcheck {results['coatcheck']}, Python {results['python']}, {_cores(results['cores'])}, {results['url']}"
    )
    lines = textwrap.wrap(where, width)
    if results["load"] is not None and results["load"] > results["cores"] / 2:
        busy = f"The machine was busy when this began (load {results['load']:.1f}), which shows in all that follows."
        lines += textwrap.wrap(busy, width)
    lines.append("")
    lines += [line for chart in charts(results) for line in _drawn(chart, width, is_ascii)]
    lines += textwrap.wrap(f"All {results['sessions']:,} sessions that this wrote have been ended.", width)
    return "\n".join(lines)


def _cores(count: int) -> str:
    return "1 core" if count == 1 else f"{count} cores"


def charts(results: dict[str, Any]) -> Iterator[Chart]:
    """What there is to show, in the order in which people ask."""
    yield _of_requests(results["request"], results["store"]["one_at_a_time"])
    yield _of_operations(results["store"]["one_at_a_time"], "The store, operations a second, one after the other")
    yield _of_operations(results["store"]["sixteen_at_once"], "The store, operations a second, 16 at once")
    yield _of_revocation(results["revocation"])
    yield _of_http(results["http"])
    yield _of_passwords(results["passwords"])


def _of_requests(request: dict[str, Any], operations: dict[str, Any]) -> Chart:
    hit, access, sight = request["hit_us"], request["access_token"], operations["first_sight"]
    bars = [Bar("seen before", number(hit), hit, "in memory")]
    if access is not None:
        took, bare = access["first_sight_us"], access["primitive_us"]
        name = access["algorithm"]
        bars.append(Bar("new access token", number(took), took, f"{took / bare:.2f} times the bare check"))
        bars.append(Bar(f"bare {name} check", number(bare), bare, "for comparison"))
    if sight is not None:
        took = sight["p50_ms"] * 1000
        bars.append(Bar("new session token", number(took), took, "asks the store once"))
        bars.append(Bar("bare HMAC-SHA256", number(request["hmac_us"]), request["hmac_us"], "for comparison"))
    remark = "New: this process has not met the token. Afterwards it remembers it, until it is told otherwise."
    return Chart("Verifying one request, microseconds", bars, remark)


def _of_operations(operations: dict[str, Any], title: str) -> Chart:
    bars = []
    for name, label in _OPERATIONS.items():
        found = operations[name]
        if found is not None:
            note = f"p50 {number(found['p50_ms'])}  p99 {number(found['p99_ms'])} ms"
            bars.append(Bar(label, number(found["per_second"]), found["per_second"], note))
    return Chart(title, bars)


def _of_revocation(found: dict[str, Any] | None) -> Chart:
    title = "Revocation: how long another process still accepts after revoke has returned, ms"
    if found is None:
        return Chart(title, (), "Not measured: there is no second process that could see a store in memory.")
    p50, worst, bound = found["p50_ms"], found["max_ms"], found["bound_ms"]
    bars = [
        Bar("usual (p50)", number(p50), p50),
        Bar("longest", number(worst), worst, f"of {found['rounds']}"),
        Bar("promised", number(bound), bound, "max_staleness"),
    ]
    return Chart(title, bars)


def _of_http(found: dict[str, Any]) -> Chart:
    bare, guarded = found["bare_per_second"], found["authenticated_per_second"]
    low, high = (f"{part * 100:.0f}" for part in found["share_quartiles"])
    share = f"{found['share'] * 100:.1f}"
    bars = [
        Bar("server alone", number(bare), bare),
        Bar("with Coatcheck", number(guarded), guarded, f"{share} % ({low} to {high})"),
    ]
    return Chart("HTTP (uvicorn, plain ASGI), requests a second on one core", bars)


def _of_passwords(found: dict[str, Any]) -> Chart:
    one, rate = found["one_ms"], found["logins_per_second"]
    cost = f"argon2id {found['profile']}, {found['memory_kib'] / 1024:g} MiB"
    alone = 1000 / one
    bars = [
        Bar("1 at a time", number(alone), alone, f"{number(one)} ms each"),
        Bar(f"{found['at_once']} at a time", number(rate), rate, "as a process does"),
    ]
    return Chart(f"Password checks, and so logins, a second ({cost})", bars)


def number(value: float) -> str:
    """Three digits, which is more than a machine repeats."""
    if value >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.005 or value == 0 else "<0.01"


def _drawn(chart: Chart, width: int, is_ascii: bool) -> list[str]:
    lines = textwrap.wrap(chart.title, width)
    if chart.remark:
        lines += textwrap.wrap(chart.remark, width, initial_indent="  ", subsequent_indent="  ")
    if chart.bars:
        label, value, note = (max(len(getattr(bar, part)) for bar in chart.bars) for part in ("label", "value", "note"))
        used = 2 + label + 2 + value + 2
        room = width - used - (note + 2 if note else 0)
        notes_below = room < _SHORTEST_BAR
        if notes_below:
            room = width - used
        longest = max(bar.size for bar in chart.bars) or 1.0
        for bar in chart.bars:
            drawn = _bar(bar.size / longest, room, is_ascii)
            start = f"  {bar.label.ljust(label)}  {bar.value.rjust(value)}  "
            if notes_below:
                lines += [start + drawn, *([f"    {bar.note}"] if bar.note else [])]
            else:
                lines.append(f"{start}{drawn.ljust(room)}  {bar.note}".rstrip())
    return [*lines, ""]


def _bar(share: float, room: int, is_ascii: bool) -> str:
    if is_ascii:
        whole = round(share * room)
        return "#" * whole or "|"
    eighths = max(1, round(share * room * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()

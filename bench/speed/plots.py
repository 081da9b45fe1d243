"""The plots of a run. They stand on pages that are light or dark, so nothing is white or black."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from .http import by_speed

TEXT: Final = "#7a8288"
FAINT: Final = "#7a828855"
OURS: Final = "#d1603d"
THEIRS: Final = "#3f86b5"
BARE: Final = "#8a8f94"
OTHERS: Final = ("#d1603d", "#3f86b5", "#5b9a68", "#a77bb5", "#b8923a", "#8a8f94")

STYLE: Final[dict[Any, Any]] = {
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "axes.spines.top": False,
    "axes.spines.right": False, "axes.edgecolor": FAINT, "axes.labelcolor": TEXT, "axes.titlecolor": TEXT,
    "text.color": TEXT, "xtick.color": TEXT, "ytick.color": TEXT, "svg.hashsalt": "coatcheck",
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
}  # fmt: skip


def _plain(axis: Axis) -> None:
    """Numbers as people write them, also on a logarithmic axis."""
    axis.set_major_formatter(lambda value, place: f"{value:,.10g}")
    axis.set_minor_formatter(lambda value, place: "")


def save(figure: Figure, file: Path) -> None:
    """Write it as SVG, the same bytes for the same figures."""
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def draw(parts: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw what there is data for; an older plot of a part that has none is deleted. The files that were written."""
    made = []
    for name, (part, drawing) in PLOTS.items():
        file = folder / f"speed-{name}.svg"
        data = parts.get(part)
        if data is None or "error" in data:
            file.unlink(missing_ok=True)
            continue
        with pyplot.rc_context(STYLE):
            save(drawing(data), file)
        made.append(file)
    return made


def _bars(axes: Axes, labels: Sequence[str], rounds: Sequence[Sequence[float]], colours: Sequence[str]) -> None:
    """Horizontal bars of medians, the first on top; a thin line from the lowest to the highest round."""
    places = [-float(number) for number in range(len(labels))]
    middles = [median(each) for each in rounds]
    axes.barh(places, middles, color=colours, height=0.7)
    axes.hlines(places, [min(each) for each in rounds], [max(each) for each in rounds], color=TEXT, linewidth=1)
    axes.set_yticks(places, labels)
    axes.tick_params(left=False)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-len(labels) + 0.4, 0.6)


def requests(http: Mapping[str, Any]) -> Figure:
    """Requests per second of all, a panel for each way to say who asks."""
    panels = [(title, by_speed(http, kind)) for kind, title in KIND_TITLES.items()]
    panels = [(title, found) for title, found in panels if found]
    heights = [len(found) for _, found in panels]
    figure, grid = pyplot.subplots(
        len(panels), 1, figsize=(9, 1.2 + 0.21 * sum(heights)), sharex=True, squeeze=False, layout="constrained",
        height_ratios=heights,
    )  # fmt: skip
    for axes, (title, found) in zip(grid.flat, panels, strict=True):
        rounds = [each["requests_per_second"] for each in found]
        _bars(axes, [each["label"] for each in found], rounds, [_colour(each) for each in found])
        for number, values in enumerate(rounds):
            axes.annotate(
                f"{median(values):,.0f}", (max(values), -number), xytext=(4, 0), textcoords="offset points",
                va="center", fontsize=8,
            )  # fmt: skip
        axes.set_title(title)
    _plain(grid.flat[-1].xaxis)
    grid.flat[-1].set_xlabel("requests per second: median, and a line from the lowest to the highest round")
    return figure


KIND_TITLES: Final = {"session": "sessions", "jwt": "JWTs", "none": "without authentication"}


def _colour(contender: Mapping[str, Any]) -> str:
    if "share_of_bare" in contender:
        return OURS
    return BARE if contender["kind"] == "none" else THEIRS


def shares(http: Mapping[str, Any]) -> Figure:
    """What is left of the bare application's speed: a dot for each turn, a bar for the median."""
    found = [each for each in http["contenders"].values() if "share_of_bare" in each]
    figure, panels = pyplot.subplots(
        1, 2, figsize=(9, 1.2 + 0.24 * len(found)), sharex=True, sharey=True, layout="constrained"
    )
    for axes, (name, title) in zip(
        panels, (("throughput", "of requests per second"), ("processor", "of requests per processor time")), strict=True
    ):
        for number, each in enumerate(found):
            values = [100 * value for value in each["share_of_bare"][name]]
            axes.scatter(values, [-number] * len(values), color=OURS, s=9, alpha=0.5, linewidths=0)
            axes.vlines(median(values), -number - 0.32, -number + 0.32, color=OURS, linewidth=2)
        axes.axvline(100, color=FAINT, linewidth=0.8)
        axes.axvline(97, color=TEXT, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate("97 %", (97, 0.75), xytext=(-3, 0), textcoords="offset points", ha="right", fontsize=8)
        axes.set_title(title)
        axes.set_xlabel("share of the bare application, %")
        axes.tick_params(left=False)
    panels[0].set_yticks([-number for number in range(len(found))], [each["label"] for each in found])
    panels[0].set_ylim(-len(found) + 0.4, 1.1)
    return figure


def first_sight(data: Mapping[str, Any]) -> Figure:
    """Microseconds of a verification by each library, a panel for each algorithm."""
    panels = {}
    for algorithm, costs in data["microseconds"].items():
        node = data["node"].get("microseconds", {}).get(algorithm, {})
        every = costs | {f"{name} (Node)": slices for name, slices in node.items() if name != "primitive"}
        panels[algorithm] = dict(sorted(every.items(), key=lambda each: median(each[1])))
    heights = [len(found) for found in panels.values()]
    figure, grid = pyplot.subplots(
        len(panels), 1, figsize=(9, 1.2 + 0.22 * sum(heights)), sharex=True, squeeze=False, layout="constrained",
        height_ratios=heights,
    )  # fmt: skip
    for axes, (algorithm, found) in zip(grid.flat, panels.items(), strict=True):
        for number, (name, slices) in enumerate(found.items()):
            colour = OURS if name.startswith("Coatcheck") else BARE if "alone" in name else THEIRS
            ordered = sorted(slices)
            tenth = len(ordered) // 10
            axes.hlines(-number, ordered[tenth], ordered[-1 - tenth], color=colour, linewidth=1.5)
            axes.scatter([median(slices)], [-number], color=colour, s=22, zorder=3)
            axes.annotate(
                f"{median(slices):.1f}", (ordered[-1 - tenth], -number), xytext=(6, 0), textcoords="offset points",
                va="center", fontsize=8,
            )  # fmt: skip
        axes.set_yticks([-number for number in range(len(found))], list(found))
        axes.set_xscale("log")
        axes.tick_params(left=False)
        axes.set_ylim(-len(found) + 0.4, 0.6)
        axes.set_title(algorithm)
        axes.grid(axis="x", color=FAINT, linewidth=0.5)
    _plain(grid.flat[-1].xaxis)
    grid.flat[-1].set_xlabel("microseconds of processor time: median, and from the tenth to the ninetieth percentile")
    return figure


def size(data: Mapping[str, Any]) -> Figure:
    """A panel for each operation: its time against the number of live sessions, a line for each store."""
    stores = data["stores"]
    names = list(dict.fromkeys(name for found in stores.values() for name in found["operations"]))
    rows = -(-len(names) // 4)
    figure, grid = pyplot.subplots(
        rows, 4, figsize=(9, 0.8 + 1.8 * rows), sharex=True, squeeze=False, layout="constrained"
    )
    for axes, name in zip(grid.flat, names, strict=False):
        for number, (store, found) in enumerate(stores.items()):
            if name not in found["operations"]:
                continue
            by_size = found["operations"][name]["by_size"]
            axes.plot(
                [int(each) for each in by_size], list(by_size.values()), color=OTHERS[number], marker="o",
                markersize=3, label=store,
            )  # fmt: skip
        unit = next(found["operations"][name]["unit"] for found in stores.values() if name in found["operations"])
        axes.set(xscale="log", title=f"{name}, {unit}")
        if name == "hit":
            axes.set_ylim(0, 1.2 * max(max(found["operations"][name]["by_size"].values()) for found in stores.values()))
        else:
            axes.set_yscale("log")
            axes.margins(y=0.4)
        axes.minorticks_off()
        _plain(axes.xaxis)
        _plain(axes.yaxis)
        axes.grid(axis="y", color=FAINT, linewidth=0.5)
    for axes in list(grid.flat)[len(names) :]:
        axes.set_visible(False)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside upper center", ncols=len(labels))
    figure.supxlabel("live sessions", fontsize=9)
    return figure


def tail(data: Mapping[str, Any]) -> Figure:
    """A panel for each disturbance: latency in each round, alone and disturbed."""
    figure, grid = pyplot.subplots(1, len(data), figsize=(9, 3), sharey=True, squeeze=False, layout="constrained")
    names = ("p50_ms", "p99_ms", "p999_ms")
    for axes, (title, found) in zip(grid.flat, data.items(), strict=True):
        for which, colour, shift in (("alone", BARE, -0.16), ("disturbed", OURS, 0.16)):
            for place, name in enumerate(names):
                values = [each[name] for each in found[which]]
                axes.scatter([place + shift] * len(values), values, color=colour, s=9, alpha=0.6, linewidths=0)
                axes.hlines(median(values), place + shift - 0.12, place + shift + 0.12, color=colour, linewidth=2)
        axes.set_yscale("log")
        axes.set_xticks(range(len(names)), ["p50", "p99", "p99.9"])
        axes.set_title(title.replace("_", " "))
        axes.grid(axis="y", color=FAINT, linewidth=0.5)
    _plain(grid.flat[0].yaxis)
    grid.flat[0].set_ylabel("milliseconds")
    for text, colour, height in (("alone", BARE, 0.95), ("disturbed", OURS, 0.88)):
        grid.flat[0].annotate(text, (0.04, height), xycoords="axes fraction", color=colour)
    return figure


def churn(data: Mapping[str, Any]) -> Figure:
    """Logins and refreshes per second of each store, and what is left of the hits when the table is too small."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 4), layout="constrained", width_ratios=(3, 2))
    best: dict[str, dict[str, float]] = {}
    for store, operations in data["logins"]["stores"].items():
        for name, rows in operations.items():
            best.setdefault(name.replace("_", " "), {})[store] = max(row["per_second"] for row in rows)
    stores = list(data["logins"]["stores"])
    for number, store in enumerate(stores):
        places = [-place - number * 0.8 / len(stores) for place in range(len(best))]
        rates = [found.get(store, 0.0) for found in best.values()]
        left.scatter(rates, places, color=OTHERS[number], s=22)  # no bars: a logarithmic axis has no zero
        for place, rate, name in zip(places, rates, best, strict=True):
            text = f"{rate:,.0f}" + (f"  {store}" if name == next(iter(best)) else "")
            left.annotate(
                text, (rate, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8
            )  # fmt: skip
    left.set_yticks([-place - 0.3 for place in range(len(best))], list(best))
    left.set_xscale("log")
    _plain(left.xaxis)
    left.tick_params(left=False)
    left.set_title("per second, one process, the best number of clients")
    right.set_title("hits, % of verifications")
    store, modes = next(iter(data["table"]["stores"].items()))
    rows = [row for row in modes["session"] if row["order"] in ("cycling", "zipf")]
    for number, order in enumerate(("cycling", "zipf")):
        own = [row for row in rows if row["order"] == order]
        x = [row["credentials"] for row in own]
        right.plot(x, [100 * row["hit_rate"] for row in own], color=OTHERS[number], marker="o", markersize=3)
        right.plot(x, [100 * row["hit_rate_lru"] for row in own], color=OTHERS[number], linestyle=":", linewidth=1)
        right.annotate(
            order, (x[-1], 100 * own[-1]["hit_rate"]), xytext=(0, 5), textcoords="offset points", ha="right",
            color=OTHERS[number],
        )  # fmt: skip
    right.set_xlabel("credentials for each entry of the table\n(dotted: dropping the least recently used)")
    right.set_ylim(-2, 104)
    return figure


PLOTS: Final = {
    "requests": ("http", requests),
    "shares": ("http", shares),
    "first-sight": ("first_sight", first_sight),
    "churn": ("churn", churn),
    "size": ("size", size),
    "tail": ("tail", tail),
}
"""Name of the file to the part whose data it draws."""

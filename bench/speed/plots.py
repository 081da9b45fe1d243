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


PLOTS: Final = {"requests": ("http", requests), "shares": ("http", shares)}
"""Name of the file to the part whose data it draws."""

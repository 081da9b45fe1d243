"""The plots of docs/scale.md. Lines are named where they end; what does not tell anything is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.figure import Figure

COLOURS: Final = {"sqlite": "#8a8f94", "postgresql": "#2a6f97", "redis": "#d1603d"}
NAMES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "redis": "Redis"}
_SHOWN: Final = ("create", "find", "revoke", "revoke_subject", "sessions_of", "prune")

pyplot.rcParams.update(
    {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "coatcheck",
     "axes.titlesize": 9, "axes.titlelocation": "left"}
)  # fmt: skip


def save(figure: Figure, file: Path) -> None:
    """Write it as SVG, the same bytes for the same figures."""
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def cost_against_size(stores: Sequence[Mapping[str, Any]], file: Path) -> None:
    """A panel per operation: milliseconds against the number of other sessions, both logarithmic."""
    figure, panels = pyplot.subplots(2, 3, figsize=(9, 4.8), sharex=True, sharey=True, layout="constrained")
    for axes, name in zip(panels.flat, _SHOWN, strict=True):
        for store in stores:
            rows = store["operations"][name]
            axes.plot(
                [row["others"] for row in rows], [row["ms"] for row in rows],
                color=COLOURS[store["store"]], marker="o", markersize=3.5, label=NAMES[store["store"]],
            )  # fmt: skip
        axes.set(xscale="log", yscale="log", title=name)
        axes.set_ylim(0.05, 20)
        axes.minorticks_off()
        axes.grid(axis="y", color="#e6e8ea")
    panels[0][0].legend(frameon=False, loc="upper left", ncols=3, columnspacing=1, handlelength=1)
    figure.supxlabel("sessions of others", fontsize=9)
    figure.supylabel("milliseconds, median", fontsize=9)
    save(figure, file)


def fleet(simulated: Mapping[str, Sequence[Mapping[str, float]]], file: Path) -> None:
    """The store's load, and the delay of the last followers, against their number; dots are the simulation."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for (name, rows), colour in zip(simulated.items(), (COLOURS["redis"], COLOURS["postgresql"]), strict=True):
        x = [row["followers"] for row in rows]
        for axes, model, dots, scale in (
            (left, "busy_model", "busy", 100), (right, "p99_model_ms", "p99_ms", 1)
        ):  # fmt: skip
            axes.plot(x, [row[model] * scale for row in rows], color=colour, label=name)
            axes.scatter(x, [min(row[dots] * scale, 1e9) for row in rows], color=colour, s=14, zorder=3)
    for bound, text in ((10, "10 ms"), (2_000, "the lease: 2 s")):
        right.axhline(bound, color="#b8bcc0", linewidth=0.8)
        right.annotate(text, (10, bound), xytext=(0, 3), textcoords="offset points", color="#6a6f74", fontsize=8)
    left.set(xscale="log", yscale="log", title="store's processors, % busy")
    right.set(xscale="log", yscale="log", title="delay of an event, 99th percentile, ms")
    for axes in (left, right):
        axes.set_xlabel("followers of the store")
        axes.grid(axis="y", color="#e6e8ea")
    left.legend(frameon=False, loc="lower right")
    save(figure, file)

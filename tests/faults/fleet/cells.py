"""One store under one fault, many rounds: what a process of the long run does."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from random import Random
from typing import Any

from .crew import running_fleet
from .faults import FAULTS
from .report import summary
from .rounds import Result, Rounds
from .stores import PLACES


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One store under one fault."""

    store: str
    fault: str
    rounds: int
    verifying: int
    max_staleness: float
    seed: int
    sabotage: str


def play(cell: Cell) -> dict[str, Any]:
    """All rounds of a cell, on servers and with processes of its own. What goes wrong is part of the answer."""
    results: list[Result] = []
    further: list[str] = []
    durability = ""
    try:
        with (
            PLACES[cell.store]() as place,
            running_fleet(
                place, verifying=cell.verifying, max_staleness=cell.max_staleness, sabotage=cell.sabotage
            ) as fleet,
        ):
            durability = place.durability
            rounds = Rounds(fleet, Random(f"{cell.seed} {cell.store} {cell.fault}"))
            for _ in range(cell.rounds):
                results.append(rounds.play(FAULTS[cell.fault]))
            further += rounds.check_with_a_fresh_process()
    except Exception:  # a cell that breaks off is reported, and the others go on
        further.append(traceback.format_exc())
    return summary(cell.store, durability, cell.fault, results, further)

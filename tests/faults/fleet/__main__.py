"""The long run: every store under every fault, many times. ``make faults``, or

    python -m tests.faults.fleet [--rounds 50] [--store NAME ...] [--fault NAME ...] [--parallel 3] [--results DIR]

Ends with 1 when the guarantee was broken. ``--sabotage`` breaks it on purpose in the verifying processes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from .cells import Cell, play
from .faults import APPLICABLE, FAULTS
from .report import has_failed, table
from .sabotage import BREAKS
from .stores import PLACES


def cells(options: argparse.Namespace) -> list[Cell]:
    """The longest first, so that none is left for the end alone."""
    found = [
        Cell(
            store=store,
            fault=fault,
            rounds=options.rounds,
            verifying=options.verifying,
            max_staleness=options.max_staleness,
            seed=options.seed,
            sabotage=options.sabotage,
        )
        for store in reversed(options.store or list(PLACES))
        for fault in APPLICABLE[store]
        if not options.fault or fault in options.fault
    ]
    return sorted(found, key=lambda cell: cell.fault != "failover")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=50, help="of each fault on each store (default 50)")
    parser.add_argument("--store", action="append", choices=list(PLACES))
    parser.add_argument("--fault", action="append", choices=list(FAULTS))
    parser.add_argument("--verifying", type=int, default=3, help="verifying processes of a fleet (default 3)")
    parser.add_argument("--max-staleness", type=float, default=0.5, help="seconds (default 0.5)")
    parser.add_argument("--parallel", type=int, default=3, help="fleets at work at a time (default 3)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="of the dice (default: a new one)")
    parser.add_argument("--sabotage", default="", choices=["", *BREAKS])
    parser.add_argument("--results", type=Path, help="folder for faults.json and faults.md")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    began = time.monotonic()
    done: list[dict[str, Any]] = []
    with ProcessPoolExecutor(options.parallel, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for future in as_completed([pool.submit(play, cell) for cell in cells(options)]):
            cell = future.result()
            done.append(cell)
            fate = "FAILED" if has_failed(cell) else "kept"
            print(f"{cell['store']:<15}{cell['fault']:<12}{cell['rounds']:>4} rounds  {fate}", flush=True)
            for text in cell["failures"]:
                print(f"    {text}")
            write(options, done, began)
    print(f"\n{table(write(options, done, began))}")
    return int(any(has_failed(cell) for cell in done))


def write(options: argparse.Namespace, done: list[dict[str, Any]], began: float) -> dict[str, Any]:
    """The report of what is done so far; also written where results are wanted, so that nothing measured is lost."""
    order = [(store, fault) for store in PLACES for fault in APPLICABLE[store]]
    done.sort(key=lambda cell: order.index((cell["store"], cell["fault"])))
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    report = {
        "machine": f"{os.cpu_count()} cores, {system}",
        "seed": options.seed,
        "verifying": options.verifying,
        "max_staleness": options.max_staleness,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "cells": done,
    }
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)
        (options.results / "faults.json").write_text(json.dumps(report, indent=1) + "\n")
        (options.results / "faults.md").write_text(table(report))
    return report


if __name__ == "__main__":
    sys.exit(main())

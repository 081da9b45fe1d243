"""Measure speed beside what people would use instead, and say which targets are met.

    python -m bench.speed [--quick] [--only http,tail] [--draw]

Writes ``speed.json``, ``speed.md`` and ``speed-*.svg`` into ``bench/results``: about 25 minutes. ``--quick``, under
two minutes, and ``--only`` write ``speed.local.json`` instead, which is nobody's run of record. ``--draw`` measures
nothing: it writes page and plots anew from ``speed.json``. The exit status is 1 when something could not be measured.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from . import plots, report
from .machine import described, say
from .targets import evaluated

PARTS: Final = ("http", "hit", "first_sight", "churn", "size", "tail")
ROOT: Final = Path(__file__).parents[2]
RESULTS: Final = ROOT / "bench" / "results"


def measure(name: str, quick: bool) -> dict[str, Any]:
    """What a part found; ``{"error": why}`` when it could not measure.

    A part runs in a process of its own: what one leaves behind is nobody else's, and one that fails ends none of them.
    """
    say(f"{name}: begins")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        tied = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        command = [*tied, sys.executable, "-m", "bench.speed.one", name, str(file), *(["--quick"] if quick else [])]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            last = ""
            for line in process.stderr or ():
                print(line, end="", file=sys.stderr, flush=True)
                last = line.strip() or last
        say(f"{name}: took {time.monotonic() - begun:.0f} s")
        if process.returncode:
            return {"error": last or f"it ended with status {process.returncode}"}
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return found


def tables(parts: dict[str, Any], *, without: str = "") -> dict[str, str]:
    """What each part that has data says for people."""
    return {
        name: import_module(f"bench.speed.{name}").table(data).strip("\n")
        for name, data in parts.items()
        if "error" not in data and name != without
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="under two minutes, to see where it stands")
    parser.add_argument("--only", help=f"some parts, with commas between: {','.join(PARTS)}")
    parser.add_argument("--draw", action="store_true", help="page and plots anew from speed.json")
    options = parser.parse_args()
    options.parts = options.only.split(",") if options.only else list(PARTS)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return options


def main() -> int:
    options = arguments()
    record = RESULTS / "speed.json"
    if options.draw:
        run = json.loads(record.read_text("utf-8"))
    else:
        begun = time.monotonic()
        run = {"machine": described(), "quick": options.quick, "parts": {}}
        for name in options.parts:
            run["parts"][name] = measure(name, options.quick)
        run["took_seconds"] = round(time.monotonic() - begun)
    parts = run["parts"]
    outcomes = evaluated(parts)
    if options.quick or options.only:
        record = RESULTS / "speed.local.json"
        for name, text in tables(parts).items():
            print(f"\n==== {name}\n{text}")
    else:
        RESULTS.joinpath("speed.md").write_text(report.page(run, outcomes, tables(parts, without="http")), "utf-8")
        plots.draw(parts, RESULTS)
    if not options.draw:
        report.write_json(run, record)
    print(f"\n==== targets\n{report.targets_text(outcomes)}\n\nWritten to {record.relative_to(ROOT)}.")
    failed = [name for name, data in parts.items() if "error" in data or data.get("failed")]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

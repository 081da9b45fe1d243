"""What a run is worth nothing without: the machine, and the versions of everything."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).parents[2]


def described() -> dict[str, Any]:
    """The machine and what runs on it, as JSON data."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_average_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "node": _said(["node", "--version"]).removeprefix("v"),
        "redis": _first_version(["redis-server", "--version"]),
        "wrk": _first_version(["wrk", "--version"]),
        "coatcheck": version("coatcheck"),
        "commit": _commit(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _commit() -> str:
    """Of this checkout; with a plus sign when there are changes to what it holds."""
    commit = _said(["git", "rev-parse", "--short", "HEAD"])
    return f"{commit}+" if commit and _said(["git", "status", "--porcelain", "--untracked-files=no"]) else commit


def _first_version(command: Sequence[str]) -> str:
    found = re.search(r"\d+(\.\d+)+", _said(command))
    return found[0] if found else "unknown"


def _said(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError:
        return ""
    return (done.stdout or done.stderr).strip()


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    print(f"{datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)  # noqa: DTZ005  # for a person, here

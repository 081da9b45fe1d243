"""Run one part and leave what it found in a file: ``python -m bench.speed.one PART FILE [--quick]``."""

from __future__ import annotations

import json
import signal
import sys
from importlib import import_module
from pathlib import Path


def main(part: str, file: str, *flags: str) -> None:
    # What was started is stopped, also when the whole run is.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("stopped"))
    found = import_module(f"bench.speed.{part}").run("--quick" in flags)
    Path(file).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Other people's projects: folders in which pytest runs with Coatcheck installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

from tests.support.service import PATIENCE, environment

PLUGIN = "coatcheck.testing.plugin"
IS_INSTALLED = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
"""Whether pytest finds the plugin by itself. Loading it by name as well would be once too often."""
OPTIONS = () if IS_INSTALLED else ("-p", PLUGIN)


def run_pytest(
    folder: Path, files: Mapping[str, str], *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Write the files and run pytest there, to its end."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    (folder / "pytest.ini").touch()  # so that nobody's settings above it count
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *OPTIONS, *arguments],
        cwd=folder,
        env=environment({"PYTHONWARNINGS": "default", **(env or {})}),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )

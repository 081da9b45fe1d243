"""Both type checkers accept the applications beside this file, in which ``assert_type`` says what they must see."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_"))
MYPY = ("mypy", "--strict")
PYRIGHT = ("pyright",)
CHECKERS = pytest.mark.parametrize("checker", [MYPY, PYRIGHT], ids=["mypy", "pyright"])


def check(checker: Sequence[str], *files: Path) -> subprocess.CompletedProcess[str]:
    """Run a checker as `scripts/lint` does: pyright is the one bundled in its wheel, never one fetched."""
    pinned = {f"PYRIGHT_PYTHON_{name}": "1" for name in ("USE_BUNDLED_PYRIGHT", "GLOBAL_NODE", "IGNORE_WARNINGS")}
    return subprocess.run(
        [Path(sys.executable).parent / checker[0], *checker[1:], *files],
        cwd=ROOT,
        env={**os.environ, **pinned},
        capture_output=True,
        text=True,
    )


@CHECKERS
def test_samples(checker: Sequence[str]) -> None:
    """No complaint about any of them."""
    assert SAMPLES
    done = check(checker, *SAMPLES)
    assert done.returncode == 0, done.stdout + done.stderr


@CHECKERS
def test_types_are_seen(checker: Sequence[str], tmp_path: Path) -> None:
    """They are no "Any": what an identity has not is an error, in the parameter of a FastAPI route as elsewhere."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from coatcheck.fastapi import CurrentUser, OptionalUser\n"
        "def name(user: CurrentUser) -> str:\n    return user.nickname\n"
        "def subject(user: OptionalUser) -> str:\n    return user.subject\n"
    )
    done = check(checker, wrong)
    assert done.returncode == 1, done.stdout + done.stderr
    assert ":3:" in done.stdout
    assert ":5:" in done.stdout

"""The example of the documentation, as if its package were installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parent / "example"


@pytest.fixture(scope="session", autouse=True)
def notes() -> Iterator[Any]:
    sys.path.insert(0, str(EXAMPLE))
    importlib.invalidate_caches()
    yield importlib.import_module("coatcheck_notes")
    sys.path.remove(str(EXAMPLE))

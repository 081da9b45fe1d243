"""The benchmark of the frameworks compares what it says: the numbers themselves depend on the machine."""

from __future__ import annotations

import pytest

from bench.frameworks import FRAMEWORKS, Found, running, table
from bench.speed.load import Load


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_applications(name: str) -> None:
    """The bare route lets everybody in; the protected one lets in who shows the header, and refuses everybody else."""
    with running(FRAMEWORKS[name], ("session",)) as (bare, guarded):
        assert bare.processor_seconds() > 0
        assert guarded["session"].processor_seconds() > 0


def test_numbers() -> None:
    """Shares, and the time that is added to a request, come out of the rounds."""
    found = Found()
    found.add(Load(1000, 1.0, 0.1, 0.5, 900, 2000), Load(800, 1.0, 0.1, 0.5, 900, 2000))
    assert found.throughput == [0.8]
    assert found.processor == pytest.approx([0.8])
    assert found.added == pytest.approx([25.0])
    (row,) = [line for line in table({"flask": {"jwt": found}}, "").splitlines() if "Flask" in line]
    assert "| jwt | 1,000 | 80.0% (80.0% to 80.0%) | 80.0% (80.0% to 80.0%) | 25 µs (25 to 25) |" in row

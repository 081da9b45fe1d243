"""The ASGI middleware beside the same application without it, in one process, over real HTTP."""

from __future__ import annotations

import statistics
import sys

import pytest

from bench.speed.contenders import listed, running
from bench.speed.pairs import shares, turn

SHARE = 0.60
"""By processor time. It only has to tell a middleware that asks a store or a signature library, for a machine that is
busy with other things shows anything between 65 and 110 %: what a hit costs is held to, step by step, in
tests/core/test_hit.py, and what is really left stands in bench/results/speed.md."""
TURNS = 3
TRIES = 4
MODES = ("session", "jwt", "jwt-cookie")


@pytest.mark.alone
@pytest.mark.parametrize("framework", ["asgi", "starlette"])
def test_middleware_costs_little(framework: str) -> None:
    """With the middleware, and on Starlette a decorator, a request takes little more processor time than without."""
    wanted = [f"coatcheck-{framework}-{mode}" for mode in MODES]
    contenders = [each for each in listed(python=sys.executable) if each.id in wanted]
    with running(contenders) as (ready, failed):
        assert failed == {}
        missing = dict.fromkeys(ready, 0.0)
        assert len(missing) == len(MODES)
        for _ in range(TRIES):
            for name in missing:
                found = shares([turn(ready[name], seconds=1, order="ab") for _ in range(TURNS)])
                missing[name] = max(missing[name], statistics.median(found["processor"]))
            missing = {name: best for name, best in missing.items() if best < SHARE}
            if not missing:
                return
    pytest.fail(f"share of the bare application: {missing}")

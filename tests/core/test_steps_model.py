"""The rules of a login in steps, checked in every interleaving of a small world, and each of them needed."""

from __future__ import annotations

import pytest

from tests.core.steps_model import BUILT, Rules, explore


@pytest.mark.parametrize("once", [True, False])
def test_it_holds(once: bool) -> None:
    """With all rules no interleaving makes a session that should not be, with codes that count once and others."""
    assert explore(once=once).startswith("holds in ")


@pytest.mark.parametrize("rule", Rules._fields)
def test_each_rule_carries_weight(rule: str) -> None:
    """Without any one of them there is a way to such a session."""
    found = [explore(BUILT._replace(**{rule: False}), once=once) for once in (True, False)]
    assert any(one.startswith("VIOLATION") for one in found)

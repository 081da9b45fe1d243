"""The model of the guard."""

from __future__ import annotations

import pytest

from .guard_model import Rules, explore


def test_holds_in_every_interleaving() -> None:
    """With every rule in force nothing is open S after revoke returned."""
    assert explore().startswith("holds in ")


@pytest.mark.parametrize("rule", Rules._fields)
def test_each_rule_carries_weight(rule: str) -> None:
    """Without any one of the rules some interleaving leaves a connection open too long."""
    assert explore(Rules()._replace(**{rule: False})).startswith("VIOLATION")

"""The model of the store's clock."""

from __future__ import annotations

import pytest

from .clock_model import Rules, explore


def test_holds_in_every_interleaving() -> None:
    """With every rule in force nothing that was ended is accepted, however the clock steps."""
    assert explore().startswith("holds in ")


@pytest.mark.parametrize("rule", Rules._fields)
def test_each_rule_carries_weight(rule: str) -> None:
    """Without any one of the rules some interleaving does what it must not."""
    assert explore(Rules()._replace(**{rule: False})).startswith("VIOLATION")

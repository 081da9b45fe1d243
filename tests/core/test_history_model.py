"""The model of a history that is rolled back."""

from __future__ import annotations

import pytest

from .history_model import Rules, explore


def test_holds_in_every_interleaving() -> None:
    """With every rule in force nothing that was ended after a restore is accepted, and nothing that was lost."""
    assert explore().startswith("holds in ")


@pytest.mark.parametrize("rule", Rules._fields)
def test_each_rule_carries_weight(rule: str) -> None:
    """Without any one of the rules some interleaving accepts it."""
    assert explore(Rules()._replace(**{rule: False})).startswith("VIOLATION")

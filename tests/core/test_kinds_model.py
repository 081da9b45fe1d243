"""The model of cut-offs by kind."""

from __future__ import annotations

import pytest

from .kinds_model import Rules, explore


def test_holds_in_every_interleaving() -> None:
    """With every rule in force a cut-off ends what it names and nothing else, also beside an older version."""
    assert explore().startswith("holds in ")


@pytest.mark.parametrize("rule", Rules._fields)
def test_each_rule_carries_weight(rule: str) -> None:
    """Without any one of the rules some interleaving lets in what was ended, or ends what was not."""
    assert explore(Rules()._replace(**{rule: False})).startswith("VIOLATION")

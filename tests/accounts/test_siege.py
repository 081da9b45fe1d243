"""A day under attack is what the documentation says it is."""

from __future__ import annotations

import pytest

from bench.siege import ATTACKS, OWNERS, Attack, besieged, row
from tests.docs.test_facts import text_of


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_a_day_under_attack(attack: Attack) -> None:
    """Who is held up, for how long and from where, and how many guesses get through, is in accounts.md."""
    found = {where: await besieged(attack, owner) for where, owner in OWNERS.items()}
    assert row(attack, found) in text_of("accounts.md").splitlines()
    if attack.is_elsewhere:  # then no attack costs the owner a single login from a network they have used
        assert found["a network used before"].refused == 0

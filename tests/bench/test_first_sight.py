"""The measurement of a first sight: what it compares is what it says, and the costs are in proportion."""

from __future__ import annotations

from statistics import median

import pytest

from bench.speed import first_sight
from bench.speed.first_sight_ways import ALGORITHMS, PRIMITIVE, PYJWT, READ, WHOLE, Way, ours, plain_tokens, primitive

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
"""joserfc says so with every token; PyJWT does not know the newer name."""


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_sight, "USERS", 120)
    monkeypatch.setattr(first_sight, "SLICE", 24)


async def test_every_way_is_measured_in_every_round() -> None:
    """Each algorithm has ours, the signature check alone and PyJWT, in as many rounds; what is missing is said."""
    found = await first_sight.measure(0.0)
    for algorithm in ALGORITHMS:
        costs = found["microseconds"][algorithm]
        assert {WHOLE, READ, PRIMITIVE, PYJWT} <= costs.keys()
        assert {len(slices) for slices in costs.values()} == {first_sight.FEWEST_ROUNDS}
    assert {"PyJWT", "cryptography"} <= found["versions"].keys()
    assert all("scripts/setup bench" in said for said in found["missing"].values())
    found["node"] = {"missing": "node is not here"}
    assert "node is not here" in first_sight.table(found)


@pytest.mark.alone
async def test_the_cost_of_a_first_sight() -> None:
    """From header to table at most 2.5 times the signature check (RS256: 3), and for HS256 0.6 of PyJWT's decode."""
    found = await first_sight.measure(4.0)
    ratios = {name: first_sight.ratios(costs) for name, costs in found["microseconds"].items()}
    for algorithm, most in {"RS256": 3.0, "ES256": 2.5, "EdDSA": 2.5}.items():
        assert median(ratios[algorithm]["whole_to_primitive"]) <= most
    assert median(ratios["HS256"]["whole_to_pyjwt"]) <= 0.6


async def test_each_is_the_first_sight_and_no_store_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice begins with nothing of it in the table and ends with all of it; it never waits for a store."""
    auth = await first_sight.started("ES256")
    try:
        tokens = [await first_sight.access_token(auth, number) for number in range(3)]
        monkeypatch.setattr(auth.sessions, "find", None)
        way = ours(auth, tokens)[0]
        for _ in range(2):
            await first_sight.cost(way, way.items)
            assert all(auth.known(header) for header in way.items)
            assert way.forget is not None
            way.forget(way.items[0])
            assert auth.known(way.items[0]) is None
    finally:
        await auth.close()


async def test_a_way_that_proves_nothing_is_not_measured() -> None:
    """What takes a changed token, or says nothing of a good one, stops the measurement; the real ones refuse."""
    auth = await first_sight.started("RS256")
    try:
        key = auth.access_tokens.keyring.signer(auth.clock.now())
        tokens = plain_tokens(key, 2)
        await first_sight.check(primitive(key, tokens))
        with pytest.raises(RuntimeError, match="accepts a changed token"):
            await first_sight.check(Way("anything goes", tokens, lambda token: token))
        with pytest.raises(RuntimeError, match="nothing for a good token"):
            await first_sight.check(Way("silence", tokens, lambda token: None))
    finally:
        await auth.close()

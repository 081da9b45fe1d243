"""The arithmetic of `bench.speed.churn` and `bench.speed.size`, and each of their paths on what needs no server."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from bench.scaling.deployments import deployment
from bench.speed import churn_logins, churn_start, churn_storm, churn_table, size, size_table
from coatcheck import Mode


def test_flat_is_what_takes_no_longer_in_the_same_round() -> None:
    """A drift of the machine that meets all sizes alike changes nothing; a cost that grows shows in every round."""
    drift = [1.0, 3.0, 9.0]
    flat = size.judged({1_000: drift, 1_000_000: [1.1 * each for each in drift]})
    assert (flat["flat"], flat["ratio"]) == (True, pytest.approx(1.1))
    grows = size.judged({1_000: drift, 1_000_000: [2.0 * each for each in drift]})
    assert (grows["flat"], grows["ratio"], grows["inside_spread"]) == (False, pytest.approx(2.0), True)
    assert not size.judged({10: [1.0, 1.2], 100: [1.4, 1.4]})["inside_spread"]


def test_everybody_is_the_first_once() -> None:
    """Of as many rounds as there are sizes."""
    assert [size.turned("abc", number) for number in range(3)] == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]


def test_least_recently_used() -> None:
    """Cycling through one more than there is room for never hits; what is asked twice in a row does."""
    order = list(itertools.islice(churn_table.order_of("cycling", 4), 40))
    assert churn_table.least_recently_used(order, 4, begin=4) == 1.0
    assert churn_table.least_recently_used(order, 3, begin=4) == 0.0
    assert churn_table.least_recently_used([1, 1, 2, 2], 1, begin=0) == 0.5


def test_zipf_order() -> None:
    """The first comes about twice as often as the second, and the order is the same each time."""
    order = list(itertools.islice(churn_table.order_of("zipf", 100), 20_000))
    assert order == list(itertools.islice(churn_table.order_of("zipf", 100), 20_000))
    assert order.count(0) / order.count(1) == pytest.approx(2.0, rel=0.1)
    assert set(order) == set(range(100))


def test_storm_beside_calm() -> None:
    """Rounds are compared in pairs, and all delays are looked at together."""

    def row(requests: float, p99: int, *delays: float) -> dict[str, Any]:
        return {
            "per_second": requests, "per_processor_second": requests, "p99_us": p99, "revocations_per_second": 990.0,
            "last_200": [{"sent_ms": each, "received_ms": each + 1} for each in delays],
        }  # fmt: skip

    found = churn_storm.summary([row(100, 10), row(200, 20)], [row(90, 11, 1.0), row(200, 30, 3.0, 2.0)])
    assert found["throughput_shares"] == [0.9, 1.0]
    assert found["p99_ratio"] == pytest.approx(1.3)
    assert found["last_200_ms"]["calm"] == {}
    assert found["last_200_ms"]["storm"]["received"] == {"median": 3.0, "max": 4.0, "times": 3}


def test_what_one_revocation_adds_to_a_start() -> None:
    """The difference to a start without any."""
    empty = [{"seconds": 0.1, "processor_seconds": 0.1, "bytes": 1_000}]
    full = [{"seconds": 1.1, "processor_seconds": 0.6, "bytes": 51_000}]
    found = churn_start.compared(empty, full, 1_000)
    assert (found["processor_us_per_event"], found["bytes_per_event"]) == (pytest.approx(500.0), 50)


@pytest.mark.parametrize("mode", list(churn_table.MODES))
def test_a_table_that_is_too_small(mode: Mode) -> None:
    """Credentials that all have room are hits; twice as many in a circle are none; second chance hits like LRU."""
    with deployment("memory") as target:
        rows = asyncio.run(churn_table.measure(target, mode, churn_table.Plan(room=20, seconds=0.02)))
    rates = {(row["credentials"], row["order"]): (row["hit_rate"], row["hit_rate_lru"]) for row in rows}
    assert rates[1, "cycling"] == rates[1, "zipf"] == (1.0, 1.0)
    assert rates[2, "cycling"] == rates[10, "cycling"] == (0.0, 0.0)
    hits, most = rates[10, "zipf"]
    assert 0 < most - 0.1 < hits


def test_logins_and_refreshes() -> None:
    """Each is done, by one client and by many."""
    with deployment("memory") as target:
        found = asyncio.run(churn_logins.without_passwords(target, 0.01))
    assert [row["clients"] for rows in found.values() for row in rows] == [1, 16] * 3
    assert all(row["times"] >= row["clients"] for rows in found.values() for row in rows)


@pytest.mark.parametrize("name", ["memory", "sqlite"])
def test_cost_against_size(name: str) -> None:
    """Every operation is timed at every size, SQLite's are counted, and a hit asks no store."""
    plan = size.Plan((20, 40), rounds=2, calls=2)
    with deployment(name) as small, deployment(name) as large:
        found = asyncio.run(size.measure([(20, small), (40, large)], plan))
    assert set(found["operations"]) == {
        "create", "find", "touch", "rotate", "sessions_of", "revoke", "revoke_subject", "prune", "hit",
    }  # fmt: skip
    for operation, row in found["operations"].items():
        assert {key: len(values) for key, values in row["rounds"].items()} == {"20": 2, "40": 2}
        if name == "sqlite" and operation != "hit":
            assert row["counted"]["40"] > 0
        if name == "sqlite" and operation not in ("hit", "prune"):  # what is left for prune depends on the time
            assert row["counted"]["20"] == row["counted"]["40"]
    assert found["filled"]["40"]["bytes_per_session"] >= 0


def test_the_table_takes_its_second_chances() -> None:
    """An insertion into a full table drops one entry, and used ones are passed over."""
    filled = size_table.Filled(1_000, 2)
    held = len(filled.table)
    filled.evict_warm(None)  # type: ignore[arg-type] # draws nothing
    assert len(filled.table) == held == 1_000
    assert filled.table.get(filled.keys[16][-32:]) is None
    assert filled.table.get(filled.keys[0][-32:]) is not None

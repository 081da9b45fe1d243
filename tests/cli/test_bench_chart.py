"""How ``coatcheck bench`` draws its figures."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from coatcheck.cli.bench.chart import WIDEST, can_show, draw, number

_OPERATION = {"count": 10, "per_second": 1234.5, "p50_ms": 0.81, "p99_ms": 12.3}
_OPERATIONS = {"login": _OPERATION, "first_sight": _OPERATION, "refresh": _OPERATION, "revoke": _OPERATION}
RESULTS: dict[str, Any] = {
    "coatcheck": "1.2.3",
    "python": "3.11.2",
    "url": "postgresql://a-database-server.internal.example:5432/customers",
    "seconds": 30.0,
    "cores": 2,
    "load": 0.4,
    "request": {
        "hit_us": 0.25,
        "hmac_us": 1.5,
        "access_token": {"algorithm": "ES256", "first_sight_us": 100.0, "primitive_us": 50.0},
    },
    "store": {"one_at_a_time": _OPERATIONS, "sixteen_at_once": _OPERATIONS},
    "revocation": {"rounds": 60, "p50_ms": 0.0, "max_ms": 3.4, "bound_ms": 2000.0},
    "http": {
        "requests": 90000,
        "bare_per_second": 20000.0,
        "authenticated_per_second": 10000.0,
        "share": 0.5,
        "share_quartiles": [0.45, 0.55],
    },
    "passwords": {
        "profile": "rfc9106-low-memory",
        "memory_kib": 65536,
        "one_ms": 31.0,
        "at_once": 2,
        "logins_per_second": 60.0,
    },
    "sessions": 1234,
}


def bar_of(text: str, label: str) -> str:
    """The bar on the line that begins with this label."""
    line = next(line for line in text.splitlines() if line.strip().startswith(label))
    return "".join(char for char in line if char in "#|" or "▏" >= char >= "█")


@pytest.mark.parametrize("is_ascii", [True, False])
@pytest.mark.parametrize("width", [1, 40, 60, 79, 80, 100, 300])
def test_it_fits(width: int, is_ascii: bool) -> None:
    """No line is longer than the terminal is wide, but for words that are, and none ends in a space."""
    text = draw(RESULTS, width=width, is_ascii=is_ascii)
    lines = [line for line in text.splitlines() if "://" not in line]
    assert max(map(len, lines)) <= max(60 if width < 60 else width, 40)
    assert max(map(len, lines)) <= WIDEST
    assert all(line == line.rstrip() for line in lines)
    assert text.isascii() == is_ascii


def test_bars_are_as_long_as_their_figures() -> None:
    """Half as much is half as long, the largest fills the room, and the smallest can be seen."""
    text = draw(RESULTS, width=80, is_ascii=False)
    whole, half = bar_of(text, "server alone"), bar_of(text, "with Coatcheck")
    assert set(whole) == {"█"}
    assert abs(len(whole) / 2 - len(half)) <= 1
    assert bar_of(text, "seen before") == bar_of(text, "usual") == "▏"
    plain = draw(RESULTS, width=80, is_ascii=True)
    assert bar_of(plain, "server alone") == "#" * len(whole)
    assert bar_of(plain, "seen before") == "|"


def test_what_was_not_measured() -> None:
    """It is left out, or said."""
    results = copy.deepcopy(RESULTS)
    results["revocation"] = None
    results["request"]["access_token"] = None
    for operations in results["store"].values():
        operations |= {"refresh": None}
    text = draw(results, width=80, is_ascii=False)
    assert "Not measured" in text
    assert "access token" not in text
    assert "refresh" not in text


def test_a_busy_machine() -> None:
    """Whoever measures beside other work is told that it shows."""
    assert "busy" not in draw(RESULTS, width=80, is_ascii=False)
    assert "busy when this began (load 1.7)" in draw({**RESULTS, "load": 1.7}, width=100, is_ascii=False)
    assert "busy" not in draw({**RESULTS, "load": None}, width=80, is_ascii=False)


def test_the_figures_are_said() -> None:
    """Each with what it is compared with."""
    text = draw(RESULTS, width=100, is_ascii=False)
    for words in (
        "2.00 times the bare check", "50.0 % (45 to 55)", "p50 0.81  p99 12.3 ms", "31.0 ms each", "of 60", "2,000",
        "All 1,234 sessions", "2 cores", "64 MiB",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0.00"),
        (0.001, "<0.01"),
        (0.254, "0.25"),
        (9.876, "9.88"),
        (12.34, "12.3"),
        (123.4, "123"),
        (45678, "45,700"),
    ],
)
def test_numbers(value: float, said: str) -> None:
    """Three digits are said, and nothing is said to be nothing that is something."""
    assert number(value) == said


def test_which_encodings_have_blocks() -> None:
    """Only those that have every character; one that is not known counts as ASCII."""
    assert can_show("utf-8")
    assert not any(can_show(encoding) for encoding in ("ascii", "latin-1", "no-such-encoding", None))

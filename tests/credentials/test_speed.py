"""The first sight of a token is cheap. Ratios only, taken in paired rounds of one process; never an absolute time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from statistics import median

import jwt as pyjwt
import pytest

from coatcheck.errors import ForgedCredential
from tests.credentials.support import CLAIMS, NOW, key, token, tokens


def ratio(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int = 31, calls: int = 60) -> float:
    """The median over paired rounds of our time to theirs; each round runs both, so a slow spell meets both."""

    def timed(call: Callable[[], object]) -> int:
        begin = time.perf_counter_ns()
        for _ in range(calls):
            call()
        return time.perf_counter_ns() - begin

    timed(ours), timed(theirs)
    return median(timed(ours) / timed(theirs) for _ in range(rounds))


def test_first_sight_of_an_hs256_token() -> None:
    """Reading one costs at most half of what PyJWT's decode costs."""
    text, secret = token("HS256"), key("HS256").private
    assert isinstance(secret, bytes)
    options = {"verify_exp": False, "verify_iat": False}

    def theirs() -> object:
        return pyjwt.decode(text, secret, algorithms=["HS256"], audience=CLAIMS.aud, issuer=CLAIMS.iss, options=options)

    assert theirs()
    assert ratio(lambda: tokens("HS256").read(text, now=NOW), theirs) <= 0.5


def test_a_header_that_is_not_ours_costs_less_than_a_signature() -> None:
    """Refusing an unknown header costs less than half of verifying an HS256 token, the cheapest there is."""
    text = token("HS256")
    foreign = "eyJhbGciOiJub25lIn0" + text[text.index(".") :]

    def refuse() -> None:
        with suppress(ForgedCredential):
            tokens("HS256").read(foreign, now=NOW)

    with pytest.raises(ForgedCredential, match="header"):
        tokens("HS256").read(foreign, now=NOW)

    assert ratio(refuse, lambda: tokens("HS256").read(text, now=NOW)) <= 0.5

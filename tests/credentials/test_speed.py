"""The first sight of a token is cheap. Ratios only, of processor time in paired rounds; never an absolute time.

The whole way from the header to the table is in `tests/bench/test_first_sight.py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from statistics import median
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from coatcheck.credentials import encoding
from coatcheck.errors import ForgedCredential
from tests.credentials.support import CLAIMS, NOW, key, token, tokens


def ratio(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int = 31, calls: int = 60) -> float:
    """The median over paired rounds of our time to theirs; each round runs both, so a slow spell meets both."""

    def timed(call: Callable[[], object]) -> int:
        begin = time.thread_time_ns()
        for _ in range(calls):
            call()
        return time.thread_time_ns() - begin

    timed(ours), timed(theirs)
    return median(timed(ours) / timed(theirs) for _ in range(rounds))


def test_first_sight_of_an_hs256_token() -> None:
    """Reading one costs at most a third of what PyJWT's decode costs."""
    text, secret = token("HS256"), key("HS256").private
    assert isinstance(secret, bytes)
    options = {"verify_exp": False, "verify_iat": False}

    def theirs() -> object:
        return pyjwt.decode(text, secret, algorithms=["HS256"], audience=CLAIMS.aud, issuer=CLAIMS.iss, options=options)

    assert theirs()
    assert ratio(lambda: tokens("HS256").read(text, now=NOW), theirs) <= 1 / 3


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_first_sight_of_an_asymmetric_token(algorithm: str) -> None:
    """Reading one costs at most 2.2 times what checking its signature costs, with everything taken apart before."""
    text, public = token(algorithm), key(algorithm).verify_key.public
    signed, _, mark = text.rpartition(".")
    message, signature = signed.encode(), encoding.decode(mark)
    arguments: tuple[Any, ...] = ()
    if isinstance(public, rsa.RSAPublicKey):
        arguments = padding.PKCS1v15(), hashes.SHA256()
    elif isinstance(public, ec.EllipticCurvePublicKey):
        arguments = (ec.ECDSA(hashes.SHA256()),)
        signature = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    verify: Any = public.verify  # type: ignore[union-attr]  # none of these is a shared secret

    def alone() -> None:
        verify(signature, message, *arguments)

    assert ratio(lambda: tokens(algorithm).read(text, now=NOW), alone) <= 2.2


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

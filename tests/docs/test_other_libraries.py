"""What credentials.md says of other JWT libraries, by those that are installed here; and the reuse window's bound."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any, Final

import joserfc.errors
import joserfc.jwt
import jwt
import pytest
from joserfc.jwk import KeySet

from coatcheck import Auth, Mode, Policy, SubjectFacts
from coatcheck.errors import ConfigurationError
from coatcheck.policy import MAX_REUSE_WINDOW
from coatcheck.testing.clock import TravelClock
from tests.docs.test_facts import rows_of

_AHEAD: Final = 30.0
"""Seconds that the issuing machine is ahead of the one that verifies."""
Keys = dict[str, Any]
Read = Callable[[str, Keys, str, int], Any]


def _by_pyjwt(token: str, keys: Keys, algorithm: str, leeway: int) -> Any:
    key = jwt.PyJWK(keys["keys"][0])
    return jwt.decode(token, key, algorithms=[algorithm], audience="coatcheck", issuer="coatcheck", leeway=leeway)


def _by_joserfc(token: str, keys: Keys, algorithm: str, leeway: int) -> Any:
    read = joserfc.jwt.decode(token, KeySet.import_key_set(keys), algorithms=[algorithm])  # type: ignore[arg-type]
    joserfc.jwt.JWTClaimsRegistry(leeway=leeway).validate(read.claims)
    return read.claims


_READERS: Final[dict[str, Read]] = {"PyJWT": _by_pyjwt, "joserfc": _by_joserfc}
_REFUSALS: Final = (jwt.PyJWTError, joserfc.errors.JoseError, ValueError)


async def _token(algorithm: str, ahead: float = 0.0) -> tuple[str, Keys]:
    """An access token, of a machine whose clock is so far ahead, and the key set."""
    policy = Policy(signing_algorithm=algorithm, modes=(Mode.JWT,))
    clock = TravelClock(time.time() + ahead).as_clock()
    async with Auth("memory://", policy=policy, clock=clock, subjects=lambda subject: SubjectFacts()) as auth:
        made = await auth.login("ann")
        assert made.access_token is not None
        return made.access_token, auth.access_tokens.keyring.jwks()


@pytest.mark.parametrize("library", _READERS)
async def test_a_minute_of_leeway(library: str) -> None:
    """Without it a fresh token of a machine that is ahead is refused; as the page writes it, it is taken."""
    written = {row[0].partition(" ")[0]: row[1] for row in rows_of("credentials.md", 2)}
    assert "leeway=60" in written[library]
    token, keys = await _token("ES256", _AHEAD)
    with pytest.raises(_REFUSALS):
        _READERS[library](token, keys, "ES256", 0)
    assert _READERS[library](token, keys, "ES256", 60)["sub"] == "ann"


@pytest.mark.parametrize("library", _READERS)
@pytest.mark.parametrize(("place", "algorithm"), [(1, "EdDSA"), (2, "Ed25519")])
async def test_who_reads_which_name(library: str, place: int, algorithm: str) -> None:
    """The table says so."""
    said = {row[0].partition(" ")[0]: row[place] for row in rows_of("credentials.md", 3)}[library]
    token, keys = await _token(algorithm)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            reads = _READERS[library](token, keys, algorithm, 0)["sub"] == "ann"
        except _REFUSALS:
            reads = False
    assert said == ("no" if not reads else "yes, with a warning" if warned else "yes")


def test_the_reuse_window_has_a_bound() -> None:
    """A stolen token is not noticed for as long, so nobody sets a day by mistake."""
    assert Policy(reuse_window=MAX_REUSE_WINDOW).reuse_window == MAX_REUSE_WINDOW
    for longer in (MAX_REUSE_WINDOW + 1, 86400.0):
        with pytest.raises(ConfigurationError, match=r"policy\.reuse_window"):
            Policy(reuse_window=longer)
    said = {row[0]: row[3] for row in rows_of("settings.md", 4)}["`policy.reuse_window`"]
    assert f"{MAX_REUSE_WINDOW:g} at most" in said

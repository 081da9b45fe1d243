"""What the first sight of an access token costs: ours, PyJWT's, and the bare signature check, in one process.

Run with ``python bench/first_sight.py``. Rounds are paired and medians taken, so the ratios hold on a busy machine;
the microseconds are only good for this one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import jwt as pyjwt

from coatcheck.credentials import encoding
from coatcheck.credentials.jwt import AccessClaims, AccessTokens
from coatcheck.credentials.keyring import Keyring, SigningKey

ROUNDS = 41
CALLS = {"HS256": 500, "RS256": 200, "ES256": 100, "EdDSA": 100}
"""Calls per round. Ed25519 goes by `EdDSA` here: PyJWT does not know the name of RFC 9864."""
NOW = 1_790_000_000.0
CLAIMS = AccessClaims(
    iss="https://auth.example.com",
    aud="coatcheck",
    sub="0190a4b6-1f7c-7d2e-9a53-3b1c5d7e9f01",
    sid="C_6A_ulE0mND6zWRXNPMBIQ_",
    jti="AbCdEfGhIjKlMnOpQrStUv",
    iat=1_790_000_000,
    exp=1_790_000_900,
    client_id="coatcheck",
    auth_time=1_790_000_000,
    amr=("pwd",),
    roles=("user", "admin"),
    epoch=0,
    ver=1,
    mode="jwt",
)


def microseconds(call: Callable[[], object], calls: int) -> float:
    begin = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return (time.perf_counter_ns() - begin) / calls / 1000


def contestants(algorithm: str) -> dict[str, Callable[[], object]]:
    """The same token read three ways. PyJWT leaves the times unchecked, as our read does; it checks iss and aud."""
    key = SigningKey.generate(algorithm, created=0.0, signs_from=0.0)
    tokens = AccessTokens(Keyring([key]))
    token = tokens.issue(CLAIMS, now=NOW)
    public, verify = key.verify_key.public, key.verify_key.verify
    signing_input, _, mark = token.rpartition(".")
    message, signature = signing_input.encode(), encoding.decode(mark)
    options = {"verify_exp": False, "verify_iat": False}

    def by_pyjwt() -> object:
        return pyjwt.decode(
            token, public, algorithms=[algorithm], audience=CLAIMS.aud, issuer=CLAIMS.iss, options=options
        )

    return {
        "coatcheck": lambda: tokens.read(token, now=NOW),
        "pyjwt": by_pyjwt,
        "primitive": lambda: verify(message, signature),
    }


def main() -> None:
    print(f"{'':8} {'coatcheck':>12} {'PyJWT':>12} {'signature':>12} {'PyJWT / ours':>14} {'ours / signature':>18}")
    for algorithm, calls in CALLS.items():
        ways = contestants(algorithm)
        rounds = [{name: microseconds(call, calls) for name, call in ways.items()} for _ in range(ROUNDS)]
        costs = {name: median(one[name] for one in rounds) for name in ways}
        gain = median(one["pyjwt"] / one["coatcheck"] for one in rounds)
        overhead = median(one["coatcheck"] / one["primitive"] for one in rounds)
        print(
            f"{algorithm:8} {costs['coatcheck']:9.1f} µs {costs['pyjwt']:9.1f} µs {costs['primitive']:9.1f} µs"
            f" {gain:13.1f}x {overhead:17.2f}x"
        )


if __name__ == "__main__":
    main()

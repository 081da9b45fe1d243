"""What the credential tests share: claims, keys, and ways to write tokens that our issuer would not write."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import msgspec

from coatcheck.credentials import encoding, jws
from coatcheck.credentials.jwt import AccessClaims, AccessTokens
from coatcheck.credentials.keyring import Keyring, SigningKey

VECTORS = Path(__file__).parent.parent / "vectors"
NOW = 1_790_000_000.0
ISSUING = ("HS256", "RS256", "ES256", "EdDSA", "Ed25519")
CLAIMS = AccessClaims(
    iss="https://auth.example.com",
    aud="coatcheck",
    sub="0190a4b6-1f7c-7d2e-9a53-3b1c5d7e9f01",
    sid="C_6A_ulE0mND6zWRXNPMBIQ_",
    jti="AbCdEfGhIjKlMnOpQrStUv",
    iat=1_790_000_000,
    exp=1_790_000_900,
    client_id="coatcheck",
    auth_time=1_789_999_000,
    amr=("pwd", "otp"),
    roles=("user", "büro"),
    epoch=0,
    ver=3,
    mode="jwt",
    claims={"plan": "gold", "limits": {"seats": 5, "share": 0.25}},
)


def load(name: str) -> Any:
    """A file of test vectors."""
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


@functools.cache
def key(algorithm: str) -> SigningKey:
    """One signing key per algorithm for the whole run: RSA keys are slow to make."""
    return SigningKey.generate(algorithm, created=0.0, signs_from=0.0)


@functools.cache
def tokens(algorithm: str) -> AccessTokens:
    """Access tokens of one key."""
    return AccessTokens(Keyring([key(algorithm)]))


@functools.cache
def token(algorithm: str) -> str:
    """A valid access token."""
    return tokens(algorithm).issue(CLAIMS, now=NOW)


def payload(**changes: Any) -> dict[str, Any]:
    """The claims as a plain dict, with changes."""
    return msgspec.to_builtins(CLAIMS) | changes


def signed(data: bytes, algorithm: str = "HS256") -> str:
    """Any payload at all, signed properly with our key under our header."""
    return jws.sign_compact(key(algorithm).header, data, key(algorithm).sign)


def segment(value: Any) -> str:
    """JSON as a base64url segment; text goes in as it is."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return encoding.encode(text.encode("utf-8", "surrogatepass"))

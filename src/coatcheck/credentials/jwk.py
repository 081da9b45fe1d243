"""Keys as others write them: JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037 §2) and PEM.

Import happens at configuration time and believes nothing: whatever does not fit raises `InvalidKey` with one line that
says what is wrong. Every key has exactly one algorithm from here on.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from coatcheck.credentials import encoding
from coatcheck.credentials.algorithms import (
    ALGORITHMS,
    Algorithm,
    Ecdsa,
    PrivateKey,
    PublicKey,
    Verify,
    algorithm_named,
    public_half,
)
from coatcheck.errors import InvalidKey, MalformedCredential

_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
_SIGNING_OPERATIONS: Final = frozenset({"sign", "verify"})
MAX_KID: Final = 256
"""Characters a key id may have."""


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A key with its one algorithm, ready to verify. Never shows the key itself."""

    kid: str
    algorithm: str
    public: PublicKey = field(repr=False, compare=False)
    verify: Verify = field(repr=False, compare=False)
    """``(signing input, signature)``; raises `ForgedCredential` unless the signature is right."""
    retires: float = math.inf
    """Seconds since the epoch from which on it no longer verifies."""


# -- members ----------------------------------------------------------------------------------------------------------


def _text(jwk: Mapping[str, Any], name: str) -> str:
    value = jwk.get(name)
    if not isinstance(value, str):
        raise InvalidKey(f"a {jwk.get('kty')!s:.8} key needs the member {name!r} as a string")
    return value


def _bytes(jwk: Mapping[str, Any], name: str, size: int | None = None) -> bytes:
    try:
        raw = encoding.decode(_text(jwk, name))
    except MalformedCredential:
        raise InvalidKey(f"the member {name!r} is not base64url without padding") from None
    if not raw:
        raise InvalidKey(f"the member {name!r} is empty")
    if size is not None and len(raw) != size:
        raise InvalidKey(f"the member {name!r} must have {size} bytes, it has {len(raw)}")
    return raw


def _number(jwk: Mapping[str, Any], name: str) -> int:
    raw = _bytes(jwk, name)
    if raw[0] == 0:
        raise InvalidKey(f"the member {name!r} starts with a zero byte (RFC 7518 §2 wants the shortest form)")
    return int.from_bytes(raw, "big")


def _uint(number: int, size: int | None = None) -> str:
    return encoding.encode(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


def _load(make: Callable[[], Any], what: str) -> Any:
    """Call the cryptographic library; whatever it objects to is an `InvalidKey`, without its words (they may quote)."""
    try:
        return make()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidKey(what) from None


# -- one key ----------------------------------------------------------------------------------------------------------


def _mapping(document: Mapping[str, Any] | bytes | str) -> Mapping[str, Any]:
    if isinstance(document, (bytes, str)):
        try:
            document = encoding.parse_json(document.encode() if isinstance(document, str) else document)
        except ValueError as error:
            raise InvalidKey(f"the key document cannot be read: {error}") from None
    if not isinstance(document, Mapping):
        raise InvalidKey("a key document must be a JSON object")
    return document


def _algorithm_of(jwk: Mapping[str, Any], wanted: str | None) -> Algorithm:
    """The key's one algorithm: what it says, what the caller says, or the only one that its curve has."""
    named = jwk.get("alg")
    if named is None and wanted is None:
        fitting = [row for row in ALGORITHMS.values() if isinstance(row, Ecdsa) and row.crv == jwk.get("crv")]
        if jwk.get("kty") != "EC" or not fitting:
            raise InvalidKey("the key does not say its alg: name the one algorithm that it is for")
        return fitting[0]
    row = algorithm_named(wanted if named is None else named)
    if wanted is not None and row.name != wanted:
        raise InvalidKey(f"the key is for {row.name}, not for {wanted:.40}")
    return row


def _check_members(jwk: Mapping[str, Any], row: Algorithm, operation: str) -> None:
    if jwk.get("kty") != row.kty:
        raise InvalidKey(f"{row.name} needs kty {row.kty}, this key has {jwk.get('kty')!r:.20}")
    if jwk.get("crv") != getattr(row, "crv", None):
        raise InvalidKey(f"{row.name} does not go with crv {jwk.get('crv')!r:.20}")
    if jwk.get("use", "sig") != "sig":
        raise InvalidKey(f"the key is for use {jwk['use']!r:.20}, not for signatures")
    operations = jwk.get("key_ops", [operation])
    if not isinstance(operations, Sequence) or not all(isinstance(item, str) for item in operations):
        raise InvalidKey("key_ops must be a list of strings")
    if len(set(operations)) != len(operations) or not _SIGNING_OPERATIONS.issuperset(operations):
        raise InvalidKey("key_ops must name sign and verify only, each once")
    if operation not in operations:
        raise InvalidKey(f"key_ops do not allow the key to {operation}")


def _kid_of(jwk: Mapping[str, Any], public: PublicKey) -> str:
    kid = jwk.get("kid")
    if kid is None:
        return thumbprint(public)
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
        raise InvalidKey(f"kid must be a string of 1 to {MAX_KID} characters")
    return kid


def _public_of(jwk: Mapping[str, Any], row: Algorithm) -> PublicKey:
    if row.kty == "oct":
        return _bytes(jwk, "k")
    if row.kty == "RSA":
        numbers = rsa.RSAPublicNumbers(e=_number(jwk, "e"), n=_number(jwk, "n"))
        key: PublicKey = _load(numbers.public_key, "the RSA key's modulus or exponent is not a valid one")
        return key
    if isinstance(row, Ecdsa):
        point = b"\x04" + _bytes(jwk, "x", row.size) + _bytes(jwk, "y", row.size)
        key = _load(
            lambda: ec.EllipticCurvePublicKey.from_encoded_point(row.curve, point), f"the point is not on {row.crv}"
        )
        return key
    raw = _bytes(jwk, "x", 32)
    key = _load(lambda: Ed25519PublicKey.from_public_bytes(raw), "the member 'x' is not an Ed25519 key")
    return key


def import_jwk(document: Mapping[str, Any] | bytes | str, *, algorithm: str | None = None) -> VerifyKey:
    """A key that verifies, from one JWK: the public half of a pair, or a shared secret (``kty`` oct).

    ``algorithm`` is needed when the key does not name its own. Without a ``kid`` the thumbprint takes its place.
    Raises `InvalidKey`, also when private members of a key pair are there: what verifies has no business with them.
    """
    jwk = _mapping(document)
    row = _algorithm_of(jwk, algorithm)
    _check_members(jwk, row, "verify")
    if row.kty != "oct" and not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise InvalidKey("the key holds private members where only the public half belongs")
    if row.kty != "oct" and "k" in jwk:
        raise InvalidKey("the key holds a shared secret beside a public key")
    public = _public_of(jwk, row)
    return VerifyKey(_kid_of(jwk, public), row.name, public, row.verifier(public))


def import_jwk_set(document: Mapping[str, Any] | bytes | str, *, public_only: bool) -> tuple[VerifyKey, ...]:
    """All keys of a JWK set; one bad key refuses the set.

    ``public_only`` refuses shared secrets, as in any set that came over the network. Raises `InvalidKey`, also for an
    empty set, the same ``kid`` or the same key twice, and shared secrets beside public keys.
    """
    members = _mapping(document).get("keys")
    if not isinstance(members, Sequence) or isinstance(members, (str, bytes)) or not members:
        raise InvalidKey("a key set needs a non-empty list 'keys'")
    keys = tuple(import_jwk(_mapping(member)) for member in members)
    symmetric = [ALGORITHMS[key.algorithm].symmetric for key in keys]
    if any(symmetric) and public_only:
        raise InvalidKey("the key set holds a shared secret; anyone who reads the set could sign with it")
    if any(symmetric) and not all(symmetric):
        raise InvalidKey("the key set mixes shared secrets and public keys")
    check_distinct(keys)
    return keys


def check_distinct(keys: Sequence[VerifyKey]) -> None:
    """Raises `InvalidKey` when two keys share an id, or one key comes twice (under another algorithm, say)."""
    if len({key.kid for key in keys}) != len(keys):
        raise InvalidKey("two keys have the same kid")
    if len({thumbprint(key.public) for key in keys}) != len(keys):
        raise InvalidKey("the same key occurs twice; a key has one kid and one algorithm")


# -- writing ----------------------------------------------------------------------------------------------------------


def _essentials(public: PublicKey) -> dict[str, str]:
    """The members that make the key, in the order of RFC 7638 §3.2."""
    if isinstance(public, bytes):
        return {"k": encoding.encode(public), "kty": "oct"}
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"e": _uint(numbers.e), "kty": "RSA", "n": _uint(numbers.n)}
    if isinstance(public, ec.EllipticCurvePublicKey):
        point, size = public.public_numbers(), (public.curve.key_size + 7) // 8
        return {"crv": _crv(public), "kty": "EC", "x": _uint(point.x, size), "y": _uint(point.y, size)}
    return {"crv": "Ed25519", "kty": "OKP", "x": encoding.encode(public.public_bytes_raw())}


def _crv(public: ec.EllipticCurvePublicKey) -> str:
    return next(
        row.crv for row in ALGORITHMS.values() if isinstance(row, Ecdsa) and row.curve.name == public.curve.name
    )


def thumbprint(public: PublicKey) -> str:
    """RFC 7638 with SHA-256, 43 characters."""
    text = json.dumps(_essentials(public), separators=(",", ":"), sort_keys=True)
    return encoding.encode(hashlib.sha256(text.encode("ascii")).digest())


def export_public_jwk(key: VerifyKey) -> dict[str, str]:
    """The public JWK with ``kid``, ``alg`` and ``use``. Raises `InvalidKey` for a shared secret."""
    if isinstance(key.public, bytes):
        raise InvalidKey("a shared secret cannot be published")
    return {**_essentials(key.public), "kid": key.kid, "alg": key.algorithm, "use": "sig"}


def export_private_jwk(row: Algorithm, private: PrivateKey, kid: str) -> dict[str, str]:
    """The whole key, to be sealed at once and shown to nobody."""
    jwk = {**_essentials(public_half(private)), "kid": kid, "alg": row.name, "use": "sig"}
    if isinstance(private, rsa.RSAPrivateKey):
        n = private.private_numbers()
        parts = {"d": n.d, "p": n.p, "q": n.q, "dp": n.dmp1, "dq": n.dmq1, "qi": n.iqmp}
        jwk |= {name: _uint(value) for name, value in parts.items()}
    elif isinstance(private, ec.EllipticCurvePrivateKey):
        jwk["d"] = _uint(private.private_numbers().private_value, (private.curve.key_size + 7) // 8)
    elif isinstance(private, Ed25519PrivateKey):
        jwk["d"] = encoding.encode(private.private_bytes_raw())
    return jwk


# -- private keys -----------------------------------------------------------------------------------------------------


def import_private_jwk(
    document: Mapping[str, Any] | bytes | str, *, algorithm: str | None = None
) -> tuple[Algorithm, PrivateKey, str]:
    """The algorithm, private key and kid of one JWK that signs. Raises `InvalidKey`, also when its halves disagree."""
    jwk = _mapping(document)
    row = _algorithm_of(jwk, algorithm)
    _check_members(jwk, row, "sign")
    public = _public_of(jwk, row)
    private = _private_of(jwk, row, public)
    row.verifier(public)
    row.signer(private)
    return row, private, _kid_of(jwk, public)


def _private_of(jwk: Mapping[str, Any], row: Algorithm, public: PublicKey) -> PrivateKey:
    disagree = "the private and the public half of the key do not belong together"
    private: PrivateKey
    if isinstance(public, bytes):
        return public
    if isinstance(public, rsa.RSAPublicKey):
        if "oth" in jwk:
            raise InvalidKey("an RSA key with more than two primes is not supported")
        d, p, q, dp, dq, qi = (_number(jwk, name) for name in ("d", "p", "q", "dp", "dq", "qi"))
        numbers = rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, public.public_numbers())
        private = _load(numbers.private_key, disagree)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        size = (public.curve.key_size + 7) // 8
        value = int.from_bytes(_bytes(jwk, "d", size), "big")
        private = _load(ec.EllipticCurvePrivateNumbers(value, public.public_numbers()).private_key, disagree)
    else:
        private = Ed25519PrivateKey.from_private_bytes(_bytes(jwk, "d", 32))
    if thumbprint(public_half(private)) != thumbprint(public):
        raise InvalidKey(disagree)
    return private


# -- PEM --------------------------------------------------------------------------------------------------------------


def import_public_pem(pem: bytes, *, algorithm: str, kid: str | None = None) -> VerifyKey:
    """A key that verifies, from a PEM ``PUBLIC KEY``. Raises `InvalidKey`, also for a private key or a certificate."""
    if b"PRIVATE KEY" in pem:
        raise InvalidKey("the PEM text holds a private key where only the public half belongs")
    row = algorithm_named(algorithm)
    public: PublicKey = _load(lambda: serialization.load_pem_public_key(pem), "the text is not a PEM public key")
    verify = row.verifier(public)
    return VerifyKey(kid or thumbprint(public), row.name, public, verify)


def import_private_pem(pem: bytes, *, algorithm: str) -> tuple[Algorithm, PrivateKey]:
    """A key that signs, from an unencrypted PEM ``PRIVATE KEY``. Raises `InvalidKey`."""
    row = algorithm_named(algorithm)
    private: PrivateKey = _load(
        lambda: serialization.load_pem_private_key(pem, password=None), "the text is not an unencrypted PEM private key"
    )
    row.signer(private)
    return row, private

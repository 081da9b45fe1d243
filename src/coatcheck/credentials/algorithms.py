"""The JWS algorithms, one row per name (RFC 7518 §3, RFC 8037 §3.1, RFC 9864).

A row knows which keys fit it and turns a key into a function that signs or verifies. All work that belongs to the
key alone (parsing, loading, choosing hash and padding) is done when that function is made, never when it is called.
There is no row ``none``.
"""

from __future__ import annotations

import hmac
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from coatcheck.credentials.mac import keyed
from coatcheck.credentials.roca import is_roca_weak
from coatcheck.errors import ForgedCredential, InvalidKey

PublicKey = bytes | rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey
"""What verifies. ``bytes`` is a shared secret (``kty`` oct), everything else is public."""
PrivateKey = bytes | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey
"""What signs."""

Verify = Callable[[bytes, bytes], None]
"""``(signing input, signature)``; raises `ForgedCredential` unless the signature is right."""
Sign = Callable[[bytes], bytes]
"""``(signing input) -> signature``."""

MIN_RSA_BITS: Final = 2048
"""RFC 7518 §3.3."""
MAX_RSA_BITS: Final = 8192
"""Beyond it a verification takes milliseconds for no gain."""
MIN_RSA_EXPONENT: Final = 65537
"""NIST FIPS 186-5 §A.1.1: larger than 2 ** 16 and odd."""

_HASHES: Final[Mapping[str, type[hashes.SHA256] | type[hashes.SHA384] | type[hashes.SHA512]]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


def _refuse() -> ForgedCredential:
    return ForgedCredential("the signature is wrong")


def public_half(private: PrivateKey) -> PublicKey:
    """What verifies the signatures of ``private``; for a shared secret, itself."""
    return private if isinstance(private, bytes) else private.public_key()


@dataclass(frozen=True, slots=True)
class Algorithm(ABC):
    """One row: a JWS ``alg`` name and the only kind of key that may use it."""

    name: str
    kty: str
    """The key type of RFC 7517: ``oct``, ``RSA``, ``EC`` or ``OKP``."""

    @property
    def symmetric(self) -> bool:
        """Whether what verifies can also sign, and so must never be published."""
        return self.kty == "oct"

    @abstractmethod
    def verifier(self, key: PublicKey) -> Verify:
        """A function that verifies with ``key``. Raises `InvalidKey` when the key does not fit or is weak."""

    @abstractmethod
    def signer(self, key: PrivateKey) -> Sign:
        """A function that signs with ``key``. Raises `InvalidKey` when the key does not fit or is weak."""

    @abstractmethod
    def generate(self) -> PrivateKey:
        """A new key from the system's random source."""

    def misfit(self, needed: str) -> InvalidKey:
        """The error for a key of another kind."""
        return InvalidKey(f"{self.name} needs {needed}")


@dataclass(frozen=True, slots=True)
class Hmac(Algorithm):
    """HS256, HS384, HS512 (RFC 7518 §3.2): the key is at least as long as the hash."""

    hash: str
    size: int

    def _check(self, key: PublicKey | PrivateKey) -> bytes:
        if not isinstance(key, bytes):
            raise self.misfit("a shared secret (kty oct)")
        if len(key) < self.size:
            raise InvalidKey(f"{self.name} needs a secret of at least {self.size} bytes, this one has {len(key)}")
        if b"-----BEGIN " in key or key.startswith((b"ssh-", b"ecdsa-sha2-")):
            raise InvalidKey(f"{self.name} needs a random secret, this is the text of an asymmetric key")
        return key

    def verifier(self, key: PublicKey) -> Verify:
        mac, same = keyed(self._check(key), self.hash), hmac.compare_digest

        def verify(signing_input: bytes, signature: bytes) -> None:
            if not same(mac(signing_input), signature):
                raise _refuse()

        return verify

    def signer(self, key: PrivateKey) -> Sign:
        return keyed(self._check(key), self.hash)

    def generate(self) -> bytes:
        return secrets.token_bytes(self.size)


@dataclass(frozen=True, slots=True)
class Rsa(Algorithm):
    """RS256 to RS512 (PKCS #1 v1.5, RFC 7518 §3.3) and PS256 to PS512 (PSS, salt as long as the hash, §3.5)."""

    hash: str
    pss: bool

    def _padding(self) -> padding.PKCS1v15 | padding.PSS:
        if not self.pss:
            return padding.PKCS1v15()
        digest = _HASHES[self.hash]()
        return padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)

    def _check(self, key: PublicKey) -> rsa.RSAPublicKey:
        if not isinstance(key, rsa.RSAPublicKey):
            raise self.misfit("an RSA key")
        numbers = key.public_numbers()
        if not MIN_RSA_BITS <= numbers.n.bit_length() <= MAX_RSA_BITS:
            bits = numbers.n.bit_length()
            raise InvalidKey(f"an RSA key needs {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, this one has {bits}")
        if numbers.n % 2 == 0:
            raise InvalidKey("an RSA modulus is odd, this one is even")
        if numbers.e < MIN_RSA_EXPONENT or numbers.e % 2 == 0 or numbers.e.bit_length() > 256:
            raise InvalidKey(f"an RSA public exponent must be odd, at least {MIN_RSA_EXPONENT} and below 2 ** 256")
        if is_roca_weak(numbers.n):
            raise InvalidKey("this RSA key was made by a broken generator (ROCA, CVE-2017-15361): make a new one")
        return key

    def verifier(self, key: PublicKey) -> Verify:
        public, scheme, digest = self._check(key), self._padding(), _HASHES[self.hash]()

        def verify(signing_input: bytes, signature: bytes) -> None:
            try:
                public.verify(signature, signing_input, scheme, digest)
            except InvalidSignature:
                raise _refuse() from None

        return verify

    def signer(self, key: PrivateKey) -> Sign:
        if not isinstance(key, rsa.RSAPrivateKey):
            raise self.misfit("an RSA private key")
        self._check(key.public_key())
        scheme, digest = self._padding(), _HASHES[self.hash]()
        return lambda signing_input: key.sign(signing_input, scheme, digest)

    def generate(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True, slots=True)
class Ecdsa(Algorithm):
    """ES256, ES384, ES512 (RFC 7518 §3.4): one curve each, signature ``r || s``, both of the curve's exact length."""

    hash: str
    crv: str
    curve: ec.EllipticCurve

    @property
    def size(self) -> int:
        """Bytes of one coordinate, of ``r`` and of ``s``."""
        return (self.curve.key_size + 7) // 8

    def verifier(self, key: PublicKey) -> Verify:
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != self.curve.name:
            raise self.misfit(f"an EC key on {self.crv}")
        size, scheme = self.size, ec.ECDSA(_HASHES[self.hash]())

        def verify(signing_input: bytes, signature: bytes) -> None:
            if len(signature) != 2 * size:
                raise _refuse()
            r = int.from_bytes(signature[:size], "big")
            s = int.from_bytes(signature[size:], "big")
            try:
                key.verify(encode_dss_signature(r, s), signing_input, scheme)
            except InvalidSignature:
                raise _refuse() from None

        return verify

    def signer(self, key: PrivateKey) -> Sign:
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != self.curve.name:
            raise self.misfit(f"an EC private key on {self.crv}")
        size, scheme = self.size, ec.ECDSA(_HASHES[self.hash]())

        def sign(signing_input: bytes) -> bytes:
            r, s = decode_dss_signature(key.sign(signing_input, scheme))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")

        return sign

    def generate(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(self.curve)


_ED25519_PRIME: Final = 2**255 - 19
_ED25519_ORDER_8: Final = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_ED25519_LOW_ORDER: Final = frozenset((0, 1, _ED25519_PRIME - 1, _ED25519_ORDER_8, _ED25519_PRIME - _ED25519_ORDER_8))
"""The y coordinates of the eight points of small order: with one as key, some signature fits every message."""


@dataclass(frozen=True, slots=True)
class Eddsa(Algorithm):
    """Ed25519 under one of its two names: ``EdDSA`` (RFC 8037) or ``Ed25519`` (RFC 9864, which deprecates the first).

    A key has exactly one of them; the other name in a header is refused.
    """

    crv: str = "Ed25519"

    def verifier(self, key: PublicKey) -> Verify:
        if not isinstance(key, Ed25519PublicKey):
            raise self.misfit("an Ed25519 key")
        y = int.from_bytes(key.public_bytes_raw(), "little") & (2**255 - 1)
        if y >= _ED25519_PRIME or y in _ED25519_LOW_ORDER:
            raise InvalidKey("this Ed25519 key is a point that no key generator makes")

        def verify(signing_input: bytes, signature: bytes) -> None:
            if len(signature) != 64:
                raise _refuse()
            try:
                key.verify(signature, signing_input)
            except InvalidSignature:
                raise _refuse() from None

        return verify

    def signer(self, key: PrivateKey) -> Sign:
        if not isinstance(key, Ed25519PrivateKey):
            raise self.misfit("an Ed25519 private key")
        return key.sign

    def generate(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.generate()


ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    row.name: row
    for row in (
        Hmac("HS256", "oct", "sha256", 32),
        Hmac("HS384", "oct", "sha384", 48),
        Hmac("HS512", "oct", "sha512", 64),
        Rsa("RS256", "RSA", "sha256", pss=False),
        Rsa("RS384", "RSA", "sha384", pss=False),
        Rsa("RS512", "RSA", "sha512", pss=False),
        Rsa("PS256", "RSA", "sha256", pss=True),
        Rsa("PS384", "RSA", "sha384", pss=True),
        Rsa("PS512", "RSA", "sha512", pss=True),
        Ecdsa("ES256", "EC", "sha256", "P-256", ec.SECP256R1()),
        Ecdsa("ES384", "EC", "sha384", "P-384", ec.SECP384R1()),
        Ecdsa("ES512", "EC", "sha512", "P-521", ec.SECP521R1()),
        Eddsa("EdDSA", "OKP"),
        Eddsa("Ed25519", "OKP"),
    )
}
"""Every algorithm there is, by its JWS name."""


def algorithm_named(name: object) -> Algorithm:
    """The row of that name. Raises `InvalidKey` for any other, ``none`` among them."""
    row = ALGORITHMS.get(name) if isinstance(name, str) else None
    if row is None:
        raise InvalidKey(f"unknown alg {name!r:.40}: use one of {', '.join(ALGORITHMS)}")
    return row

"""Secrets and signing keys. The newest signs, all verify, and every purpose has its own key.

`Secrets` is what an operator configures. Everything symmetric is derived from it (RFC 5869), one key per purpose, so
that a MAC made for one purpose means nothing for another. `SigningKey` signs access tokens; it rests in the key store,
sealed with the secrets. `Keyring` and `TrustedKeys` are snapshots that verify: of our own keys, and of someone else's.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from coatcheck.credentials import jwk, jws
from coatcheck.credentials.algorithms import PrivateKey, Sign, algorithm_named, public_half
from coatcheck.credentials.entropy import guessed
from coatcheck.credentials.jwk import VerifyKey
from coatcheck.errors import ConfigurationError, InvalidKey

MIN_SECRET: Final = 32
"""Bytes a secret must have: what HMAC-SHA256 and AES-256 draw on."""
_NONCE: Final = 12


class Secrets:
    """The deployment's secrets, newest first. Raises `ConfigurationError` unless each has at least 32 bytes, and for
    one that surely was not drawn at random (`entropy`).

    To change a secret put the new one in front, deploy, and drop the old one when nothing made with it is alive.
    """

    __slots__ = ("_derived", "_secrets")

    def __init__(self, secrets: Sequence[bytes]) -> None:
        given: Sequence[object] = secrets
        if not given:
            raise ConfigurationError("give a list of one or more secrets, newest first")
        for secret in given:
            if not isinstance(secret, bytes) or len(secret) < MIN_SECRET:
                raise ConfigurationError(
                    f"each secret must have at least {MIN_SECRET} random bytes: make one with `openssl rand -base64 32`"
                )
            if why := guessed(secret):
                raise ConfigurationError(f"a secret can be guessed: it {why}; make one with `openssl rand -base64 32`")
        self._secrets = tuple(secrets)
        self._derived: dict[str, tuple[bytes, ...]] = {}

    def __repr__(self) -> str:
        return f"<Secrets: {len(self._secrets)}, not shown>"

    def derive(self, purpose: str) -> tuple[bytes, ...]:
        """32-byte keys for one purpose, one per secret, newest first (HKDF-SHA256, info ``coatcheck/1/<purpose>``)."""
        keys = self._derived.get(purpose)
        if keys is None:
            info = f"coatcheck/1/{purpose}".encode()
            keys = tuple(HKDF(SHA256(), 32, salt=None, info=info).derive(secret) for secret in self._secrets)
            self._derived[purpose] = keys
        return keys

    def seal(self, purpose: str, plaintext: bytes, *, context: bytes) -> bytes:
        """Encrypt for storage with the newest secret (AES-256-GCM). ``context`` must be given again to open it."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + AESGCM(self.derive(f"seal/{purpose}")[0]).encrypt(nonce, plaintext, context)

    def unseal(self, purpose: str, sealed: bytes, *, context: bytes) -> bytes:
        """What `seal` was given, whichever secret sealed it. Raises `ConfigurationError` when none opens it."""
        nonce, rest = sealed[:_NONCE], sealed[_NONCE:]
        for key in self.derive(f"seal/{purpose}"):
            try:
                return AESGCM(key).decrypt(nonce, rest, context)
            except (InvalidTag, ValueError):
                continue
        raise ConfigurationError(
            "the secret is not the one these keys were sealed with: put the earlier secret back, after the new one"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key that signs access tokens, with its one algorithm. Raises `InvalidKey` when the two do not fit."""

    kid: str
    algorithm: str
    private: PrivateKey = field(repr=False, compare=False)
    created: float
    """Seconds since the epoch, as the two below."""
    signs_from: float
    """Published at once, it signs from here on, so that every verifier knows it before it meets it."""
    retires: float | None = None
    """From here on it no longer verifies. None while it is the newest."""
    sign: Sign = field(init=False, repr=False, compare=False)
    verify_key: VerifyKey = field(init=False, repr=False, compare=False)
    header: str = field(init=False, repr=False, compare=False)
    """The header segment of every token that this key signs."""

    def __post_init__(self) -> None:
        row = algorithm_named(self.algorithm)
        public = public_half(self.private)
        retires = math.inf if self.retires is None else self.retires
        if not 0 < len(self.kid) <= jwk.MAX_KID:
            raise InvalidKey(f"kid must be a string of 1 to {jwk.MAX_KID} characters")
        object.__setattr__(self, "sign", row.signer(self.private))
        object.__setattr__(self, "verify_key", VerifyKey(self.kid, row.name, public, row.verifier(public), retires))
        object.__setattr__(self, "header", jws.header_segment(row.name, self.kid))

    @classmethod
    def generate(cls, algorithm: str, *, created: float, signs_from: float) -> SigningKey:
        """A new key. Its kid is the RFC 7638 thumbprint, or 128 random bits for a shared secret."""
        row = algorithm_named(algorithm)
        private = row.generate()
        kid = secrets.token_urlsafe(16) if row.symmetric else jwk.thumbprint(public_half(private))
        return cls(kid=kid, algorithm=row.name, private=private, created=created, signs_from=signs_from)

    @classmethod
    def from_pem(cls, pem: bytes, algorithm: str, *, created: float, signs_from: float) -> SigningKey:
        """A key that a team already has, from an unencrypted PEM private key. Raises `InvalidKey`."""
        row, private = jwk.import_private_pem(pem, algorithm=algorithm)
        kid = jwk.thumbprint(public_half(private))
        return cls(kid=kid, algorithm=row.name, private=private, created=created, signs_from=signs_from)

    def to_bytes(self) -> bytes:
        """The private JWK as JSON: to be sealed at once (`Secrets.seal`), never stored or shown as it is."""
        return msgspec.json.encode(jwk.export_private_jwk(algorithm_named(self.algorithm), self.private, self.kid))

    @classmethod
    def from_bytes(
        cls, data: bytes, *, created: float = 0.0, signs_from: float = 0.0, retires: float | None = None
    ) -> SigningKey:
        """What `to_bytes` wrote; the times are not in it, the store keeps them beside it. Raises `InvalidKey`."""
        row, private, kid = jwk.import_private_jwk(data)
        return cls(
            kid=kid, algorithm=row.name, private=private, created=created, signs_from=signs_from, retires=retires
        )


class Keyring:
    """A snapshot of our own signing keys. Immutable: a rotation makes a new one.

    May hold keys of different algorithms, while a deployment moves from one to another: each header segment belongs to
    one key and each key to one algorithm. Raises `InvalidKey` when two keys share an id or one key comes twice.
    """

    __slots__ = ("_by_header", "keys")

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        jwk.check_distinct([key.verify_key for key in keys])
        self.keys: tuple[SigningKey, ...] = tuple(sorted(keys, key=lambda key: (key.created, key.signs_from)))
        self._by_header = {key.header: key.verify_key for key in self.keys}

    def __repr__(self) -> str:
        return f"Keyring({list(self.keys)!r})"

    def signer(self, now: float) -> SigningKey:
        """The last made of those that sign at ``now``, else the first. Raises `ConfigurationError` without any."""
        live = [key for key in self.keys if key.retires is None or now < key.retires]
        if not live:
            raise ConfigurationError("there is no signing key: make one before issuing access tokens")
        return next((key for key in reversed(live) if key.signs_from <= now), live[0])

    def find(self, header_segment: str) -> VerifyKey | None:
        """The key whose tokens carry exactly this header segment, or None. The caller looks at its ``retires``."""
        return self._by_header.get(header_segment)

    def retirements(self) -> dict[str, float | None]:
        """The kids, with when each key stops verifying."""
        return {key.kid: key.retires for key in self.keys}

    def live(self, now: float) -> Keyring:
        """The snapshot without the keys that have retired by ``now``."""
        return Keyring([key for key in self.keys if key.retires is None or now < key.retires])

    def jwks(self) -> dict[str, Any]:
        """The public JWK set (RFC 7517 §5). Shared secrets are not in it."""
        public = [key.verify_key for key in self.keys if not algorithm_named(key.algorithm).symmetric]
        return {"keys": [jwk.export_public_jwk(key) for key in public]}


class TrustedKeys:
    """Someone else's keys, which only verify: the key set of an issuing service, or keys from its configuration.

    Knows the header segments that Coatcheck issues for these keys. Other issuers spell their headers in another way;
    `trust_header` registers such a spelling once, at configuration time.
    """

    __slots__ = ("_by_header", "_by_kid")

    def __init__(self, keys: Sequence[VerifyKey]) -> None:
        jwk.check_distinct(keys)
        self._by_kid = {key.kid: key for key in keys}
        self._by_header = {jws.header_segment(key.algorithm, key.kid): key for key in keys}

    def __repr__(self) -> str:
        return f"TrustedKeys({list(self._by_kid)!r})"

    @classmethod
    def from_jwks(cls, document: Mapping[str, Any] | bytes | str) -> TrustedKeys:
        """The public keys of a JWK set as it was published. Raises `InvalidKey`, also when it holds a shared secret."""
        return cls(jwk.import_jwk_set(document, public_only=True))

    def find(self, header_segment: str) -> VerifyKey | None:
        """The key whose tokens carry exactly this header segment, or None."""
        return self._by_header.get(header_segment)

    def retirements(self) -> dict[str, float | None]:
        """The kids. When the keys retire is for their owner to know."""
        return dict.fromkeys(self._by_kid)

    def trust_header(self, segment: str, *, types: Collection[str | None] = jws.ACCESS_TYPES) -> VerifyKey:
        """From now on accept tokens whose header is byte for byte ``segment``, for the key that it names.

        For configuration time only: never call it with what a request brought. A header without ``kid`` is for the only
        key there is. ``types`` lists the ``typ`` to accept, None for its absence. Raises `ConfigurationError`.
        """
        kid = jws.header_kid(segment)
        if kid is None and len(self._by_kid) != 1:
            raise ConfigurationError("the header names no kid and there is more than one key")
        key = next(iter(self._by_kid.values())) if kid is None else self._by_kid.get(kid)
        if key is None:
            raise ConfigurationError("the header names a kid that is not among the keys")
        jws.check_header(segment, key, types)
        self._by_header[segment] = key
        return key

"""The ways to verify a token that was never seen before: Coatcheck's, the signature check alone, and other libraries'.

Every library is given its key once, loaded, and told the algorithm and the issuer. The claims of the tokens for others
are the eight that the Node part has as well; Coatcheck reads its own tokens, which have fifteen.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from coatcheck import Auth
from coatcheck.credentials import encoding
from coatcheck.credentials.keyring import SigningKey
from coatcheck.credentials.transport import find_credential

ALGORITHMS: Final = ("HS256", "RS256", "ES256", "EdDSA")
"""Ed25519 goes by its older name: not every library knows that of RFC 9864."""
ISSUER: Final = "https://auth.example.com"
WHOLE: Final = "Coatcheck, from the header to the table"
READ: Final = "Coatcheck, the token alone"
PRIMITIVE: Final = "signature check alone"
PYJWT: Final = "PyJWT"

Items = Sequence[Any]


@dataclass(frozen=True)
class Way:
    """``call`` verifies one item and returns what is not None; it raises for what is not good."""

    name: str
    items: Items
    """One per user."""
    call: Callable[[Any], object] | Callable[[Any], Awaitable[object]]
    waits: bool = False
    """Whether ``call`` is a coroutine function."""
    forget: Callable[[Any], None] | None = None
    """Makes the next sight of an item the first one again; not timed."""


def ours(auth: Auth, tokens: Sequence[str]) -> list[Way]:
    """From the Authorization header of each user to the identity in the table, and the token alone."""
    verify, read, now = auth.verify, auth.access_tokens.read, auth.clock.now()

    async def whole(header: bytes) -> object:
        credential = find_credential(header, None, None)
        assert credential is not None
        return await verify(credential)

    headers = [f"Bearer {token}".encode() for token in tokens]
    return [
        Way(WHOLE, headers, whole, waits=True, forget=auth.table.remove),
        Way(READ, tokens, lambda token: read(token, now=now)),
    ]


def session_tokens(auth: Auth, tokens: Sequence[str]) -> list[Way]:
    """The MAC of a session token, which decides whether the store is asked; and as long a message's MAC alone."""
    key, length = secrets.token_bytes(32), len("session-token") + 8 + 24
    messages = [(secrets.token_bytes(length), b"") for _ in tokens]
    return [
        Way("Coatcheck, a session token", tokens, auth.opaque.read_session_token),
        Way(PRIMITIVE, messages, lambda pair: hmac.digest(key, pair[0], "sha256")),
    ]


def primitive(key: SigningKey, tokens: Sequence[str]) -> Way:
    """`cryptography` with a loaded key, `hmac.digest` with a comparison; over the same tokens, taken apart before."""
    parts = [token.rpartition(".") for token in tokens]
    items = [(signed.encode(), encoding.decode(mark)) for signed, _, mark in parts]
    public = key.verify_key.public
    if isinstance(public, bytes):
        return Way(PRIMITIVE, items, _by_hmac(public))
    if isinstance(public, ec.EllipticCurvePublicKey):
        items = [(message, _der(mark)) for message, mark in items]
    return Way(PRIMITIVE, items, _by_cryptography(public))


def _by_cryptography(public: Any) -> Callable[[tuple[bytes, bytes]], object]:
    """Raises for a wrong signature. What says which algorithm it is, is made once."""
    how: tuple[Any, ...] = ()
    if isinstance(public, rsa.RSAPublicKey):
        how = padding.PKCS1v15(), hashes.SHA256()
    elif isinstance(public, ec.EllipticCurvePublicKey):
        how = (ec.ECDSA(hashes.SHA256()),)
    verify = public.verify

    def check(pair: tuple[bytes, bytes]) -> object:
        verify(pair[1], pair[0], *how)
        return True

    return check


def _by_hmac(key: bytes) -> Callable[[tuple[bytes, bytes]], object]:
    def check(pair: tuple[bytes, bytes]) -> object:
        if not hmac.compare_digest(hmac.digest(key, pair[0], "sha256"), pair[1]):
            raise ValueError("the MAC is wrong")
        return True

    return check


def _der(mark: bytes) -> bytes:
    half = len(mark) // 2
    return encode_dss_signature(int.from_bytes(mark[:half], "big"), int.from_bytes(mark[half:], "big"))


def plain_tokens(key: SigningKey, users: int) -> list[str]:
    """Tokens as others issue them: eight claims, a header with ``alg`` and ``typ``."""
    header = encoding.encode(json.dumps({"alg": key.algorithm, "typ": "JWT"}, separators=(",", ":")).encode())
    now = int(time.time())
    tokens = []
    for number in range(users):
        claims = {
            "iss": ISSUER, "sub": f"user-{number:04}", "sid": secrets.token_urlsafe(16),
            "jti": secrets.token_urlsafe(16), "iat": now, "exp": now + 3600, "auth_time": now,
            "roles": ["reader", "editor"],
        }  # fmt: skip
        signed = f"{header}.{encoding.encode(json.dumps(claims, separators=(',', ':')).encode())}"
        tokens.append(f"{signed}.{encoding.encode(key.sign(signed.encode()))}")
    return tokens


def others(key: SigningKey, tokens: Sequence[str]) -> tuple[list[Way], dict[str, str], dict[str, str]]:
    """The libraries that can be imported, their versions, and why the rest cannot."""
    ways, versions, missing = [], {}, {}
    for name, (distribution, make) in _LIBRARIES.items():
        try:
            call = make(key)
        except ImportError as error:
            missing[name] = f"{name} is not installed here ({error.name}): run scripts/setup bench"
        else:
            ways.append(Way(name, tokens, call))
            versions[name] = version(distribution)
    return ways, versions, missing


def _pyjwt(key: SigningKey) -> Callable[[str], object]:
    import jwt

    public, algorithms = key.verify_key.public, [key.algorithm]
    return lambda token: jwt.decode(token, public, algorithms=algorithms, issuer=ISSUER)


def _joserfc(key: SigningKey) -> Callable[[str], object]:
    from joserfc import jwk, jwt

    loaded = jwk.JWKRegistry.import_key(_exported(key), _kty(key))
    algorithms = [key.algorithm]
    registry = jwt.JWTClaimsRegistry(iss={"essential": True, "value": ISSUER})

    def decode(token: str) -> object:
        decoded = jwt.decode(token, loaded, algorithms=algorithms)
        registry.validate(decoded.claims)
        return decoded

    return decode


def _authlib(key: SigningKey) -> Callable[[str], object]:
    from authlib.jose import JsonWebKey, JsonWebToken

    loaded = JsonWebKey.import_key(_exported(key), {"kty": _kty(key)})
    decoder, options = JsonWebToken([key.algorithm]), {"iss": {"essential": True, "value": ISSUER}}

    def decode(token: str) -> object:
        claims = decoder.decode(token, loaded, claims_options=options)
        claims.validate()
        return claims

    return decode


def _jwcrypto(key: SigningKey) -> Callable[[str], object]:
    from jwcrypto import jwk, jwt

    data = _exported(key)
    loaded = jwk.JWK(kty="oct", k=encoding.encode(data)) if key.algorithm == "HS256" else jwk.JWK.from_pem(data)
    algorithms, claims = [key.algorithm], {"iss": ISSUER}
    return lambda token: jwt.JWT(jwt=token, key=loaded, algs=algorithms, check_claims=claims, expected_type="JWS")


_LIBRARIES: Final[dict[str, tuple[str, Callable[[SigningKey], Callable[[str], object]]]]] = {
    PYJWT: ("pyjwt", _pyjwt),
    "joserfc": ("joserfc", _joserfc),
    "Authlib": ("authlib", _authlib),
    "jwcrypto": ("jwcrypto", _jwcrypto),
}


def _kty(key: SigningKey) -> Any:
    return {"HS256": "oct", "RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}[key.algorithm]


def _exported(key: SigningKey) -> bytes:
    """What a library imports: the secret, or the public key as PEM."""
    public = key.verify_key.public
    if isinstance(public, bytes):
        return public
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

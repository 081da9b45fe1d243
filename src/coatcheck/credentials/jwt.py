"""Access tokens: JWTs of the profile RFC 9068, signed by the keyring.

Reading checks that a token is ours and well formed, nothing else. Whether it is in time, meant for us and still good is
decided in `coatcheck.decide`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from coatcheck.credentials import encoding, jws
from coatcheck.credentials.keyring import Keyring, TrustedKeys
from coatcheck.errors import ConfigurationError, MalformedCredential

Text = Annotated[str, msgspec.Meta(min_length=1)]
NumericDate = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
"""Whole seconds since the epoch, up to the end of the year 9999."""
Counter = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""What a store can count to."""


class ActClaim(msgspec.Struct, frozen=True):
    """RFC 8693 §4.1."""

    sub: Text


class CnfClaim(msgspec.Struct, frozen=True):
    """RFC 9449 §6.1, RFC 7800."""

    jkt: Text


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The payload of an access token."""

    iss: Text
    aud: Text
    sub: Text
    sid: Text
    """The session that the token hangs from."""
    jti: Text
    iat: NumericDate
    exp: NumericDate
    client_id: Text
    auth_time: NumericDate
    amr: tuple[str, ...]
    roles: tuple[str, ...]
    epoch: Counter
    ver: Counter
    """The subject's version at issue; when it has moved on, the token is stale."""
    mode: Text
    nbf: NumericDate = 0
    """Not good before this. Ours have none; who sets it means it (RFC 7519 §4.1.5)."""
    claims: dict[str, Any] = {}
    """The application's own. Left out when empty."""
    kind: str = ""
    """What the session is for, of one that is no login. This and what follows a plain login's token has not."""
    scope: str | UnsetType = UNSET
    """RFC 8693 §4.2: the words that it is narrowed to, with a space between. Empty: to nothing."""
    act: ActClaim | UnsetType = UNSET
    """The administrator who acts."""
    cnf: CnfClaim | UnsetType = UNSET
    """The key that whoever presents it must prove to have."""


_encode: Final = msgspec.json.Encoder().encode
_decode_claims: Final = msgspec.json.Decoder(AccessClaims).decode
_decode_any: Final = msgspec.json.Decoder().decode


def _read_payload(payload: bytes) -> AccessClaims:
    """Decode strictly: types, and one spelling.

    Our issuer writes what msgspec writes, so what msgspec would not write again is refused: duplicate members at any
    depth, white space, other spellings of a number or string. A newer version's tokens may have claims that we do not
    know; those take the second way, which compares the whole object.
    """
    try:
        claims = _decode_claims(payload)
        if _encode(claims) != payload and _encode(_decode_any(payload)) != payload:
            raise MalformedCredential("the payload is not in canonical form")
    except msgspec.ValidationError as error:
        raise MalformedCredential(f"a claim is missing or of the wrong type{_where(error)}") from None
    except (ValueError, RecursionError):
        raise MalformedCredential("the payload is not JSON") from None
    return claims


def _write_payload(claims: AccessClaims) -> bytes:
    complaint = "the claims of a subject must be JSON: text keys, finite numbers, lists, objects"
    try:
        if claims.claims and not _is_json(claims.claims):
            raise ConfigurationError(complaint)
        return _encode(claims)
    except (TypeError, ValueError, RecursionError):
        raise ConfigurationError(complaint) from None


def _where(error: msgspec.ValidationError) -> str:
    """The claim's name, when it is one of ours: the rest of msgspec's text may quote the token."""
    name = next((name for name in AccessClaims.__struct_fields__ if f"`{name}`" in str(error)), None)
    path = next((name for name in AccessClaims.__struct_fields__ if f"`$.{name}" in str(error)), name)
    return f": {path}" if path else ""


K = TypeVar("K", Keyring, TrustedKeys)


class TokenReader(Generic[K]):
    """Reads access tokens, by our own keys or someone else's."""

    def __init__(self, keyring: K) -> None:
        self.keyring: K = keyring
        """Replaced as a whole when keys change."""

    def read(self, token: str, *, now: float) -> AccessClaims:
        """The claims of a token that one of our live keys signed.

        Raises `MalformedCredential` or `ForgedCredential` with a reason for the log. Who calls this still has to
        decide about issuer, audience, times, revocation and staleness.
        """
        return _read_payload(jws.verify_compact(token, self.keyring.find, now=now))


_LONGEST_SIGNATURE: Final = 683
"""Characters: RSA of 4096 bits."""


class AccessTokens(TokenReader[Keyring]):
    """Issues and reads access tokens."""

    def fits(self, claims: AccessClaims, limit: int, *, now: float) -> bool:
        """Whether their token has at most so many characters, and not more than any may have. Raises
        `ConfigurationError` when the claims are not JSON."""
        limit = min(limit, jws.MAX_TOKEN)
        key, payload = self.keyring.signer(now), _write_payload(claims)
        shortest = len(jws.sign_compact(key.header, payload, lambda _: b""))
        if shortest + _LONGEST_SIGNATURE <= limit:
            return True
        return shortest <= limit and len(jws.sign_compact(key.header, payload, key.sign)) <= limit

    def issue(self, claims: AccessClaims, *, now: float) -> str:
        """A signed token. Raises `ConfigurationError` when the claims are not JSON or make it longer than 8 KiB."""
        key = self.keyring.signer(now)
        token = jws.sign_compact(key.header, _write_payload(claims), key.sign)
        if len(token) > jws.MAX_TOKEN:
            raise ConfigurationError(f"roles and claims make an access token of {len(token)} characters: keep fewer")
        return token


def _is_json(value: object) -> bool:
    """Whether JSON gives back the same value: msgspec would write other things in some way, NaN as null among them."""
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_json(item) for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_json(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (str, int, bool))


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an access token says of itself, for people to look at. Nothing in it has been verified."""

    header: dict[str, Any] | None
    payload: dict[str, Any] | None
    problems: tuple[str, ...]
    """What is odd about its form, one line each. Empty does not mean that it is genuine."""


def inspect(token: str) -> Inspection:
    """Decode a token for display, trusting nothing. Never raises: what cannot be shown is said in ``problems``."""
    if len(token) > jws.MAX_TOKEN:
        return Inspection(None, None, (f"it is longer than {jws.MAX_TOKEN} characters",))
    problems = []
    segments = token.split(".")
    if len(segments) != 3:
        problems.append(f"it has {len(segments)} segments, an access token has 3")
    header = _show("header", segments[0], problems)
    payload = _show("payload", segments[1], problems) if len(segments) > 1 else None
    if len(segments) == 3:
        try:
            if not encoding.decode(segments[2]):
                problems.append("it has no signature")
        except MalformedCredential as error:
            problems.append(f"the signature is {error.reason}")
    return Inspection(header, payload, tuple(problems))


def _show(part: str, segment: str, problems: list[str]) -> dict[str, Any] | None:
    try:
        value = encoding.parse_json(encoding.decode(segment))
    except MalformedCredential as error:
        problems.append(f"the {part} is {error.reason}")
    except ValueError as error:
        problems.append(f"the {part} cannot be read: {error}")
    else:
        if isinstance(value, dict):
            return value
        problems.append(f"the {part} is not a JSON object")
    return None

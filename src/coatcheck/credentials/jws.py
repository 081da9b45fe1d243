"""Compact JWS (RFC 7515 §3.1): sign, and verify without ever parsing the header of what came in.

A header segment is compared byte for byte with those that the keyring knows. What is not among them is refused before
any base64, JSON or cryptography runs; so there is no ``alg`` to confuse, no ``kid`` to inject and no ``jku`` to follow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from coatcheck.credentials import encoding
from coatcheck.credentials.algorithms import Sign
from coatcheck.credentials.jwk import VerifyKey
from coatcheck.errors import ConfigurationError, ForgedCredential, MalformedCredential

MAX_TOKEN: Final = 8192
"""Characters a token may have. It has to fit into a header line, and servers commonly stop at 8 KiB."""

ACCESS_TYPES: Final = ("at+jwt", "application/at+jwt")
"""``typ`` of an access token, RFC 9068 §2.1 and §4."""

Find = Callable[[str], VerifyKey | None]
"""``header segment -> key``; a dict lookup, None for every segment that was not registered."""

_ALLOWED_MEMBERS: Final = frozenset({"alg", "kid", "typ", "cty", "x5t", "x5t#S256"})
"""Header members that change nothing about how the token is verified. ``crit``, ``b64``, ``zip``, ``jwk``, ``jku``,
``x5u`` and ``x5c`` would; nobody needs the rest."""


def header_segment(algorithm: str, kid: str, typ: str = ACCESS_TYPES[0]) -> str:
    """The one spelling of the header that Coatcheck issues for this key."""
    return encoding.encode(msgspec.json.encode({"alg": algorithm, "typ": typ, "kid": kid}))


def sign_compact(header: str, payload: bytes, sign: Sign) -> str:
    """The token of a header segment and a payload."""
    signing_input = f"{header}.{encoding.encode(payload)}"
    return f"{signing_input}.{encoding.encode(sign(signing_input.encode('ascii')))}"


def verify_compact(token: str, find: Find, *, now: float) -> bytes:
    """The payload of a token that one of our keys signed and that key has not retired by ``now``.

    Raises `MalformedCredential` for anything that is not three segments of canonical base64url in at most `MAX_TOKEN`
    characters, `ForgedCredential` for an unknown header segment, a retired key or a wrong signature.
    """
    if len(token) > MAX_TOKEN:
        raise MalformedCredential(f"longer than {MAX_TOKEN} characters")
    signed, _, signature = token.rpartition(".")
    header, dot, payload = signed.partition(".")
    if not dot or "." in payload:
        raise MalformedCredential("not three segments")
    key = find(header)
    if key is None:
        raise ForgedCredential("the header is not one that we issue")
    if now >= key.retires:
        raise ForgedCredential("its key has been retired")
    mark = encoding.decode(signature)
    try:
        signing_input = signed.encode("ascii")
    except UnicodeEncodeError:
        raise MalformedCredential("not ASCII") from None
    key.verify(signing_input, mark)
    return encoding.decode(payload)


def check_header(segment: str, key: VerifyKey, types: Collection[str | None]) -> None:
    """Whether tokens of ``key`` may carry this header, spelled by someone else. For configuration time only.

    Strict base64url, strict JSON, only members that are known to be harmless; ``alg`` must be the key's,
    ``typ`` one of ``types`` (None: it may be absent). The caller found the key by `header_kid`. Raises
    `ConfigurationError`.
    """
    members = _header_members(segment)
    foreign = members.keys() - _ALLOWED_MEMBERS
    if foreign:
        raise ConfigurationError(f"the header has members that are not allowed: {sorted(foreign)!r:.80}")
    if not all(isinstance(value, str) for value in members.values()):
        raise ConfigurationError("every member of the header must be a string")
    if members.get("alg") != key.algorithm:
        raise ConfigurationError(f"the header's alg is not {key.algorithm}, which is what the key is for")
    typ = members.get("typ")
    if typ not in types and (typ is None or typ.lower() not in types):
        raise ConfigurationError(f"the header's typ {typ!r:.40} is not one that was asked for")


def header_kid(segment: str) -> str | None:
    """The ``kid`` that a header spelled by someone else names. For configuration time only."""
    kid = _header_members(segment).get("kid")
    return kid if isinstance(kid, str) else None


def _header_members(segment: str) -> dict[str, Any]:
    try:
        members = encoding.parse_json(encoding.decode(segment))
    except MalformedCredential as error:
        raise ConfigurationError(f"the header is {error.reason}") from None
    except ValueError as error:
        raise ConfigurationError(f"the header cannot be read: {error}") from None
    if not isinstance(members, dict):
        raise ConfigurationError("the header is not a JSON object")
    return members

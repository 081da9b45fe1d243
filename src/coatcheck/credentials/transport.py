"""Where in a request a credential is. Pure; it sees header lists as ASGI has them: lower-case names, bytes.

Only headers carry credentials: never a query string or a form (RFC 6750 §2.3, RFC 9700 §4.3.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ..errors import MalformedCredential
from ..model import Mode
from .cookies import CookieNames, find_pair

Headers = Iterable[tuple[bytes, bytes]]

_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)
"""RFC 6750 §2.1; the scheme's name is case-insensitive (RFC 9110 §11.1)."""
_COMMON_SCHEME: Final = b"Bearer "
_TOKEN_CHARACTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=-"
_BEARER_SCHEME: Final = re.compile(r"bearer(\s|$)", re.IGNORECASE)


class Carrier(StrEnum):
    """What a credential came in."""

    SESSION_COOKIE = "session-cookie"
    ACCESS_COOKIE = "access-cookie"
    BEARER = "bearer"

    @property
    def is_cookie(self) -> bool:
        """Whether a browser sends it by itself, so that the request needs to show where it comes from."""
        return self is not Carrier.BEARER

    @property
    def mode(self) -> Mode:
        """The mode whose logins are carried in this way."""
        return _MODES[self._value_]  # an enumeration's own hash is a function in Python


_MODES: Final = {
    Carrier.SESSION_COOKIE.value: Mode.SESSION,
    Carrier.ACCESS_COOKIE.value: Mode.JWT_COOKIE,
    Carrier.BEARER.value: Mode.JWT,
}


@dataclass(frozen=True, slots=True)
class Credential:
    """What a client presented. ``key`` is what the table knows it by: the token and what carried it, as they stand in
    the header."""

    carrier: Carrier
    token: str = field(repr=False)
    key: bytes = field(repr=False)


def bearer(token: str) -> Credential:
    """A token from an Authorization header."""
    return Credential(Carrier.BEARER, token, _as_sent(f"Bearer {token}"))


def cookie(carrier: Carrier, name: str, token: str) -> Credential:
    """A token from one of our cookies."""
    return Credential(carrier, token, _as_sent(f"{name}={token}"))


def _as_sent(text: str) -> bytes:
    # What is not ASCII is no token of ours and is refused, so how it is encoded matters to nobody.
    return text.encode("utf-8", "surrogatepass")


def collect(headers: Headers) -> tuple[bytes | None, bytes | None, bytes]:
    """The Authorization, Cookie and Host headers, in one pass. Several Cookie headers are one (RFC 9113 §8.2.3).

    Raises `MalformedCredential` for two Authorization headers."""
    authorization = cookies = None
    host = b""
    for name, value in headers:
        if name == b"cookie":
            cookies = value if cookies is None else cookies + b"; " + value
        elif name == b"host":
            host = value
        elif name == b"authorization":
            if authorization is not None:
                raise MalformedCredential("two Authorization headers")
            authorization = value
    return authorization, cookies, host


def find_credential(authorization: bytes | None, cookies: bytes | None, names: CookieNames | None) -> Credential | None:
    """The credential of a request, or None when it is anonymous.

    A bearer token goes before a cookie, and what was presented counts: a refused bearer token is not replaced by a
    cookie. ``names`` is None where cookies are not read. Raises `MalformedCredential`.
    """
    if authorization is not None:
        token = authorization[len(_COMMON_SCHEME) :]
        # As nearly everybody writes it: the expression takes longer over a JWT than its MAC does.
        if authorization.startswith(_COMMON_SCHEME) and token and not token.translate(None, _TOKEN_CHARACTERS):
            return Credential(Carrier.BEARER, token.decode("ascii"), authorization)
        text = authorization.decode("latin-1")
        found = _BEARER.fullmatch(text)
        if found is not None:
            return bearer(found[1])
        if _BEARER_SCHEME.match(text):
            raise MalformedCredential("not a bearer token in form")
    if cookies is None or names is None:
        return None
    pair = find_pair(cookies, names.session_needle)
    if pair is not None:
        return _from_pair(Carrier.SESSION_COOKIE, pair)
    pair = find_pair(cookies, names.access_needle)
    return None if pair is None else _from_pair(Carrier.ACCESS_COOKIE, pair)


def _from_pair(carrier: Carrier, pair: bytes) -> Credential:
    return Credential(carrier, pair[pair.index(b"=") + 1 :].decode("latin-1"), pair)

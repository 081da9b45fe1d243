"""Where in a request a credential is. Pure; it sees header values as ASGI has them: bytes.

Only headers carry credentials: never a query string or a form (RFC 6750 §2.3, RFC 9700 §4.3.2). Of the schemes of an
Authorization header only ``Bearer`` is ours; every other one is somebody else's, and as if it were not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from .. import arguments
from ..errors import MalformedCredential
from ..model import Mode
from .cookies import CookieNames, find_pair

Headers = Iterable[tuple[bytes, bytes]]

_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)
"""RFC 6750 §2.1; the scheme's name is case-insensitive (RFC 9110 §11.1)."""
_COMMON_SCHEME: Final = b"Bearer "
_TOKEN_CHARACTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=-"
_OURS: Final = re.compile(rb"bearer(?:\s|$)", re.IGNORECASE)


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


@dataclass(frozen=True, slots=True)
class Flaw:
    """What was presented and is not one of ours in form. ``reason`` is for the log."""

    carrier: Carrier
    reason: str


def bearer(token: str) -> Credential:
    """A token from an Authorization header. Raises `TypeError` for what is no text."""
    arguments.kinds(str, token=token)
    return Credential(Carrier.BEARER, token, _as_sent(f"Bearer {token}"))


def cookie(carrier: Carrier, name: str, token: str) -> Credential:
    """A token from one of our cookies."""
    return Credential(carrier, token, _as_sent(f"{name}={token}"))


def _as_sent(text: str) -> bytes:
    # What is not ASCII is no token of ours and is refused, so how it is encoded matters to nobody.
    return text.encode("utf-8", "surrogatepass")


def find_presented(
    authorization: Sequence[bytes], cookies: bytes | None, names: CookieNames | None
) -> Credential | Flaw | None:
    """What a request presents, or None when it is anonymous.

    A bearer token goes before a cookie, and what was presented counts: a refused bearer token is not replaced by a
    cookie. ``authorization``: every header of that name. ``names`` is None where cookies are not read."""
    for value in authorization:
        found = _read_bearer(value, alone=len(authorization) == 1)
        if found is not None:
            return found
    if cookies is None or names is None:
        return None
    for carrier, needle in (
        (Carrier.SESSION_COOKIE, names.session_needle),
        (Carrier.ACCESS_COOKIE, names.access_needle),
    ):
        try:
            pair = find_pair(cookies, needle)
        except MalformedCredential as error:
            return Flaw(carrier, error.reason)
        if pair is not None:
            return Credential(carrier, pair[pair.index(b"=") + 1 :].decode("latin-1"), pair)
    return None


def find_credential(authorization: bytes | None, cookies: bytes | None, names: CookieNames | None) -> Credential | None:
    """As `find_presented`, of at most one Authorization header. Raises `MalformedCredential` for a flaw."""
    return taken(find_presented(() if authorization is None else (authorization,), cookies, names))


def taken(presented: Credential | Flaw | None) -> Credential | None:
    """The credential, if there is one. Raises `MalformedCredential` for a flaw."""
    if isinstance(presented, Flaw):
        raise MalformedCredential(presented.reason)
    return presented


def _read_bearer(authorization: bytes, *, alone: bool) -> Credential | Flaw | None:
    token = authorization[len(_COMMON_SCHEME) :]
    # As nearly everybody writes it: the expressions take longer over a JWT than its MAC does.
    if alone and authorization.startswith(_COMMON_SCHEME) and token and not token.translate(None, _TOKEN_CHARACTERS):
        return Credential(Carrier.BEARER, token.decode("ascii"), authorization)
    if not _OURS.match(authorization):
        return None
    if not alone:
        return Flaw(Carrier.BEARER, "two Authorization headers")
    found = _BEARER.fullmatch(authorization.decode("latin-1"))
    return Flaw(Carrier.BEARER, "not a bearer token in form") if found is None else bearer(found[1])

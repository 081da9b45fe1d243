"""What a request over plain http says of the way that it has come: signs of a proxy that nobody told us to believe.

None of them is believed. They only take something away: a request that was surely made to another host than this
machine gets no development cookie, whatever its Host says (a proxy may have rewritten that). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from ipaddress import ip_address
from typing import Final

from .cookies import is_loopback_host
from .transport import Headers

_WEB_ORIGIN: Final = re.compile(rb"https?://([^,]*)", re.IGNORECASE)
_FORWARDED: Final = re.compile(rb"(?:^|[;,])\s*(for|host|proto)\s*=\s*(\"[^\"]*\"|[^;,\s]*)", re.IGNORECASE)


class Doubt(Enum):
    """Why a request got no cookie that it could have had, as far as it says itself. For whoever runs the server."""

    REWRITTEN_HOST = "rewritten-host"
    """Its Host is this machine, and it was made to another."""
    TLS_NOT_BELIEVED = "tls-not-believed"
    """It came over plain http, and TLS ended on its way."""


def _host(value: bytes, client: str) -> bool:
    return not is_loopback_host(value.rpartition(b",")[2].strip(b' \t"'))


def _proto(value: bytes, client: str) -> bool:
    return value.rpartition(b",")[2].strip(b' \t"').lower() in (b"https", b"wss", b"on")


def _addresses(value: bytes, client: str) -> bool:
    """Somebody who is not on this machine, and whom the server does not take for the client: nobody was believed."""
    return any(_is_outside(part, client) for part in value.decode("latin-1").split(","))


def _is_outside(text: str, client: str) -> bool:
    text = text.strip(' \t"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return not ip_address(text).is_loopback and text != client
    except ValueError:
        return False


def _forwarded(value: bytes, client: str) -> bool:
    return any(_FORWARDED_PARTS[name.lower()](said, client) for name, said in _FORWARDED.findall(value))


_FORWARDED_PARTS: Final[Mapping[bytes, Callable[[bytes, str], bool]]] = {
    b"for": _addresses, b"host": _host, b"proto": _proto,
}  # fmt: skip

_FORWARDING: Final[Mapping[bytes, Callable[[bytes, str], bool]]] = {
    b"forwarded": _forwarded,
    b"x-forwarded-for": _addresses,
    b"x-forwarded-host": _host,
    b"x-forwarded-proto": _proto,
    b"x-real-ip": _addresses,
}
"""Headers that proxies add. Called with the value, and with the client's address as the server knows it: where that is
a proxy's word, it has been believed."""

SIGNS: Final = frozenset({b"origin", *_FORWARDING})
"""Headers without any of which a request does not contradict itself."""


def from_elsewhere(headers: Headers, client: str) -> bool:
    """Whether a request that names this machine was surely made to another: a proxy says so, or a browser, whose page
    is not on this machine and yet of the same origin."""
    same_origin = public = False
    for name, value in headers:
        if name == b"sec-fetch-site":
            same_origin = value == b"same-origin"
        elif name == b"origin":
            public = is_public(value)
        elif name in _FORWARDING and _FORWARDING[name](value, client):
            return True
    return same_origin and public


def is_public(origin: bytes) -> bool:
    """Whether a page of this ``Origin`` is on the web, and not on this machine, in an app or of no origin at all."""
    found = _WEB_ORIGIN.fullmatch(origin)
    return found is not None and not is_loopback_host(found[1])


def over_tls(headers: Headers) -> bool:
    """Whether a request to another machine surely began over TLS, although it came over plain http. Browsers send
    ``Sec-Fetch-Site`` over nothing else (Fetch Metadata §2: potentially trustworthy URLs)."""
    for name, value in headers:
        if name == b"sec-fetch-site" or (name in (b"x-forwarded-proto", b"x-forwarded-ssl") and _proto(value, "")):
            return True
        if name == b"forwarded" and any(
            part.lower() == b"proto" and _proto(said, "") for part, said in _FORWARDED.findall(value)
        ):
            return True
    return False

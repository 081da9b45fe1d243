"""Cookies: names, attributes, and reading them strictly (RFC 6265bis). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from ..errors import MalformedCredential

MAX_COOKIE_BYTES: Final = 4096
"""Name and value together; browsers drop what is longer (RFC 6265bis §5.6)."""

_SEMICOLON: Final = ord(";")
_HOSTS: Final = 64
"""So many Host headers are remembered: anybody may send any."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~-]*")
_LOOPBACK: Final = re.compile(rb"(([a-z0-9_-]+\.)*localhost\.?|127(\.[0-9]{1,3}){3}|\[::1\])(?::0*([0-9]{0,5}))?", re.I)

SameSite = Literal["Lax", "Strict"]


@dataclass(frozen=True, slots=True)
class CookieNames:
    """What our cookies are called. The needles are the same as they stand in a Cookie header."""

    session: str
    access: str
    refresh: str
    attempt: str
    """Of a login under way."""
    secure: bool
    session_needle: bytes
    access_needle: bytes
    first_byte: int
    """What the two that are sent with every request begin with: other than under the other names, but for those of
    another port, which a process knows only where it is asked at both."""


def _names(host: str, elsewhere: str, port: str = "", *, secure: bool) -> CookieNames:
    """``host`` and ``elsewhere``: what the names of cookies of every path begin with, and of those of one path."""
    session, access = f"{host}coatcheck{port}", f"{host}coatcheck-access{port}"
    refresh, attempt = f"{elsewhere}coatcheck-refresh{port}", f"{elsewhere}coatcheck-attempt{port}"
    first, second = f"{session}=".encode(), f"{access}=".encode()
    return CookieNames(session, access, refresh, attempt, secure, first, second, first[0])


SECURE: Final = _names("__Host-", "__Secure-", secure=True)
"""Everywhere but in development. Browsers accept these names only over TLS and from the host itself."""

DEVELOPMENT: Final = _names("", "", secure=False)
"""Over plain http on a loopback address only, where not every client stores Secure cookies; see `names_at_port`."""

_PLAIN_PORTS: Final = ("", "80", "8000")
"""Of `coatcheck serve` as it comes, and of no port in the address."""
_OURS: Final = re.compile(
    r"(__Host-coatcheck(-access)?|__Secure-coatcheck-(refresh|attempt)"
    r"|coatcheck(-access|-refresh|-attempt)?(-[0-9]{1,5})?)"
)


def is_loopback_host(host: bytes) -> bool:
    """Whether a Host header names this machine."""
    return _LOOPBACK.fullmatch(host) is not None


def is_ours(name: str) -> bool:
    """Whether this is what one of our cookies is called, wherever."""
    return _OURS.fullmatch(name) is not None


def names_at_port(port: str) -> CookieNames:
    """What the cookies are called over plain http on a port of this machine. Cookies do not know ports, so two
    applications in development would log each other out: at any other port than 8000 and 80 the names end with it."""
    if port in _PLAIN_PORTS:
        return DEVELOPMENT
    return _names("", "", f"-{port}", secure=False)


class _OverHttp(dict[bytes, CookieNames | None]):
    """What the cookies are called over plain http, by Host header: a dict, for a hit asks it."""

    def __missing__(self, host: bytes) -> CookieNames | None:
        if len(self) >= _HOSTS:
            self.clear()
        found = _LOOPBACK.fullmatch(host)
        names = self[host] = None if found is None else names_at_port((found[4] or b"").decode("ascii"))
        return names


over_http: Final = _OverHttp()


def names_for(scheme: str, host: bytes) -> CookieNames | None:
    """The names for a request. None means plain http to another machine: no cookie is set or read there."""
    if scheme in ("https", "wss"):
        return SECURE
    return over_http[host]


def set_cookie(
    name: str, value: str, *, secure: bool, path: str = "/", same_site: SameSite = "Lax", max_age: int | None = None
) -> str:
    """A Set-Cookie header value. ``max_age`` in seconds; None lasts as long as the browser is open.

    Raises `ValueError` for a value that is not a plain token or that no browser would keep."""
    if not _TOKEN.fullmatch(value):
        raise ValueError("a cookie value must be made of unreserved characters")
    if len(name) + len(value) > MAX_COOKIE_BYTES:
        raise ValueError(f"a cookie is at most {MAX_COOKIE_BYTES} bytes; put less into roles and claims")
    parts = [f"{name}={value}", f"Path={path}", "HttpOnly", f"SameSite={same_site}"]
    if secure:
        parts.append("Secure")
    if max_age is not None:
        parts.append(f"Max-Age={max(0, max_age)}")
    return "; ".join(parts)


def delete_cookie(name: str, *, secure: bool, path: str = "/", same_site: SameSite = "Lax") -> str:
    """A Set-Cookie header value that makes the browser forget the cookie: the same attributes, and no time left."""
    return set_cookie(name, "", secure=secure, path=path, same_site=same_site, max_age=0)


def find_pair(header: bytes, needle: bytes) -> bytes | None:
    """The ``name=value`` of one cookie as it stands in a Cookie header, or None. ``needle`` is ``name=``.

    Raises `MalformedCredential` when the name is there twice: which of them a browser meant cannot be known."""
    start = header.find(needle)
    if start < 0:
        return None
    # A space does not begin a cookie: another cookie's value, which a sister host may have set, can hold one.
    begins = not start or header[start - 1] == _SEMICOLON or header[start - 2 : start] == b"; "
    if not begins or header.find(needle, start + 1) >= 0:
        return _parse_for(header, needle)
    end = header.find(b";", start)
    return (header[start:] if end < 0 else header[start:end]).rstrip(b" \t")


def _parse_for(header: bytes, needle: bytes) -> bytes | None:
    found = None
    for part in header.split(b";"):
        pair = part.strip(b" \t")
        if pair.startswith(needle):
            if found is not None:
                raise MalformedCredential("the same cookie twice")
            found = pair
    return found

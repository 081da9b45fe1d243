"""Origins in canonical form: as a browser writes them in ``Origin`` (RFC 6454 §6.2, the URL standard). Pure.

A request's own origin, the one that it names and those that a policy lists are compared in this form only, so that
``https://App.Example.:443`` is ``https://app.example``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

_PORTS: Final = {"http": 80, "https": 443}
_ORIGIN: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.+)", re.ASCII | re.DOTALL)
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^][:/?#@\\%]+)(?::([0-9]{0,5}))?", re.ASCII)
_LABEL: Final = re.compile(r"[a-z0-9_-]{1,63}", re.ASCII)
_OPAQUE: Final = re.compile(r"[a-z0-9._-]+", re.ASCII)
"""The host of a scheme of an app's own, such as ``capacitor://localhost``."""
_MAX_HOST: Final = 253
_NEVER: Final = frozenset({"about", "blob", "data", "file", "ftp", "javascript", "mailto", "ws", "wss"})
"""Schemes in whose pages ``Origin`` says something else: ``null``, or the origin of the page that made them."""


def canonical(text: str) -> str | None:
    """The canonical form, or None for what is no origin. ``text`` may come from a request: ASCII only."""
    return _canonical(text) if text.isascii() else None


def listed(text: object) -> str:
    """The canonical form of an origin that a person has written down; a name may hold any letters.

    Raises `ValueError` with the reason for what no browser ever sends."""
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not a text such as https://app.example")
    if text.strip().lower() == "null":
        raise ValueError("'null' is what every sandboxed page and every local file sends, whoever made it")
    if "*" in text:
        raise ValueError(f"{text!r} can never match: origins are compared whole, so list each of them")
    found = _canonical(text)
    if found is None or found.partition(":")[0] in _NEVER:
        raise ValueError(f"{text!r} is not an origin such as https://app.example")
    return found


def all_listed(origins: Iterable[object]) -> tuple[str, ...]:
    """The canonical form of each. Raises `ValueError` as `listed` does."""
    if isinstance(origins, str):
        raise ValueError("it must be a list of origins, not one text")
    return tuple(map(listed, origins))


@lru_cache(maxsize=256)
def _canonical(text: str) -> str | None:
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return None
    scheme = found[1].lower()
    default = _PORTS.get(scheme)
    if default is None:
        host = found[2].lower()
        return f"{scheme}://{host}" if _OPAQUE.fullmatch(host) else None
    parts = _AUTHORITY.fullmatch(found[2])
    name = None if parts is None else _host(parts[1])
    if parts is None or name is None:
        return None
    port = int(parts[2]) if parts[2] else default
    return None if port > 65535 else f"{scheme}://{name}" + ("" if port == default else f":{port}")


def _host(text: str) -> str | None:
    if text.startswith("["):
        try:
            return f"[{IPv6Address(text[1:-1]).compressed}]"
        except AddressValueError:
            return None
    name = text.lower() if text.isascii() else _ascii(text)
    labels = name.removesuffix(".").split(".")
    if len(name) > _MAX_HOST or not all(map(_LABEL.fullmatch, labels)):
        return None
    if not labels[-1].isdigit():
        return ".".join(labels)
    try:  # a name whose last part is a number is an address, and browsers write those in one way
        return str(IPv4Address(".".join(labels)))
    except AddressValueError:
        return None


def _ascii(name: str) -> str:
    """As browsers look a name up (UTS 46, not transitional); empty for what is no name."""
    import idna  # large, and few need it

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""

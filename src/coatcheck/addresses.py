"""How mail and network addresses are shown where what happened is kept: as they are, in part, or not at all."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from typing import Final, Literal

Addresses = Literal["clear", "masked", "none"]
"""As they are; the first letter and the domain, or the network (IPv4 /24, IPv6 /48); not at all."""
CHOICES: Final = ("clear", "masked", "none")

_HIDDEN_V4: Final = 8
_HIDDEN_V6: Final = 80
"""Bits of an address that are not shown when it is masked."""


def shown_email(email: str, how: Addresses) -> str:
    """The address, ``a…@example.com``, or nothing."""
    if how == "clear" or not email:
        return email
    if how == "none":
        return ""
    _, at, domain = email.rpartition("@")
    return f"{email[:1]}…@{domain}" if at else f"{email[:1]}…"


def shown_ip(ip: str, how: Addresses) -> str:
    """The address, its network such as ``192.0.2.0/24`` or ``2001:db8:1::/48``, or nothing. What is no address, such as
    a name that a test or a server gives, is shown only in clear."""
    if how == "clear" or not ip:
        return ip
    if how == "none":
        return ""
    try:
        address = ip_address(ip)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if not isinstance(address, IPv4Address) else None
    address = address if mapped is None else mapped
    hidden = _HIDDEN_V4 if isinstance(address, IPv4Address) else _HIDDEN_V6
    network = type(address)(int(address) >> hidden << hidden)
    return f"{network}/{address.max_prefixlen - hidden}"

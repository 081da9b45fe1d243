"""Whose word counts for a client's address. Pure.

A proxy tells the address of whoever it serves in ``X-Forwarded-For``, and so can anybody else. It is read from the
nearest hop to the farthest, for as long as hops are proxies that a policy trusts (`Policy.trusted_proxies`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

UNIX: Final = "unix"
"""In a list of proxies: whoever comes over a UNIX socket, where there is no address."""

_MAPPED: Final = 96
"""Bits before the IPv4 address in an IPv6 one (RFC 4291 §2.5.5.2)."""
_MOST_HOPS: Final = 32
"""The nearest hops, which are looked at. Whoever is further away is hidden by more proxies than anybody has."""

_Address = IPv4Address | IPv6Address


def all_listed(proxies: Iterable[object]) -> tuple[str, ...]:
    """Each as a network in canonical form, or `UNIX`. Raises `ValueError` with the reason."""
    if isinstance(proxies, str):
        raise ValueError("it must be a list of addresses or networks, not one text")
    return tuple(map(_listed, proxies))


def _listed(proxy: object) -> str:
    if not isinstance(proxy, str):
        raise ValueError(f"{proxy!r} is not a text such as 10.0.0.0/8")
    if proxy == UNIX:
        return proxy
    try:
        network = ip_network(proxy)
    except ValueError as error:
        raise ValueError(f"{proxy!r} is no address or network such as 10.0.0.7 or 10.0.0.0/8: {error}") from None
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED:
        inside = network.network_address.ipv4_mapped  # as `_address` reads it
        network = network if inside is None else IPv4Network((inside, network.prefixlen - _MAPPED))
    if network.prefixlen == 0:
        raise ValueError(f"{proxy!r} is everybody, and would believe whatever a client claims")
    return str(network)


def client_of(peer: str, forwarded: Sequence[str], trusted: Sequence[str], *, signs: bool = False) -> str:
    """The client's address, empty where none is known. ``peer``: that of the connection, as the server has it, or what
    stands there for a UNIX socket. ``forwarded``: the values of ``X-Forwarded-For``. ``trusted``: as `all_listed` has
    it. ``signs``: whether the request says in any other way that a proxy has sent it on.

    A trusted proxy that does not say leaves the client unknown. Whoever is not trusted and claims to speak for somebody
    else counts as itself; but an address that is of no network out there (RFC 1918, RFC 4193 and their kin) is then
    surely a proxy's, and the client's is not known.
    """
    if not _is_trusted(peer, trusted):
        return "" if _is_private(peer) and is_unbelieved(peer, forwarded, trusted, signs=signs) else peer
    found = ""
    for hop in reversed(_hops(forwarded)):
        address = _address(hop)
        if address is None:
            return ""  # whoever added that does not know either
        found = str(address)
        if not _is_trusted(found, trusted):
            break
    return found


def is_unbelieved(peer: str, forwarded: Sequence[str], trusted: Sequence[str], *, signs: bool = False) -> bool:
    """Whether the request claims to come from somebody else than the connection, and nobody believes that."""
    hops = _hops(forwarded)
    if _is_trusted(peer, trusted):
        return signs and not hops
    return _speaks_for_others(peer, hops) if hops else signs


def _hops(forwarded: Sequence[str]) -> list[str]:
    """The nearest last."""
    if not forwarded:
        return []
    return [part.strip() for part in ",".join(forwarded).rsplit(",", _MOST_HOPS)[-_MOST_HOPS:]]


def _speaks_for_others(peer: str, hops: Sequence[str]) -> bool:
    """Where a server has believed a proxy already, the client that it names is one of the hops."""
    own = _address(peer)
    return any(address is not None and address != own for address in map(_address, hops)) and (
        own is None or own not in map(_address, hops)
    )


def _is_trusted(address: str, trusted: Sequence[str]) -> bool:
    found = _address(address)
    if found is None:
        return UNIX in trusted
    return any(found in network for network in _networks(tuple(trusted)))


def _is_private(text: str) -> bool:
    address = _address(text)
    return address is not None and not address.is_global


@lru_cache(maxsize=16)
def _networks(trusted: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(one) for one in trusted if one != UNIX)


@lru_cache(maxsize=1024)
def _address(text: str) -> _Address | None:
    """An address with or without a port; an IPv4 one in an IPv6 one (RFC 4291 §2.5.5.2) is that IPv4 address."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.strip('"'))
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address

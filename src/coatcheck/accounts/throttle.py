"""Limits on failed logins and on registrations.

Each try is counted *before* its password is hashed and given back when it was no failure, so that tries in parallel
get no more than the limit, however many processes serve them.

How lockout abuse is prevented (ASVS 6.1.1): the tight limit is on one account *from one network*, so wrong passwords
from elsewhere do not count against the owner. A try that an inner limit refuses is not counted by the outer ones, so
one network can put only its own share into the account's count: no address and no /48 fills it alone. And the count of
an account across networks does not hold for a network from which its owner has logged in lately. Where no address is
known nothing tells the owner from anybody else, and only the account as such is limited. What all this comes to in a
day under attack is simulated in ``bench/siege.py``.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, Protocol

from ..errors import ConfigurationError, Throttled
from ..stores.base import Counted

_NAT64: Final = IPv6Network("64:ff9b::/96")
_MIN_KEY: Final = 16


@dataclass(frozen=True, slots=True)
class Rate:
    """``count`` within ``seconds``, which run from the first one counted."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many. A network is one IPv4 address or one IPv6 /64, which is what one device moves in. One customer is given
    a /56 or a /48 (RFC 6177), so these are counted as well, more loosely, for others may be in them.

    Raises `ConfigurationError` for a number that is not positive.
    """

    account_from_network: Rate = Rate(10, 900)
    """Failed logins to one account from one network: 10 in 15 min. Guessing is over after a few; a person who has
    forgotten their password has found out by then. A successful login clears it."""
    account_from_56: Rate = Rate(15, 900)
    account_from_48: Rate = Rate(20, 900)
    """From one IPv6 /56 and /48: 15 and 20 in 15 min. Four times 20 are fewer than ``account``, so that one customer
    does not use that up."""
    network: Rate = Rate(100, 900)
    """Failed logins from one network to any account: 100 in 15 min. Stops one password being tried on many accounts;
    an office behind one address does not fail that often, and its successful logins do not count."""
    network_56: Rate = Rate(200, 900)
    network_48: Rate = Rate(400, 900)
    """From one IPv6 /56 and /48: 200 and 400 in 15 min."""
    account: Rate = Rate(100, 3600)
    """Failed logins to one account from all networks together, but for known ones: 100 in 1 h. Stops a botnet."""
    known_network: float = 30 * 86400.0
    """Seconds for which a network from which the account was logged in to is a known one: 30 d."""
    registrations: Rate = Rate(100, 3600)
    """Registrations from one network, taken addresses included: 100 in 1 h. A class can sign up together; asking
    for every address in a list takes weeks."""
    registrations_56: Rate = Rate(200, 3600)
    registrations_48: Rate = Rate(400, 3600)
    """From one IPv6 /56 and /48: 200 and 400 in 1 h."""

    @property
    def of_account(self) -> tuple[Rate, Rate, Rate]:
        """For one account, from /64, /56 and /48; an IPv4 address is the first of them."""
        return (self.account_from_network, self.account_from_56, self.account_from_48)

    @property
    def of_network(self) -> tuple[Rate, Rate, Rate]:
        """For all accounts."""
        return (self.network, self.network_56, self.network_48)

    @property
    def of_registrations(self) -> tuple[Rate, Rate, Rate]:
        """For registrations."""
        return (self.registrations, self.registrations_56, self.registrations_48)

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            numbers = (value.count, value.seconds) if isinstance(value, Rate) else (value,)
            if not all(math.isfinite(number) and number > 0 for number in numbers):
                raise ConfigurationError(f"limits.{item.name} must be positive")


class Counters(Protocol):
    """What the throttle needs of an `AccountStore`, and the contract of each is there."""

    async def count_failure(self, key: str, *, now: float, window: float) -> int: ...
    async def failures(self, keys: Sequence[str], *, now: float) -> Sequence[tuple[int, float]]: ...
    async def count_try(self, counters: Sequence[Counted], *, now: float) -> float | None: ...
    async def settle_try(
        self, *, uncounted: Sequence[str], cleared: Sequence[str] = (), counted: Counted | None = None, now: float
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try that was let through and counted. Hand it to `Throttle.success` or `Throttle.give_back`."""

    pairs: tuple[str, ...]
    """Of the account from this network: forgotten when it was right."""
    others: tuple[str, ...]
    newly_known: str
    """The key under which a success makes the network known; empty when it is already, or when there is no network."""


class Throttle:
    """Counts tries in the account store.

    ``key``: at least 16 secret bytes. The counters' names are MACs under it, so the table holds neither addresses.
    """

    def __init__(self, accounts: Counters, *, key: bytes, limits: Limits | None = None) -> None:
        if len(key) < _MIN_KEY:
            raise ConfigurationError(f"the key of the throttle must have at least {_MIN_KEY} bytes")
        self.limits: Limits = limits or Limits()
        self._accounts = accounts
        self._key = key

    async def check(self, account: str, ip: str, *, now: float, alias: str = "") -> Attempt:
        """Count one login to ``account`` (any name for it, existing or not) before its password is looked at.

        ``alias``: another name under which the same try is counted and limited too. ``ip`` is the client's address;
        empty, or no address, when there is none, and then only the account is limited. Raises `Throttled` when a limit
        is reached: then nothing was counted."""
        networks = networks_of(ip)
        names = tuple(dict.fromkeys((account, alias) if alias else (account,)))
        limited = list(zip(self.limits.of_account, networks, strict=False))
        inner = [self._counted(rate, "pair", name, network) for name in names for rate, network in limited]
        tight = {self._name("pair", name, network) for name in names for network in networks[:1]}
        others = self._of(self.limits.of_network, "network", networks)
        outer = [self._counted(self.limits.account, "account", name) for name in names]
        known = self._name("known", account, networks[0]) if networks else ""
        logins = await self._count([*inner, *others], now, unless=known, outer=outer)
        if not logins:
            others += outer
        pairs = tuple(one.key for one in inner if one.key in tight)
        rest = tuple(one.key for one in (*inner, *others) if one.key not in tight)
        return Attempt(pairs, rest, "" if logins else known)

    async def success(self, attempt: Attempt, *, now: float) -> None:
        """The password was right: forget the account's failures from this network, and that this was a try."""
        newly = attempt.newly_known
        known = Counted(newly, math.inf, self.limits.known_network) if newly else None
        await self._accounts.settle_try(uncounted=attempt.others, cleared=attempt.pairs, counted=known, now=now)

    async def give_back(self, attempt: Attempt, *, now: float) -> None:
        """The password was not looked at after all."""
        await self._accounts.settle_try(uncounted=[*attempt.pairs, *attempt.others], now=now)

    async def registration(self, ip: str, *, now: float) -> None:
        """Count one registration. Raises `Throttled` when there were too many from this network."""
        if counters := self._of(self.limits.of_registrations, "registration", networks_of(ip)):
            await self._count(counters, now)

    async def _count(
        self, counters: list[Counted], now: float, *, unless: str = "", outer: Sequence[Counted] = ()
    ) -> int:
        """Count in all of these, or in none and raise; in the ``outer`` ones only while ``unless`` counts nothing.
        Returns what that counts."""
        read = [*counters, *outer]
        found = await self._accounts.failures([*(one.key for one in read), *([unless] if unless else ())], now=now)
        logins = found[-1][0] if unless else 0
        wanted = counters if logins else read
        # A flood that is over the limit costs this read and no write. What counts is what `count_try` finds.
        for one, (count, ends) in zip(wanted, found, strict=False):
            if count >= one.limit:
                raise _throttled(ends, now)
        full_until = await self._accounts.count_try(wanted, now=now)
        if full_until is not None:
            raise _throttled(full_until, now)
        return logins

    def _of(self, rates: Sequence[Rate], kind: str, networks: Sequence[str]) -> list[Counted]:
        return [self._counted(rate, kind, network) for rate, network in zip(rates, networks, strict=False)]

    def _counted(self, rate: Rate, *parts: str) -> Counted:
        return Counted(self._name(*parts), rate.count, rate.seconds)

    def _name(self, *parts: str) -> str:
        fields_ = [part.encode("utf-8", "surrogatepass") for part in parts]
        message = b"".join(len(field).to_bytes(4, "big") + field for field in fields_)
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:40]


def _throttled(until: float, now: float) -> Throttled:
    return Throttled(max(1, math.ceil(until - now)))


def networks_of(ip: str) -> tuple[str, ...]:
    """The networks that one client is in, the narrowest first: its IPv4 address, or its IPv6 /64, /56 and /48.

    An IPv4 address inside an IPv6 one (mapped, RFC 4291 §2.5.5.2, or NAT64, RFC 6052) is that IPv4 address. What is
    no address (nothing, a socket's path, a name) is none: all who come that way would share it. Nor is this machine
    itself, where as a rule a proxy stands that nobody has named."""
    try:
        address: IPv4Address | IPv6Address = ip_address(ip)
    except ValueError:
        return ()
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return ()
    if isinstance(address, IPv4Address):
        return (str(address),)
    number = int(address)
    if IPv6Address(number) in _NAT64:
        return (str(IPv4Address(number & 0xFFFFFFFF)),)
    return tuple(str(IPv6Network((number >> 128 - size << 128 - size, size))) for size in (64, 56, 48))

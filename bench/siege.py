"""A day under attack: who is held up by the limits on failed logins, for how long, from where, and what attackers get.

    python bench/siege.py

The throttle is the real one, on the memory store; only the clock is not. An account is attacked for 24 hours without a
pause, while its owner logs in every ten minutes with the right password. Nothing is random, so the figures are the same
each time, and `tests/accounts/test_siege.py` holds docs/accounts.md to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from coatcheck.accounts import Throttle
from coatcheck.errors import Throttled
from coatcheck.stores.memory import MemoryStore

DAY: Final = 86400
STEP: Final = 60
"""Seconds: the grain of the clock."""
OWNER_EVERY: Final = 600
ACCOUNT: Final = "ann@example.com"
HOME: Final = "192.0.2.1"
BEFORE: Final = 1_800_000_000.0

From = Callable[[int], str]
"""The address of the machine or the try of this number."""


def ipv4(number: int) -> str:
    """Addresses of strangers."""
    return str(IPv4Address("198.18.0.0") + number)


def of_a_48(number: int) -> str:
    """Each time another /64 of one customer."""
    return str(IPv6Address(int(IPv6Address("2001:db8:7::")) + ((number * 257 & 0xFFFF) << 64) + 1))


@dataclass(frozen=True, slots=True)
class Attack:
    """``tries``: addresses from which a wrong password comes in each step."""

    name: str
    tries: Callable[[int], Iterator[str]]
    is_elsewhere: bool = True
    """Whether its addresses are told from the owner's."""


def machines(count: int, *, every: int = 1, times: int = 5) -> Callable[[int], Iterator[str]]:
    """So many addresses, each trying so many times in every so many steps."""
    return lambda step: (ipv4(number) for _ in range(times) for number in range(step % every, count, every))


ATTACKS: Final = (
    Attack("one address", machines(1)),
    Attack("two addresses", machines(2)),
    Attack("three addresses", machines(3)),
    Attack("one customer's IPv6 /48", lambda step: (of_a_48(step * 10 + number) for number in range(10))),
    Attack("a botnet of 1,000 addresses", machines(1000, every=15, times=1)),
    Attack("somebody behind the owner's own address", lambda step: iter([HOME] * 5), is_elsewhere=False),
    Attack("one, where no address is known", lambda step: iter([""] * 5), is_elsewhere=False),
)
OWNERS: Final[dict[str, From]] = {
    "a network used before": lambda turn: HOME,
    "new networks": lambda turn: str(IPv4Address("203.0.113.0") + turn),
}


@dataclass(slots=True)
class Outcome:
    """What a day came to."""

    guesses: int = 0
    """Wrong passwords that were looked at."""
    logins: int = 0
    refused: int = 0
    """Of the owner's logins."""
    longest: int = 0
    """Minutes for which the owner got in nowhere, at a stretch."""


async def besieged(attack: Attack, owner: From) -> Outcome:
    """A day of it. The owner has logged in from home the day before."""
    store = MemoryStore()
    await store.open()
    throttle, found, out_since = Throttle(store, key=b"the key of a simulation"), Outcome(), -1
    await throttle.success(await throttle.check(ACCOUNT, HOME, now=BEFORE - DAY), now=BEFORE - DAY)
    unknown = next(attack.tries(0)) == ""
    for step in range(DAY // STEP):
        now = BEFORE + step * STEP
        for ip in attack.tries(step):
            found.guesses += await _passes(throttle, ip, now)
        if step * STEP % OWNER_EVERY:
            continue
        found.logins += 1
        try:
            attempt = await throttle.check(ACCOUNT, "" if unknown else owner(found.logins), now=now)
        except Throttled:
            found.refused += 1
            out_since = step if out_since < 0 else out_since
            found.longest = max(found.longest, (step - out_since) * STEP // 60 + OWNER_EVERY // 60)
        else:
            await throttle.success(attempt, now=now)
            out_since = -1
    await store.close()
    return found


async def _passes(throttle: Throttle, ip: str, now: float) -> bool:
    try:
        await throttle.check(ACCOUNT, ip, now=now)
    except Throttled:
        return False
    return True


def row(attack: Attack, found: Mapping[str, Outcome]) -> str:
    """The line of the table in docs/accounts.md."""
    cells = [attack.name]
    for where in OWNERS:
        one = found[where]
        cells.append(f"{one.refused} of {one.logins}, {one.longest} min" if one.refused else "never")
    cells.append(f"{max(one.guesses for one in found.values()):,}")
    return f"| {' | '.join(cells)} |"


async def siege() -> list[str]:
    """Every attack on every owner."""
    return [
        row(attack, {where: await besieged(attack, owner) for where, owner in OWNERS.items()}) for attack in ATTACKS
    ]


def main() -> None:
    """Print it."""
    print("| wrong passwords all day from | owner refused, from a network used before | from new networks | guesses |")
    print("|---|---|---|---|")
    print("\n".join(asyncio.run(siege())))


if __name__ == "__main__":
    main()

"""Limits on failed logins and registrations."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import IPv6Address

import pytest

from coatcheck.accounts import Limits, PasswordHasher, Rate, Throttle
from coatcheck.accounts.throttle import networks_of
from coatcheck.errors import ConfigurationError, EmailTaken, InvalidLogin, Throttled
from coatcheck.stores.memory import MemoryStore
from tests.accounts.support import CHEAP, ELSEWHERE, EMAIL, HERE, OTHER, PASSWORD, Hashing, World


async def wrong(world: World, times: int, *, ip: str = HERE, email: str = EMAIL) -> int:
    """Try a wrong password this often; says how many tries were let through."""
    through = 0
    for _ in range(times):
        try:
            await world.accounts.authenticate(email, OTHER, ip=ip)
        except InvalidLogin:
            through += 1
        except Throttled:
            pass
    return through


@pytest.mark.parametrize("email", [EMAIL, "nobody@lovelace.example", "no address at all"])
async def test_ten_tries_per_account_and_network(world: World, hashing: Hashing, email: str) -> None:
    """The eleventh wrong login in a row is refused before any hashing, for accounts that exist or not."""
    await world.accounts.register(EMAIL, PASSWORD)
    hashing.calls.clear()
    assert await wrong(world, 15, email=email) == 10
    assert hashing.calls == ["verify"] * 10
    with pytest.raises(Throttled) as caught:
        await world.accounts.authenticate(email, PASSWORD, ip=HERE)
    assert caught.value.retry_after == 900


async def test_the_wait_is_the_one_told(world: World) -> None:
    """After ``retry_after`` seconds, and not before, the owner gets in."""
    await world.accounts.register(EMAIL, PASSWORD)
    await wrong(world, 10)
    world.clock.advance(899.5)
    with pytest.raises(Throttled) as caught:
        await world.accounts.authenticate(EMAIL, PASSWORD, ip=HERE)
    assert caught.value.retry_after == 1
    world.clock.advance(1)
    await world.accounts.authenticate(EMAIL, PASSWORD, ip=HERE)


async def test_spelling_gives_no_more_tries(world: World) -> None:
    """Another spelling of the address, or of the network, has no count of its own."""
    await world.accounts.register(EMAIL, PASSWORD)
    await wrong(world, 5, ip="192.0.2.1")
    await wrong(world, 4, ip="::ffff:192.0.2.1", email=EMAIL.upper())
    assert await wrong(world, 9, ip="::ffff:c000:201") == 1


async def test_success_clears(world: World) -> None:
    """A successful login forgets the failures before it."""
    await world.accounts.register(EMAIL, PASSWORD)
    for _ in range(3):
        assert await wrong(world, 9) == 9
        await world.accounts.authenticate(EMAIL, PASSWORD, ip=HERE)


async def test_fifty_in_parallel_get_ten_tries(world: World, hashing: Hashing) -> None:
    """Parallel wrong logins get exactly the limit, though none has failed yet when the last is admitted."""
    await world.accounts.register(EMAIL, PASSWORD)
    hashing.calls.clear()
    hashing.go.clear()
    tries = [asyncio.create_task(world.accounts.authenticate(EMAIL, f"guess {n}", ip=HERE)) for n in range(50)]
    while sum(task.done() for task in tries) < 40:
        await asyncio.sleep(0.001)
    hashing.go.set()
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, InvalidLogin) for result in results) == 10
    assert sum(isinstance(result, Throttled) for result in results) == 40
    assert hashing.calls == ["verify"] * 10


class ReadTogether(MemoryStore):
    """Nobody counts before everybody has read."""

    def __init__(self, everybody: int) -> None:
        super().__init__()
        self._all = asyncio.Barrier(everybody)

    async def failures(self, keys: Sequence[str], *, now: float) -> Sequence[tuple[int, float]]:
        found = await super().failures(keys, now=now)
        await self._all.wait()
        return found


async def test_what_was_read_admits_nobody() -> None:
    """Of fifty who all read that there is room for ten, ten are admitted: what counts is the count itself."""
    store = ReadTogether(50)
    await store.open()
    throttle = Throttle(store, key=b"k" * 32)
    tries = [throttle.check(EMAIL, HERE, now=1000.0) for _ in range(50)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    refused = [each for each in results if isinstance(each, BaseException)]
    assert len(refused) == 40
    assert {type(each) for each in refused} == {Throttled}
    await store.close()


async def test_guesses_cannot_hide_among_successes(world: World) -> None:
    """The owner's logins in between give back only what they took themselves."""
    limits = Limits(network=Rate(20, 900))
    world.accounts = world.through(world.store, limits=limits)
    await world.accounts.register(EMAIL, PASSWORD)
    through = 0
    for number in range(40):
        through += await wrong(world, 1, email=f"victim{number}@lovelace.example")
        if number < 15:
            await world.accounts.authenticate(EMAIL, PASSWORD, ip=HERE)
    assert through == 20


async def test_one_network_many_accounts(world: World) -> None:
    """100 failures from one network stop it; another network goes on."""
    results = [await wrong(world, 1, email=f"user{number}@lovelace.example") for number in range(120)]
    assert sum(results) == 100
    assert await wrong(world, 1, ip=ELSEWHERE) == 1


async def test_successes_do_not_count_against_a_network(world: World) -> None:
    """An office behind one address may log in as often as it likes."""
    await world.accounts.register(EMAIL, PASSWORD)
    for _ in range(120):
        await world.accounts.authenticate(EMAIL, PASSWORD, ip=HERE)


async def test_many_networks_one_account(world: World) -> None:
    """A botnet gets 100 tries at one account in an hour."""
    await world.accounts.register(EMAIL, PASSWORD)
    tries = [await wrong(world, 1, ip=f"203.0.113.{number}") for number in range(120)]
    assert sum(tries) == 100
    world.clock.advance(3600)
    assert await wrong(world, 1, ip="203.0.113.1") == 1


async def test_nobody_elsewhere_locks_the_owner_out(world: World) -> None:
    """The owner still gets in from a network they have used, while a botnet has used the account's limit up."""
    await world.accounts.register(EMAIL, PASSWORD)
    await world.accounts.authenticate(EMAIL, PASSWORD, ip=HERE)
    for number in range(120):
        await wrong(world, 1, ip=f"203.0.113.{number}")
    with pytest.raises(Throttled):
        await world.accounts.authenticate(EMAIL, PASSWORD, ip=ELSEWHERE)
    await world.accounts.authenticate(EMAIL, PASSWORD, ip=HERE)
    assert await wrong(world, 20) == 10, "a known network has the tight limit nevertheless"
    world.clock.advance(30 * 86400)
    for number in range(120):
        await wrong(world, 1, ip=f"203.0.113.{number}")
    with pytest.raises(Throttled):
        await world.accounts.authenticate(EMAIL, PASSWORD, ip=HERE)


async def test_one_network_cannot_use_up_an_account(world: World) -> None:
    """Tries that the tight limit refuses do not count against the account, however many there are."""
    await world.accounts.register(EMAIL, PASSWORD)
    await wrong(world, 300)
    await world.accounts.authenticate(EMAIL, PASSWORD, ip=ELSEWHERE)


async def test_a_refused_network_does_not_use_up_its_accounts(world: World) -> None:
    """While a network is stopped, an owner's tries from there are not counted as their failures."""
    await world.accounts.register(EMAIL, PASSWORD)
    for number in range(100):
        await wrong(world, 1, email=f"user{number}@lovelace.example")
        world.clock.advance(8)
    assert await wrong(world, 50) == 0
    world.clock.advance(100)
    assert await wrong(world, 50) == 10


async def test_overload_is_no_failure(world: World, hashing: Hashing) -> None:
    """A login that was turned away because hashing was busy does not count."""
    busy = world.through(world.store, hasher=PasswordHasher(CHEAP, concurrency=1, waiting=0))
    await world.accounts.register(EMAIL, PASSWORD)
    hashing.go.clear()
    first = asyncio.create_task(busy.authenticate(EMAIL, PASSWORD, ip=ELSEWHERE))
    while "verify" not in hashing.calls:
        await asyncio.sleep(0.001)
    for _ in range(30):
        with pytest.raises(Throttled) as caught:
            await busy.authenticate(EMAIL, PASSWORD, ip=HERE)
        assert caught.value.retry_after == 1
    hashing.go.set()
    await first
    await busy.authenticate(EMAIL, PASSWORD, ip=HERE)


async def test_going_away_gives_no_free_tries(world: World, hashing: Hashing) -> None:
    """A client that hangs up before the answer has used its try."""
    await world.accounts.register(EMAIL, PASSWORD)
    hashing.go.clear()
    for _ in range(10):
        task = asyncio.create_task(world.accounts.authenticate(EMAIL, OTHER, ip=HERE))
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
    hashing.go.set()
    assert await wrong(world, 1) == 0


async def test_reauthentication_counts_as_login(world: World) -> None:
    """Proving again, changing the password and logging in share one count."""
    account = await world.accounts.register(EMAIL, PASSWORD)
    assert await wrong(world, 5) == 5
    for _ in range(5):
        with pytest.raises(InvalidLogin):
            await world.accounts.check_password(account.id, OTHER, ip=HERE)
    with pytest.raises(Throttled):
        await world.accounts.change_password(account.id, PASSWORD, OTHER, ip=HERE)
    with pytest.raises(Throttled):
        await world.accounts.authenticate(EMAIL, PASSWORD, ip=HERE)


async def test_without_an_address_only_the_account_is_limited(world: World) -> None:
    """Where no client address is known, failures of one account do not stop another."""
    await world.accounts.register(EMAIL, PASSWORD)
    for number in range(120):
        assert await wrong(world, 1, ip="", email=f"user{number}@lovelace.example") == 1
    assert await wrong(world, 120, ip="") == 100


async def test_registrations_per_network(world: World) -> None:
    """100 registrations an hour from one network, taken addresses included; another network goes on."""
    await world.accounts.register(EMAIL, PASSWORD, ip=HERE)
    for number in range(1, 100):
        if number % 2:
            with pytest.raises(EmailTaken):
                await world.accounts.register(EMAIL, PASSWORD, ip=HERE)
        else:
            await world.accounts.register(f"user{number}@lovelace.example", PASSWORD, ip=HERE)
    with pytest.raises(Throttled):
        await world.accounts.register("more@lovelace.example", PASSWORD, ip=HERE)
    await world.accounts.register("more@lovelace.example", PASSWORD, ip=ELSEWHERE)
    world.clock.advance(3600)
    await world.accounts.register("evenmore@lovelace.example", PASSWORD, ip=HERE)


async def test_the_table_holds_no_addresses(world: World) -> None:
    """Counters are named by MACs: neither addresses nor networks are in the table, and another key names others."""
    await wrong(world, 1)
    first = set(world.store._failures)
    assert len(first) == 3
    for name in first:
        assert not any(part in name for part in (HERE, EMAIL, "ada", "192"))
    await Throttle(world.store, key=b"another key" * 3).check(EMAIL, HERE, now=world.clock.now())
    assert len(set(world.store._failures) - first) == 3


@pytest.mark.parametrize(
    ("ip", "networks"),
    [
        ("192.0.2.1", ["192.0.2.1"]),
        ("::ffff:192.0.2.1", ["192.0.2.1"]),
        ("64:ff9b::c000:201", ["192.0.2.1"]),
        ("2001:db8:0:1:aaaa::1", ["2001:db8:0:1::/64", "2001:db8::/56", "2001:db8::/48"]),
        ("2001:DB8:0:1::2", ["2001:db8:0:1::/64", "2001:db8::/56", "2001:db8::/48"]),
        ("2001:db8:0:102::1", ["2001:db8:0:102::/64", "2001:db8:0:100::/56", "2001:db8::/48"]),
        ("fe80::1%eth0", ["fe80::/64", "fe80::/56", "fe80::/48"]),
        ("fe80::1%eth1", ["fe80::/64", "fe80::/56", "fe80::/48"]),
        ("64:ff9b::c000:201%x", ["192.0.2.1"]),
        ("127.0.0.1", []),
        ("::ffff:127.0.0.2", []),
        ("::1", []),
        ("testclient", []),
        ("/run/app.sock", []),
        ("unix:", []),
        ("", []),
    ],
)
def test_networks_of_an_address(ip: str, networks: list[str]) -> None:
    """One device's addresses are one network, within its customer's; this machine and no address are in none."""
    assert list(networks_of(ip)) == networks


def inside(prefix: str, count: int, step: int) -> list[str]:
    """Addresses, each in another /64 of a network."""
    first = int(IPv6Address(prefix))
    return [str(IPv6Address(first + (number * step << 64) + 1)) for number in range(count)]


@pytest.mark.parametrize(("step", "most"), [(1, 15), (256, 20)])
async def test_a_customer_of_many_networks(world: World, step: int, most: int) -> None:
    """Whoever hops between the /64s of a /56 or /48 gets a little more than one network, not as often as many; the
    owner's success elsewhere in it gives back its own try only."""
    await world.accounts.register(EMAIL, PASSWORD)
    tried = [await wrong(world, 1, ip=ip) for ip in inside("2001:db8:7::", 60, step)]
    assert sum(tried) == most
    world.clock.advance(900)
    for ip in inside("2001:db8:7::", most - 1, step):
        assert await wrong(world, 1, ip=ip) == 1
        await world.accounts.authenticate(EMAIL, PASSWORD, ip=ip)
    assert sum([await wrong(world, 1, ip=ip) for ip in inside("2001:db8:7::", 60, step)]) == 1


async def test_one_customer_cannot_use_up_an_account(world: World) -> None:
    """A whole /48, whatever it tries for a day, leaves room in the count: the owner gets in from elsewhere."""
    await world.accounts.register(EMAIL, PASSWORD)
    hops = inside("2001:db8:7::", 96 * 30, 3)
    for quarter in range(96):
        for ip in hops[quarter * 30 : quarter * 30 + 30]:
            await wrong(world, 1, ip=ip)
        await world.accounts.authenticate(EMAIL, PASSWORD, ip=f"198.51.100.{quarter}")
        world.clock.advance(900)


@pytest.mark.parametrize(("step", "most"), [(1, 200), (256, 400)])
async def test_a_customer_and_many_accounts(world: World, step: int, most: int) -> None:
    """Nor does hopping let a customer try one password on ever more accounts."""
    throttle = Throttle(world.store, key=b"k" * 32)
    through = 0
    for number, ip in enumerate(inside("2001:db8:7::", 250, step) * 2):
        try:
            await throttle.check(f"user {number}", ip, now=world.clock.now())
        except Throttled:
            continue
        through += 1
    assert through == most


@pytest.mark.parametrize(("step", "most"), [(1, 200), (256, 400)])
async def test_a_customer_and_registrations(world: World, step: int, most: int) -> None:
    """Nor make ever more accounts."""
    throttle = Throttle(world.store, key=b"k" * 32)
    through = 0
    for ip in inside("2001:db8:7::", 250, step) * 2:
        try:
            await throttle.registration(ip, now=world.clock.now())
        except Throttled:
            continue
        through += 1
    assert through == most


@pytest.mark.parametrize("ip", ["", "/run/app.sock", "unix:", "testclient"])
async def test_ten_tries_lock_nobody_out_where_no_address_is_known(world: World, ip: str) -> None:
    """Over a UNIX socket everybody looks alike: no limit per network holds there, only the account's own."""
    await world.accounts.register(EMAIL, PASSWORD)
    for _ in range(9):
        assert await wrong(world, 10, ip=ip) == 10
        await world.accounts.authenticate(EMAIL, PASSWORD, ip=ip)
    assert await wrong(world, 20, ip=ip) == 10
    with pytest.raises(Throttled):
        await world.accounts.authenticate(EMAIL, PASSWORD, ip=ip)
    await world.accounts.register("other@lovelace.example", PASSWORD, ip=ip)
    await world.accounts.authenticate("other@lovelace.example", PASSWORD, ip=ip)


@pytest.mark.parametrize("rate", [Rate(0, 1), Rate(1, 0), Rate(-1, 1), Rate(1, float("inf")), Rate(1, float("nan"))])
def test_limits_are_checked(rate: Rate) -> None:
    """A limit that would let everybody or nobody in is refused at start, and so is a short key."""
    with pytest.raises(ConfigurationError):
        Limits(account=rate)
    with pytest.raises(ConfigurationError):
        Throttle(World().store, key=b"short")

"""Signing keys over time: rotated, withdrawn, and changed by processes that fail or die half-way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from coatcheck import ApplicationSubjects, Auth, Mode, StoreUnavailable
from coatcheck.clock import Clock
from coatcheck.errors import ForgedCredential, InvalidCredential, NotFound
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import TravelClock
from tests.support.gates import GatedStore

from .conftest import SECRET, presented


@dataclass
class World:
    """Two processes on one store; the first one's store can be held and made to fail."""

    one: Auth
    other: Auth
    store: GatedStore
    travel: TravelClock

    def signing(self) -> str:
        return self.one.access_tokens.keyring.signer(self.travel.now()).kid

    async def followed(self) -> None:
        """Both processes have read the feed to its end, in the background too."""
        for auth in (self.one, self.other):
            await auth.follower._read()
        await settled()


async def settled() -> None:
    """What can run in the background has run."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    travel = TravelClock()
    memory = MemoryStore(wall=travel)
    store = GatedStore(memory)

    def process(seen: object) -> Auth:
        clock = Clock(monotonic=travel.monotonic, wall=travel.now)
        return Auth(seen, secret=SECRET, subjects=ApplicationSubjects(), clock=clock)  # type: ignore[arg-type]

    async with process(store) as one, process(memory) as other:
        yield World(one, other, store, travel)


async def test_withdrawing_the_new_key_leaves_one_that_lasts(world: World) -> None:
    """When the key that signs is withdrawn soon after a rotation, logins go on past the older key's retirement."""
    lead = world.one.policy.key_lead
    kid = await world.one.keys.rotate()
    world.travel.advance(lead + 1)
    await world.one.keys.withdraw(kid)
    world.travel.advance(world.one.policy.event_retention + 1)
    made = await world.one.login("ann", mode=Mode.JWT)
    assert (await world.one.verify(presented(made))).subject == "ann"


async def test_withdrawing_the_next_key_leaves_one_that_lasts(world: World) -> None:
    """When the key that is to sign next is withdrawn, logins go on past the present key's retirement."""
    await world.one.keys.withdraw(await world.one.keys.rotate())
    world.travel.advance(world.one.policy.key_lead + world.one.policy.event_retention + 1)
    made = await world.one.login("ann", mode=Mode.JWT)
    assert (await world.one.verify(presented(made))).subject == "ann"


async def test_withdrawing_beside_a_retired_key(world: World) -> None:
    """A key that has retired and is not yet deleted is no successor."""
    kid = await world.one.keys.rotate()
    world.travel.advance(world.one.policy.key_lead + world.one.policy.event_retention + 1)
    await world.one.keys.withdraw(kid)
    made = await world.one.login("ann", mode=Mode.JWT)
    assert (await world.one.verify(presented(made))).subject == "ann"


async def test_the_newest_key_goes_on_signing(world: World) -> None:
    """A key rotated in at once is not relieved by one that was made before it and begins later; every token lives
    out its time."""
    await world.one.keys.rotate()
    world.travel.advance(1)
    newest = await world.one.keys.rotate(at_once=True)
    assert world.signing() == newest
    world.travel.advance(world.one.policy.key_lead + 1)
    assert world.signing() == newest
    made = await world.one.login("ann", mode=Mode.JWT)
    world.travel.advance(world.one.policy.access_lifetime - 2)
    assert (await world.one.verify(presented(made))).subject == "ann"


async def test_withdrawal_that_was_not_announced_is_completed(world: World) -> None:
    """A withdrawal that failed after its key was deleted reaches the other processes when it is repeated."""
    kid = world.signing()
    made = await world.one.login("ann", mode=Mode.JWT)
    await world.one.keys.rotate(at_once=True)
    await world.followed()
    world.store.fail("announce_keys")
    with pytest.raises(StoreUnavailable):
        await world.one.keys.withdraw(kid)
    world.store.fail()
    with pytest.raises(NotFound):
        await world.one.keys.withdraw(kid)
    await world.followed()
    for auth in (world.one, world.other):
        with pytest.raises(ForgedCredential):
            await auth.verify(presented(made))


@pytest.mark.parametrize("withdrawn", [False, True])
async def test_change_of_a_process_that_died_is_completed(world: World, withdrawn: bool) -> None:
    """A key that was added or deleted by a process that died before it said so is known everywhere after a prune,
    which comes twice before a new key signs."""
    kid = world.signing()
    made = await world.one.login("ann", mode=Mode.JWT)
    gate = world.store.hold_before("announce_keys")
    change = asyncio.create_task(world.one.keys.withdraw(kid) if withdrawn else world.one.keys.rotate())
    await gate.reached()
    change.cancel()
    await asyncio.gather(change, return_exceptions=True)
    if withdrawn:
        await world.store.delete_key(kid)  # it died one step later
    await world.other.keys.prune(world.other.clock.now())
    await world.followed()
    kept = {key.kid for key in await world.store.keys()}
    for auth in (world.one, world.other):
        assert {key.kid for key in auth.access_tokens.keyring.keys} == kept
    if withdrawn:
        with pytest.raises(InvalidCredential):
            await world.other.verify(presented(made))


async def test_pruning_announces_nothing_of_its_own(world: World) -> None:
    """Keys that have retired are deleted without a word: nobody verifies with them."""
    await world.one.keys.rotate()
    world.travel.advance(world.one.policy.key_lead + world.one.policy.event_retention + 1)
    await world.one.keys.prune(world.one.clock.now())
    await world.other.keys.prune(world.other.clock.now())
    assert len(await world.store.keys()) == 1
    assert world.store.calls["announce_keys"] == 2, "the first key and the second"


async def test_a_late_read_of_the_keys_brings_none_back(world: World) -> None:
    """The keys that were read last are the ones in use, however late an earlier read comes back."""
    kid = world.signing()
    await world.one.keys.rotate(at_once=True)
    await world.followed()
    gate = world.store.hold_after("keys")
    late = asyncio.create_task(world.one.keys.load())
    await gate.reached()
    await world.other.keys.withdraw(kid)
    newer = asyncio.create_task(world.one.keys.load())
    await settled()
    gate.open()
    await asyncio.gather(late, newer)
    assert kid not in {key.kid for key in world.one.access_tokens.keyring.keys}

"""Writing "last seen", and pruning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from coatcheck import Auth, Credentials, Identity, InvalidCredential, Lifetimes, Mode, Policy, StoreUnavailable
from coatcheck.clock import Clock
from coatcheck.maintenance import Maintenance, touch_interval
from coatcheck.stores.memory import MemoryStore
from coatcheck.table import Entry, Table
from coatcheck.testing.clock import TravelClock
from tests.support.gates import GatedStore

from .conftest import SECRET, Users, presented


@dataclass
class World:
    auth: Auth
    store: GatedStore
    travel: TravelClock
    maintenance: Maintenance

    async def use(self, made: Credentials) -> None:
        await self.auth.verify(presented(made))

    async def stored_seen(self, made: Credentials) -> float:
        found = await self.store.find(made.session.id, now=self.travel.now())
        assert found is not None
        return found.session.seen


@pytest.fixture
async def world() -> AsyncIterator[World]:
    travel = TravelClock()
    store = GatedStore(MemoryStore(wall=travel))
    clock = Clock(monotonic=travel.monotonic, wall=travel.now)
    auth = Auth(store, secret=SECRET, subjects=Users().facts, clock=clock)  # type: ignore[arg-type]
    async with auth:
        # The background tasks sleep in real time; here their jobs are called by hand.
        yield World(auth, store, travel, auth._running.maintenance)


async def test_use_is_written_at_most_once_an_interval(world: World) -> None:
    """However often a session is used, one touch is written per interval, with the moment of its last use."""
    made = await world.auth.login("ann")
    for _ in range(10):
        world.travel.advance(10)
        await world.use(made)
        await world.maintenance.touch()
    assert world.store.calls["touch"] == 1
    assert await world.stored_seen(made) == pytest.approx(made.session.created + 60)


async def test_use_without_a_hit_writes_nothing(world: World) -> None:
    """A session that is not used is not touched, and access tokens never are."""
    made = await world.auth.login("ann")
    await world.use(made)
    world.travel.advance(300)
    world.store.calls.clear()
    await world.maintenance.touch()
    await world.maintenance.touch()
    assert world.store.calls["touch"] <= 1


async def test_idle_deadline_moves_with_use(world: World) -> None:
    """A session in use outlives its first idle deadline, and ends when it has not been used for the idle time."""
    made = await world.auth.login("ann")
    for _ in range(10):
        world.travel.advance(600)
        await world.use(made)
        await world.maintenance.touch()
    world.travel.advance(1799)
    await world.use(made)
    await world.maintenance.touch()
    world.travel.advance(1800)
    with pytest.raises(InvalidCredential):
        await world.use(made)


async def test_touch_spares_the_next_read(world: World) -> None:
    """Once its use was written, a session is a hit beyond its first idle deadline, without another read."""
    made = await world.auth.login("ann")
    await world.use(made)
    world.travel.advance(1000)
    await world.use(made)
    await world.maintenance.touch()
    world.travel.advance(1000)
    await world.auth.follower.catch_up()
    world.store.calls.clear()
    await world.use(made)
    assert world.store.calls["find"] == 0


async def test_absolute_deadline_holds_despite_use(world: World) -> None:
    """Constant use does not carry a session past its absolute deadline."""
    made = await world.auth.login("ann")
    while world.travel.now() + 1000 < made.session.absolute_deadline:
        world.travel.advance(1000)
        await world.use(made)
        await world.maintenance.touch()
    world.travel.advance(made.session.absolute_deadline - world.travel.now())
    with pytest.raises(InvalidCredential):
        await world.use(made)


async def test_another_process_keeps_it_alive(world: World) -> None:
    """A local idle deadline that passes leads to a re-read: another process may have seen the session."""
    clock = Clock(monotonic=world.travel.monotonic, wall=world.travel.now)
    other = Auth(world.store, secret=SECRET, subjects=Users().facts, clock=clock)  # type: ignore[arg-type]
    async with other:
        made = await world.auth.login("ann")
        await world.use(made)
        world.travel.advance(1700)
        await other.verify(presented(made))
        await other._running.maintenance.touch()
        world.travel.advance(1700)
        await world.use(made)


async def test_touch_that_finds_it_dead_purges(world: World) -> None:
    """A touch that learns that the session is gone takes it out of memory."""
    made = await world.auth.login("ann")
    await world.use(made)
    world.travel.advance(61)
    await world.use(made)
    await world.store._store.revoke(made.session.id, now=world.travel.now())
    await world.maintenance.touch()
    assert world.auth.verifier.known(presented(made).key) is None


async def test_last_uses_are_written_at_close(world: World) -> None:
    """Closing writes what is unwritten, so that a restart costs nobody their idle time."""
    made = await world.auth.login("ann")
    await world.use(made)
    world.travel.advance(30)
    await world.use(made)
    store = world.store
    await world.maintenance.stop()
    found = await store.find(made.session.id, now=world.travel.now())
    assert found.session.seen == pytest.approx(world.travel.now())


async def test_eviction_loses_no_use() -> None:
    """Two sessions in constant use that push each other out of a table of one entry do not end as idle."""
    travel = TravelClock()
    clock = Clock(monotonic=travel.monotonic, wall=travel.now)
    store, policy = MemoryStore(wall=travel), Policy(table_entries=1)
    async with Auth(store, secret=SECRET, subjects=Users().facts, clock=clock, policy=policy) as auth:
        both = [await auth.login(name) for name in ("ann", "bob")]
        for _ in range(int(policy.session.idle / 60) + 2):
            travel.advance(60)
            for made in both:
                await auth.verify(presented(made))
            await auth._running.maintenance.touch()


async def test_evicted_uses_are_bounded() -> None:
    """Of evicted entries no more are kept than the table itself may have."""
    table = Table(2, 10_000)
    for number in range(10):
        identity = Identity(
            subject="ann", session_id=str(number), roles=frozenset(), claims={}, auth_time=0.0, amr=(),
            mode=Mode.SESSION,
        )  # fmt: skip
        table.put(Entry(str(number).encode(), identity, 100.0, seen=1.0, idle=10.0))
    assert [entry.key for entry in table.due(100.0, 0.0)] == [b"8", b"9", b"6", b"7"]


async def test_uses_are_looked_for_in_parts() -> None:
    """A large table is not looked through in one go, and nothing is left out."""
    table = Table(10_000, 1 << 30)
    for number in range(9_000):
        identity = Identity(
            subject="ann", session_id=str(number), roles=frozenset(), claims={}, auth_time=0.0, amr=(),
            mode=Mode.SESSION,
        )  # fmt: skip
        table.put(Entry(str(number).encode(), identity, 100.0, seen=1.0, idle=10.0))
    parts = list(table.due_in_parts(100.0, 0.0))
    assert max(map(len, parts)) < 5_000
    assert len({entry.key for part in parts for entry in part}) == 9_000


async def test_failing_store_loses_no_use(world: World) -> None:
    """A touch that could not be written is written the next time."""
    made = await world.auth.login("ann")
    world.travel.advance(100)
    await world.use(made)
    seen = world.travel.now()
    world.store.fail("touch")
    with pytest.raises(StoreUnavailable):
        await world.maintenance.touch()
    world.store.fail()
    world.travel.advance(5)
    await world.maintenance.touch()
    assert await world.stored_seen(made) == pytest.approx(seen)


async def test_prune_keeps_events_that_matter(world: World) -> None:
    """Pruning drops dead sessions and old events, and nothing that an access token could still need."""
    old = await world.auth.login("ann")
    await world.auth.revoke(old.session.id)
    world.travel.advance(world.auth.policy.event_retention - 1)
    made = await world.auth.login("bob")
    await world.maintenance.prune()
    kept = await world.store.events(None, wait=0)
    assert any(event.session_id == old.session.id for event in kept.events)
    world.travel.advance(2)
    await world.maintenance.prune()
    kept = await world.store.events(None, wait=0)
    assert not any(event.session_id == old.session.id for event in kept.events)
    await world.use(made)


def test_interval_fits_the_idle_time() -> None:
    """The touch interval shrinks where the idle time is short."""
    assert touch_interval(Policy()) == 60.0
    assert touch_interval(Policy(session=Lifetimes(idle=8, absolute=100))) == 2.0


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_clock_that_is_ahead_for_a_moment_deletes_nothing(world: World, mode: Mode) -> None:
    """Neither sessions nor what the feed remembers; once it has been so for as long as events matter, they go."""
    made = await world.auth.login("ann", mode=mode)
    await world.auth.revocation.revoke_token(made.session.id, "a token")
    ahead, inner = 3 * (made.session.absolute_deadline - made.session.created), world.store._store
    kept = len((await world.store.events(None, wait=0)).events)

    async def clock_is(off: float) -> None:
        inner._wall = lambda: world.travel.now() + off
        await world.auth.follower._read()
        await world.maintenance.touch()

    await clock_is(ahead)
    await world.maintenance.prune()
    await clock_is(0.0)
    assert await world.store.find(made.session.id, now=world.travel.now()) is not None
    assert len((await world.store.events(None, wait=0)).events) == kept
    for _ in range(3):
        await clock_is(ahead)
        world.travel.advance(world.auth.policy.event_retention / 2 + 1)
    await clock_is(ahead)
    await world.maintenance.prune()
    assert len((await world.store.events(None, wait=0)).events) == 0

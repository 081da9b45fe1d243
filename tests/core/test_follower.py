"""The follower and its lease."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from coatcheck import Auth, InvalidCredential, Mode, Policy, StoreUnavailable, follower
from coatcheck.clock import Clock
from coatcheck.errors import RevokedCredential
from coatcheck.model import Event, EventKind, Session
from coatcheck.stores.base import FeedRead, Hearer
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import TravelClock
from tests.support.gates import GatedStore
from tests.support.patience import in_time

from .conftest import SECRET, Users, presented


async def until(condition: Callable[[], bool]) -> None:
    async with in_time():
        while not condition():
            await asyncio.sleep(0.005)


async def two(store: MemoryStore, travel: TravelClock | None = None) -> tuple[Auth, Auth, GatedStore]:
    """Two processes on one store; the second one's store can be held and made to fail."""
    gated = GatedStore(store)
    clock = Clock(monotonic=travel.monotonic, wall=travel.now) if travel else Clock()
    one = Auth(store, secret=SECRET, subjects=Users().facts)  # type: ignore[arg-type]
    other = Auth(gated, secret=SECRET, subjects=Users().facts, clock=clock)  # type: ignore[arg-type]
    await one.start()
    await other.start()
    return one, other, gated


@pytest.mark.parametrize("mode", list(Mode))
async def test_revocation_reaches_another_process(mode: Mode) -> None:
    """What one process revokes, another that holds it in memory refuses as soon as its feed read returns."""
    one, other, _ = await two(MemoryStore())
    made = await one.login("ann", mode=mode)
    await other.verify(presented(made))
    await one.revoke(made.session.id)
    await until(lambda: other.verifier.known(presented(made).key) is None)
    with pytest.raises(InvalidCredential):
        await other.verify(presented(made))
    await one.close()
    await other.close()


@pytest.mark.parametrize("mode", list(Mode))
async def test_partitioned_process_stops_at_the_bound(mode: Mode) -> None:
    """A process whose reads all hang serves its memory up to max_staleness after its last read began, and no longer."""
    travel = TravelClock()
    one, other, gated = await two(MemoryStore(wall=travel), travel)
    made = await one.login("ann", mode=mode)
    await other.verify(presented(made))
    gate = gated.hold_before("events")
    await gate.reached()
    began = travel.monotonic()
    await one.revoke(made.session.id)
    gated.fail("events", "find")
    staleness = other.policy.max_staleness
    travel.advance(began + staleness - 0.001 - travel.monotonic())
    assert other.verifier.known(presented(made).key) is not None, "inside the bound it serves"
    travel.advance(0.001)
    assert other.verifier.known(presented(made).key) is None
    with pytest.raises(StoreUnavailable):
        await other.verify(presented(made))
    gated.fail()
    with pytest.raises(RevokedCredential):
        await other.verify(presented(made))
    gate.open()
    await one.close()
    await other.close()


async def test_lease_counts_from_when_the_read_began() -> None:
    """A read that takes long extends the lease from its beginning, not from its end."""
    travel = TravelClock()
    one, other, gated = await two(MemoryStore(wall=travel), travel)
    gate = gated.hold_after("events")
    await gate.reached()
    travel.advance(1.5)
    gate.open()
    again = gated.hold_before("events")
    await again.reached()
    assert other.follower.lease.deadline == pytest.approx(other.policy.max_staleness)
    again.open()
    await one.close()
    await other.close()


@pytest.mark.parametrize("mode", [Mode.JWT, Mode.JWT_COOKIE])
async def test_first_sight_needs_the_lease(mode: Mode) -> None:
    """Past the bound an access token that was never seen here is refused too, however far back the view reaches."""
    travel = TravelClock()
    one, other, gated = await two(MemoryStore(wall=travel), travel)
    other.verifier._view.since = 0.0
    made = await one.login("ann", mode=mode)
    gate = gated.hold_before("events")
    await gate.reached()
    await one.revoke(made.session.id)
    gated.fail("events", "find")
    travel.advance(other.policy.max_staleness)
    with pytest.raises(StoreUnavailable):
        await other.verify(presented(made))
    gated.fail()
    gate.open()
    await one.close()
    await other.close()


async def test_process_that_slept_asks_first() -> None:
    """A process that was suspended for longer than the bound wakes with a lapsed lease."""
    travel = TravelClock()
    one, other, _ = await two(MemoryStore(wall=travel), travel)
    made = await one.login("ann", mode=Mode.JWT)
    await other.verify(presented(made))
    await one.revoke(made.session.id)
    travel.advance(3600)
    assert other.verifier.known(presented(made).key) is None
    with pytest.raises(InvalidCredential):
        await other.verify(presented(made))
    await one.close()
    await other.close()


@pytest.mark.parametrize("mode", list(Mode))
async def test_flushed_store_is_noticed(mode: Mode) -> None:
    """A store that comes back empty is another feed: nobody stays in on memory, and nobody is let in."""
    gated = GatedStore(MemoryStore())
    async with Auth(gated, secret=SECRET, subjects=Users().facts) as auth:  # type: ignore[arg-type]
        made = await auth.login("ann", mode=mode)
        await auth.verify(presented(made))
        old, fresh = gated._store, MemoryStore()
        for key in await old.keys():
            await fresh.add_key(key, expected=[k.kid for k in await fresh.keys()])
        gated._store = fresh
        await until(lambda: auth.verifier.known(presented(made).key) is None)
        with pytest.raises(RevokedCredential):
            await auth.verify(presented(made))
        again = await auth.login("ann", mode=mode)
        await auth.verify(presented(again))


async def test_read_of_a_lost_feed_proves_nothing() -> None:
    """A read that was under way when the feed was lost neither extends the lease nor counts as the whole view."""
    gated = GatedStore(MemoryStore())
    async with Auth(gated, secret=SECRET, subjects=Users().facts) as auth:  # type: ignore[arg-type]
        gate = gated.hold_after("events")
        await gate.reached()
        follower = auth.follower
        follower.lose("made to")
        gate.open()
        second = gated.hold_before("events")
        await second.reached()
        assert follower.lease.deadline == float("-inf")
        assert follower._cursor is None, "the next read is a whole one"
        second.open()
        await until(follower.is_live)


async def test_feed_events_before_lease() -> None:
    """When the keys that an event names cannot be read, the lease is not extended and the event comes again."""
    gated = GatedStore(MemoryStore())
    async with Auth(gated, secret=SECRET, subjects=Users().facts) as auth:  # type: ignore[arg-type]
        made = await auth.login("ann", mode=Mode.JWT)
        gated.fail("keys")
        await gated.announce_keys(now=auth.clock.now())
        before = auth.follower.lease.deadline
        async with in_time():
            calls = gated.calls["keys"]
            while gated.calls["keys"] < calls + 2:
                await asyncio.sleep(0.01)
        assert auth.follower.lease.deadline <= before + 0.3, "no read that met the event has extended it"
        gated.fail()
        calls = gated.calls["events"]
        await until(lambda: gated.calls["events"] > calls + 2)
        await auth.verify(presented(made))


async def test_start_reads_before_it_accepts() -> None:
    """A process that starts knows what was revoked before, and does not start without its store."""
    store = MemoryStore()
    one, other, _ = await two(store)
    made = await one.login("ann", mode=Mode.JWT)
    await one.revoke(made.session.id)
    async with Auth(store, secret=SECRET, subjects=Users().facts) as third:  # type: ignore[arg-type]
        with pytest.raises(RevokedCredential):
            await third.verify(presented(made))
    failing = GatedStore(store)
    failing.fail("events")
    with pytest.raises(StoreUnavailable):
        await Auth(failing, secret=SECRET, subjects=Users().facts).start()  # type: ignore[arg-type]
    await one.close()
    await other.close()


async def test_wait_returns_after_the_bound() -> None:
    """revoke(wait=True) returns when max_staleness has passed since the store confirmed."""
    policy = Policy(max_staleness=0.5)
    async with Auth("memory://", secret=SECRET, subjects=Users().facts, policy=policy) as auth:
        made = await auth.login("ann")
        began = auth.clock.monotonic()
        await auth.revoke(made.session.id, wait=True)
        assert auth.clock.monotonic() - began >= policy.max_staleness


async def test_revoke_that_was_not_written_raises(auth: Auth, store: GatedStore) -> None:
    """Nobody is told "logged out" when the store did not confirm, and the session goes on."""
    made = await auth.login("ann")
    store.fail("revoke", "revoke_subject")
    with pytest.raises(StoreUnavailable):
        await auth.revoke(made.session.id)
    with pytest.raises(StoreUnavailable):
        await auth.revoke_subject("ann")
    assert (await auth.verify(presented(made))).subject == "ann"


@pytest.mark.parametrize("error", [3600, -3600])
@pytest.mark.parametrize("off_first", [True, False])
async def test_clock_that_is_an_hour_off_does_no_harm(error: int, off_first: bool) -> None:
    """A process takes the time of day from the store, whatever its own clock says, also when it makes the first key."""
    store = MemoryStore()
    wrong = Clock(wall=lambda: Clock().wall() + error)
    one = Auth(store, secret=SECRET, subjects=Users().facts)  # type: ignore[arg-type]
    off = Auth(store, secret=SECRET, subjects=Users().facts, clock=wrong)  # type: ignore[arg-type]
    first, second = (off, one) if off_first else (one, off)
    async with first, second:
        assert abs(off.clock.now() - one.clock.now()) < 1
        (key,) = await store.keys()
        assert abs(key.signs_from - await store.time()) < 60
        for maker, reader in ((one, off), (off, one)):
            made = await maker.login("ann", mode=Mode.JWT)
            assert (await reader.verify(presented(made))).subject == "ann"


async def test_late_answer_of_a_lost_feed_is_thrown_away() -> None:
    """An answer of the old feed that comes after the new one was read changes nothing."""
    gated = GatedStore(MemoryStore())
    async with Auth(gated, secret=SECRET, subjects=Users().facts) as auth:  # type: ignore[arg-type]
        follower = auth.follower
        late = gated.hold_after("events")
        await late.reached()  # holds the answer of the old feed
        old, fresh = gated._store, MemoryStore()
        for key in await old.keys():
            await fresh.add_key(key, expected=[])
        gated._store = fresh
        follower.lose("made to")
        await follower.catch_up()
        feed, cursor, deadline = follower._feed, follower._cursor, follower.lease.deadline
        again = gated.hold_before("events")
        late.open()
        await again.reached()
        assert (follower._feed, follower._cursor, follower.lease.deadline) == (feed, cursor, deadline)
        again.open()


async def test_feed_lost_while_keys_are_read() -> None:
    """A read whose feed is lost while its keys are loaded does not extend the lease."""
    gated = GatedStore(MemoryStore())
    async with Auth(gated, secret=SECRET, subjects=Users().facts) as auth:  # type: ignore[arg-type]
        follower = auth.follower
        gate = gated.hold_before("keys")
        await gated.announce_keys(now=auth.clock.now())
        await gate.reached()
        follower.lose("made to")
        again = gated.hold_before("events")
        gate.open()
        await again.reached()
        assert follower.lease.deadline == float("-inf")
        again.open()
        await until(follower.is_live)


async def test_whole_reads_out_of_order_forget_nothing() -> None:
    """When the view is built anew, a whole read that comes back late takes nothing away that a later one brought."""
    memory = MemoryStore()
    memory._feed.since = 0.0
    gated = GatedStore(memory)
    async with Auth(gated, secret=SECRET, subjects=Users().facts) as auth:  # type: ignore[arg-type]
        follower, made = auth.follower, await auth.login("ann", mode=Mode.JWT)
        background = gated.hold_before("events")
        await background.reached()
        follower.lose("made to")
        follower._known_until = float("-inf")  # nothing was rolled back
        answered = gated.hold_after("events")
        earlier = asyncio.create_task(follower._read())
        await answered.reached()
        await memory.revoke(made.session.id, now=auth.clock.now())
        keys = gated.hold_after("keys")
        later = asyncio.create_task(follower._read())
        await keys.reached()
        answered.open()
        await asyncio.sleep(0.01)
        keys.open()
        await asyncio.gather(earlier, later)
        with pytest.raises(RevokedCredential):
            await auth.verify(presented(made))
        background.open()


async def test_key_that_cannot_be_opened_stops_nobody_for_good() -> None:
    """While there is a signing key of another secret the process answers "unavailable"; then it goes on."""
    store = MemoryStore()
    async with Auth(store, secret=SECRET, subjects=Users().facts) as auth:
        made = await auth.login("ann", mode=Mode.JWT)
        (key,) = await store.keys()
        await store.add_key(replace(key, kid="other", created=key.created + 1), expected=[key.kid])
        await store.announce_keys(now=auth.clock.now())
        with pytest.raises(StoreUnavailable):
            await auth.follower._read()
        auth.follower.lease.deadline = float("-inf")
        with pytest.raises(StoreUnavailable):
            await auth.verify(presented(made))
        await store.delete_key("other")
        await until(auth.follower.is_live)
        assert (await auth.verify(presented(made))).subject == "ann"


class Telling(MemoryStore):
    """A store that tells of what it has revoked, and counts how often it is read."""

    reads = 0
    hearer: Hearer | None = None

    def tell(self, hearer: Hearer | None) -> None:
        self.hearer = hearer

    async def events(self, cursor: str | None, *, wait: float) -> FeedRead:
        self.reads += 1
        return await super().events(cursor, wait=wait)

    async def revoke(self, session_id: str, *, now: float) -> Session | None:
        ended = await super().revoke(session_id, now=now)
        if self.hearer is not None:
            self.hearer([Event(kind=EventKind.SESSION_REVOKED, at=now, session_id=session_id)])
        return ended


async def test_storm_is_acted_upon_at_once_and_read_together() -> None:
    """What a store tells of counts before it is read; so its feed need not be read for each revocation by itself."""
    store = Telling()
    async with Auth(store, secret=SECRET, subjects=Users().facts) as auth:
        made = [await auth.login("ann") for _ in range(90)]
        for each in made:
            await auth.verify(presented(each))
        reads, began = store.reads, time.monotonic()
        for each in made:
            await store.revoke(each.session.id, now=auth.clock.now())
            assert auth.verifier.known(presented(each).key) is None
            await asyncio.sleep(0.002)
        assert store.reads - reads <= (time.monotonic() - began) / follower._SPACING + 3
        feed = await store.events(None, wait=0)
        await until(lambda: auth.follower._cursor == feed.cursor)
        assert auth.follower.is_live()

"""A feed that is longer than one read of it."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck import Auth, Mode
from coatcheck.errors import RevokedCredential, StoreUnavailable
from coatcheck.model import Event, EventKind
from coatcheck.stores.base import FeedLost, FeedRead
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.memory import feed as memory_feed
from tests.support.gates import GatedStore
from tests.support.patience import in_time

from .conftest import SECRET, Users, presented


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_feed, "FEED_PAGE", 3)


@pytest.mark.usefixtures("short_pages")
async def test_only_the_last_page_extends_the_lease() -> None:
    """While pages are still to come the lease stands where it stood, though each page is applied at once."""
    gated = GatedStore(MemoryStore())
    async with Auth(gated, secret=SECRET, subjects=Users().facts) as auth:  # type: ignore[arg-type]
        made = await auth.login("ann", mode=Mode.JWT)
        await auth.verify(presented(made))
        background = gated.hold_before("events")
        await background.reached()
        follower = auth.follower
        for number in range(7):
            await gated.revoke_token(made.session.id, f"token-{number}", now=auth.clock.now())
        await gated.revoke(made.session.id, now=auth.clock.now())
        follower.lease.deadline = float("-inf")
        page = gated.hold_after("events")
        catching_up = asyncio.create_task(follower.catch_up())
        for _ in range(2):
            await page.reached()
            following = gated.hold_before("events")
            page.open()
            await following.reached()
            assert not follower.is_live()
            page = gated.hold_after("events")
            following.open()
        page.open()
        await catching_up
        assert follower.is_live()
        with pytest.raises(RevokedCredential):
            await auth.verify(presented(made))
        background.open()


@pytest.mark.usefixtures("short_pages")
@pytest.mark.parametrize("losses", [1, 9])
async def test_feed_lost_between_two_pages_of_the_start(losses: int) -> None:
    """Whoever starts reads again from the beginning, and if that does not help either the store is unavailable."""
    store = MemoryStore()
    async with Auth(store, secret=SECRET, subjects=Users().facts) as one:
        for number in range(5):
            await store.revoke_token("s", f"token-{number}", now=one.clock.now())

    class Losing(GatedStore):
        lost = 0

        async def events(self, cursor: str | None, *, wait: float) -> FeedRead:
            if cursor is not None and self.lost < losses:
                self.lost += 1
                raise FeedLost("pruned meanwhile")
            return await store.events(cursor, wait=wait)

    auth = Auth(Losing(store), secret=SECRET, subjects=Users().facts)  # type: ignore[arg-type]
    if losses == 1:
        async with auth:
            assert auth.follower.is_live()
    else:
        with pytest.raises(StoreUnavailable):
            await auth.start()


@pytest.mark.usefixtures("short_pages")
async def test_start_reads_every_page() -> None:
    """Before anything is accepted, the view holds what the last page says."""
    store = MemoryStore()
    async with Auth(store, secret=SECRET, subjects=Users().facts) as one:
        made = await one.login("ann", mode=Mode.JWT)
        for number in range(10):
            await store.revoke_token(made.session.id, f"token-{number}", now=one.clock.now())
        await store.revoke(made.session.id, now=one.clock.now())
        async with Auth(store, secret=SECRET, subjects=Users().facts) as other:
            with pytest.raises(RevokedCredential):
                await other.verify(presented(made))


async def test_requests_have_their_turn_during_a_long_page() -> None:
    """However many events a read brings, the event loop is not held until all of them are applied."""
    gated = GatedStore(MemoryStore())
    async with Auth(gated, secret=SECRET, subjects=Users().facts) as auth:  # type: ignore[arg-type]
        follower = auth.follower
        background = gated.hold_before("events")
        await background.reached()
        for number in range(3000):
            gated._feed.append(Event(kind=EventKind.TOKEN_REVOKED, at=0.0, session_id="s", token_id=f"t{number}"))
        turns = 0
        reading = asyncio.create_task(follower.catch_up())
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        await reading
        assert turns > 5
        background.open()


async def test_follower_that_meets_a_fault_of_ours_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """A background task that ends by an unexpected error is no silence in the log."""

    class Broken(MemoryStore):
        async def events(self, cursor: str | None, *, wait: float) -> memory_feed.FeedRead:
            if cursor is not None:
                raise KeyError("a fault")
            return await super().events(cursor, wait=wait)

    async with Auth(Broken(), secret=SECRET, subjects=Users().facts), in_time():
        while "coatcheck-follower has stopped" not in caplog.text:
            await asyncio.sleep(0)

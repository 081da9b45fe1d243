"""A history that was rolled back, as a process sees it that has lived through it, and one that was started after."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from coatcheck import Auth, Credentials, InvalidCredential, Mode, StoreUnavailable, SubjectFacts
from coatcheck.errors import RevokedCredential, StaleCredential
from coatcheck.model import Event, EventKind
from coatcheck.stores.base import FeedLost
from coatcheck.stores.memory import MemoryStore
from tests.contract.rewind import MemoryRewinder
from tests.support.gates import GatedStore

from .conftest import SECRET, Users, presented
from .test_follower import until

JWT = [Mode.JWT, Mode.JWT_COOKIE]


@dataclass
class World:
    """One store, processes on it, and its backups."""

    store: MemoryStore
    backup: MemoryRewinder
    users: Users = field(default_factory=Users)
    running: list[Auth] = field(default_factory=list)

    async def process(self, gated: GatedStore | None = None) -> Auth:
        auth = Auth(gated or self.store, secret=SECRET, subjects=self.users.facts)  # type: ignore[arg-type]
        await auth.start()
        self.running.append(auth)
        return auth

    async def noticed(self, auth: Auth) -> None:
        """The process has lost the feed and follows it again."""
        await until(lambda: auth.follower.era > 0 and auth.follower.is_live())


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = MemoryStore()
    store._feed.since = 0.0  # a deployment that is older than any token
    world = World(store, MemoryRewinder(store))
    yield world
    for auth in world.running:
        await auth.close()


async def refused(auth: Auth, made: Credentials) -> None:
    with pytest.raises(InvalidCredential):
        await auth.verify(presented(made))


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_revocation_after_a_restore_reaches_who_lived_through_it(world: World, mode: Mode) -> None:
    """However many events have come in the place of those that were lost."""
    one, other = await world.process(), await world.process()
    made = await one.login("ann", mode=mode)
    await world.backup.save()
    for _ in range(3):
        await one.revoke_subject("somebody else")
    await one.follower.catch_up()
    await other.follower.catch_up()
    await other.verify(presented(made))
    await world.backup.restore()
    for _ in range(3):
        await world.store.announce_keys(now=one.clock.now())
    await world.noticed(other)
    await other.verify(presented(made))
    await one.revoke(made.session.id)
    await until(lambda: other.verifier.known(presented(made).key) is None)
    await refused(other, made)


@pytest.mark.parametrize("mode", JWT)
async def test_a_restored_history_covers_nothing_of_before(world: World, mode: Mode) -> None:
    """An access token that was revoked in the history that was lost is refused: the store is asked, and does not have
    its session. Also by a process that was started after one that lived through it had noticed."""
    one = await world.process()
    await world.backup.save()
    made = await one.login("ann", mode=mode)
    await one.revoke(made.session.id)
    await one.follower.catch_up()
    await world.backup.restore()
    await world.noticed(one)
    await refused(one, made)
    await refused(await world.process(), made)


@pytest.mark.parametrize("mode", JWT)
async def test_what_was_forgotten_can_be_ended_again(world: World, mode: Mode) -> None:
    """Also in a process that has noticed nothing: by session, by subject and by a change of the subject, though epochs
    and versions count from the backup again."""
    one = await world.process()
    await world.backup.save()
    await one.revoke_subject("ann")
    await one.subject_changed("bob")
    lost = [await one.login(subject, mode=mode) for subject in ("ann", "bob", "eve")]
    await world.backup.restore()
    fresh = await world.process()
    for made in lost:
        await fresh.verify(presented(made))
    await fresh.revoke_subject("ann")
    await fresh.subject_changed("bob")
    assert await fresh.revoke(lost[2].session.id) is False, "it was not there"
    for made in lost:
        await refused(fresh, made)


async def test_a_logout_with_a_token_of_a_forgotten_session_counts(world: World) -> None:
    """Whoever holds it can end it."""
    one = await world.process()
    await world.backup.save()
    made = await one.login("ann", mode=Mode.JWT)
    await world.backup.restore()
    fresh = await world.process()
    await fresh.logout(presented(made))
    await refused(fresh, made)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("held", ["before", "after"])
@pytest.mark.parametrize("how", ["session", "subject", "others", "change"])
async def test_what_ends_here_during_a_rebuild_ends_at_once(world: World, mode: Mode, held: str, how: str) -> None:
    """Wherever the read that builds the view anew stands, before the store or on its way back."""
    gated = GatedStore(world.store)
    auth = await world.process(gated)
    made, other = await auth.login("ann", mode=mode), await auth.login("ann", mode=mode)
    await auth.verify(presented(made))
    background = gated.hold_before("events")
    await background.reached()
    auth.follower.lose("made to")
    auth.follower._known_until = float("-inf")  # the feed itself is what it was
    gate = gated.hold_before("events") if held == "before" else gated.hold_after("events")
    rebuilding = asyncio.create_task(auth.follower.catch_up())
    await gate.reached()
    if how == "session":
        await auth.revoke(made.session.id)
    elif how == "subject":
        await auth.revoke_subject("ann")
    elif how == "others":
        await auth.revoke_subject("ann", excepted=other.session.id)
    else:
        world.users.gone.add("ann")
        await auth.subject_changed("ann")
    gate.open()
    await rebuilding
    error = StaleCredential if how == "change" and mode is not Mode.SESSION else RevokedCredential
    with pytest.raises(error):
        await auth.verify(presented(made))
    background.open()


async def test_the_feed_begins_anew_once(world: World) -> None:
    """However many processes have lived through the restore: one gives it a new beginning, and the others see that it
    is one."""
    calls = []
    gates = [GatedStore(world.store) for _ in range(4)]
    processes = [await world.process(gated) for gated in gates]
    await world.backup.save()
    for auth in processes:
        await auth.revoke_subject("somebody")
    for auth in processes:
        await auth.follower.catch_up()
    await world.backup.restore()
    old = world.store._feed.id
    for auth in processes:
        await world.noticed(auth)
    await until(lambda: all(auth.follower._feed == world.store._feed.id for auth in processes))
    calls = [gated.calls["begin_anew"] for gated in gates]
    assert world.store._feed.id != old
    assert 1 <= sum(calls) <= len(calls)
    eras = [auth.follower.era for auth in processes]
    await asyncio.sleep(0.5)
    assert [auth.follower.era for auth in processes] == eras
    assert [gated.calls["begin_anew"] for gated in gates] == calls


async def test_a_store_that_cannot_be_written_is_followed_all_the_same(world: World) -> None:
    """Then this process itself takes nothing of before as known."""
    gated = GatedStore(world.store)
    auth = await world.process(gated)
    await world.backup.save()
    made = await auth.login("ann", mode=Mode.JWT)
    await auth.revoke(made.session.id)
    await auth.follower.catch_up()
    gated.fail("begin_anew")
    await world.backup.restore()
    await world.noticed(auth)
    await refused(auth, made)
    later = await auth.login("ann", mode=Mode.JWT)
    assert (await auth.verify(presented(later))).subject == "ann"


async def test_a_change_that_the_store_does_not_know_is_a_lost_history(world: World) -> None:
    """A process that was told of a change which is gone does not answer 503 for as long as it remembers it: the answer
    that lacks it, asked for afterwards, says that it is gone."""
    auth = await world.process()
    made = await auth.login("ann", mode=Mode.SESSION)
    await world.backup.save()
    await auth.follower.catch_up()
    cursor = auth.follower._cursor
    await auth.subject_changed("ann")
    await world.backup.restore()
    auth.follower._cursor = cursor
    assert (await auth.verify(presented(made))).subject == "ann"
    assert auth.follower.era >= 1


async def test_a_restore_with_no_event_in_between_is_noticed(world: World) -> None:
    """Only people have logged in since the backup was made: the store has given out later times than it says it has."""
    auth = await world.process()
    await auth.login("ann", mode=Mode.JWT)
    await auth.follower.catch_up()
    await world.backup.save()
    made = await auth.login("bob", mode=Mode.JWT)
    await auth.follower._read()
    await world.backup.restore()
    await world.noticed(auth)
    await refused(auth, made)
    await refused(await world.process(), made)


async def test_a_read_that_comes_late_does_not_lead_past_a_loss(world: World) -> None:
    """Two reads from one place, one of the lost history and one of what was put back, taken in this order: the second
    is thrown away, and the next one finds out."""
    gated = GatedStore(world.store)
    auth = await world.process(gated)
    background = gated.hold_before("events")
    await background.reached()
    await world.backup.save()
    await world.store.revoke_subject("somebody", now=auth.clock.now())
    of_the_lost = gated.hold_after("events")
    first = asyncio.create_task(auth.follower._read())
    await of_the_lost.reached()
    await world.backup.restore()
    of_the_restored = gated.hold_after("events")
    second = asyncio.create_task(auth.follower._read())
    await of_the_restored.reached()
    of_the_lost.open()
    await first
    of_the_restored.open()
    with pytest.raises(FeedLost):
        await second
    assert auth.follower.era == 1
    background.open()


async def test_an_answer_of_before_a_cut_off_is_asked_for_again(world: World) -> None:
    """Also where the cut-off's number is lower than the token's, which is of another history: it says nothing against
    it, and so the store has to."""
    gated = GatedStore(world.store)
    auth = await world.process(gated)
    await auth.revoke_subject("ann")
    made = await auth.login("ann", mode=Mode.JWT)
    auth.verifier._view.reset()  # it covers nothing, so the store is asked
    gate = gated.hold_after("find")
    asked = asyncio.create_task(auth.verify(presented(made)))
    await gate.reached()
    world.store._epochs["ann"] = 1
    auth.follower.apply(Event(kind=EventKind.SUBJECT_CUT_OFF, at=0.0, subject="ann", number=1))
    gate.open()
    with pytest.raises(RevokedCredential):
        await asked


async def test_many_changes_are_no_lost_history(world: World) -> None:
    """A subject that changes while its roles are looked up, again and again, costs its own request and nobody else's
    memory."""
    auth = await world.process()
    made = await auth.login("ann", mode=Mode.SESSION)

    async def changing(subject: str) -> SubjectFacts:
        await auth.subject_changed(subject)
        return SubjectFacts()

    auth.verifier._subjects = SimpleNamespace(facts=changing)  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        await auth.verify(presented(made))
    assert auth.follower.era == 0


async def test_a_clock_that_was_put_back_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """While time stands still the log says so, once; and once more when the clock has caught up."""
    ahead = 0.0
    store = MemoryStore(wall=lambda: asyncio.get_event_loop().time() + ahead)
    async with Auth(store, secret=SECRET, subjects=Users().facts) as auth:
        ahead = 3600.0
        await auth.follower.catch_up()
        await auth.follower._read()
        made = await auth.login("ann", mode=Mode.JWT)
        ahead = 0.0
        with caplog.at_level(logging.WARNING, "coatcheck.follower"):
            for _ in range(3):
                await auth.follower._read()
            assert [record.message for record in caplog.records if "stands still" in record.message] == [
                "the store's clock was put back by 3600 s: time stands still until it has caught up"
            ]
            assert (await auth.verify(presented(made))).subject == "ann"
            ahead = 3700.0
            for _ in range(3):
                await auth.follower._read()
            assert sum("caught up" in record.message for record in caplog.records) == 2

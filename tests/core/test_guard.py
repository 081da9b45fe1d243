"""Guarded connections: what ends them, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from coatcheck import Auth, Identity, Lifetimes, Mode, Policy, StoreUnavailable, acting, acts
from coatcheck.clock import Clock
from coatcheck.errors import InvalidCredential, RevokedCredential, SessionEnded, StaleCredential
from coatcheck.events import SecurityEvent
from coatcheck.guard import Guard
from coatcheck.model import Event, EventKind
from coatcheck.stores.base import Touch
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import TravelClock
from tests.support.gates import GatedStore
from tests.support.patience import in_time

from .conftest import SECRET, Users, presented

MODES = pytest.mark.parametrize("mode", list(Mode))
JWT = pytest.mark.parametrize("mode", [Mode.JWT, Mode.JWT_COOKIE])


async def until(condition: Callable[[], object]) -> None:
    async with in_time():
        while not condition():
            await asyncio.sleep(0.002)


async def known(auth: Auth, mode: Mode = Mode.SESSION, subject: str = "ann") -> Identity:
    return await auth.verify(presented(await auth.login(subject, mode=mode)))


class Connection:
    """A connection that is open until its guard ends it."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.error: BaseException | None = None
        self._entered = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            async with self.guard:
                self._entered.set()
                await asyncio.Event().wait()
        except (InvalidCredential, StoreUnavailable) as error:
            self.error = error
            self._entered.set()

    async def entered(self) -> Connection:
        async with in_time():
            await self._entered.wait()
        return self

    async def ends(self) -> BaseException:
        async with in_time():
            await self.task
        assert self.error is not None
        return self.error

    @property
    def is_open(self) -> bool:
        return self.guard.ended is None and not self.task.done()


async def connect(auth: Any, identity: Identity) -> Connection:
    connection = await Connection(auth.guard(identity)).entered()
    assert connection.error is None
    return connection


async def hang_up(*connections: Connection) -> None:
    for connection in connections:
        connection.task.cancel()
    await asyncio.gather(*(connection.task for connection in connections), return_exceptions=True)


class Elsewhere:
    """A second process on the same store, and a clock of its own for the one under test."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.travel = TravelClock()
        memory = MemoryStore(wall=self.travel)
        self.store = GatedStore(memory)
        self.users = Users()
        clock = Clock(monotonic=self.travel.monotonic, wall=self.travel.now)
        settings: Any = {"secret": SECRET, "subjects": self.users.facts, "policy": policy}
        self.other = Auth(memory, **settings)
        self.auth = Auth(self.store, clock=clock, **settings)  # type: ignore[arg-type]

    async def __aenter__(self) -> Elsewhere:
        await self.other.start()
        await self.auth.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.auth.close()
        await self.other.close()


Ending = Callable[[Auth, Identity], Awaitable[object]]
ENDINGS: dict[str, Ending] = {
    "session": lambda auth, who: auth.revoke(who.session_id),
    "subject": lambda auth, who: auth.revoke_subject(who.subject),
    "changed": lambda auth, who: auth.revocation.subject_changed(who.subject),
}


@MODES
@pytest.mark.parametrize("ending", ENDINGS)
async def test_what_ends_a_connection_elsewhere(mode: Mode, ending: str) -> None:
    """Another process ends the session, cuts the subject off, or changes it: the connection ends, others stay."""
    async with Elsewhere() as world:
        who, neighbour = await known(world.auth, mode), await known(world.auth, mode, "bob")
        one, other = await connect(world.auth, who), await connect(world.auth, neighbour)
        await ENDINGS[ending](world.other, who)
        assert isinstance(await one.ends(), SessionEnded)
        assert other.is_open
        await hang_up(other)
        assert len(world.auth.guards) == 0


@MODES
async def test_ends_here_before_revoke_returns(auth: Auth, mode: Mode) -> None:
    """In the process that revokes, a connection has ended by the time the call returns; each reason is in the error."""
    connection = await connect(auth, await known(auth, mode))
    await auth.revoke(connection.guard.identity.session_id)
    assert connection.guard.ended is not None
    assert str(await connection.ends()) == "session was revoked"


@MODES
async def test_excepted_session_stays(auth: Auth, mode: Mode) -> None:
    """Logging out everywhere else ends all but this session's connections; the next one may end it."""
    kept, cut = await known(auth, mode), await known(auth, mode)
    one, two = await connect(auth, kept), await connect(auth, cut)
    await auth.revoke_subject("ann", excepted=kept.session_id)
    await two.ends()
    await auth.follower.catch_up()
    assert one.is_open
    await auth.revoke_subject("ann")
    await one.ends()


@JWT
async def test_its_own_token_is_revoked(auth: Auth, mode: Mode) -> None:
    """A connection ends with the access token that it came with; one that came with another token stays."""
    made = await auth.login("ann", mode=mode)
    first = await auth.verify(presented(made))
    second = await auth.verify(presented(await auth.refresh(made.refresh_token or "")))
    one, two = await connect(auth, first), await connect(auth, second)
    await auth.revocation.revoke_token(first.session_id, first.token_id)
    await one.ends()
    assert two.is_open
    await hang_up(two)


@MODES
async def test_new_keys_and_withdrawn_keys(auth: Auth, mode: Mode) -> None:
    """A new key ends no connection. One that is withdrawn ends those that came with any access token."""
    connection = await connect(auth, await known(auth, mode))
    old = auth.access_tokens.keyring.keys[-1].kid
    await auth.keys.rotate(at_once=True)
    await until(lambda: len(auth.guards._known_kids) == 2)
    assert connection.is_open
    await auth.keys.withdraw(old)
    await until(lambda: len(auth.guards._known_kids) == 1)
    if mode is Mode.SESSION:
        assert connection.is_open
        await hang_up(connection)
    else:
        assert str(await connection.ends()) == "a signing key was withdrawn"


async def test_retired_key_ends_nothing(auth: Auth) -> None:
    """A key that is gone because its time was over is no withdrawn one; a moment earlier it is."""
    kids, now = auth.access_tokens.keyring.retirements(), auth.clock.now()
    for retired, stays in ((now, True), (now + 60, False)):
        connection = await connect(auth, await known(auth, Mode.JWT))
        auth.guards._known_kids = {**kids, "gone": retired}
        auth.guards.keys_loaded()
        assert connection.is_open is stays
        await hang_up(connection)


async def test_changed_proof_of_identity(auth: Auth) -> None:
    """A session that was proved again has another identity; what came with the earlier one ends."""
    made = await auth.login("ann", mode=Mode.SESSION)
    connection = await connect(auth, await auth.verify(presented(made)))
    await auth.sessions.update(made.session.id, made.session.version, now=auth.clock.now(), amr=("pwd", "otp"))
    assert str(await connection.ends()) == "session has changed"


@MODES
async def test_events_of_before_change_nothing(auth: Auth, mode: Mode) -> None:
    """Whoever logs in right after a cut-off or a change is not ended when the feed brings that event once more."""
    await known(auth, mode)
    epoch = await auth.revocation.revoke_subject("ann")
    version = await auth.revocation.subject_changed("ann")
    connection = await connect(auth, await known(auth, mode))
    for kind, number in ((EventKind.SUBJECT_CUT_OFF, epoch), (EventKind.SUBJECT_CHANGED, version)):
        auth.follower.apply(Event(kind=kind, at=auth.clock.now(), subject="ann", number=number))
    assert connection.is_open
    await auth.revoke_subject("ann")
    await connection.ends()


@MODES
async def test_lapsed_lease_ends_it_and_not_before(mode: Mode) -> None:
    """A process that is cut off keeps a connection up to max_staleness after its last read began, and no longer."""
    async with Elsewhere() as world:
        connection = await connect(world.auth, await known(world.auth, mode))
        gate = world.store.hold_before("events")
        await gate.reached()
        await world.other.revoke(connection.guard.identity.session_id)
        deadline = world.auth.follower.lease.deadline
        assert deadline <= world.travel.monotonic() + world.auth.policy.max_staleness
        world.travel.advance(deadline - world.travel.monotonic() - 0.001)
        world.auth.guards.look()
        assert connection.is_open
        assert connection.guard.goes_on()
        world.travel.advance(0.001)
        assert not connection.guard.goes_on(), "exactly, before any timer"
        assert isinstance(await connection.ends(), StoreUnavailable)
        gate.open()


async def test_lease_has_a_timer() -> None:
    """Nobody has to ask: the lease's deadline ends every connection by itself."""
    policy = Policy(max_staleness=0.5)
    store = GatedStore(MemoryStore())
    async with Auth(store, secret=SECRET, subjects=Users().facts, policy=policy) as auth:  # type: ignore[arg-type]
        connections = [await connect(auth, await known(auth, mode)) for mode in Mode]
        store.fail("events", "find")
        for connection in connections:
            assert isinstance(await connection.ends(), StoreUnavailable)
        assert not auth.follower.is_live()
        with pytest.raises(StoreUnavailable):
            await auth.guard(connections[0].guard.identity).__aenter__()


async def test_entering_under_a_lapsed_lease_asks_first() -> None:
    """A process that was suspended reads the feed before it lets a connection in, and so knows who is out."""
    async with Elsewhere() as world:
        out, stays = await known(world.auth), await known(world.auth, subject="bob")
        gate = world.store.hold_before("events")
        await gate.reached()
        await world.other.revoke(out.session_id)
        world.travel.advance(3600 - 1801)
        with pytest.raises(RevokedCredential):
            await world.auth.guard(out).__aenter__()
        connection = await connect(world.auth, stays)
        gate.open()
        await hang_up(connection)


@MODES
@pytest.mark.parametrize("ending", ENDINGS)
async def test_event_between_verification_and_guard(auth: Auth, users: Users, mode: Mode, ending: str) -> None:
    """What happens after the identity was verified and before it is guarded is not missed."""
    who = await known(auth, mode)
    if ending == "changed":
        users.roles["ann"] = frozenset({"editor"})
    await ENDINGS[ending](auth, who)
    with pytest.raises((RevokedCredential, StaleCredential)):
        await auth.guard(who).__aenter__()
    assert len(auth.guards) == 0


@MODES
@pytest.mark.parametrize("ending", ENDINGS)
async def test_event_while_the_store_is_asked(mode: Mode, ending: str) -> None:
    """The store has answered, the event comes, the answer arrives: it does not count any more."""
    async with Elsewhere() as world:
        who = await known(world.auth, mode)
        world.auth.table.clear()  # as if evicted: the store has to be asked
        gate = world.store.hold_after("find")
        entering = asyncio.create_task(world.auth.guard(who).__aenter__())
        await gate.reached()
        if ending == "changed":
            world.users.roles["ann"] = frozenset({"editor"})
        await ENDINGS[ending](world.other, who)
        await world.auth.follower.catch_up()
        gate.open()
        with pytest.raises((RevokedCredential, StaleCredential)):
            await entering
        assert len(world.auth.guards) == 0


@MODES
async def test_evicted_identity_is_guarded_all_the_same(auth: Auth, store: GatedStore, mode: Mode) -> None:
    """What the table has forgotten the store vouches for; what it still holds costs no question."""
    who = await known(auth, mode)
    before = store.calls["find"]
    one = await connect(auth, who)
    assert store.calls["find"] == before
    auth.table.clear()
    two = await connect(auth, who)
    assert store.calls["find"] == before + 1
    await auth.revoke(who.session_id)
    await one.ends()
    await two.ends()


@MODES
async def test_feed_lost_while_the_store_is_asked(mode: Mode) -> None:
    """The store has answered, then the session is revoked and the feed is lost together with the event: ask again."""
    async with Elsewhere() as world:
        who = await known(world.auth, mode)
        world.auth.table.clear()
        gate = world.store.hold_after("find")
        entering = asyncio.create_task(world.auth.guard(who).__aenter__())
        await gate.reached()
        await world.other.revoke(who.session_id)
        world.store._store._feed.events.clear()
        world.auth.follower.lose("made to")
        await world.auth.follower.catch_up()
        gate.open()
        with pytest.raises(RevokedCredential):
            await entering


@MODES
async def test_subject_changed_while_the_feed_was_lost(auth: Auth, store: GatedStore, mode: Mode) -> None:
    """The session lives, but its subject is another than the connection was let in as."""
    connection = await connect(auth, await known(auth, mode))
    store._store._versions["ann"] = 1  # and no event says so
    auth.follower.lose("made to")
    assert str(await connection.ends()) == "subject has changed"


@MODES
async def test_lost_feed_is_asked_about(auth: Auth, store: GatedStore, mode: Mode) -> None:
    """When the feed was lost together with a revocation, the store says who goes on; others end."""
    out, stays = await known(auth, mode), await known(auth, mode, "bob")
    one, two = await connect(auth, out), await connect(auth, stays)
    gate = store.hold_before("events")
    await gate.reached()
    del store._store._sessions[out.session_id]  # gone, and no event says so
    auth.follower.lose("made to")
    gate.open()
    assert isinstance(await one.ends(), SessionEnded)
    await until(lambda: not auth.guards._doubtful)
    assert two.is_open
    await auth.revoke(stays.session_id)
    await two.ends()


@MODES
async def test_lost_feed_gives_no_longer_than_the_old_lease(mode: Mode) -> None:
    """Where the store does not answer about a session, its connection ends when the old lease would have lapsed, though
    the feed is there again and its lease runs."""
    async with Elsewhere() as world:
        connection = await connect(world.auth, await known(world.auth, mode))
        gate = world.store.hold_before("events")
        await gate.reached()
        world.store.fail("find")
        deadline = world.auth.follower.lease.deadline
        world.auth.follower.lose("made to")
        gate.open()
        await until(world.auth.follower.is_live)
        world.travel.advance(deadline - world.travel.monotonic() - 0.001)
        await world.auth.follower.catch_up()
        world.auth.guards.look()
        assert connection.is_open
        world.travel.advance(0.001)
        assert isinstance(await connection.ends(), StoreUnavailable)
        assert world.auth.follower.is_live()


async def test_jumped_clock_is_doubt(auth: Auth, store: GatedStore) -> None:
    """When the store's clock has jumped, deadlines may be wrong: the store is asked about each session."""
    connection = await connect(auth, await known(auth))
    before = store.calls["find"]
    auth.guards.clock_jumped()
    await until(lambda: store.calls["find"] == before + 1 and not auth.guards._doubtful)
    assert connection.is_open
    await hang_up(connection)


@MODES
async def test_absolute_deadline(mode: Mode) -> None:
    """At its absolute deadline a session's connections end, however much it was used."""
    policy = Policy(session=_lives(100, 100), refresh=_lives(100, 100), access_lifetime=50)
    async with Elsewhere(policy) as world:
        connection = await connect(world.auth, await known(world.auth, mode))
        for _ in range(4):
            await _pass(world, 24.9)
            assert connection.is_open
        world.store.fail("find")  # and nobody is asked any more
        await _pass(world, 0.5)
        assert str(await connection.ends()) == "the session's time is over"


async def test_idle_deadline_and_use() -> None:
    """An open connection is no use of its session, so it ends at the idle deadline; what counts as use puts it off."""
    async with Elsewhere(Policy(session=_lives(100, 1000))) as world:
        quiet = await connect(world.auth, await known(world.auth))
        busy = await connect(world.auth, await known(world.auth))
        for _ in range(3):
            await _pass(world, 33)
            busy.guard.use()
            await world.auth._parts.maintenance.touch()  # type: ignore[union-attr]
        await _pass(world, 2)
        assert isinstance(await quiet.ends(), SessionEnded)
        assert busy.is_open
        await _pass(world, 60)
        assert busy.is_open
        await _pass(world, 60)
        await busy.ends()


async def test_use_is_written_when_the_table_has_forgotten() -> None:
    """A use on a connection reaches the store also after its entry was evicted."""
    async with Elsewhere(Policy(session=_lives(100, 1000))) as world:
        who = await known(world.auth)
        connection = await connect(world.auth, who)
        world.auth.table.remove_session(who.session_id)
        await _pass(world, 60)
        connection.guard.use()
        await world.auth._parts.maintenance.touch()  # type: ignore[union-attr]
        await _pass(world, 60)
        assert connection.is_open
        standing = await world.other.sessions.find(who.session_id, now=world.travel.now())
        assert standing is not None
        await hang_up(connection)


async def test_someone_elses_use_counts() -> None:
    """At the local idle deadline the store is asked: a request to another process has moved it."""
    async with Elsewhere(Policy(session=_lives(100, 1000))) as world:
        made = await world.auth.login("ann", mode=Mode.SESSION)
        connection = await connect(world.auth, await world.auth.verify(presented(made)))
        await _pass(world, 90)
        now = world.travel.now()
        await world.other.sessions.touch([Touch(session_id=made.session.id, seen=now)], now=now)
        await _pass(world, 20)
        await until(lambda: not world.auth.guards._doubtful)
        assert connection.is_open
        await hang_up(connection)


@JWT
async def test_access_token_expires_and_the_session_lives(mode: Mode) -> None:
    """Beside the store a connection outlives its access token; the store is asked as often as a client refreshes."""
    async with Elsewhere(Policy(access_lifetime=100)) as world:
        connection = await connect(world.auth, await known(world.auth, mode))
        for _ in range(2):
            world.store.calls.clear()
            await _pass(world, 101)
            await until(lambda: world.store.calls["find"] == 1 and not world.auth.guards._doubtful)
            assert connection.is_open
        world.users.gone.add("ann")
        await _pass(world, 101)
        assert str(await connection.ends()) == "subject is unknown or disabled"


@JWT
async def test_question_that_is_not_answered_ends_it(mode: Mode) -> None:
    """Past a deadline nobody goes on without an answer: the doubt ends with the lease of the moment it began."""
    async with Elsewhere(Policy(access_lifetime=100)) as world:
        connection = await connect(world.auth, await known(world.auth, mode))
        world.store.fail("find")
        await _pass(world, 101)
        world.auth.guards.look()
        assert connection.is_open
        await _pass(world, 2)
        assert isinstance(await connection.ends(), StoreUnavailable)


async def test_fault_of_the_hook_is_no_yes() -> None:
    """When the application's own hook fails, that connection ends undecided and the others are asked about."""
    async with Elsewhere(Policy(access_lifetime=100)) as world:
        made = [await known(world.auth, Mode.JWT, name) for name in ("ann", "bob")]
        one, two = [await connect(world.auth, who) for who in made]
        facts = world.users.facts

        def failing(subject: str) -> Any:
            if subject == "ann":
                raise ZeroDivisionError
            return facts(subject)

        world.auth.subjects._hook = failing  # type: ignore[attr-defined]
        await _pass(world, 101)
        await until(lambda: len(world.auth.guards._doubtful) == 1)
        await _pass(world, 2)
        assert isinstance(await one.ends(), StoreUnavailable)
        assert two.is_open
        await hang_up(two)


async def test_many_connections_of_one_session(auth: Auth) -> None:
    """All of them end together, and one that hangs up takes no other with it."""
    who = await known(auth)
    connections = [await connect(auth, who) for _ in range(5)]
    await hang_up(connections[0])
    assert len(auth.guards) == 4
    await auth.revoke(who.session_id)
    for connection in connections[1:]:
        await connection.ends()
    assert len(auth.guards) == 0


async def test_closing_ends_everything(auth: Auth) -> None:
    """When nobody follows the feed any more, no connection stays open, and none is let in."""
    who = await known(auth)
    connection, guards = await connect(auth, who), auth.guards
    await auth.close()
    assert isinstance(await connection.ends(), StoreUnavailable)
    with pytest.raises(StoreUnavailable):
        await guards.guard(who).__aenter__()


async def test_nothing_is_left_behind(auth: Auth) -> None:
    """After thousands of connections have come and gone no index holds anything, and no timer runs."""
    for number in range(50):
        who = await known(auth, list(Mode)[number % 3], f"subject {number}")
        for _ in range(20):
            async with auth.guard(who):
                pass
    guards = auth.guards
    assert len(guards) == 0
    assert not guards._by_session
    assert not guards._by_subject
    assert not guards._by_second
    await until(lambda: guards._timer is None)


async def test_event_costs_only_its_own(auth: Auth) -> None:
    """An event of one session looks at no other session's guards, nor one of a subject at another's."""
    connections = [await connect(auth, await known(auth, subject=f"s{number}")) for number in range(30)]
    looked: list[str] = []
    guards = auth.guards
    end = guards.end
    guards.end = lambda watch, error: (looked.append(watch.identity.subject), end(watch, error))  # type: ignore
    await auth.revoke(connections[3].guard.identity.session_id)
    await auth.revoke_subject("s5")
    await auth.revocation.subject_changed("s7")
    await auth.revoke_subject("nobody")
    assert looked == ["s3", "s5", "s7"]
    await hang_up(*connections)


def _lives(idle: float, absolute: float) -> Lifetimes:
    return Lifetimes(idle=idle, absolute=absolute)


async def _pass(world: Elsewhere, seconds: float) -> None:
    """Time goes on in steps in which the feed is read, so that no lease lapses."""
    step = world.auth.policy.max_staleness / 2
    while seconds > 0:
        world.travel.advance(min(step, seconds))
        seconds -= step
        await world.auth.follower._read()
        world.auth.guards.look()


async def test_who_reads_the_feed_has_not_ended_what_it_tells_of(auth: Auth) -> None:
    """What a connection's end is told with names nobody who acts: a request that had to ask the store found it out."""
    identity = await known(auth)
    seen: list[SecurityEvent] = []
    auth.events.subscribe(seen.append)
    connection = await connect(auth, identity)
    with acting.asked_from("192.0.2.66"):
        acting.known_as("eve", "a session of eve")
        auth.follower.apply(
            Event(kind=EventKind.SESSION_REVOKED, at=1.0, subject="ann", session_id=identity.session_id)
        )
    await connection.ends()
    (told,) = (event for event in seen if event.act is acts.CONNECTION_ENDED)
    assert (told.subject, told.by, told.by_session, told.ip) == ("ann", "", "", "")

"""Login and refresh."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck import (
    Auth,
    ConfigurationError,
    InvalidCredential,
    Lifetimes,
    Mode,
    Policy,
    StoreUnavailable,
    SubjectFacts,
)
from coatcheck.clock import Clock
from coatcheck.errors import ReusedCredential, RevokedCredential, SessionTooLarge, StaleCredential
from coatcheck.stores.base import Rotated
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import TravelClock
from tests.support.gates import GatedStore

from .conftest import SECRET, Users, presented

REFRESHING = pytest.mark.parametrize("mode", [Mode.JWT, Mode.JWT_COOKIE])


@REFRESHING
async def test_a_thousand_refreshes_at_once(auth: Auth, store: GatedStore, mode: Mode) -> None:
    """A thousand concurrent refreshes with one token give a thousand answers with the same successor."""
    made = await auth.login("ann", mode=mode)
    assert made.refresh_token is not None
    answers = await asyncio.gather(*(auth.refresh(made.refresh_token) for _ in range(1000)))
    assert len({answer.refresh_token for answer in answers}) == 1
    assert answers[0].refresh_token != made.refresh_token
    assert len({answer.access_token for answer in answers}) == 1000, "each has an access token of its own"
    assert {answer.session.generation for answer in answers} == {1}
    for answer in answers[::100]:
        await auth.verify(presented(answer))


@REFRESHING
async def test_an_older_token_ends_the_session(auth: Auth, mode: Mode) -> None:
    """A refresh token two generations old ends the session, its access tokens included."""
    first = await auth.login("ann", mode=mode)
    second = await auth.refresh(first.refresh_token or "")
    third = await auth.refresh(second.refresh_token or "")
    for made in (first, second, third):
        await auth.verify(presented(made))
    with pytest.raises(ReusedCredential):
        await auth.refresh(first.refresh_token or "")
    for made in (first, second, third):
        with pytest.raises(RevokedCredential):
            await auth.verify(presented(made))
        with pytest.raises(RevokedCredential):
            await auth.refresh(made.refresh_token or "")


async def test_reuse_window_in_time() -> None:
    """The token just before is good for its successor up to the end of the reuse window, and not a moment longer."""
    travel = TravelClock()
    clock = Clock(monotonic=travel.monotonic, wall=travel.now)
    async with Auth(MemoryStore(wall=travel), secret=SECRET, subjects=Users().facts, clock=clock) as auth:
        made = await auth.login("ann", mode=Mode.JWT)
        second = await auth.refresh(made.refresh_token or "")
        travel.advance(auth.policy.reuse_window)
        assert (await auth.refresh(made.refresh_token or "")).refresh_token == second.refresh_token
        travel.advance(0.001)
        with pytest.raises(ReusedCredential):
            await auth.refresh(made.refresh_token or "")


async def test_refresh_cannot_outlive_the_session() -> None:
    """However often it is refreshed, a session ends at its absolute deadline, and so does its last access token."""
    travel = TravelClock()
    clock = Clock(monotonic=travel.monotonic, wall=travel.now)
    policy = Policy(refresh=Lifetimes(idle=3600, absolute=10000))
    async with Auth(MemoryStore(wall=travel), secret=SECRET, subjects=Users().facts, clock=clock, policy=policy) as a:
        made = await a.login("ann", mode=Mode.JWT)
        end = made.session.absolute_deadline
        for _ in range(3):
            travel.advance(3000)
            made = await a.refresh(made.refresh_token or "")
            assert made.session.absolute_deadline == end
        travel.advance(900)
        last = await a.refresh(made.refresh_token or "")
        assert last.expires_in == 100
        travel.advance(100)
        with pytest.raises(RevokedCredential):
            await a.refresh(last.refresh_token or "")
        with pytest.raises(InvalidCredential):
            await a.verify(presented(last))


@REFRESHING
async def test_refresh_overtaken_by_revoke_gives_nothing(auth: Auth, store: GatedStore, mode: Mode) -> None:
    """A refresh in flight while its session is revoked brings nothing back to life, in either order."""
    made = await auth.login("ann", mode=mode)
    before = store.hold_before("rotate")
    refresh = asyncio.create_task(auth.refresh(made.refresh_token or ""))
    await before.reached()
    await auth.revoke(made.session.id)
    before.open()
    with pytest.raises(RevokedCredential):
        await refresh

    made = await auth.login("ann", mode=mode)
    after = store.hold_after("rotate")
    refresh = asyncio.create_task(auth.refresh(made.refresh_token or ""))
    await after.reached()
    await auth.revoke(made.session.id)
    after.open()
    late = await refresh
    with pytest.raises(RevokedCredential):
        await auth.verify(presented(late))
    with pytest.raises(RevokedCredential):
        await auth.refresh(late.refresh_token or "")


async def test_refresh_token_of_another_transport(auth: Auth) -> None:
    """A refresh token is good in the transport of its own mode only, and trying the other changes nothing."""
    made = await auth.login("ann", mode=Mode.JWT)
    with pytest.raises(InvalidCredential):
        await auth.issuer.refresh(made.refresh_token or "", mode=Mode.JWT_COOKIE)
    assert (await auth.issuer.refresh(made.refresh_token or "", mode=Mode.JWT)).session.generation == 1


async def test_reauthentication_moves_the_session(auth: Auth) -> None:
    """Re-authentication makes a new session with a fresh auth_time in the place of the old one."""
    old = await auth.login("ann", mode=Mode.JWT, data={"cart": 3})
    new = await auth.issuer.reauthenticate(old.session.id, epoch=await auth.epoch_of("ann"))
    assert new.session.id != old.session.id
    assert new.session.data == {"cart": 3}
    with pytest.raises(RevokedCredential):
        await auth.verify(presented(old))
    assert (await auth.verify(presented(new))).session_id == new.session.id


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_login_brought_along_is_as_old_as_it_was(auth: Auth, mode: Mode) -> None:
    """Its ``auth_time`` is when the identity was proved, never later than now, and what is no time is refused, such as
    one in milliseconds."""
    now = auth.clock.now()
    for given, found in [(now - 86_400, now - 86_400), (now + 30, now), (0.0, 0.0), (None, now)]:
        identity = await auth.verify(presented(await auth.login("ann", mode=mode, auth_time=given)))
        assert identity.auth_time == pytest.approx(found, abs=2)
    for given in (-1.0, float("nan"), float("inf"), now + 3600, now * 1000):
        with pytest.raises(ValueError, match="auth_time"):
            await auth.login("ann", mode=mode, auth_time=given)


async def test_reauthentication_overtaken_by_revoke_leaves_nothing(auth: Auth, store: GatedStore) -> None:
    """A session that is revoked while it is re-authenticated does not live on under its new id."""
    old = await auth.login("ann", mode=Mode.SESSION)
    gate = store.hold_after("create")
    move = asyncio.create_task(auth.issuer.reauthenticate(old.session.id, epoch=0))
    await gate.reached()
    await auth.revoke(old.session.id)
    gate.open()
    with pytest.raises(RevokedCredential):
        await move
    assert not (await auth.sessions.sessions_of("ann", now=auth.clock.now())).sessions


async def test_modes_are_the_policys(store: GatedStore) -> None:
    """A mode that the policy does not list is refused, and the first one listed is the default."""
    policy = Policy(modes=(Mode.JWT, Mode.SESSION))
    async with Auth(store, secret=SECRET, subjects=Users().facts, policy=policy) as auth:
        assert (await auth.login("ann")).session.mode is Mode.JWT
        with pytest.raises(ConfigurationError):
            await auth.login("ann", mode=Mode.JWT_COOKIE)


@pytest.mark.parametrize(("mode", "length"), [(Mode.JWT_COOKIE, 3000), (Mode.JWT, 6500)])
async def test_what_is_too_large(store: GatedStore, mode: Mode, length: int) -> None:
    """Claims that make a token too long for what carries it are refused before a session is made or a token rotated;
    what just fits is issued."""
    said = {"note": "x"}
    async with Auth(store, secret=SECRET, subjects=lambda subject: SubjectFacts(claims=dict(said))) as auth:  # type: ignore[arg-type]
        made = await auth.login("ann", mode=mode)
        said["note"] = "x" * length
        with pytest.raises(SessionTooLarge):
            await auth.login("ann", mode=mode)
        with pytest.raises(SessionTooLarge):
            await auth.issuer.refresh(made.refresh_token or "")
        assert len((await auth.sessions.sessions_of("ann", now=auth.clock.now())).sessions) == 1
        low, high = 1, length
        while low < high:
            said["note"] = "x" * ((low + high + 1) // 2)
            try:
                longest = (await auth.issuer.refresh(made.refresh_token or "")).access_token or ""
                low = len(said["note"])
            except SessionTooLarge:
                high = len(said["note"]) - 1
        limit = 4096 - len("__Host-coatcheck-access") if mode is Mode.JWT_COOKIE else 8192
        assert limit - 4 < len(longest) <= limit


async def test_two_logins_share_nothing(auth: Auth) -> None:
    """Two logins of one subject give different ids and tokens, and both are listed, newest first."""
    made = [await auth.login("ann", mode=mode) for mode in [*Mode, *Mode]]
    assert len({each.session.id for each in made}) == 6
    tokens = [t for each in made for t in (each.session_token, each.access_token, each.refresh_token) if t]
    assert len(set(tokens)) == len(tokens)
    page = await auth.sessions.sessions_of("ann", now=auth.clock.now())
    assert [each.id for each in page.sessions] == [each.session.id for each in reversed(made)]


async def test_secrets_stay_out_of_repr(auth: Auth) -> None:
    """No token stands in the repr of anything that is handed around."""
    for mode in Mode:
        made = await auth.login("ann", mode=mode)
        shown = (made, presented(made), auth, await auth.verify(presented(made)), await auth.keys.list())
        text = repr(shown)
        for token in (made.session_token, made.access_token, made.refresh_token, made.csrf_token, SECRET):
            assert token is None or token not in text


async def test_rotation_by_the_store_is_exactly_one(auth: Auth, store: GatedStore) -> None:
    """Of many concurrent rotations of one generation the store lets one through."""
    made = await auth.login("ann", mode=Mode.JWT)
    now = auth.clock.now()
    results = await asyncio.gather(*(store.rotate(made.session.id, 0, window=30, now=now) for _ in range(50)))
    assert sum(isinstance(result, Rotated) for result in results) == 1


async def test_session_mode_has_no_refresh(auth: Auth) -> None:
    """A session of mode session cannot be refreshed, even with a refresh token that only we could have made."""
    made = await auth.login("ann", mode=Mode.SESSION)
    with pytest.raises(InvalidCredential):
        await auth.refresh(auth.opaque.refresh_token(made.session.id, 0))
    assert (await auth.verify(presented(made))).subject == "ann"


@REFRESHING
async def test_refresh_without_facts_costs_no_session(mode: Mode) -> None:
    """A refresh that fails because nobody can tell the roles leaves the token as it was, however long that lasts."""
    travel, down = TravelClock(), False

    def facts(subject: str) -> SubjectFacts:
        if down:
            raise StoreUnavailable("made to fail")
        return SubjectFacts()

    clock = Clock(monotonic=travel.monotonic, wall=travel.now)
    async with Auth(MemoryStore(wall=travel), secret=SECRET, subjects=facts, clock=clock) as auth:
        token = (await auth.login("ann", mode=mode)).refresh_token
        assert token is not None
        down = True
        with pytest.raises(StoreUnavailable):
            await auth.refresh(token)
        travel.advance(10 * auth.policy.reuse_window)
        down = False
        assert (await auth.refresh(token)).session.generation == 1


async def test_roles_that_change_during_a_refresh_make_it_stale(auth: Auth, store: GatedStore, users: Users) -> None:
    """An access token with the roles of before a change is stale, also when the change came before the rotation."""
    made = await auth.login("ann", mode=Mode.JWT)
    assert made.refresh_token is not None
    gate = store.hold_before("rotate")
    refresh = asyncio.create_task(auth.refresh(made.refresh_token))
    await gate.reached()
    users.roles["ann"] = frozenset({"admin"})
    await auth.revocation.subject_changed("ann")
    gate.open()
    with pytest.raises(StaleCredential):
        await auth.verify(presented(await refresh))

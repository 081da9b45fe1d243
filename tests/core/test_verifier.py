"""The verifier: hit, miss, and what an event does to either."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck import Auth, Credential, InvalidCredential, Mode, StoreUnavailable
from coatcheck.credentials.cookies import SECURE
from coatcheck.credentials.transport import Carrier, bearer, cookie
from coatcheck.errors import Conflict, RevokedCredential, StaleCredential
from coatcheck.table import TAIL
from tests.support.gates import GatedStore
from tests.support.patience import in_time

from .conftest import Users, presented

MODES = pytest.mark.parametrize("mode", list(Mode))


def forget(auth: Auth) -> None:
    """The next sight of anything is a first sight."""
    auth.table.clear()


@MODES
async def test_identity(auth: Auth, users: Users, mode: Mode) -> None:
    """The identity tells subject, session, roles, methods and mode, first from the store and then from memory."""
    users.roles["ann"] = frozenset({"editor"})
    made = await auth.login("ann", mode=mode, amr=("pwd", "otp"))
    first = await auth.verify(presented(made))
    assert (first.subject, first.session_id, first.mode) == ("ann", made.session.id, mode)
    assert (first.roles, first.amr) == (frozenset({"editor"}), ("pwd", "otp"))
    assert abs(first.auth_time - made.session.authenticated) < 1
    assert auth.verifier.known(presented(made).key) is first


@MODES
async def test_hit_asks_no_store(auth: Auth, store: GatedStore, mode: Mode) -> None:
    """A hit calls no store."""
    credential = presented(await auth.login("ann", mode=mode))
    await auth.verify(credential)
    before = store.calls.copy()
    for _ in range(100):
        await auth.verify(credential)
    after = store.calls - before
    assert after.keys() <= {"events"}, "only the follower's own reads may be there"


@pytest.mark.parametrize("mode", [Mode.JWT, Mode.JWT_COOKIE])
async def test_first_sight_of_an_access_token_asks_no_store(auth: Auth, store: GatedStore, mode: Mode) -> None:
    """An access token is verified without any store, once the view reaches back to its issue."""
    auth.verifier._view.since = 0.0
    credential = presented(await auth.login("ann", mode=mode))
    store.calls.clear()
    await auth.verify(credential)
    assert store.calls["find"] == 0


@pytest.mark.parametrize("mode", [Mode.JWT, Mode.JWT_COOKIE])
async def test_view_that_does_not_reach_back_asks(auth: Auth, store: GatedStore, mode: Mode) -> None:
    """While the view is younger than the token, the session store says whether the token stands."""
    made = await auth.login("ann", mode=mode)
    store.calls.clear()
    await auth.verify(presented(made))
    assert store.calls["find"] == 1
    forget(auth)
    await store.revoke(made.session.id, now=auth.clock.now())
    with pytest.raises(RevokedCredential):
        await auth.verify(presented(made))


@MODES
async def test_revoke_is_known_at_once_here(auth: Auth, mode: Mode) -> None:
    """When revoke has returned, this process refuses, remembered or at first sight."""
    made = await auth.login("ann", mode=mode)
    await auth.verify(presented(made))
    assert await auth.revoke(made.session.id)
    assert auth.verifier.known(presented(made).key) is None
    with pytest.raises(RevokedCredential):
        await auth.verify(presented(made))
    assert not await auth.revoke(made.session.id)


@MODES
async def test_cut_off_spares_the_exception(auth: Auth, mode: Mode) -> None:
    """Logging out all others ends all but the excepted session, whatever their modes."""
    kept = await auth.login("ann", mode=mode)
    others = [await auth.login("ann", mode=other) for other in Mode]
    for made in [kept, *others]:
        await auth.verify(presented(made))
    await auth.revoke_subject("ann", excepted=kept.session.id)
    assert (await auth.verify(presented(kept))).session_id == kept.session.id
    forget(auth)
    assert (await auth.verify(presented(kept))).session_id == kept.session.id
    for made in others:
        with pytest.raises(InvalidCredential):
            await auth.verify(presented(made))
    await auth.revoke_subject("ann")
    with pytest.raises(InvalidCredential):
        await auth.verify(presented(kept))


async def test_find_overtaken_by_revoke_is_not_remembered(auth: Auth, store: GatedStore) -> None:
    """A store read that a revocation overtook is neither accepted nor remembered."""
    made = await auth.login("ann", mode=Mode.SESSION)
    gate = store.hold_after("find")
    request = asyncio.create_task(auth.verify(presented(made)))
    await gate.reached()
    await auth.revoke(made.session.id)
    gate.open()
    with pytest.raises(RevokedCredential):
        await request
    assert auth.verifier.known(presented(made).key) is None


async def test_find_overtaken_by_cut_off_is_not_remembered(auth: Auth, store: GatedStore) -> None:
    """The same for logging out everywhere."""
    made = await auth.login("ann", mode=Mode.SESSION)
    gate = store.hold_after("find")
    request = asyncio.create_task(auth.verify(presented(made)))
    await gate.reached()
    await auth.revoke_subject("ann")
    gate.open()
    with pytest.raises(RevokedCredential):
        await request
    assert auth.verifier.known(presented(made).key) is None


async def test_read_overtaken_by_changed_roles_is_read_again(auth: Auth, store: GatedStore, users: Users) -> None:
    """Roles read before a change are not remembered after it."""
    users.roles["ann"] = frozenset({"admin"})
    made = await auth.login("ann", mode=Mode.SESSION)
    facts, seen = users.facts, asyncio.Event()
    release = asyncio.Event()

    async def slow(subject: str) -> object:
        answer = facts(subject)
        seen.set()
        await release.wait()
        return answer

    auth.verifier._subjects._hook = slow  # type: ignore[attr-defined]
    request = asyncio.create_task(auth.verify(presented(made)))
    await seen.wait()
    users.roles["ann"] = frozenset()
    await auth.revocation.subject_changed("ann")
    release.set()
    assert (await request).roles == frozenset()


@pytest.mark.parametrize("mode", [Mode.JWT, Mode.JWT_COOKIE])
async def test_changed_roles_make_access_tokens_stale(auth: Auth, users: Users, mode: Mode) -> None:
    """After a change the old access token is stale, and a refresh brings the new roles."""
    made = await auth.login("ann", mode=mode)
    await auth.verify(presented(made))
    users.roles["ann"] = frozenset({"admin"})
    await auth.revocation.subject_changed("ann")
    with pytest.raises(StaleCredential):
        await auth.verify(presented(made))
    assert made.refresh_token is not None
    again = await auth.refresh(made.refresh_token)
    assert (await auth.verify(presented(again))).roles == {"admin"}


async def test_revoked_token_leaves_its_session_alone(auth: Auth) -> None:
    """Revoking one access token refuses that one only."""
    made = await auth.login("ann", mode=Mode.JWT)
    assert made.refresh_token is not None
    other = await auth.refresh(made.refresh_token)
    for each in (made, other):
        await auth.verify(presented(each))
    claims = auth.access_tokens.read(made.access_token or "", now=auth.clock.now())
    await auth.revocation.revoke_token(claims.sid, claims.jti)
    with pytest.raises(RevokedCredential):
        await auth.verify(presented(made))
    await auth.verify(presented(other))


@MODES
async def test_a_subject_that_is_gone(auth: Auth, users: Users, mode: Mode) -> None:
    """A subject that the application no longer knows can neither log in nor be looked up."""
    made = await auth.login("ann", mode=mode)
    users.gone.add("ann")
    if mode is Mode.SESSION:
        with pytest.raises(RevokedCredential):
            await auth.verify(presented(made))
    else:
        with pytest.raises(RevokedCredential):
            await auth.refresh(made.refresh_token or "")


@MODES
async def test_login_overtaken_by_cut_off_loses(auth: Auth, store: GatedStore, mode: Mode) -> None:
    """A login whose password was checked before logout-everywhere makes no session."""
    epoch = await auth.epoch_of("ann")
    await auth.revoke_subject("ann")
    with pytest.raises(Conflict):
        await auth.login("ann", mode=mode, epoch=epoch)
    gate = store.hold_before("create")
    login = asyncio.create_task(auth.login("ann", mode=mode))
    await gate.reached()
    await auth.revoke_subject("ann")
    gate.open()
    with pytest.raises(Conflict):
        await login
    page = await auth.sessions.sessions_of("ann", now=auth.clock.now())
    assert not page.sessions


async def test_each_carrier_takes_its_own_kind_only(auth: Auth) -> None:
    """A credential in the wrong place is refused, even while the right place has it in memory."""
    by_mode = {mode: await auth.login("ann", mode=mode) for mode in Mode}
    for made in by_mode.values():
        await auth.verify(presented(made))
    tokens = {
        "session": by_mode[Mode.SESSION].session_token,
        "jwt": by_mode[Mode.JWT].access_token,
        "jwt-cookie": by_mode[Mode.JWT_COOKIE].access_token,
        "refresh": by_mode[Mode.JWT].refresh_token,
        "csrf": by_mode[Mode.SESSION].csrf_token,
    }
    accepted = set()
    for kind, token in tokens.items():
        assert token is not None
        places: dict[str, Credential] = {
            "session": cookie(Carrier.SESSION_COOKIE, SECURE.session, token),
            "jwt-cookie": cookie(Carrier.ACCESS_COOKIE, SECURE.access, token),
            "jwt": bearer(token),
        }
        for place, credential in places.items():
            try:
                await auth.verify(credential)
            except InvalidCredential:
                continue
            accepted.add((kind, place))
    assert accepted == {(mode.value, mode.value) for mode in Mode}


@MODES
async def test_store_that_fails_lets_nobody_in(auth: Auth, store: GatedStore, mode: Mode) -> None:
    """When the lease has lapsed and the store is silent, the answer is neither yes nor no."""
    made = await auth.login("ann", mode=mode)
    await auth.verify(presented(made))
    store.fail("events", "find")
    auth.follower.lease.deadline = float("-inf")
    assert auth.verifier.known(presented(made).key) is None
    with pytest.raises(StoreUnavailable):
        await auth.verify(presented(made))
    store.fail()
    await auth.verify(presented(made))


@MODES
async def test_lapsed_lease_asks_and_learns(auth: Auth, store: GatedStore, mode: Mode) -> None:
    """Under a lapsed lease a request reads the feed first, so it learns of a revocation that nobody told us."""
    made = await auth.login("ann", mode=mode)
    await auth.verify(presented(made))
    gate = store.hold_before("events")  # the follower is stuck
    await gate.reached()
    await store.revoke(made.session.id, now=auth.clock.now())
    auth.follower.lease.deadline = float("-inf")
    with pytest.raises(RevokedCredential):
        await auth.verify(presented(made))
    assert auth.follower.is_live()
    gate.open()


async def test_withdrawn_key_is_refused_even_when_remembered(auth: Auth) -> None:
    """Withdrawing a signing key refuses every token it signed."""
    made = await auth.login("ann", mode=Mode.JWT)
    await auth.verify(presented(made))
    (key,) = await auth.keys.list()
    await auth.keys.withdraw(key.kid)
    async with in_time():
        while auth.verifier.known(presented(made).key) is not None:
            await asyncio.sleep(0)
    with pytest.raises(InvalidCredential):
        await auth.verify(presented(made))
    again = await auth.refresh(made.refresh_token or "")
    await auth.verify(presented(again))


async def test_rotated_key_keeps_old_tokens(auth: Auth) -> None:
    """After a rotation old tokens are verified on, and new ones carry the new key once it signs."""
    old = await auth.login("ann", mode=Mode.JWT)
    kid = await auth.keys.rotate(at_once=True)
    new = await auth.login("ann", mode=Mode.JWT)
    await auth.verify(presented(old))
    await auth.verify(presented(new))
    assert auth.access_tokens.keyring.signer(auth.clock.now()).kid == kid
    assert {key["kid"] for key in auth.access_tokens.keyring.jwks()["keys"]} >= {kid}


@pytest.mark.parametrize("mode", [Mode.SESSION, Mode.JWT])
async def test_lease_that_lapses_during_the_read(auth: Auth, store: GatedStore, mode: Mode) -> None:
    """An answer that came after the lease had lapsed is not believed while the feed is silent."""
    made = await auth.login("ann", mode=mode)
    gate = store.hold_after("find")
    request = asyncio.create_task(auth.verify(presented(made)))
    await gate.reached()
    store.fail("events")
    auth.follower.lease.deadline = float("-inf")
    gate.open()
    with pytest.raises(StoreUnavailable):
        await request
    assert not list(auth.table.of_session(made.session.id))


@pytest.mark.parametrize("mode", list(Mode))
async def test_answer_older_than_the_view_is_asked_for_again(auth: Auth, store: GatedStore, mode: Mode) -> None:
    """An answer of before the feed was lost is not believed: the event that overtook it may have been pruned."""
    made = await auth.login("ann", mode=mode)
    gate = store.hold_after("find")
    request = asyncio.create_task(auth.verify(presented(made)))
    await gate.reached()
    follower = store.hold_before("events")
    await follower.reached()  # suspended, together with the answer
    now = auth.clock.now()
    await store.revoke(made.session.id, now=now)
    assert await store.prune(now=now + 1, keep_events=0)
    follower.open()
    await asyncio.sleep(0.1)
    async with in_time():
        while not auth.follower.is_live():
            await asyncio.sleep(0.005)
    gate.open()
    with pytest.raises(InvalidCredential):
        await request
    assert not list(auth.table.of_session(made.session.id))


async def test_key_withdrawn_during_the_read(auth: Auth, store: GatedStore) -> None:
    """A token whose key is withdrawn while the store is asked about its session is refused."""
    made = await auth.login("ann", mode=Mode.JWT)
    gate = store.hold_after("find")
    request = asyncio.create_task(auth.verify(presented(made)))
    await gate.reached()
    (key,) = await auth.keys.list()
    await auth.keys.withdraw(key.kid)
    gate.open()
    with pytest.raises(InvalidCredential):
        await request
    assert not list(auth.table.of_session(made.session.id))


async def test_key_withdrawn_elsewhere(auth: Auth, store: GatedStore) -> None:
    """A token that is seen between the news that keys have changed and the new keys is not remembered."""
    auth.verifier._view.since = 0.0
    made = await auth.login("ann", mode=Mode.JWT)
    gate = store.hold_before("keys")
    await store.announce_keys(now=auth.clock.now())  # another process has withdrawn the key
    await gate.reached()
    assert (await auth.verify(presented(made))).subject == "ann", "inside the bound"
    assert auth.verifier.known(presented(made).key) is not None
    gate.open()
    async with in_time():
        while auth.verifier.known(presented(made).key) is not None:
            await asyncio.sleep(0)


async def test_view_that_does_not_reach_back_asks_for_the_version(auth: Auth, store: GatedStore) -> None:
    """Where the store is asked about a token, it also says whether the subject has changed since."""
    made = await auth.login("ann", mode=Mode.JWT)
    await store.step_version("ann", now=auth.clock.now())
    gate = store.hold_before("events")  # the follower does not hear of it
    with pytest.raises(StaleCredential):
        await auth.verify(presented(made))
    gate.open()


async def test_stepped_up_session_is_read_again(auth: Auth, store: GatedStore) -> None:
    """A session whose methods have changed shows the new ones at its next request."""
    made = await auth.login("ann", mode=Mode.SESSION)
    assert (await auth.verify(presented(made))).amr == ("pwd",)
    await auth.sessions.update(made.session.id, 0, now=auth.clock.now(), amr=("pwd", "otp"))
    async with in_time():
        while (await auth.verify(presented(made))).amr == ("pwd",):
            await asyncio.sleep(0)


@MODES
async def test_the_whole_credential_counts(auth: Auth, mode: Mode) -> None:
    """What differs from a remembered credential in its first bytes alone is refused, and costs it nothing."""
    credential = presented(await auth.login("ann", mode=mode))
    identity = await auth.verify(credential)
    head, _, token = credential.key.partition(b"=" if credential.carrier.is_cookie else b" ")
    for place in (0, 3, len(token) // 3):
        changed = bytearray(token)
        changed[place] ^= 1
        forged = Credential(credential.carrier, changed.decode(), head + b"=" + changed)
        assert forged.key[-TAIL:] == credential.key[-TAIL:]
        assert auth.verifier.known(forged.key) is None
        with pytest.raises(InvalidCredential):
            await auth.verify(forged)
    assert auth.verifier.known(credential.key) is identity

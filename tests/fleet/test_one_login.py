"""One login is one session for a whole fleet, wherever its stores are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from coatcheck import Auth, Credential, Credentials, InvalidCredential, Mode, Policy
from coatcheck.clock import boottime
from coatcheck.credentials.cookies import SECURE
from coatcheck.credentials.transport import Carrier, bearer, cookie
from coatcheck.errors import Conflict, InvalidLogin, StaleCredential
from coatcheck.model import Account
from tests.support.patience import in_time

from .conftest import Deployment

PASSWORD = "correct horse battery staple"
EVERY_MODE = pytest.mark.parametrize("mode", list(Mode))


class Fleet:
    """Two processes; what one does the other one sees."""

    def __init__(self, one: Auth, other: Auth) -> None:
        self.one, self.other = one, other

    async def account(self, name: str = "ann") -> Account:
        return await self.one.accounts.register(f"{name}@example.com", PASSWORD)

    async def held(self, made: Credentials) -> Credential:
        """The credential, in the memory of both."""
        credential = presented(made)
        for auth in (self.one, self.other):
            await auth.verify(credential)
            assert auth.known(credential.key) is not None
        return credential

    async def refused(self, credential: Credential) -> None:
        """It is refused: here at once, there as soon as the feed has told, and for good."""
        with pytest.raises(InvalidCredential):
            await self.one.verify(credential)
        await until(lambda: _is_refused(self.other, credential))
        for auth in (self.one, self.other):
            with pytest.raises(InvalidCredential):
                await auth.verify(credential)

    async def held_still(self, *credentials: Credential) -> None:
        """They go on counting in both."""
        for credential in credentials:
            for auth in (self.one, self.other):
                await auth.verify(credential)


async def _is_refused(auth: Auth, credential: Credential) -> bool:
    try:
        await auth.verify(credential)
    except InvalidCredential:
        return True
    return False


async def until(probe: Callable[[], Awaitable[bool]]) -> None:
    async with in_time():
        while not await probe():
            await asyncio.sleep(0.005)


def presented(made: Credentials) -> Credential:
    """What a client of this mode sends."""
    if made.session_token is not None:
        return cookie(Carrier.SESSION_COOKIE, SECURE.session, made.session_token)
    if made.session.mode is Mode.JWT:
        return bearer(made.access_token or "")
    return cookie(Carrier.ACCESS_COOKIE, SECURE.access, made.access_token or "")


@pytest.fixture
async def fleet(deployment: Deployment) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        yield Fleet(*[await stack.enter_async_context(deployment.process()) for _ in range(2)])


@EVERY_MODE
async def test_logout_reaches_the_other_process(fleet: Fleet, mode: Mode) -> None:
    """A login that both processes hold in memory ends in both, and no other one does."""
    ann = await fleet.account()
    phone, laptop = [await fleet.held(await fleet.one.login(ann.id, mode=mode)) for _ in range(2)]
    assert await fleet.one.logout(phone)
    await fleet.refused(phone)
    await fleet.held_still(laptop)


@EVERY_MODE
async def test_logout_everywhere_is_one_step(fleet: Fleet, mode: Mode) -> None:
    """All of a subject's logins end but the one excepted; somebody else's stay; a login under way loses."""
    ann, bob = await fleet.account(), await fleet.account("bob")
    epoch = await fleet.other.epoch_of(ann.id)
    kept = await fleet.one.login(ann.id, mode=mode)
    keep, other = await fleet.held(kept), await fleet.held(await fleet.one.login(bob.id, mode=mode))
    ended = [await fleet.held(await fleet.one.login(ann.id, mode=each)) for each in Mode]
    await fleet.one.revoke_subject(ann.id, excepted=kept.session.id)
    for credential in ended:
        await fleet.refused(credential)
    await fleet.held_still(keep, other)
    with pytest.raises(Conflict):
        await fleet.other.login(ann.id, mode=mode, epoch=epoch)


async def test_changed_roles_count_at_once(fleet: Fleet) -> None:
    """A session sees the new roles at its next request; a token is stale, and its client refreshes and goes on."""
    ann = await fleet.account()
    session = await fleet.held(await fleet.one.login(ann.id, mode=Mode.SESSION))
    made = await fleet.one.login(ann.id, mode=Mode.JWT)
    token = await fleet.held(made)
    await fleet.one.accounts.set_roles(ann.id, ["editor"])
    assert (await fleet.one.verify(session)).roles == {"editor"}

    async def seen() -> bool:
        return (await fleet.other.verify(session)).roles == {"editor"}

    await until(seen)
    for auth in (fleet.one, fleet.other):
        with pytest.raises(StaleCredential):
            await auth.verify(token)
    refreshed = await fleet.other.refresh(made.refresh_token or "")
    for auth in (fleet.one, fleet.other):
        assert (await auth.verify(presented(refreshed))).roles == {"editor"}


@EVERY_MODE
async def test_disabled_account_is_out(fleet: Fleet, mode: Mode) -> None:
    """Whoever is disabled is refused everywhere, cannot refresh and cannot log in."""
    ann = await fleet.account()
    made = await fleet.one.login(ann.id, mode=mode)
    credential = await fleet.held(made)
    await fleet.one.accounts.disable(ann.id)
    await fleet.refused(credential)
    if made.refresh_token:
        with pytest.raises(InvalidCredential):
            await fleet.other.refresh(made.refresh_token)
    with pytest.raises(InvalidLogin):
        await fleet.other.login(ann.id, mode=mode)


async def test_changed_password_ends_the_other_devices(fleet: Fleet) -> None:
    """Accounts in one store, sessions in another: the thief's session ends, and the owner's is renewed."""
    ann = await fleet.account()
    mine, thief = await fleet.one.login(ann.id), await fleet.other.login(ann.id, mode=Mode.JWT)
    copied, gone = await fleet.held(mine), await fleet.held(thief)
    made = await fleet.one.accounts.change_password(
        ann.id, PASSWORD, "another horse, another battery", keep=mine.session.id
    )
    assert made is not None
    await fleet.refused(gone)
    await fleet.refused(copied)
    await fleet.held(made)
    with pytest.raises(InvalidCredential):
        await fleet.other.refresh(thief.refresh_token or "")


async def test_reused_refresh_token_ends_the_session_everywhere(fleet: Fleet) -> None:
    """All who refresh at once get the same successor; the token before the last ends the session in both processes."""
    ann = await fleet.account()
    made = await fleet.one.login(ann.id, mode=Mode.JWT)
    asked = [auth.refresh(made.refresh_token or "") for auth in (fleet.one, fleet.other) * 3]
    second = await asyncio.gather(*asked)
    assert len({answer.refresh_token for answer in second}) == 1
    third = await fleet.other.refresh(second[0].refresh_token or "")
    credential = await fleet.held(third)
    with pytest.raises(InvalidCredential):
        await fleet.one.refresh(made.refresh_token or "")
    await fleet.refused(credential)


async def test_one_token_ends_alone(fleet: Fleet) -> None:
    """RFC 7009: a revoked access token is refused everywhere, its session refreshes on."""
    ann = await fleet.account()
    made = await fleet.one.login(ann.id, mode=Mode.JWT)
    credential = await fleet.held(made)
    claims = fleet.one.access_tokens.read(made.access_token or "", now=fleet.one.clock.now())
    await fleet.one.revocation.revoke_token(claims.sid, claims.jti)
    await fleet.refused(credential)
    await fleet.other.verify(presented(await fleet.other.refresh(made.refresh_token or "")))


async def test_keys_change_under_way(fleet: Fleet) -> None:
    """A process knows a key that another one made before it meets its first token."""
    ann = await fleet.account()
    old = await fleet.held(await fleet.one.login(ann.id, mode=Mode.JWT))
    await fleet.one.keys.rotate(at_once=True)
    credential = presented(await fleet.one.login(ann.id, mode=Mode.JWT))
    assert credential.token.split(".")[0] != old.token.split(".")[0]

    async def known() -> bool:
        return not await _is_refused(fleet.other, credential)

    await until(known)
    await fleet.held_still(old)


async def test_one_session_too_many(deployment: Deployment) -> None:
    """Beyond the limit the oldest login ends, in every process."""
    policy = Policy(sessions_per_subject=2)
    async with deployment.process(policy) as one, deployment.process(policy) as other:
        fleet = Fleet(one, other)
        ann = await fleet.account()
        first, second, third = [await fleet.held(await one.login(ann.id, mode=mode)) for mode in Mode]
        await fleet.refused(first)
        await fleet.held_still(second, third)


async def test_wait_returns_when_the_bound_has_passed(deployment: Deployment) -> None:
    """With ``wait=True`` no process, followed or not, can accept when the call has returned."""
    policy = Policy(max_staleness=0.5)
    async with deployment.process(policy) as one, deployment.process(policy) as other:
        fleet = Fleet(one, other)
        ann = await fleet.account()
        made = await one.login(ann.id, mode=Mode.JWT)
        credential = await fleet.held(made)
        assert other.follower._task is not None
        other.follower._task.cancel()  # the worst case: a process that hears nothing
        began = boottime()
        assert await one.revoke(made.session.id, wait=True)
        assert boottime() - began >= policy.max_staleness
        assert other.known(credential.key) is None
        with pytest.raises(InvalidCredential):
            await other.verify(credential)


async def test_a_process_that_starts_later_knows(deployment: Deployment) -> None:
    """A revocation of before is known before the first request is answered."""
    async with deployment.process() as one:
        ann = await one.accounts.register("ann@example.com", PASSWORD)
        made = [await one.login(ann.id, mode=mode) for mode in Mode]
        kept = await one.login(ann.id, mode=Mode.JWT)
        for each in made:
            await one.revoke(each.session.id)
        async with deployment.process() as other:
            for each in made:
                with pytest.raises(InvalidCredential):
                    await other.verify(presented(each))
            await other.verify(presented(kept))

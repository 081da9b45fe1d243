"""A login that races a change of password, status or everything loses, whichever step it is overtaken at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from coatcheck.accounts import Accounts
from coatcheck.errors import Conflict, InvalidLogin, StoreUnavailable
from coatcheck.model import Account
from tests.accounts.support import EMAIL, OTHER, PASSWORD, World
from tests.support.gates import GatedStore

THIRD = "the third password here"
Change = Callable[[Accounts, Account], Awaitable[None]]
CHANGES: dict[str, Change] = {
    "change": lambda accounts, account: accounts.change_password(account.id, PASSWORD, OTHER),
    "set": lambda accounts, account: accounts.set_password(account.id, OTHER),
    "disable": lambda accounts, account: accounts.disable(account.id),
}
WRITES = {"change": "set_password_hash", "set": "set_password_hash", "disable": "set_disabled"}


@pytest.fixture
async def account(world: World) -> Account:
    return await world.accounts.register(EMAIL, PASSWORD)


async def survives(world: World, login: Awaitable[str]) -> bool:
    """Whether the login ends in a session that is live."""
    try:
        name = await login
    except (InvalidLogin, Conflict):
        return False
    return bool(await world.live([name]))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("moment", ["hold_before", "hold_after"])
@pytest.mark.parametrize("call", ["failures", "count_try", "by_email", "standing_of", "by_id", "settle_try"])
async def test_login_overtaken_at_any_call(world: World, account: Account, change: str, moment: str, call: str) -> None:
    """A login with the old password that is overtaken by a whole change, at any call of the store, has no session."""
    gated = GatedStore(world.store)
    gate = getattr(gated, moment)(call)
    login = asyncio.create_task(survives(world, world.login("s", accounts=world.through(gated))))
    await gate.reached()
    await CHANGES[change](world.accounts, account)
    gate.open()
    assert not await login


@pytest.mark.parametrize("change", CHANGES)
async def test_login_overtaken_before_its_session(world: World, account: Account, change: str) -> None:
    """A login that has proved itself and not yet made its session loses there."""
    proved = await world.accounts.authenticate(EMAIL, PASSWORD)
    await CHANGES[change](world.accounts, account)
    with pytest.raises(Conflict):
        await world.session(account.id, proved.epoch)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("moment", "step"), [("hold_before", "write"), ("hold_after", "write"), ("hold_before", "cut")]
)
async def test_whole_login_in_the_middle_of_a_change(
    world: World, account: Account, change: str, moment: str, step: str
) -> None:
    """A login with the old password that runs wholly between the steps of a change does not outlive it."""
    gated = GatedStore(world.store)
    gate = getattr(gated, moment)(WRITES[change] if step == "write" else "revoke_subject")
    changing = asyncio.ensure_future(CHANGES[change](world.through(gated), account))
    await gate.reached()
    try:
        await world.login("s")
    except InvalidLogin:
        assert (moment, step) != ("hold_before", "write")
    gate.open()
    await changing
    assert not await world.live(["s"])


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("call", ["standing_of", "by_id"])
async def test_reauthentication_overtaken(world: World, account: Account, change: str, call: str) -> None:
    """Proving again with the old password, overtaken by a change, is refused or of an epoch that is over."""
    gated = GatedStore(world.store)
    gate = gated.hold_after(call)
    proving = asyncio.create_task(world.through(gated).check_password(account.id, PASSWORD))
    await gate.reached()
    await CHANGES[change](world.accounts, account)
    gate.open()
    try:
        epoch = (await proving).epoch
    except InvalidLogin:
        return
    assert epoch < (await world.store.standing_of(account.id))[0]


@pytest.mark.parametrize("call", ["settle_try", "set_password_hash"])
async def test_two_changes_at_once(world: World, account: Account, call: str) -> None:
    """Of two changes that both knew the old password one wins, and the other is told."""
    gated = GatedStore(world.store)
    gate = gated.hold_before(call)
    slow = asyncio.create_task(world.through(gated).change_password(account.id, PASSWORD, OTHER))
    await gate.reached()
    await world.accounts.change_password(account.id, PASSWORD, THIRD)
    gate.open()
    with pytest.raises(Conflict):
        await slow
    await world.login("s", THIRD)
    assert await world.live(["s"])


async def test_reset_beats_a_renewal(world: World, account: Account) -> None:
    """A reset is written even if the hash it is to replace changes at the last moment."""
    gated = GatedStore(world.store)
    gate = gated.hold_before("set_password_hash")
    reset = asyncio.create_task(world.through(gated).set_password(account.id, THIRD))
    await gate.reached()
    await world.accounts.change_password(account.id, PASSWORD, OTHER)
    gate.open()
    await reset
    await world.login("s", THIRD)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_not_done_until_the_sessions_end(world: World, account: Account, change: str) -> None:
    """When the sessions could not be ended the error is told, and the same call again ends them."""
    await world.login("s")
    gated = GatedStore(world.store)
    accounts = world.through(gated)
    gated.fail("revoke_subject")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await CHANGES[change](accounts, account)
    assert await world.live(["s"]), "the failure was real"
    gated.fail()
    await CHANGES[change](accounts, account)
    assert not await world.live(["s"])


async def test_the_repeated_change_keeps_its_session(world: World, account: Account) -> None:
    """The call that completes a change renews the session it is made from."""
    for name in ("a", "b"):
        await world.login(name)
    gated = GatedStore(world.store)
    accounts = world.through(gated)
    gated.fail("revoke_subject")
    with pytest.raises(StoreUnavailable):
        await accounts.change_password(account.id, PASSWORD, OTHER, keep="a")
    gated.fail()
    assert await accounts.change_password(account.id, PASSWORD, OTHER, keep="a") is not None
    assert await world.live(["a", "b", "a'"]) == {"a'"}


async def test_roles_are_not_set_until_they_count(world: World, account: Account) -> None:
    """Roles are written before the version is stepped; when that fails it is told, and repeating it helps."""
    gated = GatedStore(world.store)
    accounts = world.through(gated)
    gate = gated.hold_before("step_version")
    setting = asyncio.create_task(accounts.set_roles(account.id, ["writer"]))
    await gate.reached()
    facts = await accounts.facts(account.id)
    assert facts is not None
    assert facts.roles == {"writer"}
    gate.open()
    await setting
    _, version = await world.store.standing_of(account.id)
    assert version > 0
    gated.fail("step_version")
    with pytest.raises(StoreUnavailable):
        await accounts.set_roles(account.id, ["writer", "more"])
    assert await world.store.standing_of(account.id) == (0, version)
    gated.fail()
    await accounts.set_roles(account.id, ["writer", "more"])
    assert (await world.store.standing_of(account.id))[1] > version


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("step", ["write", "cut"])
async def test_a_caller_who_goes_away(world: World, account: Account, change: str, step: str) -> None:
    """A change whose caller is cancelled between its steps is completed all the same, before accounts close."""
    await world.login("s")
    gated = GatedStore(world.store)
    accounts = world.through(gated)
    gate = gated.hold_after(WRITES[change]) if step == "write" else gated.hold_before("revoke_subject")
    changing = asyncio.ensure_future(CHANGES[change](accounts, account))
    await gate.reached()
    changing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await changing
    assert await world.live(["s"])
    gate.open()
    await accounts.close()
    assert not await world.live(["s"])

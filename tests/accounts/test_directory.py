"""Accounts: registering, proving who one is, changing things, and what the log says."""

from __future__ import annotations

import asyncio
import logging

import pytest

from coatcheck.accounts import Accounts, Argon2Profile, Limits, PasswordHasher, PasswordPolicy, Rate
from coatcheck.errors import (
    EmailTaken,
    InvalidEmail,
    InvalidLogin,
    NotFound,
    Rejected,
    SessionTooLarge,
    StoreUnavailable,
    Throttled,
    WeakPassword,
)
from coatcheck.issuer import Credentials
from coatcheck.model import Account, SubjectFacts
from tests.accounts.support import EMAIL, HERE, OTHER, PASSWORD, Hashing, World
from tests.support.gates import GatedStore


@pytest.fixture
async def account(world: World) -> Account:
    return await world.accounts.register(EMAIL, PASSWORD, roles=["reader"])


async def test_register_and_log_in(world: World) -> None:
    """A registered account logs in by any spelling of its address, and its password is stored as a hash only."""
    account = await world.accounts.register("Ada@Lovelace.EXAMPLE", PASSWORD, roles=("reader", "staff:admin"))
    proved = await world.accounts.authenticate("ADA@lovelace.example", PASSWORD, ip=HERE)
    assert proved.account == account
    assert (account.email, account.email_key) == ("Ada@lovelace.example", "ada@lovelace.example")
    assert account.roles == {"reader", "staff:admin"}
    assert account.created == world.clock.now()
    assert PASSWORD not in repr(account) + account.password_hash
    assert account.password_hash not in repr(account)


async def test_ids_are_random(world: World) -> None:
    """Ids have 128 bits, are safe in URLs and on a command line, and do not repeat."""
    ids = [(await world.accounts.register(f"u{n}@lovelace.example", PASSWORD)).id for n in range(50)]
    assert len(set(ids)) == 50
    assert all(len(bytes.fromhex(ident)) == 16 for ident in ids)


async def test_one_account_per_address(world: World, account: Account, hashing: Hashing) -> None:
    """A taken address is refused in any spelling, after the same work as a free one."""
    with pytest.raises(EmailTaken):
        await world.accounts.register(EMAIL.upper(), OTHER)
    assert hashing.calls == ["hash"]
    assert (await world.accounts.get(account.id)).password_hash == account.password_hash


async def test_bad_registrations_change_nothing(world: World, hashing: Hashing) -> None:
    """Bad input is refused without an account, a hash or a count."""
    for email, password, roles, error in (
        ("no address", PASSWORD, (), InvalidEmail),
        (EMAIL, "short", (), WeakPassword),
        (EMAIL, "lovelace", (), WeakPassword),
        (EMAIL, PASSWORD, ("Admin",), Rejected),
        (EMAIL, PASSWORD, "admin", Rejected),
    ):
        with pytest.raises(error):
            await world.accounts.register(email, password, roles=roles, ip=HERE)
    assert not (await world.accounts.page()).accounts
    assert not world.store._failures
    assert hashing.calls == []


async def test_common_and_context_passwords_are_refused_everywhere(world: World, account: Account) -> None:
    """The common list and the context words hold at registration, change and reset."""
    accounts = world.through(world.store, policy=PasswordPolicy(words=("analytical",)))
    for weak in ("baseball1", "iloveyou2", "Analytical1", "ada.lovelace"):
        with pytest.raises(WeakPassword):
            await accounts.register("other.ada.lovelace@x.example", weak)
        with pytest.raises(WeakPassword):
            await accounts.change_password(account.id, PASSWORD, weak)
        with pytest.raises(WeakPassword):
            await accounts.set_password(account.id, weak)
    assert (await world.accounts.authenticate(EMAIL, PASSWORD)).account == account


async def test_three_thousand_at_register_and_change(world: World, account: Account) -> None:
    """Each of the 3,000 most common passwords is refused at registration and change."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    for weak in FREQUENCY_LISTS["passwords"][:3000]:
        with pytest.raises(WeakPassword):
            await world.accounts.register("new@lovelace.example", weak)
        with pytest.raises(WeakPassword):
            await world.accounts.change_password(account.id, PASSWORD, weak)


async def test_refusals_are_alike(world: World, account: Account, hashing: Hashing) -> None:
    """Unknown, wrong, disabled and no address at all cost the same hashes and the same calls of the store."""
    other = await world.accounts.register("disabled@lovelace.example", PASSWORD)
    await world.accounts.disable(other.id)
    gated = GatedStore(world.store)
    accounts = world.through(gated)
    seen = []
    for email, password in (
        ("nobody@lovelace.example", PASSWORD),
        (EMAIL, OTHER),
        ("disabled@lovelace.example", PASSWORD),
        ("disabled@lovelace.example", OTHER),
        ("no address", PASSWORD),
    ):
        hashing.calls.clear()
        gated.calls.clear()
        with pytest.raises(InvalidLogin):
            await accounts.authenticate(email, password, ip=HERE)
        seen.append((list(hashing.calls), dict(gated.calls)))
    assert all(one == seen[0] for one in seen)
    assert seen[0][0] == ["verify"]


async def test_too_long_is_refused_alike(world: World, account: Account, hashing: Hashing) -> None:
    """A password that is too long is refused for known and unknown accounts, wherever one is asked for, and without
    hashing, counting or asking the store: it costs nothing, and takes no try from the owner."""
    hashing.calls.clear()
    gated = GatedStore(world.store)
    accounts = world.through(gated)
    for _ in range(200):
        for email in (EMAIL, "nobody@lovelace.example"):
            with pytest.raises(InvalidLogin):
                await accounts.authenticate(email, "x" * 300, ip=HERE)
        with pytest.raises(InvalidLogin):
            await accounts.check_password(account.id, "\ufb2c" * 200, ip=HERE)
    with pytest.raises(InvalidLogin):
        await accounts.change_password(account.id, "x" * 300, "y" * 300, ip=HERE)
    assert hashing.calls == []
    assert not gated.calls
    assert not world.store._failures
    await world.accounts.authenticate(EMAIL, PASSWORD, ip=HERE)


async def test_hash_is_renewed_at_login(world: World, account: Account, hashing: Hashing) -> None:
    """When the parameters change, a login stores the password anew, once, and the password stays the same."""
    stronger = PasswordHasher(Argon2Profile(memory=16, passes=2, lanes=1))
    accounts = world.through(world.store, hasher=stronger)
    proved = await accounts.authenticate(EMAIL, PASSWORD)
    assert "$m=16,t=2,p=1$" in proved.account.password_hash
    assert proved.account == await accounts.get(account.id)
    hashing.calls.clear()
    assert (await accounts.authenticate(EMAIL, PASSWORD)).account == proved.account
    assert hashing.calls == ["verify"]
    with pytest.raises(InvalidLogin):
        await accounts.authenticate(EMAIL, OTHER)


async def test_renewal_and_change_at_once(world: World, account: Account) -> None:
    """Changing the password under new parameters works in one go, though the old hash is renewed on the way."""
    accounts = world.through(world.store, hasher=PasswordHasher(Argon2Profile(memory=16, passes=1, lanes=1)))
    await accounts.change_password(account.id, PASSWORD, OTHER)
    await accounts.authenticate(EMAIL, OTHER)


async def test_renewal_never_brings_an_old_password_back(world: World, account: Account) -> None:
    """A renewal that is overtaken by a change writes nothing."""
    gated = GatedStore(world.store)
    slow = world.through(gated, hasher=PasswordHasher(Argon2Profile(memory=16, passes=1, lanes=1)))
    gate = gated.hold_before("set_password_hash")
    login = asyncio.create_task(slow.authenticate(EMAIL, PASSWORD))
    await gate.reached()
    await world.accounts.change_password(account.id, PASSWORD, OTHER)
    gate.open()
    proved = await login
    with pytest.raises(InvalidLogin):
        await world.accounts.authenticate(EMAIL, PASSWORD)
    await world.accounts.authenticate(EMAIL, OTHER)
    assert (await world.store.standing_of(account.id))[0] > proved.epoch


async def test_change_password(world: World, account: Account) -> None:
    """After a change only the new password works, and only the session it was changed in has a successor."""
    names = [await world.login(name) for name in ("a", "b", "c")]
    assert await world.accounts.change_password(account.id, PASSWORD, OTHER, keep="b", ip=HERE) is not None
    assert await world.live([*names, "a'", "b'", "c'"]) == {"b'"}
    with pytest.raises(InvalidLogin):
        await world.accounts.authenticate(EMAIL, PASSWORD)
    await world.login("d", OTHER)
    assert await world.live(["b'", "d"]) == {"b'", "d"}


@pytest.mark.parametrize("current", ["", " ", OTHER, PASSWORD.upper(), PASSWORD + " "])
async def test_change_needs_the_current_password(world: World, account: Account, current: str) -> None:
    """Without the current password nothing changes and no session ends."""
    await world.login("a")
    with pytest.raises(InvalidLogin):
        await world.accounts.change_password(account.id, current, "a third password", keep="a")
    assert await world.live(["a"]) == {"a"}
    await world.accounts.authenticate(EMAIL, PASSWORD)


async def test_change_ends_all_when_the_kept_session_is_gone(world: World, account: Account) -> None:
    """A session to keep that has ended, or is someone else's, does not save the others."""
    names = [await world.login(name) for name in ("a", "b")]
    await world.store.revoke("b", now=world.clock.now())
    assert await world.accounts.change_password(account.id, PASSWORD, OTHER, keep="b") is None
    assert await world.live([*names, "a'", "b'"]) == set()


async def test_change_ends_a_session_that_cannot_be_renewed(world: World, account: Account) -> None:
    """Where roles and claims have outgrown the token of the kept session, it ends with the others: whoever has a copy
    of its credentials is out, and the password is changed."""
    names = [await world.login(name) for name in ("a", "b")]

    async def renew(session_id: str, epoch: int) -> Credentials:
        raise SessionTooLarge("roles and claims are too long")

    accounts = world.through(world.store, renew=renew)
    assert await accounts.change_password(account.id, PASSWORD, OTHER, keep="b") is None
    assert await world.live([*names, "a'", "b'"]) == set()
    await accounts.authenticate(EMAIL, OTHER)


async def test_set_password_ends_every_session(world: World, account: Account) -> None:
    """A reset needs no current password and ends everything."""
    names = [await world.login(name) for name in ("a", "b")]
    await world.accounts.set_password(account.id, OTHER)
    assert await world.live(names) == set()
    await world.accounts.authenticate(EMAIL, OTHER)


async def test_disable_and_enable(world: World, account: Account) -> None:
    """A disabled account has no sessions, no facts and no login; enabled, it logs in anew."""
    await world.login("a")
    await world.accounts.disable(account.id)
    assert await world.live(["a"]) == set()
    assert await world.accounts.facts(account.id) is None
    for prove in (world.accounts.authenticate(EMAIL, PASSWORD), world.accounts.check_password(account.id, PASSWORD)):
        with pytest.raises(InvalidLogin):
            await prove
    await world.accounts.enable(account.id)
    assert await world.live(["a"]) == set()
    await world.login("b")


async def test_roles(world: World, account: Account) -> None:
    """New roles are facts at once, and the subject's version says so."""
    assert await world.accounts.facts(account.id) == SubjectFacts(roles=frozenset({"reader"}))
    await world.accounts.set_roles(account.id, ["writer", "a.b:c-d_9"])
    assert await world.accounts.facts(account.id) == SubjectFacts(roles=frozenset({"writer", "a.b:c-d_9"}))
    assert (await world.store.standing_of(account.id))[1] > 0


@pytest.mark.parametrize("role", ["", "Admin", "a b", "a\n", "é", "a" * 65, "a\0", "a,b", "<x>"])
async def test_bad_roles(world: World, account: Account, role: str) -> None:
    """A role that is none is refused and nothing changes."""
    with pytest.raises(Rejected):
        await world.accounts.set_roles(account.id, ["writer", role])
    with pytest.raises(Rejected):
        await world.accounts.set_roles(account.id, [f"r{n}" for n in range(65)])
    assert (await world.accounts.get(account.id)).roles == {"reader"}
    assert (await world.store.standing_of(account.id))[1] == 0


async def test_unknown_accounts(world: World) -> None:
    """What needs an account raises `NotFound`; what proves one refuses like any login; what asks says None."""
    accounts = world.accounts
    for call in (
        accounts.get("x"),
        accounts.set_password("x", PASSWORD),
        accounts.set_roles("x", ()),
        accounts.disable("x"),
        accounts.enable("x"),
    ):
        with pytest.raises(NotFound):
            await call
    with pytest.raises(InvalidLogin):
        await accounts.check_password("x", PASSWORD)
    with pytest.raises(InvalidLogin):
        await accounts.change_password("x", PASSWORD, OTHER)
    assert await accounts.facts("x") is None
    assert await accounts.find_by_email(EMAIL) is None
    assert await accounts.find_by_email("no address") is None
    assert await world.store.standing_of("x") == (0, 0)


async def test_find_and_page(world: World, account: Account) -> None:
    """Accounts are found by any spelling and listed in pages."""
    assert await world.accounts.find_by_email(EMAIL.upper()) == account
    world.clock.advance(1)
    newer = await world.accounts.register("grace@hopper.example", PASSWORD)
    first = await world.accounts.page(limit=1)
    assert list(first.accounts) == [newer]
    assert list((await world.accounts.page(limit=1, cursor=first.next)).accounts) == [account]
    assert list((await world.accounts.page(search="LOVE")).accounts) == [account]


READS = ("failures", "count_try", "by_email", "standing_of", "by_id", "settle_try")


@pytest.mark.parametrize("broken", READS)
async def test_a_store_failure_is_never_yes(world: World, account: Account, broken: str) -> None:
    """Whatever call of the store fails, a login with the right password raises and makes no Proof."""
    gated = GatedStore(world.store)
    gated.fail(broken)
    with pytest.raises(StoreUnavailable):
        await world.through(gated).authenticate(EMAIL, PASSWORD, ip=HERE)


async def test_five_years_later(world: World, account: Account) -> None:
    """Passwords do not expire."""
    world.clock.advance(5 * 365 * 86400)
    await world.accounts.authenticate(EMAIL, PASSWORD)


def records(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.event, getattr(record, "reason", "")) for record in caplog.records if hasattr(record, "event")]


async def test_every_event_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Each kind of success and failure has its record with the reason, and no record holds a password or a hash."""
    caplog.set_level(logging.DEBUG)
    accounts = world.through(world.store, limits=Limits(account_from_network=Rate(2, 900)))
    account = await accounts.register(EMAIL, PASSWORD, ip=HERE)
    await accounts.authenticate(EMAIL, PASSWORD, ip=HERE)
    await _all_refusals(accounts, account)
    await accounts.change_password(account.id, PASSWORD, OTHER, ip="203.0.113.7")
    await accounts.set_password(account.id, PASSWORD)
    await accounts.set_roles(account.id, ["writer"])
    await accounts.disable(account.id)
    with pytest.raises(InvalidLogin):
        await accounts.authenticate(EMAIL, PASSWORD, ip="203.0.113.9")
    await accounts.enable(account.id)
    assert records(caplog) == [
        ("account.registered", ""),
        ("login.proved", ""),
        ("login.refused", "wrong password"),
        ("login.refused", "wrong password"),
        ("login.refused", "throttled"),
        ("login.refused", "unknown account"),
        ("login.refused", "unknown account"),
        ("login.proved", ""),
        ("password.changed", ""),
        ("password.set", ""),
        ("account.roles_set", ""),
        ("account.disabled", ""),
        ("login.refused", "disabled account"),
        ("account.enabled", ""),
    ]
    text = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert EMAIL in text
    for secret in (PASSWORD, OTHER, "argon2id", "hunter2 in the wrong field"):
        assert secret not in text


async def _all_refusals(accounts: Accounts, account: Account) -> None:
    for _ in range(2):
        with pytest.raises(InvalidLogin):
            await accounts.authenticate(EMAIL, OTHER, ip=HERE)
    with pytest.raises(Throttled):
        await accounts.authenticate(EMAIL, PASSWORD, ip=HERE)
    for email in ("nobody@lovelace.example", "hunter2 in the wrong field"):
        with pytest.raises(InvalidLogin):
            await accounts.authenticate(email, OTHER, ip=HERE)


@pytest.mark.parametrize("evil", ["\r\nINFO forged", "\x1b[31mred", "a\u2028b", "\u202egnp", "\x00", "\ud800"])
async def test_nothing_is_injected_into_the_log(world: World, caplog: pytest.LogCaptureFixture, evil: str) -> None:
    """Control characters, separators and escapes from a client are one printable line of the log."""
    caplog.set_level(logging.DEBUG)
    for email in (f"x{evil}@lovelace.example", EMAIL):
        with pytest.raises(InvalidLogin):
            await world.accounts.authenticate(email, PASSWORD, ip=f"192.0.2.1{evil}")
    mine = [record for record in caplog.records if record.name == "coatcheck.events"]
    assert len(mine) == 2
    for record in mine:
        assert record.getMessage().isprintable()
        assert record.ip.isprintable()
        record.getMessage().encode()

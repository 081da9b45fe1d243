"""Accounts with hashes from elsewhere: adopted, logged in to, upgraded, and not told apart by the work they cost."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import argon2
import bcrypt
import pytest
from werkzeug.security import generate_password_hash

from coatcheck import Auth
from coatcheck.accounts import Accounts, PasswordHasher, PasswordPolicy, Throttle, foreign_hashes
from coatcheck.errors import ConfigurationError, Conflict, EmailTaken, InvalidEmail, InvalidLogin, Rejected, Throttled
from coatcheck.stores import open_store
from tests.accounts.support import CHEAP, EMAIL, HERE, OTHER, PASSWORD, World
from tests.support.gates import GatedStore

PBKDF2 = generate_password_hash(PASSWORD, "pbkdf2:sha256:300")
SCRYPT = generate_password_hash(PASSWORD, "scrypt:128:8:1")
BCRYPT = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
ARGON2 = argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
FORMS = {"pbkdf2": PBKDF2, "scrypt": SCRYPT, "bcrypt": BCRYPT, "argon2": ARGON2}


SECRET = "a secret of the tests, 32 bytes or more"


class Work:
    """Counts the real work done, by algorithm and in its own unit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: Counter[str] = Counter()
        pbkdf2, scrypt, hashpw, verify = (
            hashlib.pbkdf2_hmac, hashlib.scrypt, bcrypt.hashpw, argon2.PasswordHasher.verify,
        )  # fmt: skip

        def counted(name: str, amount: int) -> None:
            self.done[name] += amount

        def verified(hasher: argon2.PasswordHasher, text: str, password: bytes) -> Any:
            counted("argon2 " + text.split("$")[3], 1)
            return verify(hasher, text, password)

        monkeypatch.setattr(
            hashlib, "pbkdf2_hmac", lambda *args: counted(f"pbkdf2 {args[0]}", args[3]) or pbkdf2(*args)
        )
        monkeypatch.setattr(
            hashlib, "scrypt", lambda *args, **kw: counted(f"scrypt {kw['n']}", kw["p"]) or scrypt(*args, **kw)
        )
        monkeypatch.setattr(bcrypt, "hashpw", lambda *args: counted("bcrypt", 1 << int(args[1][4:6])) or hashpw(*args))
        monkeypatch.setattr(argon2.PasswordHasher, "verify", verified)

    async def of(self, login: Any) -> Counter[str]:
        """What a login that is refused cost."""
        self.done = Counter()
        with pytest.raises(InvalidLogin):
            await login
        return self.done


@pytest.mark.parametrize("form", FORMS)
async def test_logged_in_and_upgraded(world: World, form: str) -> None:
    """An adopted account logs in with its old password, and has our hash from then on; the password stays the same."""
    account = await world.accounts.adopt(EMAIL, FORMS[form], roles=["writer"])
    with pytest.raises(InvalidLogin):
        await world.accounts.authenticate(EMAIL, OTHER)
    assert (await world.accounts.get(account.id)).password_hash == FORMS[form], "only a success upgrades"
    proved = await world.accounts.authenticate(EMAIL, PASSWORD)
    assert proved.account.roles == {"writer"}
    upgraded = (await world.accounts.get(account.id)).password_hash
    assert upgraded.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    await world.accounts.authenticate(EMAIL, PASSWORD)
    assert (await world.accounts.get(account.id)).password_hash == upgraded
    with pytest.raises(InvalidLogin):
        await world.accounts.authenticate(EMAIL, OTHER)


@pytest.mark.parametrize("form", ["pbkdf2", "argon2"])
async def test_hashed_as_it_was_typed(world: World, form: str) -> None:
    """What others hashed without a normal form matches as it was typed there, and in any spelling once upgraded."""
    typed = "Cafe\u0301 \u00a0 du port"
    stored = {
        "pbkdf2": generate_password_hash(typed, "pbkdf2:sha256:300"),
        "argon2": argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(typed),
    }[form]
    await world.accounts.adopt(EMAIL, stored)
    composed = "Caf\u00e9   du port"
    with pytest.raises(InvalidLogin):
        await world.accounts.authenticate(EMAIL, composed)
    await world.accounts.authenticate(EMAIL, typed)
    if form == "pbkdf2":
        await world.accounts.authenticate(EMAIL, composed)


async def test_upgrade_overtaken_by_a_change(world: World) -> None:
    """An upgrade that is overtaken by a change of the password writes nothing, and its session loses."""
    account = await world.accounts.adopt(EMAIL, PBKDF2)
    gated = GatedStore(world.store)
    gate = gated.hold_before("set_password_hash")
    login = asyncio.create_task(world.through(gated).authenticate(EMAIL, PASSWORD))
    await gate.reached()
    await world.accounts.change_password(account.id, PASSWORD, OTHER)
    gate.open()
    proved = await login
    with pytest.raises(Conflict):
        await world.session(account.id, proved.epoch)
    with pytest.raises(InvalidLogin):
        await world.accounts.authenticate(EMAIL, PASSWORD)
    await world.accounts.authenticate(EMAIL, OTHER)


async def test_two_upgrades_at_once(world: World) -> None:
    """Of two logins at once one upgrades the hash; both are logged in."""
    account = await world.accounts.adopt(EMAIL, SCRYPT)
    gated = GatedStore(world.store)
    gate = gated.hold_before("set_password_hash")
    slow = asyncio.create_task(world.login("slow", accounts=world.through(gated)))
    await gate.reached()
    await world.login("quick")
    upgraded = (await world.accounts.get(account.id)).password_hash
    gate.open()
    await slow
    assert await world.live(["slow", "quick"]) == {"slow", "quick"}
    assert (await world.accounts.get(account.id)).password_hash == upgraded


async def test_refusals_cost_the_same_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a process has met the forms in use, a refused login costs the same whichever form the account has, ours
    among them, and whether there is an account at all or one that is disabled; and a login that succeeds costs no more
    than it must."""
    await world.accounts.register("ours@lovelace.example", PASSWORD)
    stored = {**FORMS, "fewer": generate_password_hash(PASSWORD, "pbkdf2:sha256:100")}
    stored["cheaper"] = "$2b$06$" + BCRYPT[7:]  # another digest, so nobody's
    for name, text in stored.items():
        await world.accounts.adopt(f"{name}@lovelace.example", text)
    work = Work(monkeypatch)
    names = [*stored, "ours", "nobody"]
    for name in names:  # this is how the process meets them
        await work.of(world.accounts.authenticate(f"{name}@lovelace.example", OTHER))
    costs = [await work.of(world.accounts.authenticate(f"{name}@lovelace.example", OTHER)) for name in names]
    for name in ("pbkdf2", "bcrypt", "ours"):
        account = await world.accounts.find_by_email(f"{name}@lovelace.example")
        assert account is not None
        await world.accounts.disable(account.id)
        costs += [await work.of(world.accounts.authenticate(account.email, word)) for word in (PASSWORD, OTHER)]
        await world.accounts.enable(account.id)
    assert all(cost == costs[0] for cost in costs)
    assert costs[0] == {
        "pbkdf2 sha256": 300, "scrypt 128": 1, "bcrypt": 1 << 6, "argon2 m=16,t=2,p=1": 1, "argon2 m=8,t=1,p=1": 1,
    }  # fmt: skip
    work.done = Counter()
    await world.accounts.authenticate("ours@lovelace.example", PASSWORD)
    assert work.done == {"argon2 m=8,t=1,p=1": 1}


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/app.db"])
@pytest.mark.parametrize("form", FORMS)
async def test_the_first_login_costs_no_more(
    form: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that has just started knows which hashes are stored: the first try at an imported account costs what
    one at an unknown name does, and so does every other."""
    store = open_store(url.format(tmp_path))
    await (store.open(migrate=True) if url.startswith("sqlite") else store.open())  # type: ignore[call-arg]
    before = Auth(store, secret=SECRET, password_hasher=PasswordHasher(CHEAP))
    async with before:
        await before.accounts.adopt("imported@lovelace.example", FORMS[form])
        await before.accounts.register("ours@lovelace.example", PASSWORD)
        work = Work(monkeypatch)
        if url.startswith("memory"):  # which is gone with the process
            afresh = Accounts(
                store, store, before.revocation, passwords=PasswordHasher(CHEAP), policy=PasswordPolicy(),
                throttle=Throttle(store, key=b"k" * 32), now=before.clock.now, events=before.events,
            )  # fmt: skip
            await afresh.prepare()
            await _alike(afresh, work)
            await afresh.close()
    if url.startswith("sqlite"):
        async with Auth(url.format(tmp_path), secret=SECRET, password_hasher=PasswordHasher(CHEAP)) as after:
            await _alike(after.accounts, work)


async def _alike(accounts: Accounts, work: Work) -> None:
    names = ("nobody", "imported", "ours", "nobody", "imported", "ours")
    costs = [await work.of(accounts.authenticate(f"{name}@lovelace.example", OTHER)) for name in names]
    assert all(cost == costs[0] for cost in costs), costs


async def test_looking_for_hashes_never_holds_a_start_up(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Where the store does not say which hashes there are the accounts work, and the log says what to do."""
    gated = GatedStore(world.store)
    gated.fail("hashes_beside")
    await world.through(gated).prepare()
    assert "PasswordHasher(stored=" in caplog.text


async def test_told_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hasher that is told which forms are stored evens them out from the first login on."""
    work = Work(monkeypatch)
    hasher = PasswordHasher(CHEAP, stored=[PBKDF2, BCRYPT])
    assert not await hasher.verify_unknown("x")
    assert work.done == {"pbkdf2 sha256": 300, "bcrypt": 16, "argon2 m=8,t=1,p=1": 1}
    await hasher.close()
    with pytest.raises(ConfigurationError):
        PasswordHasher(CHEAP, stored=["hunter2"])


async def test_forms_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many forms there are, a refused login does the work of five at most."""
    work = Work(monkeypatch)
    hasher = PasswordHasher(CHEAP)
    for exponent in range(7, 14):
        await hasher.verify(generate_password_hash("x", f"scrypt:{1 << exponent}:8:1"), "y")
    work.done = Counter()
    await hasher.verify_unknown("x")
    assert work.done.total() == 5
    await hasher.close()


async def test_a_row_that_cannot_be_read(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A hash that costs too much or is none lets nobody in, and the log says why and does not repeat it."""
    account = await world.accounts.adopt(EMAIL, PBKDF2)
    for bad, reason in (
        ("pbkdf2:sha256:999999999$salt$" + "a" * 64, "costs more"),
        ("!unusable", "not known here"),
    ):
        held = world.store._accounts[account.id].password_hash
        assert await world.store.set_password_hash(account.id, bad, expected=held)
        with pytest.raises(InvalidLogin):
            await world.accounts.authenticate(EMAIL, PASSWORD)
        assert reason in caplog.messages[-1]
        assert bad not in caplog.text


async def test_without_bcrypt(world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Without the package nobody with a bcrypt hash gets in, the log says what to install, and none is adopted."""
    await world.accounts.adopt(EMAIL, BCRYPT)

    def gone(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(foreign_hashes, "import_module", gone)
    with pytest.raises(InvalidLogin):
        await world.accounts.authenticate(EMAIL, PASSWORD)
    assert "pip install" in caplog.messages[-1]
    warned = [one for one in caplog.records if one.levelname == "WARNING" and "nobody with such a hash" in one.message]
    with pytest.raises(InvalidLogin):
        await world.accounts.authenticate(EMAIL, PASSWORD)
    assert len(warned) == len([one for one in caplog.records if "nobody with such a hash" in one.message]) == 1
    with pytest.raises(Rejected, match="pip install"):
        await world.accounts.adopt("other@lovelace.example", BCRYPT)


async def test_adopting_is_strict(world: World) -> None:
    """What cannot be adopted is refused and nothing is stored."""
    taken = await world.accounts.adopt(EMAIL, PBKDF2, account_id="user:17", created=5.0, disabled=True, claims={"a": 1})
    assert (taken.id, taken.created, taken.disabled, taken.claims) == ("user:17", 5.0, True, {"a": 1})
    assert await world.accounts.get("user:17") == taken
    with pytest.raises(InvalidLogin):
        await world.accounts.authenticate(EMAIL, PASSWORD)
    refusals: list[tuple[type[Exception], tuple[str, str], dict[str, Any]]] = [
        (EmailTaken, (EMAIL.upper(), PBKDF2), {}),
        (Conflict, ("b@lovelace.example", PBKDF2), {"account_id": "user:17"}),
        (InvalidEmail, ("no address", PBKDF2), {}),
        (Rejected, ("b@lovelace.example", "plain text"), {}),
        (Rejected, ("b@lovelace.example", ""), {}),
        (Rejected, ("b@lovelace.example", PBKDF2), {"roles": ["Has Space"]}),
        (Rejected, ("b@lovelace.example", PBKDF2), {"account_id": "-x"}),
        (Rejected, ("b@lovelace.example", PBKDF2), {"account_id": ""}),
        (Rejected, ("b@lovelace.example", PBKDF2), {"account_id": "a b"}),
    ]
    for error, args, options in refusals:
        with pytest.raises(error) as refused:
            await world.accounts.adopt(*args, **options)
        assert "plain text" not in str(refused.value)
    assert [account.id for account in (await world.accounts.page()).accounts] == ["user:17"]


async def test_changing_it_works_at_once(world: World) -> None:
    """The password of an adopted account can be changed before anybody has logged in."""
    account = await world.accounts.adopt(EMAIL, BCRYPT)
    await world.accounts.change_password(account.id, PASSWORD, OTHER)
    await world.accounts.authenticate(EMAIL, OTHER)


async def test_memory_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costly hashes wait for each other when they would take more memory together than there is."""
    monkeypatch.setattr("coatcheck.accounts.passwords._MEMORY_BUDGET", 20)
    hasher = PasswordHasher(CHEAP, concurrency=4)
    stored = generate_password_hash("x", "scrypt:128:2:1")  # 33 KiB of the 32 that four of ours take
    running, most, lock, scrypt = 0, 0, threading.Lock(), hashlib.scrypt

    def counted(*args: Any, **kwargs: Any) -> bytes:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return b"".join(scrypt(*args, **kwargs) for _ in range(50))[:64]
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(hashlib, "scrypt", counted)
    answers = await asyncio.gather(*(hasher.verify(stored, "x") for _ in range(12)))
    assert all(answers)
    assert most == 1
    await hasher.close()


async def test_too_many_waiting_leave_the_hash(world: World) -> None:
    """When there is no room to upgrade, the login goes through and the hash stays for the next time."""
    account = await world.accounts.adopt(EMAIL, PBKDF2)
    hasher = PasswordHasher(CHEAP)
    accounts = world.through(world.store, hasher=hasher)

    async def no_room(password: str) -> str:
        raise Throttled(1)

    hasher.hash = no_room  # type: ignore[method-assign]
    assert (await accounts.authenticate(EMAIL, PASSWORD, ip=HERE)).subject == account.id
    assert (await accounts.get(account.id)).password_hash == PBKDF2

"""The address and the name for an application's pages: read once per credential, and never older than the roles."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from coatcheck import (
    Access,
    ApplicationSubjects,
    Auth,
    Credential,
    Identity,
    Kind,
    Mode,
    Policy,
    Profile,
    RemoteVerifier,
    StoreUnavailable,
    SubjectFacts,
)
from coatcheck.accounts import PasswordHasher
from coatcheck.errors import StaleCredential
from coatcheck.stores.memory import MemoryStore
from tests.accounts.support import CHEAP
from tests.support.gates import GatedStore
from tests.support.users import User, Users

from .conftest import SECRET, presented

MODES = pytest.mark.parametrize("mode", list(Mode))
OLD, NEW = "ann@example.com", "ann@example.org"


@pytest.fixture
def ann() -> User:
    return User("ann", ("ann", OLD), "")


@pytest.fixture
def people(ann: User) -> Users:
    """An application's own users, who can log in."""
    return Users([ann])


@pytest.fixture
async def auth(store: GatedStore, people: Users) -> AsyncIterator[Auth]:
    async with Auth(store, secret=SECRET, subjects=people) as running:
        yield running


def asked(store: GatedStore, people: Users) -> Counter[str]:
    """Every question so far, but for the follower's own reads."""
    found = store.calls + people.calls
    del found["events"]
    return found


def move(ann: User) -> None:
    """She has another address, as the application writes it."""
    ann.names = ("ann", NEW)


def at_once(coroutine: Any) -> Any:
    """What it gives without waiting once."""
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    return done.value.value


async def log_in(auth: Auth, mode: Mode = Mode.SESSION) -> tuple[Credential, Identity]:
    credential = presented(await auth.login("ann", mode=mode))
    return credential, await auth.verify(credential)


@MODES
async def test_no_question_on_a_hit(auth: Auth, store: GatedStore, people: Users, mode: Mode) -> None:
    """It is read once; after that it takes no question and no waiting, whichever request of the credential asks."""
    credential, identity = await log_in(auth, mode)
    assert await auth.profile(identity) == Profile(subject="ann", email=OLD)
    before = asked(store, people)
    for _ in range(100):
        again = await auth.verify(credential)
        assert at_once(auth.profile(again)).email == OLD
    assert asked(store, people) == before
    assert before["login_of_subject"] == 1


@MODES
async def test_a_change_counts_at_once(auth: Auth, ann: User, mode: Mode) -> None:
    """When `subject_changed` has returned, the next request has the new address, also with a session that was spared;
    a token of before is stale, as it is when roles have changed."""
    made = await auth.login("ann", mode=mode)
    identity = await auth.verify(presented(made))
    assert (await auth.profile(identity)).email == OLD
    move(ann)
    await auth.subject_changed("ann")
    if mode is not Mode.SESSION:
        with pytest.raises(StaleCredential):
            await auth.verify(presented(made))
        made = await auth.refresh(made.refresh_token or "")
    later = await auth.verify(presented(made))
    assert (await auth.profile(later)).email == NEW
    assert (await auth.profile(identity)).email == NEW, "and so has whoever holds an identity of before"


async def test_a_read_that_a_change_has_overtaken(auth: Auth, people: Users, ann: User) -> None:
    """An identity of before, whose profile was read before the change and arrives after it: whoever waits for that has
    asked before the change; nobody who asks after it is given the same."""
    credential, identity = await log_in(auth)
    gate = people.hold("login_of_subject", after=True)
    under_way = asyncio.create_task(auth.profile(identity))
    await gate.reached()
    move(ann)
    await auth.subject_changed("ann")
    gate.open()
    assert (await under_way).email == OLD
    assert auth.table.bytes == 0
    assert (await auth.profile(identity)).email == NEW
    assert (await auth.profile(await auth.verify(credential))).email == NEW


async def test_a_read_between_the_write_and_its_event(auth: Auth, people: Users, ann: User) -> None:
    """What was read of before a change, and kept before its event, is forgotten with the event."""
    credential, identity = await log_in(auth)
    gate = people.hold("login_of_subject", after=True)
    under_way = asyncio.create_task(auth.profile(identity))
    await gate.reached()
    move(ann)
    gate.open()
    assert (await under_way).email == OLD
    assert at_once(auth.profile(identity)).email == OLD, "the change has not returned yet"
    await auth.subject_changed("ann")
    assert (await auth.profile(identity)).email == NEW
    assert (await auth.profile(await auth.verify(credential))).email == NEW


@pytest.mark.parametrize("call", ["facts", "login_of_subject"])
async def test_a_new_identity_has_no_old_profile(auth: Auth, people: Users, ann: User, call: str) -> None:
    """The change overtakes the first sight of a credential, or the read for an identity that was just made."""
    credential = presented(await auth.login("ann", mode=Mode.SESSION))
    ann.claims = {"name": "Ann"}

    async def first_page() -> Profile:
        return await auth.profile(await auth.verify(credential))

    gate = people.hold(call, after=True)
    page = asyncio.create_task(first_page())
    await gate.reached()
    move(ann)
    ann.claims = {"name": "Anna"}
    await auth.subject_changed("ann")
    gate.open()
    old, new = Profile(subject="ann", email=OLD, name="Ann"), Profile(subject="ann", email=NEW, name="Anna")
    assert await page == (new if call == "facts" else old)
    assert await auth.profile(await auth.verify(credential)) == new


@MODES
async def test_a_connection_that_goes_on(auth: Auth, people: Users, ann: User, mode: Mode) -> None:
    """A connection may be let in by an identity of before a change, where roles and claims are the same: in it, too,
    the new address counts, however long it lasts."""
    made = await auth.login("ann", mode=mode)
    identity = await auth.verify(presented(made))
    await auth.profile(identity)
    move(ann)
    await auth.subject_changed("ann")
    async with auth.guard(identity) as guard:
        assert (await auth.profile(identity)).email == NEW
        if mode is Mode.SESSION:  # the same credential is a hit again, and it stands in the same place
            await auth.profile(await auth.verify(presented(made)))
        ann.names = ("ann", "third@example.com")
        assert (await auth.profile(identity)).email == "third@example.com"
        assert guard.goes_on()


async def test_only_what_is_in_the_table_keeps_one(auth: Auth, people: Users) -> None:
    """Of an identity that the table has given up, or has never held, it is right and costs a question each time."""
    _, identity = await log_in(auth)
    await auth.profile(identity)
    auth.table.clear()
    made_up = replace(identity)
    assert made_up == identity
    before = people.calls["login_of_subject"]
    for each in (identity, made_up, identity, made_up):
        assert (await auth.profile(each)).email == OLD
    assert people.calls["login_of_subject"] == before + 4


async def test_a_lapsed_lease(auth: Auth, ann: User) -> None:
    """What a process remembers counts under the lease, as a hit does; after it the users are asked."""
    _, identity = await log_in(auth)
    await auth.profile(identity)
    move(ann)
    auth.follower.lease.deadline = float("-inf")
    assert (await auth.profile(identity)).email == NEW


async def test_of_two_processes_each_keeps_its_own(auth: Auth) -> None:
    """An `Auth` does not take what another one has kept on an identity for its own."""
    _, identity = await log_in(auth)
    await auth.profile(identity)
    others = Users([User("ann", ("another",), "")])
    async with Auth("memory://", secret=SECRET, subjects=others) as other:
        assert (await other.profile(identity)).email == "another"
    assert at_once(auth.profile(identity)).email == OLD


async def test_a_store_that_does_not_answer(auth: Auth, people: Users) -> None:
    """`StoreUnavailable` is raised as it is and nothing is kept of it; what is known is told all the same."""
    _, identity = await log_in(auth)
    people.failing.add("login_of_subject")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await auth.profile(identity)
    people.failing.clear()
    await auth.profile(identity)
    people.failing.add("login_of_subject")
    assert (await auth.profile(identity)).email == OLD


async def test_somebody_who_is_gone(auth: Auth, people: Users, ann: User) -> None:
    """Whoever is let in still has a page: it can show the subject. A disabled user has the address as ever."""
    _, identity = await log_in(auth)
    ann.active = False
    assert (await auth.profile(identity)).email == OLD
    auth.table.clear()
    people.all.clear()
    found = await auth.profile(identity)
    assert found == Profile(subject="ann")
    assert found.shown == "ann"


async def test_names(auth: Auth, ann: User) -> None:
    """The claim ``name`` goes before what somebody logs in with, and is worth nothing where it is no text."""
    seen = []
    cases: list[tuple[str, dict[str, Any]]] = [
        ("ann42", {}), ("ann42", {"name": "Ann"}), ("", {"name": 7}), ("", {"email": "x@example.com"}),
    ]  # fmt: skip
    for ann.title, ann.claims in cases:
        _, identity = await log_in(auth)
        found = await auth.profile(identity)
        seen.append((found.email, found.name, found.shown))
    assert seen == [(OLD, "ann42", "ann42"), (OLD, "Ann", "Ann"), (OLD, "", OLD), (OLD, "", OLD)]
    ann.names, ann.title = (), ""
    await auth.subject_changed("ann")
    assert (await auth.profile((await log_in(auth))[1])).email == "x@example.com"


ACCESSES = [
    Access(kind=Kind.KEY, scopes=frozenset({"orders:read"})),
    Access(kind=Kind.GRANT, client="app", audience="coatcheck", scopes=frozenset()),
    Access(kind=Kind.ACTING, actor="admin"),
]


@pytest.mark.parametrize("access", ACCESSES, ids=lambda access: access.kind.value)
async def test_of_what_is_no_person(people: Users, access: Access) -> None:
    """Of a key, a grant and an administrator who acts it is the subject's."""
    async with Auth("memory://", secret=SECRET, subjects=people, policy=Policy(kinds=tuple(Kind))) as auth:
        made = await auth.login("ann", mode=Mode.SESSION, access=access)
        identity = await auth.verify(presented(made))
        assert (await auth.profile(identity)).email == OLD


async def test_our_own_accounts() -> None:
    """The address as it was written, and the account's claim."""
    store = GatedStore(MemoryStore())
    async with Auth(store, secret=SECRET, password_hasher=PasswordHasher(CHEAP)) as auth:
        ann = await auth.accounts.register("Ann@example.com", "nine brown owls")
        known = "pbkdf2_sha256$1000$eqGLPYOJ0CB5$5MW6OwggV/E38fkuFDos8Y0274E9cr9+YBm2QSVU3KU="
        bob = await auth.accounts.adopt("bob@example.com", known, claims={"name": "Bob"})
        for account, found in [
            (ann, Profile(subject=ann.id, email="Ann@example.com")),
            (bob, Profile(subject=bob.id, email="bob@example.com", name="Bob")),
        ]:
            identity = await auth.verify(presented(await auth.login(account.id, mode=Mode.SESSION)))
            assert await auth.profile(identity) == found
            store.calls.clear()
            assert at_once(auth.profile(identity)) == found
            assert not store.calls["by_id"]
            await auth.accounts.set_roles(account.id, ["editor"])
            await auth.profile(await auth.verify(presented(await auth.login(account.id, mode=Mode.SESSION))))
            assert store.calls["by_id"]


@MODES
async def test_a_hook(mode: Mode) -> None:
    """Where the application tells claims and no more, they are all there is; nobody is asked."""
    facts = SubjectFacts(claims={"email": OLD, "name": "Ann", "team": 7})
    calls = []

    def hook(subject: str) -> SubjectFacts | None:
        calls.append(subject)
        return facts if subject == "ann" else SubjectFacts(claims={"email": [OLD], "name": None})

    async with Auth("memory://", secret=SECRET, subjects=hook) as auth:
        ann, bob = [await auth.verify(presented(await auth.login(each, mode=mode))) for each in ("ann", "bob")]
        calls.clear()
        assert at_once(auth.profile(ann)) == Profile(subject="ann", email=OLD, name="Ann")
        assert at_once(auth.profile(bob)) == Profile(subject="bob")
        assert calls == []
    async with Auth("memory://", secret=SECRET, subjects=ApplicationSubjects()) as auth:
        assert (await auth.profile(ann)).shown == "Ann"


async def test_what_is_kept_is_no_part_of_an_identity(auth: Auth, people: Users) -> None:
    """It is not compared, copied or shown, and weighs in the table while the entry is there, once."""
    _, identity = await log_in(auth)
    empty = auth.table.bytes
    copied, shown = replace(identity), repr(identity)
    gate = people.hold("login_of_subject")
    slow = asyncio.create_task(auth.profile(identity))
    await gate.reached()
    await auth.profile(identity)
    assert (identity, repr(identity)) == (copied, shown)
    assert not hasattr(replace(identity), "_profile")
    once = auth.table.bytes
    assert empty + len(OLD) + 200 < once < empty + 1000
    gate.open()
    assert await slow == await auth.profile(identity)
    assert auth.table.bytes == once
    await auth.subject_changed("ann")
    assert auth.table.bytes == 0


async def test_the_bound_of_the_table_holds(people: Users, ann: User) -> None:
    """Profiles that need more room than there is make the coldest give way."""
    ann.title = "x" * 5000
    policy = Policy(table_bytes=40_000)
    async with Auth("memory://", secret=SECRET, subjects=people, policy=policy) as auth:
        identities = [(await log_in(auth))[1] for _ in range(12)]
        for identity in identities:
            assert (await auth.profile(identity)).name == ann.title
            assert auth.table.bytes <= 40_000
        assert 4 < len(auth.table) < 8


async def test_what_cannot_be_meant(auth: Auth) -> None:
    """A subject, a credential or nobody is no Identity; and nothing is told that does not run."""
    for wrong in ("ann", None, 7):
        with pytest.raises(TypeError, match="identity must be Identity"):
            await auth.profile(wrong)  # type: ignore[arg-type]
    _, identity = await log_in(auth)
    await auth.close()
    with pytest.raises(RuntimeError, match="not running"):
        await auth.profile(identity)
    assert not hasattr(RemoteVerifier, "profile")

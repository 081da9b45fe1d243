"""Logging in an application's users: the same guarantees as our own accounts have."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator

import pytest
from werkzeug.security import generate_password_hash

from coatcheck.accounts import CheckedLogins, Limits, Logins, PasswordHasher, PasswordPolicy, Rate, Throttle
from coatcheck.accounts.changes import Changes
from coatcheck.errors import Conflict, InvalidLogin, NotFound, StoreUnavailable, Throttled, WeakPassword
from coatcheck.events import Events
from coatcheck.model import SubjectFacts
from coatcheck.subjects import ApplicationSubjects, Login, UserSource
from tests.accounts.support import CHEAP, ELSEWHERE, HERE, OTHER, PASSWORD, Hashing, StoreRevocation, World
from tests.support.patience import SOON
from tests.support.users import User, Users

THIRD = "the third password here"
NAMES = ("ada", "ada@lovelace.example")


class Application:
    """An application with users of its own, on the store of a `World`."""

    def __init__(self, world: World, **limits: Rate) -> None:
        self.world = world
        self.ada = User("7", NAMES, generate_password_hash(PASSWORD, "pbkdf2:sha256:10"), frozenset({"writer"}))
        self.users = Users([self.ada])
        self.opened: list[Logins] = []
        self.logins = self.through(self.users, **limits)

    def through(self, users: UserSource, **limits: Rate) -> Logins:
        store, clock = self.world.store, self.world.clock
        logins = Logins(
            users,
            store,
            Changes(StoreRevocation(store, clock), self.world.renew),
            passwords=PasswordHasher(CHEAP),
            policy=PasswordPolicy(),
            throttle=Throttle(store, key=b"k" * 32, limits=Limits(**limits)),
            now=clock.now,
            events=Events(clock.now),
        )
        self.opened.append(logins)
        return logins

    def gated(self) -> tuple[Users, Logins]:
        """The same users, seen by another process whose calls can be held."""
        users = Users(self.users.all)
        return users, self.through(users)

    async def login(self, name: str, password: str = PASSWORD, *, logins: Logins | None = None) -> str:
        """A whole login: prove, then make the session."""
        proved = await (logins or self.logins).authenticate("ada", password)
        return await self.world.session(proved.subject, proved.epoch, name)

    async def survives(self, name: str, logins: Logins) -> bool:
        try:
            await self.login(name, logins=logins)
        except (InvalidLogin, Conflict):
            return False
        return bool(await self.world.live([name]))


@pytest.fixture
async def app(world: World) -> AsyncIterator[Application]:
    app = Application(world)
    yield app
    for logins in app.opened:
        await logins.close()


async def test_log_in_by_any_name(app: Application) -> None:
    """Whoever the application knows under a name logs in by it, and the hash becomes ours."""
    for name in ("ada", "ADA@lovelace.example"):
        proved = await app.logins.authenticate(name, PASSWORD, ip=HERE)
        assert (proved.subject, proved.epoch, proved.email) == ("7", 0, "ada@lovelace.example")
    assert app.ada.password_hash.startswith("$argon2id$")
    for name, password in (("ada", OTHER), ("nobody", PASSWORD), ("7", PASSWORD), ("", PASSWORD)):
        with pytest.raises(InvalidLogin):
            await app.logins.authenticate(name, password)


async def test_refusals_are_alike(app: Application, hashing: Hashing) -> None:
    """Unknown, wrong and disabled cost the same hashes and the same calls of the application's source."""
    await app.logins.authenticate("ada", PASSWORD)
    app.users.all.append(User("8", ("off",), app.ada.password_hash, active=False))
    app.users.all.append(User("9", ("unset",), ""))
    seen = []
    for name, password in (("ada", OTHER), ("nobody", PASSWORD), ("off", PASSWORD), ("off", OTHER), ("unset", "")):
        hashing.calls.clear()
        app.users.calls.clear()
        with pytest.raises(InvalidLogin):
            await app.logins.authenticate(name, password, ip=HERE)
        seen.append((list(hashing.calls), dict(app.users.calls)))
    assert all(one == seen[0] for one in seen)
    assert seen[0] == (["verify"], {"login_of": 1, "login_of_subject": 1, "facts": 1})


async def test_spelling_and_second_names_give_no_more_tries(app: Application, hashing: Hashing) -> None:
    """Ten tries are ten tries, in whatever spelling and under whichever name, and for proving again; and for a name
    that nobody has it is the same."""
    for name in ("ada", "ADA", "Ada", "ada@lovelace.example", "ADA@lovelace.example") * 2:
        with pytest.raises(InvalidLogin):
            await app.logins.authenticate(name, OTHER, ip=HERE)
    hashing.calls.clear()
    with pytest.raises(Throttled):
        await app.logins.authenticate("ada", PASSWORD, ip=HERE)
    with pytest.raises(Throttled):
        await app.logins.check_password("7", PASSWORD, ip=HERE)
    assert hashing.calls == []
    await app.logins.authenticate("ada", PASSWORD, ip=ELSEWHERE)
    for name in ("Nobody", "nobody", " NOBODY ", "ｎobody", "nobody") * 2:
        with pytest.raises(InvalidLogin):
            await app.logins.authenticate(name, OTHER, ip="203.0.113.1")
    with pytest.raises(Throttled):
        await app.logins.authenticate("nobody", OTHER, ip="203.0.113.1")


async def test_the_name_of_a_subject_is_not_the_subject(app: Application) -> None:
    """Nobody uses up another's tries by typing their id as a name."""
    for name in ("7", "subject:7"):
        for _ in range(5):
            with pytest.raises(InvalidLogin):
                await app.logins.authenticate(name, OTHER, ip=HERE)
    for _ in range(9):
        with pytest.raises(InvalidLogin):
            await app.logins.authenticate("ada", OTHER, ip=HERE)
    await app.logins.authenticate("ada", PASSWORD, ip=HERE)


@pytest.mark.parametrize("broken", ["login_of", "login_of_subject", "facts"])
async def test_a_failure_is_never_yes(app: Application, broken: str) -> None:
    """When the application cannot tell, nobody is logged in."""
    app.users.failing = {broken}
    with pytest.raises(StoreUnavailable):
        await app.logins.authenticate("ada", PASSWORD)


async def change(app: Application) -> None:
    await app.logins.change_password("7", PASSWORD, OTHER)


async def set_it(app: Application) -> None:
    await app.logins.set_password("7", OTHER)


async def disable(app: Application) -> None:
    """As an application is told to: write first, then end the sessions."""
    app.ada.active = False
    await app.world.store.revoke_subject("7", now=app.world.clock.now())


@pytest.mark.parametrize("overtaking", [change, set_it, disable])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", ["login_of", "login_of_subject", "facts", "replace_hash"])
async def test_login_overtaken_at_any_call(app: Application, overtaking: object, after: bool, call: str) -> None:
    """A login with the old password that is overtaken by a whole change, at any call of the source, has no session;
    at the upgrade of its hash too, which then does not bring the old password back."""
    users, logins = app.gated()
    gate = users.hold(call, after=after)
    login = asyncio.create_task(app.survives("s", logins))
    await gate.reached()
    await overtaking(app)  # type: ignore[operator]
    gate.open()
    assert not await login
    if overtaking is not disable:
        await app.logins.authenticate("ada", OTHER)


async def test_change_overtaken_by_an_upgrade(app: Application) -> None:
    """A change whose old hash is upgraded by a login in between is told, and changes nothing."""
    users, logins = app.gated()
    gate = users.hold("replace_hash")
    changing = asyncio.create_task(logins.change_password("7", PASSWORD, OTHER))
    await gate.reached()  # it upgrades the hash on its way
    await app.login("s")
    gate.open()
    with pytest.raises(Conflict):
        await changing
    assert await app.world.live(["s"]) == {"s"}
    await app.logins.authenticate("ada", PASSWORD)


async def test_two_changes_at_once(app: Application) -> None:
    """Of two changes that both knew the old password one wins, and the other is told."""
    await app.login("s")
    users, logins = app.gated()
    gate = users.hold("replace_hash")
    slow = asyncio.create_task(logins.change_password("7", PASSWORD, OTHER))
    await gate.reached()
    await app.logins.change_password("7", PASSWORD, THIRD)
    gate.open()
    with pytest.raises(Conflict):
        await slow
    await app.logins.authenticate("ada", THIRD)


async def test_change_renews_one_session(app: Application) -> None:
    """A change ends all sessions after the hash was written; the one it is made from is replaced by a new one."""
    for name in ("a", "b"):
        await app.login(name)
    users, logins = app.gated()
    gate = users.hold("replace_hash", after=True)
    changing = asyncio.create_task(logins.change_password("7", PASSWORD, OTHER, keep="a"))
    await gate.reached()
    assert await app.world.live(["a", "b"]) == {"a", "b"}
    gate.open()
    assert await changing is not None
    assert await app.world.live(["a", "b", "a'", "b'"]) == {"a'"}


async def test_change_checks_the_new_password(app: Application) -> None:
    """A weak password, or one made of their own address, is refused and changes nothing."""
    await app.login("s")
    before = app.ada.password_hash
    for weak in ("short", "ada@lovelace"):
        with pytest.raises(WeakPassword):
            await app.logins.change_password("7", PASSWORD, weak)
        with pytest.raises(WeakPassword):
            await app.logins.set_password("7", weak)
    with pytest.raises(InvalidLogin):
        await app.logins.change_password("7", OTHER, THIRD)
    with pytest.raises(NotFound):
        await app.logins.set_password("8", THIRD)
    assert app.ada.password_hash == before
    assert await app.world.live(["s"])


class Exact(Users):
    """Tells upper from lower case, as most databases do."""

    async def login_of(self, name: str) -> Login | None:
        return await super().login_of(name) if name == name.lower() else None


@pytest.mark.parametrize("kind", [Users, Exact])
async def test_limits_do_not_tell_who_exists(world: World, hashing: Hashing, kind: type[Users]) -> None:
    """Once a name is tried no more, neither is another spelling of it, whether somebody has it or not."""
    app = Application(world)
    logins = app.through(kind(app.users.all), account_from_network=Rate(2, 900))
    told = []
    for name in ("ada", "nobody"):
        for tried in (name, name, name.upper(), name):
            with pytest.raises((InvalidLogin, Throttled)) as error:
                await logins.authenticate(tried, "wrong", ip=HERE)
            told.append(error.type)
    assert told == [InvalidLogin, InvalidLogin, Throttled, Throttled] * 2
    for opened in app.opened:
        await opened.close()


async def test_names_are_not_logged(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    """What was typed as a name may be a password in the wrong field: the log has the subject, or nothing."""
    caplog.set_level(logging.DEBUG)
    await app.logins.authenticate("ada", PASSWORD, ip=HERE)
    for name in ("ada", "hunter2 in the wrong field"):
        with pytest.raises(InvalidLogin):
            await app.logins.authenticate(name, OTHER, ip=HERE)
    assert 'subject="7"' in caplog.text
    for secret in ("hunter2", PASSWORD, OTHER, "argon2id", "pbkdf2"):
        assert secret not in caplog.text


def checked(world: World, subjects: ApplicationSubjects) -> CheckedLogins:
    throttle, now = Throttle(world.store, key=b"k" * 32), world.clock.now
    return CheckedLogins(subjects, world.store, throttle=throttle, now=now, events=Events(now))


async def test_a_callable(world: World) -> None:
    """Any function that knows names and passwords can log people in; an ordinary one runs in a thread."""
    threads = []

    def check(name: str, password: str) -> str | None:
        threads.append(threading.current_thread())
        return "7" if (name, password) == ("ada", PASSWORD) else None

    async def later(name: str, password: str) -> str | None:
        return check(name, password)

    for function in (check, later):
        logins = checked(world, ApplicationSubjects(authenticate=function))
        proved = await logins.authenticate("ada", PASSWORD, ip=HERE)
        assert (proved.subject, proved.epoch) == ("7", 0)
        with pytest.raises(InvalidLogin):
            await logins.authenticate("ada", OTHER, ip=HERE)
    assert threading.main_thread() not in threads[:3]


async def test_a_callable_is_throttled_before_it_is_asked(world: World) -> None:
    """Ten wrong tries from one network, in any case, and the application is not asked any more."""
    asked = []
    logins = checked(world, ApplicationSubjects(authenticate=lambda name, password: asked.append(name)))
    for name in ("ada", "ADA") * 5:
        with pytest.raises(InvalidLogin):
            await logins.authenticate(name, OTHER, ip=HERE)
    with pytest.raises(Throttled):
        await logins.authenticate("Ada", OTHER, ip=HERE)
    assert len(asked) == 10


async def test_a_callable_and_a_disabled_user(world: World) -> None:
    """Who has no facts is not logged in, whatever the function says."""
    logins = checked(world, ApplicationSubjects(lambda subject: None, authenticate=lambda name, password: "7"))
    with pytest.raises(InvalidLogin):
        await logins.authenticate("ada", PASSWORD)
    logins = checked(
        world, ApplicationSubjects(lambda subject: SubjectFacts(), authenticate=lambda name, password: "7")
    )
    await logins.authenticate("ada", PASSWORD)


@pytest.mark.parametrize("answer", [True, False, "", 7, b"7"])
async def test_a_callable_that_gives_no_subject(world: World, answer: object) -> None:
    """True is no subject: a function that answers so is told, and nobody is logged in."""
    logins = checked(world, ApplicationSubjects(authenticate=lambda name, password: answer))  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError):
        await logins.authenticate("ada", PASSWORD)


@pytest.mark.parametrize("call", [1, 2])
async def test_a_callable_overtaken_by_a_change(world: World, call: int) -> None:
    """A login that the function has approved, overtaken by a change of the password, has no session: the epoch that
    counts was read before the function was asked for the last time."""
    password, calls = PASSWORD, 0
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def check(name: str, tried: str) -> str | None:
        nonlocal calls
        calls += 1
        right = tried == password
        if calls == call:
            reached.set()
            await go_on.wait()
        return "7" if right else None

    async def survives() -> bool:
        try:
            proved = await checked(world, ApplicationSubjects(authenticate=check)).authenticate("ada", PASSWORD)
            await world.session(proved.subject, proved.epoch)
        except (InvalidLogin, Conflict):
            return False
        return True

    login = asyncio.create_task(survives())
    await asyncio.wait_for(reached.wait(), SOON)
    password = OTHER
    await world.store.revoke_subject("7", now=world.clock.now())
    go_on.set()
    assert not await login

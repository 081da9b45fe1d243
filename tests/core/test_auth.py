"""`Auth` as an application holds it: starting, stopping, and what it leaves on the disk."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from coatcheck import ApplicationSubjects, Auth, ConfigurationError, InvalidCredential, Mode, StoreUnavailable, bearer
from coatcheck.accounts.passwords import common_passwords
from coatcheck.clock import Clock
from coatcheck.errors import RevokedCredential
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import TravelClock
from tests.support.gates import GatedStore

from .conftest import SECRET, presented

ANOTHER = "7Qm0vXr2LkT9dHs4WbNc8YpEf3GzJa6U"


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'app.db'}"


def made(folder: Path) -> set[str]:
    """What is in the folder, without SQLite's companions of an open file."""
    return {path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))}


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_first_start_makes_database_and_secret(tmp_path: Path) -> None:
    """The first start makes the file and a secret beside it, both for the owner's eyes only."""
    async with Auth(url(tmp_path), subjects=ApplicationSubjects()):
        pass
    assert made(tmp_path) == {"app.db", "app.db.secret"}
    assert modes(tmp_path) == {0o600}
    assert len((tmp_path / "app.db.secret").read_bytes().strip()) >= 64


@pytest.mark.parametrize("mode", list(Mode))
async def test_logins_survive_a_restart_and_revocations_too(tmp_path: Path, mode: Mode) -> None:
    """After a restart a login goes on, and what was revoked before stays so, in every mode."""
    async with Auth(url(tmp_path), subjects=ApplicationSubjects()) as auth:
        kept, ended = await auth.login("ann", mode=mode), await auth.login("ann", mode=mode)
        await auth.revoke(ended.session.id)
    async with Auth(url(tmp_path), subjects=ApplicationSubjects()) as auth:
        assert (await auth.verify(presented(kept))).subject == "ann"
        with pytest.raises(RevokedCredential):
            await auth.verify(presented(ended))


async def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    """Several that start on nothing end up with one database, one secret and one signing key."""
    several = [Auth(url(tmp_path), subjects=ApplicationSubjects()) for _ in range(4)]
    await asyncio.gather(*(auth.start() for auth in several))
    login = await several[0].login("ann", mode=Mode.JWT)
    for auth in several:
        assert (await auth.verify(presented(login))).subject == "ann"
        assert len(await auth.keys.list()) == 1
    await asyncio.gather(*(auth.close() for auth in several))
    assert made(tmp_path) == {"app.db", "app.db.secret"}


async def test_secret_that_went_missing(tmp_path: Path) -> None:
    """A database whose secret is gone does not get a new one in silence."""
    async with Auth(url(tmp_path), subjects=ApplicationSubjects()):
        pass
    (tmp_path / "app.db.secret").unlink()
    with pytest.raises(ConfigurationError, match=r"missing.*restore"):
        await Auth(url(tmp_path), subjects=ApplicationSubjects()).start()
    assert made(tmp_path) == {"app.db"}


async def test_another_secret(tmp_path: Path) -> None:
    """Another secret than the one the keys were sealed with is told from the right one."""
    async with Auth(url(tmp_path), secret=SECRET, subjects=ApplicationSubjects()) as auth:
        login = await auth.login("ann")
    with pytest.raises(ConfigurationError, match="not the one"):
        await Auth(url(tmp_path), secret=ANOTHER, subjects=ApplicationSubjects()).start()
    # The new one in front and the old one behind it: everything goes on.
    async with Auth(url(tmp_path), secret=[ANOTHER, SECRET], subjects=ApplicationSubjects()) as auth:
        assert (await auth.verify(presented(login))).subject == "ann"


@pytest.mark.parametrize("secret", ["short", "", b"x" * 31, [], ["x" * 32, "short"]])
async def test_short_secret(tmp_path: Path, secret: str) -> None:
    """A secret that is too short is refused before anything is made."""
    with pytest.raises(ConfigurationError, match="secret"):
        await Auth(url(tmp_path), secret=secret, subjects=ApplicationSubjects()).start()
    assert made(tmp_path) == set()


async def test_secret_open_to_others(tmp_path: Path) -> None:
    """A secret file that others can read is refused, with the command that mends it."""
    path = tmp_path / "app.db.secret"
    path.write_text("x" * 64)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        await Auth(url(tmp_path), subjects=ApplicationSubjects()).start()
    assert made(tmp_path) == {"app.db.secret"}


@pytest.mark.parametrize("bad", ["nonsense", "mysql://u:hunter2@h/d", "sqlite:/x.db", "sqlite:////no/such/place/x.db"])
async def test_bad_url(tmp_path: Path, bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL that cannot work is told in one line, without its password, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as error:
        await Auth(bad, subjects=ApplicationSubjects()).start()
    assert "hunter2" not in str(error.value)
    assert "\n" not in str(error.value)
    assert made(tmp_path) == set()


async def test_failed_start_can_be_tried_again() -> None:
    """A start that failed leaves nothing running, and the same object can be started later."""
    store = GatedStore(MemoryStore())
    auth = Auth(store, secret=SECRET, subjects=ApplicationSubjects())  # type: ignore[arg-type]
    store.fail("events")
    with pytest.raises(StoreUnavailable):
        await auth.start()
    assert not auth.is_running
    store.fail()
    async with auth:
        assert auth.is_running
        with pytest.raises(RuntimeError, match="started already"):
            await auth.start()
    await auth.close()


async def test_not_started_says_so() -> None:
    """Using it before it runs says what to write."""
    auth = Auth("memory://", subjects=ApplicationSubjects())
    with pytest.raises(RuntimeError, match=r"auth\.lifespan"):
        await auth.login("ann")


async def test_the_first_password_waits_for_no_list() -> None:
    """The list of common passwords is there after the start, wherever passwords are chosen and nowhere else."""
    common_passwords.cache_clear()
    async with Auth("memory://", subjects=ApplicationSubjects()):
        assert common_passwords.cache_info().currsize == 0
    async with Auth("memory://"):
        assert common_passwords.cache_info().currsize == 1


async def test_sessions_elsewhere(tmp_path: Path) -> None:
    """Accounts and keys in one place, sessions in another, is one argument."""
    async with Auth(url(tmp_path), sessions="memory://") as auth:
        account = await auth.accounts.register("ann@example.com", "a long enough password")
        login = await auth.login(account.id)
        assert (await auth.verify(presented(login))).subject == account.id
    async with Auth(url(tmp_path), sessions="memory://") as auth:
        assert (await auth.accounts.find_by_email("ann@example.com")) is not None
        with pytest.raises(RevokedCredential):
            await auth.verify(presented(login))


async def test_own_users_have_no_accounts_here() -> None:
    """With users of its own the application is told that there are none of ours."""
    async with Auth("memory://", subjects=ApplicationSubjects()) as auth:
        assert not auth.has_accounts
        with pytest.raises(ConfigurationError, match="subjects"):
            _ = auth.accounts


async def test_logout_with_an_expired_token() -> None:
    """A token that has expired still ends its session; one that we did not make ends nothing."""
    travel = TravelClock()
    clock = Clock(monotonic=travel.monotonic, wall=travel)
    store = MemoryStore(wall=travel)
    async with Auth(store, secret=SECRET, subjects=ApplicationSubjects(), clock=clock) as auth:
        login = await auth.login("ann", mode=Mode.JWT)
        travel.advance(auth.policy.access_lifetime)
        with pytest.raises(InvalidCredential):
            await auth.verify(presented(login))
        assert await auth.logout(presented(login))
        assert not await auth.logout(presented(login))
        assert not await auth.logout(bearer("ey.made.up"))


class Recorded(GatedStore):
    """A store that says whether it is open."""

    is_open = False

    async def open(self, **options: bool) -> None:
        await self._store.open(**options)
        self.is_open = True
        gate = self._after.pop("open", None)
        if gate is not None:
            await gate.hold()

    async def close(self) -> None:
        await self._store.close()
        self.is_open = False


async def test_cancelled_start_gives_the_store_back() -> None:
    """A start that is cancelled leaves no connection open, whichever call it waits for."""
    for name in ("open", "keys", "events"):
        store = Recorded(MemoryStore())
        auth = Auth(store, secret=SECRET, subjects=ApplicationSubjects())  # type: ignore[arg-type]
        gate = store.hold_after(name)
        starting = asyncio.create_task(auth.start())
        await gate.reached()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not store.is_open, name
        assert not auth.is_running, name


async def test_cancelled_close_gives_the_store_back() -> None:
    """A close that is cancelled while it writes the last uses still stops the follower and closes the store."""
    store = Recorded(MemoryStore())
    auth = Auth(store, secret=SECRET, subjects=ApplicationSubjects())  # type: ignore[arg-type]
    await auth.start()
    follower, made = auth.follower, await auth.login("ann")
    await auth.verify(presented(made))
    await auth.verify(presented(made))
    gate = store.hold_before("touch")
    closing = asyncio.create_task(auth.close())
    await gate.reached()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not store.is_open
    assert follower._task is None


async def test_failed_start_leaves_the_secret_that_others_may_use(tmp_path: Path) -> None:
    """The process that made the secret may fail where another has succeeded with it: the other one's keys stay."""

    class Failing(Auth):
        async def _ensure_keys(self, *args: object) -> None:
            async with Auth(url(tmp_path), subjects=ApplicationSubjects()):
                pass
            raise StoreUnavailable("busy for too long")

    with pytest.raises(StoreUnavailable):
        await Failing(url(tmp_path), subjects=ApplicationSubjects()).start()
    async with Auth(url(tmp_path), subjects=ApplicationSubjects()) as auth:
        await auth.login("ann", mode=Mode.JWT)

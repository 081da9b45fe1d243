"""``coatcheck restored``: what an operator says after a restore."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from coatcheck import Auth, Mode, bearer
from coatcheck.clock import Clock
from coatcheck.errors import InvalidCredential

from .conftest import Cli, assert_refused


def copied(source: Path, target: Path) -> None:
    """As ``sqlite3 source ".backup target"`` does."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


async def test_after_a_restore_that_nobody_lived_through_the_store_is_asked(cli: Cli) -> None:
    """Somebody's access token, revoked after the backup was made, is refused by processes started afterwards, and so is
    one of a session that the backup does not have. Others go on."""
    subject = cli.add()["id"]
    database, backup = cli.folder / "coatcheck.db", cli.folder / "backup.db"
    async with cli.auth() as auth:
        kept = await auth.login(subject, mode=Mode.JWT)
        copied(database, backup)
        lost = await auth.login(subject, mode=Mode.JWT)
        await auth.revoke(lost.session.id)
    copied(backup, database)
    with closing(sqlite3.connect(database)) as connection:  # a deployment that is older than a minute
        connection.execute("UPDATE coatcheck_feed SET since = since - 3600")
        connection.commit()
    async with cli.auth() as auth:
        assert (await auth.verify(bearer(lost.access_token or ""))).subject == subject, "nobody can know"
    assert "begins anew" in cli("restored").stdout
    async with cli.auth() as auth:
        with pytest.raises(InvalidCredential):
            await auth.verify(bearer(lost.access_token or ""))
        assert (await auth.verify(bearer(kept.access_token or ""))).subject == subject


async def test_it_reaches_running_processes_and_may_be_said_again(cli: Cli) -> None:
    """Their memory counts no more at once, and nobody who is logged in notices."""
    subject = cli.add()["id"]
    async with cli.auth() as auth:
        made = await auth.login(subject, mode=Mode.JWT)
        credential = bearer(made.access_token or "")
        for _ in range(2):
            await auth.verify(credential)
            era = auth.follower.era
            since = cli.json("restored")["feed"]["since"]
            assert since.endswith("Z")
            await auth.follower.catch_up()
            assert auth.follower.era > era
        assert (await auth.verify(credential)).subject == subject


async def test_a_subject_that_was_forgotten_can_be_cut_off(cli: Cli) -> None:
    """Only if one says that it need not be known: a mistyped name is no success."""
    subject = "somebody-of-the-lost-history"
    assert_refused(cli("sessions", "revoke", "--subject", subject), 1, "no such subject")
    done = cli.json("sessions", "revoke", "--subject", subject, "--unknown")
    assert done == {"subject": {"id": subject}}
    assert cli("sessions", "revoke", "--unknown", "A" * 24).returncode == 2


async def test_putting_the_clock_right_changes_nothing_with_another_secret(cli: Cli) -> None:
    """Neither keys nor the clock; it is refused, and can be done with the right one."""
    subject = cli.add()["id"]
    async with Auth(f"sqlite:///{cli.folder}/coatcheck.db", clock=Clock(wall=lambda: time.time() + 86400)) as auth:
        await auth.login(subject, mode=Mode.JWT)
    keys = cli.json("keys", "list")
    for command in (("restored", "--clock"), ("keys", "rotate")):
        done = cli(*command, COATCHECK_SECRET="bm90IHRoZSBzZWNyZXQgb2YgdGhpcyBkZXBsb3ltZW50IQ==")
        assert_refused(done, 2, "secret")
    assert cli.json("keys", "list") == keys
    cli.json("restored", "--clock")


async def test_it_says_in_which_store(cli: Cli) -> None:
    """Sessions may be elsewhere than accounts, and whoever names the wrong one shall see it."""
    cli.add()
    assert cli.json("restored")["store"] == "sqlite:///coatcheck.db"
    assert cli("restored").stdout.startswith("sqlite:///coatcheck.db: the feed begins anew")


async def test_a_running_process_sees_the_clock_put_right(cli: Cli) -> None:
    """It does not take it for a rollback, which would have nothing covered until the clock came to that time."""
    subject = cli.add()["id"]
    ahead = 86400.0
    async with Auth(f"sqlite:///{cli.folder}/coatcheck.db", clock=Clock(wall=lambda: time.time() + ahead)) as auth:
        await auth.login(subject, mode=Mode.JWT)
        ahead = 0.0
        await auth.follower.catch_up()
        cli.json("restored", "--clock")
        era = auth.follower.era
        while auth.follower.era == era or not auth.follower.is_live():
            await asyncio.sleep(0.02)
        assert auth.verifier._view.since < time.time() + 600
        assert abs(auth.clock.now() - time.time()) < 60


async def test_a_clock_that_was_ahead_is_put_right(cli: Cli) -> None:
    """Time, which has stood still, goes by the clock again; what was issued ahead of it is refused, also when its time
    has come, and others are still logged in."""
    subject = cli.add()["id"]
    assert_refused(cli("restored", "--clock"), 1, "not behind")
    year = 365 * 24 * 3600.0
    async with cli.auth() as auth:
        before = await auth.login(subject, mode=Mode.SESSION)
    url = f"sqlite:///{cli.folder}/coatcheck.db"
    async with Auth(url, clock=Clock(wall=lambda: time.time() + year)) as auth:
        ahead = await auth.login(subject, mode=Mode.JWT)
    assert cli.json("keys", "list")
    cli.json("restored", "--clock")
    assert_refused(cli("restored", "--clock"), 1, "not behind")
    async with cli.auth() as auth:
        assert abs(auth.clock.now() - time.time()) < 60
        assert await auth.sessions.find(before.session.id, now=auth.clock.now()) is not None
        assert await auth.sessions.find(ahead.session.id, now=auth.clock.now()) is None
        with pytest.raises(InvalidCredential):
            await auth.verify(bearer(ahead.access_token or ""))
        assert (await auth.verify(bearer((await auth.login(subject, mode=Mode.JWT)).access_token or ""))).subject
    async with Auth(url, clock=Clock(wall=lambda: time.time() + year)) as auth:
        with pytest.raises(InvalidCredential):
            await auth.verify(bearer(ahead.access_token or ""))

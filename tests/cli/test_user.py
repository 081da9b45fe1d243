"""``coatcheck user``."""

from __future__ import annotations

import os
import pty
import sys
from subprocess import Popen, run

import pytest

from coatcheck import Mode
from coatcheck.credentials.transport import bearer
from coatcheck.errors import InvalidCredential, InvalidLogin
from tests.support.service import PASSWORD, environment

from .conftest import Cli, assert_refused


async def test_an_added_account_can_log_in(cli: Cli) -> None:
    """Address, password and roles are those that were given."""
    subject = cli.add("Ann@Example.com", "admin", "editor")
    assert subject["roles"] == ["admin", "editor"]
    assert subject["status"] == "active"
    async with cli.auth() as auth:
        found = await auth.accounts.authenticate("ann@example.com", PASSWORD)
    assert found.account.id == subject["id"]
    assert found.account.roles == {"admin", "editor"}


def test_an_account_can_be_added_before_the_first_start(empty: Cli) -> None:
    """A migrated database is enough; no secret is needed or made."""
    empty("migrate")
    empty.add()
    assert sorted(path.name for path in empty.folder.iterdir()) == ["coatcheck.db"]


@pytest.mark.parametrize(("name", "told"), [("add", b"added"), ("password", b"set the password of")])
def test_the_password_is_asked_for_without_echo(cli: Cli, name: str, told: bytes) -> None:
    """On a terminal it is typed twice and shown never."""
    if name != "add":
        cli.add()
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-m", "coatcheck", "user", name, "ann@example.com"]
    with Popen(command, cwd=cli.folder, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        for prompt in (b"Password: ", b"Repeat for confirmation: "):
            while not shown.endswith(prompt):
                shown += os.read(terminal, 1024)
            os.write(terminal, f"{PASSWORD}\n".encode())
        while told not in shown:
            shown += os.read(terminal, 1024)
        assert process.wait() == 0
    os.close(terminal)
    assert PASSWORD.encode() not in shown


@pytest.mark.parametrize("name", ["add", "password"])
def test_without_a_terminal_the_password_needs_its_option(cli: Cli, name: str) -> None:
    """A script that forgot it is told, instead of hanging or taking an empty one."""
    done = cli("user", name, "ann@example.com")
    assert done.returncode == 2
    assert "--password-stdin" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (("ann@example.com",), "short\n"),
        (("ann@example.com",), ""),
        (("no address",), f"{PASSWORD}\n"),
        (("ann@example.com", "--role", "No Role"), f"{PASSWORD}\n"),
    ],
)
def test_what_breaks_a_rule_is_refused(cli: Cli, arguments: tuple[str, ...], stdin: str) -> None:
    """Weak passwords, addresses and roles that are none: one line, exit code 1, no account."""
    assert_refused(cli("user", "add", *arguments, "--password-stdin", stdin=stdin), 1)
    assert cli.json("user", "list")["subjects"] == []


def test_a_password_that_is_no_text_is_refused(cli: Cli) -> None:
    """One line that does not hold it, however standard input is decoded."""
    command = [sys.executable, "-m", "coatcheck", "user", "add", "ann@example.com", "--password-stdin"]
    for errors in ("strict", "surrogateescape"):
        env = environment({"PYTHONIOENCODING": f"utf-8:{errors}"})
        done = run(
            command, cwd=cli.folder, env=env, input=b"nine brown \xff\xfe owls\n", capture_output=True, check=False
        )
        assert done.returncode == 1
        assert done.stderr.startswith(b"coatcheck: the password ")
        assert done.stderr.count(b"\n") == 1
        assert b"owls" not in done.stderr


def test_an_address_is_added_once(cli: Cli) -> None:
    """In any spelling of the same address."""
    cli.add("ann@example.com")
    assert_refused(cli("user", "add", "ANN@example.com", "--password-stdin", stdin=f"{PASSWORD}\n"), 1)


def test_accounts_are_listed_newest_first_and_paged(cli: Cli) -> None:
    """Each page says where the next begins, and a search narrows them."""
    for name in ("a", "b", "c"):
        cli.add(f"{name}@example.com")
    page = cli.json("user", "list", "--limit", "2")
    assert [subject["email"] for subject in page["subjects"]] == ["c@example.com", "b@example.com"]
    rest = cli.json("user", "list", "--limit", "2", "--cursor", page["next"])
    assert [subject["email"] for subject in rest["subjects"]] == ["a@example.com"]
    assert rest["next"] is None
    found = cli.json("user", "list", "--search", "B@EX")
    assert [subject["email"] for subject in found["subjects"]] == ["b@example.com"]


def test_the_table_is_aligned(cli: Cli) -> None:
    """Every column begins where its heading does."""
    cli.add("a@example.com")
    cli.add("somebody-with-a-longer-name@example.com", "admin")
    heading, *rows = cli("user", "list").stdout.splitlines()
    assert heading.split() == ["ID", "EMAIL", "STATUS", "ROLES", "CREATED"]
    assert all(row[heading.index("STATUS") :].startswith("active ") for row in rows)
    assert cli("user", "list", "--search", "nobody").stdout == "no accounts\n"


async def test_disabling_ends_sessions_and_logins(cli: Cli) -> None:
    """Until the account is enabled again; sessions of before stay ended."""
    subject = cli.add()
    async with cli.auth() as auth:
        login = await auth.login(subject["id"], mode=Mode.JWT)
        assert login.access_token is not None
        assert cli.json("user", "disable", "ann@example.com")["subject"]["status"] == "disabled"
        await auth.follower.catch_up()
        with pytest.raises(InvalidLogin):
            await auth.login(subject["id"])
        assert cli.json("user", "enable", subject["id"])["subject"]["status"] == "active"
        await auth.login(subject["id"])
    async with cli.auth() as auth:
        with pytest.raises(InvalidCredential):
            await auth.verify(bearer(login.access_token))


async def test_a_new_password_counts_and_ends_sessions(cli: Cli) -> None:
    """The old password is worth nothing, and whoever was logged in is not."""
    subject = cli.add()
    async with cli.auth() as auth:
        login = await auth.login(subject["id"], mode=Mode.JWT)
        assert login.access_token is not None
        done = cli.json("user", "password", "ANN@example.com", "--password-stdin", stdin="nine brown owls\n")
        assert done["subject"]["id"] == subject["id"]
        await auth.follower.catch_up()
        with pytest.raises(InvalidCredential):
            await auth.verify(bearer(login.access_token))
        with pytest.raises(InvalidLogin):
            await auth.accounts.authenticate("ann@example.com", PASSWORD)
        await auth.accounts.authenticate("ann@example.com", "nine brown owls")


async def test_a_weak_new_password_changes_nothing(cli: Cli) -> None:
    """It is refused by the rules that hold for everybody; the old one and the sessions stay."""
    subject = cli.add()
    async with cli.auth() as auth:
        login = await auth.login(subject["id"], mode=Mode.JWT)
        assert login.access_token is not None
        for weak in ("short\n", "", "ann@example.com\n"):
            assert_refused(cli("user", "password", subject["id"], "--password-stdin", stdin=weak), 1, "password")
        await auth.follower.catch_up()
        await auth.verify(bearer(login.access_token))
        await auth.accounts.authenticate("ann@example.com", PASSWORD)


def test_roles_are_shown_set_and_taken_away(cli: Cli) -> None:
    """Exactly those that are given remain."""
    cli.add("ann@example.com", "admin")
    assert cli.json("user", "roles", "ann@example.com")["subject"]["roles"] == ["admin"]
    assert cli.json("user", "roles", "ann@example.com", "b", "a")["subject"]["roles"] == ["a", "b"]
    assert cli.json("user", "roles", "ann@example.com", "--none")["subject"]["roles"] == []
    assert cli("user", "roles", "ann@example.com", "x", "--none").returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("disable", "nobody@example.com"),
        ("enable", "0" * 32),
        ("roles", "no address@"),
        ("password", "nobody@example.com", "--password-stdin"),
    ],
)
def test_nobody_is_not_found(cli: Cli, arguments: tuple[str, ...]) -> None:
    """Exit code 1 for an account that is not there."""
    assert_refused(cli("user", *arguments, stdin=f"{PASSWORD}\n"), 1, "no such account")

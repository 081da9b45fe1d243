"""``coatcheck sessions``."""

from __future__ import annotations

import pytest

from coatcheck import Auth, Device, Mode
from coatcheck.credentials.transport import bearer
from coatcheck.errors import InvalidCredential

from .conftest import Cli, assert_refused


async def _login(auth: Auth, subject: str, *, device: Device | None = None) -> tuple[str, str]:
    made = await auth.login(subject, mode=Mode.JWT, device=device)
    assert made.access_token is not None
    return made.session.id, made.access_token


async def test_live_sessions_are_listed_newest_first(cli: Cli) -> None:
    """By e-mail address or by id, with the names of the HTTP API."""
    subject = cli.add()["id"]
    async with cli.auth() as auth:
        first, _ = await _login(auth, subject, device=Device(user_agent="curl", ip="127.0.0.9", label="phone"))
        second, _ = await _login(auth, subject)
    for user in ("ann@example.com", subject):
        sessions = cli.json("sessions", "list", user)["sessions"]
        assert [session["id"] for session in sessions] == [second, first]
    assert sessions[1]["device"] == {"user_agent": "curl", "ip": "127.0.0.9", "label": "phone"}
    assert sessions[0]["mode"] == "jwt"
    assert sessions[0]["created_at"] < sessions[0]["idle_expires_at"] < sessions[0]["expires_at"]
    page = cli.json("sessions", "list", subject, "--limit", "1")
    assert cli.json("sessions", "list", subject, "--cursor", page["next"])["sessions"][0]["id"] == first


async def test_what_clients_wrote_cannot_colour_the_terminal(cli: Cli) -> None:
    """A device's label is shown with its control characters escaped."""
    subject = cli.add()["id"]
    async with cli.auth() as auth:
        await _login(auth, subject, device=Device(label="\x1b[31mred\nnew line", user_agent="\x9b31m"))
    shown = cli("sessions", "list", subject).stdout
    assert "\\u{1b}[31mred\\u{a}new line" in shown
    assert "\x1b" not in shown
    assert "\x9b" not in cli("sessions", "list", subject, "--json").stdout


async def test_an_ended_session_is_refused_by_processes_that_run(cli: Cli) -> None:
    """The command writes to the store, and the others hear of it from the feed."""
    subject = cli.add()["id"]
    async with cli.auth() as auth:
        session_id, token = await _login(auth, subject)
        other_id, other = await _login(auth, subject)
        await auth.verify(bearer(token))
        assert cli.json("sessions", "revoke", "--", session_id) == {"revoked": [session_id], "not_found": []}
        await auth.follower.catch_up()
        with pytest.raises(InvalidCredential):
            await auth.verify(bearer(token))
        assert (await auth.verify(bearer(other))).session_id == other_id


async def test_all_sessions_of_a_subject_end_together(cli: Cli) -> None:
    """With ``--wait``, no process accepts one once the command is back, whether or not it heard of it."""
    subject = cli.add()["id"]
    async with cli.auth() as auth:
        tokens = [(await _login(auth, subject))[1] for _ in range(3)]
        done = cli.json("sessions", "revoke", "--subject", "ann@example.com", "--wait")
        assert done == {"subject": {"id": subject}}
        for token in tokens:
            with pytest.raises(InvalidCredential):
                await auth.verify(bearer(token))
    assert cli("sessions", "list", subject).stdout == "no live sessions\n"


async def test_an_unknown_session_is_said_and_the_others_end(cli: Cli) -> None:
    """Exit code 1, and what could be ended is ended."""
    subject = cli.add()["id"]
    async with cli.auth() as auth:
        session_id, _ = await _login(auth, subject)
    done = cli.json("sessions", "revoke", "--", "A" * 24, session_id, code=1)
    assert done == {"revoked": [session_id], "not_found": ["A" * 24]}
    assert_refused(cli("sessions", "revoke", "--", session_id), 1, "no live session")


def test_a_subject_never_heard_of_is_not_found(cli: Cli) -> None:
    """A mistyped address is no success."""
    for command in (("list",), ("revoke", "--subject")):
        assert_refused(cli("sessions", *command, "nobody@example.com"), 1, "no such subject")


def test_what_to_end_must_be_said_in_one_way(cli: Cli) -> None:
    """Neither nothing nor both."""
    assert cli("sessions", "revoke").returncode == 2
    assert cli("sessions", "revoke", "A" * 24, "--subject", "x").returncode == 2


async def test_subjects_of_an_application_have_no_account_here(cli: Cli) -> None:
    """Their ids are whatever the application says, an address among them."""
    async with Auth(f"sqlite:///{cli.folder}/coatcheck.db", subjects=lambda _: None) as auth:
        await auth.revocation.subject_changed("u@x")
    assert cli("sessions", "list", "u@x").stdout == "no live sessions\n"

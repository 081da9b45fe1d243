"""``coatcheck token inspect``."""

from __future__ import annotations

import sqlite3
import subprocess
from typing import Any

import pytest

from coatcheck import Credentials, Mode

from .conftest import Cli, assert_refused


@pytest.fixture
def subject(cli: Cli) -> str:
    """An account's id."""
    added: str = cli.add()["id"]
    return added


async def _login(cli: Cli, subject: str, mode: Mode) -> Credentials:
    async with cli.auth() as auth:
        return await auth.login(subject, mode=mode)


def _token(credentials: Credentials) -> str:
    token = credentials.session_token or credentials.access_token
    assert token is not None
    return token


def _inspect(cli: Cli, token: str, *, code: int) -> dict[str, Any]:
    found: dict[str, Any] = cli.json("token", "inspect", stdin=f"{token}\n", code=code)
    return found


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_good_token_would_be_accepted(cli: Cli, subject: str, mode: Mode) -> None:
    """Exit code 0, with the session and subject that stand behind it; the token itself is not printed."""
    login = await _login(cli, subject, mode)
    done: subprocess.CompletedProcess[str] = cli("token", "inspect", "-", stdin=_token(login))
    assert done.returncode == 0, done.stderr
    for word in ("accepted", subject, login.session.id):
        assert word in done.stdout
    secret = _token(login).rpartition(".")[2][-32:]
    assert secret not in done.stdout + done.stderr
    if login.refresh_token:
        found = _inspect(cli, login.refresh_token, code=0)
        assert (found["kind"], found["accepted"], found["subject"]) == ("refresh", True, subject)


async def test_inspecting_changes_nothing(cli: Cli, subject: str) -> None:
    """A refresh token can be exchanged afterwards as before, and no idle deadline moves."""
    login = await _login(cli, subject, Mode.JWT)
    assert login.refresh_token is not None
    before = _sessions(cli)
    for token in (login.refresh_token, _token(login), _token(login)):
        _inspect(cli, token, code=0)
    assert _sessions(cli) == before


async def test_an_ended_session_is_named_as_the_reason(cli: Cli, subject: str) -> None:
    """For all three kinds."""
    jwt, cookie = await _login(cli, subject, Mode.JWT), await _login(cli, subject, Mode.SESSION)
    cli("sessions", "revoke", "--subject", subject)
    for token in (_token(jwt), jwt.refresh_token or "", _token(cookie)):
        found = _inspect(cli, token, code=1)
        assert found["accepted"] is False
        assert "is not live" in found["reason"]


async def test_a_forged_token_is_told_from_a_real_one(cli: Cli, subject: str) -> None:
    """The signature or MAC fails, and what the token claims is shown as a mere claim."""
    jwt, cookie = await _login(cli, subject, Mode.JWT), await _login(cli, subject, Mode.SESSION)
    for token in (_token(jwt), _token(cookie)):
        forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
        found = _inspect(cli, forged, code=1)
        assert found["checks"][-1]["check"] == "signature"
        assert found["session"] is None


async def test_an_expired_access_token_says_so(cli: Cli, subject: str) -> None:
    """Policy and clock are those of the deployment."""
    token = _token(await _login(cli, subject, Mode.JWT))
    done = cli("token", "inspect", stdin=token, COATCHECK_POLICY_AUDIENCE="another")
    assert done.returncode == 1
    assert "audience is not ours" in done.stdout


async def test_a_revoked_token_and_changed_roles_are_named(cli: Cli, subject: str) -> None:
    """The session lives on in both cases."""
    async with cli.auth() as auth:
        one, other = await auth.login(subject, mode=Mode.JWT), await auth.login(subject, mode=Mode.JWT)
        claims = auth.access_tokens.read(_token(one), now=auth.clock.now())
        await auth.revocation.revoke_token(claims.sid, claims.jti)
    assert "this one token was revoked" in _inspect(cli, _token(one), code=1)["reason"]
    cli("user", "roles", subject, "admin")
    assert "changed" in _inspect(cli, _token(other), code=1)["reason"]


async def test_an_exchanged_refresh_token_is_told(cli: Cli, subject: str) -> None:
    """Within the reuse window it still gets its successor; later it would end the session."""
    async with cli.auth() as auth:
        login = await auth.login(subject, mode=Mode.JWT)
        await auth.refresh(login.refresh_token or "")
    assert _inspect(cli, login.refresh_token or "", code=0)["accepted"] is True
    with sqlite3.connect(cli.folder / "coatcheck.db") as connection:
        connection.execute("UPDATE coatcheck_sessions SET rotated = rotated - 3600")
    connection.close()
    assert "would end the session" in _inspect(cli, login.refresh_token or "", code=1)["reason"]


async def test_a_disabled_account_is_named(cli: Cli, subject: str) -> None:
    """Although its session was not ended by name."""
    login = await _login(cli, subject, Mode.SESSION)
    with sqlite3.connect(cli.folder / "coatcheck.db") as connection:
        connection.execute("UPDATE coatcheck_accounts SET disabled = 1")
    connection.close()
    assert "account is disabled" in _inspect(cli, _token(login), code=1)["reason"]


@pytest.mark.parametrize("token", ["", "hello", "a.b.c", "ccs_", "ccr_x", "\x1b[31m.\x00.e30"])
def test_what_is_no_token_is_refused(cli: Cli, token: str) -> None:
    """Whatever it is, the answer is a refusal and no traceback."""
    found = _inspect(cli, token, code=1)
    assert found["accepted"] is False
    assert found["reason"]


async def test_without_a_database_a_token_is_only_decoded(cli: Cli, subject: str, tmp_path: Any) -> None:
    """What it says is shown, that nothing is proved is said, and the exit code says what is missing."""
    token = _token(await _login(cli, subject, Mode.JWT))
    done = cli("token", "inspect", "--json", "--database", "sqlite:///nowhere.db", stdin=token)
    assert done.returncode == 2
    assert '"accepted": null' in done.stdout
    assert subject in done.stdout
    assert not (tmp_path / "nowhere.db").exists()
    done = cli("token", "inspect", stdin=token, COATCHECK_SECRET="7Qm0vXr2LkT9dHs4WbNc8YpEf3GzJa6U")
    assert_refused_after_output(done)


def assert_refused_after_output(done: subprocess.CompletedProcess[str]) -> None:
    """The decoded token on standard output, and the one line of what is wrong on standard error."""
    assert "only decoded" in done.stdout
    assert_refused(subprocess.CompletedProcess(done.args, done.returncode, "", done.stderr), 2, "secret")


def _sessions(cli: Cli) -> list[Any]:
    connection = sqlite3.connect(cli.folder / "coatcheck.db")
    rows = connection.execute("SELECT * FROM coatcheck_sessions").fetchall()
    connection.close()
    return rows

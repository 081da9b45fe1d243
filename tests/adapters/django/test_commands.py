"""manage.py's commands are the command line's, on the project's stores and with its users' names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import override_settings

from coatcheck import Mode
from coatcheck.blocking import Auth
from coatcheck.django import conf


@pytest.fixture
def auth(tmp_path: Path) -> Iterator[Auth]:
    with override_settings(COATCHECK={"url": f"sqlite:///{tmp_path}/sessions.db"}):
        yield conf.auth()


def run(capsys: pytest.CaptureFixture[str], name: str, *arguments: str) -> Any:
    capsys.readouterr()
    call_command(name, *arguments)
    return capsys.readouterr().out


def test_sessions(auth: Auth, ann: User, capsys: pytest.CaptureFixture[str]) -> None:
    """Sessions are listed and ended by a user's name or one by one, and the running process hears of it."""
    first, second, third = (auth.login(str(ann.pk), mode=Mode.SESSION).session.id for _ in range(3))
    listed = json.loads(run(capsys, "coatcheck_sessions", ann.username, "--json", "--limit=2"))
    assert [item["id"] for item in listed["sessions"]] == [third, second]
    more = run(capsys, "coatcheck_sessions", str(ann.pk), f"--cursor={listed['next']}")
    assert first in more
    assert first in run(capsys, "coatcheck_revoke", "--", first)
    with pytest.raises(CommandError, match="no live session") as refused:
        run(capsys, "coatcheck_revoke", "--", first)
    assert refused.value.returncode == 1
    assert json.loads(run(capsys, "coatcheck_revoke", "--user", ann.username, "--json")) == {
        "subject": {"id": str(ann.pk)}
    }
    assert run(capsys, "coatcheck_sessions", ann.username) == "no live sessions\n"


def test_migrate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The schema is made, and the environment of before stands again."""
    before = dict(os.environ)
    with override_settings(COATCHECK={"url": f"sqlite:///{tmp_path}/new.db"}):
        assert "schema made" in run(capsys, "coatcheck_migrate")
        assert "nothing to do" in run(capsys, "coatcheck_migrate")
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("settings", "arguments", "said"),
    [
        ({"url": "memory://"}, ("coatcheck_sessions", "x"), "in memory"),
        ({"url": "mysql://u:hunter2@x"}, ("coatcheck_sessions", "x"), "no store"),
        ({"auth": "tests.adapters.django.test_conf.given"}, ("coatcheck_migrate",), "hides its stores"),
        ({}, ("coatcheck_revoke",), "give session ids"),
    ],
)
def test_refused(settings: Any, arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """What cannot be done is one line and exit code 2, without the password."""
    with override_settings(COATCHECK=settings, BASE_DIR=tmp_path), pytest.raises(CommandError, match=said) as refused:
        call_command(*arguments)
    assert refused.value.returncode == 2
    assert "hunter2" not in str(refused.value)

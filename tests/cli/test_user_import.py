"""``coatcheck user import``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.security import generate_password_hash

from coatcheck.cli import user_import
from coatcheck.errors import Rejected
from tests.accounts.support import World

from .conftest import Cli, assert_refused

PASSWORD = "an old password from elsewhere"
HASH = generate_password_hash(PASSWORD, "pbkdf2:sha256:100")


HEAD = "email,password_hash,roles,id,disabled,created"


def csv(cli: Cli, *lines: str, name: str = "users.csv", head: str = HEAD) -> str:
    (cli.folder / name).write_text("\n".join([head, *lines, ""]), encoding="utf-8")
    return name


def jsonl(cli: Cli, *rows: Any, name: str = "users.jsonl") -> str:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    (cli.folder / name).write_text(text, encoding="utf-8")
    return name


def addresses(cli: Cli) -> list[str]:
    return sorted(subject["email"] for subject in cli.json("user", "list")["subjects"])


async def test_imported_accounts_can_log_in(cli: Cli) -> None:
    """Address, hash, roles, id, status and date are those of the file, and the old password works."""
    done = cli(
        "user", "import",
        csv(
            cli,
            f"ann@example.com,{HASH},admin editor,17,false,2020-02-03T04:05:06Z",
            "",
            f'"bob@example.com",{HASH},,,true,',
        ),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "imported 2 accounts; 0 accounts left as they are\n")
    rows = jsonl(cli, {"email": "cleo@example.com", "password_hash": HASH, "roles": ["a"], "claims": {"team": 4}})
    assert cli.json("user", "import", rows) == {"dry_run": False, "imported": 1, "present": 0, "refused": []}
    async with cli.auth() as auth:
        ann = (await auth.accounts.authenticate("ann@example.com", PASSWORD)).account
        assert (ann.id, ann.roles, ann.created) == ("17", {"admin", "editor"}, 1580702706)
        cleo = (await auth.accounts.authenticate("cleo@example.com", PASSWORD)).account
        assert (cleo.roles, cleo.claims) == ({"a"}, {"team": 4})
        bob = await auth.accounts.find_by_email("bob@example.com")
        assert bob is not None
        assert bob.disabled


def test_a_dry_run_changes_nothing(cli: Cli) -> None:
    """It says what would happen."""
    done = cli("user", "import", csv(cli, f"ann@example.com,{HASH},,,,"), "--dry-run")
    assert done.stdout == "would import 1 account; 0 accounts left as they are\n"
    assert addresses(cli) == []


def test_one_bad_line_and_nothing_is_imported(cli: Cli) -> None:
    """Every line that cannot be imported is named with its reason; no address and no hash is repeated."""
    bad = [
        (f"no address,{HASH},,,,", "not an e-mail address"),
        ("ann2@example.com,hunter2,,,,", "form that is not known"),
        ("ann3@example.com,pbkdf2:sha256:999999999$salt$" + "a" * 64 + ",,,,", "costs more"),
        (f"ann4@example.com,{HASH},Has%Percent,,,", "a role is"),
        (f"ann5@example.com,{HASH},,-x,,", "an id is"),
        (f"ann6@example.com,{HASH},,,maybe,", "disabled true or false"),
        (f"ann7@example.com,{HASH},,,,yesterday", "created must be"),
        (f"ann8@example.com,{HASH},,,,2020-01-01T00:00:00", "created must be"),
        (f"ann9@example.com,{HASH}", "2 fields and not 6"),
        (f",{HASH},,,,", "missing"),
        (f"ANN@example.com,{HASH},,,,", "the same address is on line 2"),
        (f"ann10@example.com,{HASH},,17,,", "the same id is on line 2"),
    ]
    name = csv(cli, f"ann@example.com,{HASH},,17,,", *(line for line, _ in bad))
    report = cli.json("user", "import", name, code=1)
    assert report["refused"][0]["line"] == 3
    assert len(report["refused"]) == len(bad)
    for (_, reason), refused in zip(bad, report["refused"], strict=True):
        assert reason in refused["reason"]
    done = cli("user", "import", name)
    assert done.returncode == 1
    assert done.stderr == "coatcheck: 12 of the lines cannot be imported; nothing was changed\n"
    for secret in (HASH, "hunter2", "ann2"):
        assert secret not in done.stdout + done.stderr
    assert addresses(cli) == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "not JSON"),
        ('{"email": "a@example.com", "email": "b@example.com", "password_hash": "x"}', "not JSON"),
        ("[]", "an object with"),
        ({"email": "ann@example.com"}, "an object with"),
        ({"email": "ann@example.com", "password_hash": HASH, "is_admin": True}, "an object with"),
        ({"email": 5, "password_hash": HASH}, "must be texts"),
        ({"email": "ann@example.com", "password_hash": None}, "must be texts"),
        ({"email": "ann@example.com", "password_hash": HASH, "roles": "admin"}, "a list of texts"),
        ({"email": "ann@example.com", "password_hash": HASH, "roles": [1]}, "a list of texts"),
        ({"email": "ann@example.com", "password_hash": HASH, "claims": []}, "claims must be"),
        ({"email": "ann@example.com", "password_hash": HASH, "disabled": 1}, "claims must be"),
        ({"email": "ann@example.com", "password_hash": HASH, "created": True}, "created must be"),
        ({"email": "ann@example.com", "password_hash": HASH, "created": -5}, "created must be"),
    ],
)
def test_bad_json(cli: Cli, row: Any, reason: str) -> None:
    """A line that is no such object is refused, and says why."""
    report = cli.json("user", "import", jsonl(cli, row), code=1)
    assert [(refused["line"], reason in refused["reason"]) for refused in report["refused"]] == [(1, True)]


def test_the_same_command_again_completes_it(cli: Cli) -> None:
    """What is there already is left as it is, and the rest is imported."""
    cli.add("bob@example.com", "keeper")
    name = csv(cli, *(f"{who}@example.com,{HASH},writer,,," for who in ("ann", "bob", "cleo")))
    assert cli.json("user", "import", name)["present"] == 1
    assert cli.json("user", "import", name) == {"dry_run": False, "imported": 0, "present": 3, "refused": []}
    assert addresses(cli) == ["ann@example.com", "bob@example.com", "cleo@example.com"]
    (bob,) = cli.json("user", "list", "--search", "bob")["subjects"]
    assert bob["roles"] == ["keeper"]
    taken = csv(cli, f"dora@example.com,{HASH},,{bob['id']},,")
    assert "another account has this id" in cli("user", "import", taken).stdout


@pytest.mark.parametrize("head", ["", "email", "email,password_hash,is_admin", "email,email,password_hash"])
def test_the_first_line_says_what_is_what(cli: Cli, head: str) -> None:
    """A CSV file without the right names is refused whole."""
    assert_refused(cli("user", "import", csv(cli, f"ann@example.com,{HASH},x", head=head)), 1, "first line")


def test_files_that_are_none(cli: Cli, tmp_path: Path) -> None:
    """Another encoding, broken quoting, another suffix, no file: told in one line."""
    (cli.folder / "latin.csv").write_bytes(b"email,password_hash\n\xe9@example.com,x\n")
    assert_refused(cli("user", "import", "latin.csv"), 1, "UTF-8")
    (cli.folder / "quotes.csv").write_text('email,password_hash\n"ann"x,y\n')
    assert_refused(cli("user", "import", "quotes.csv"), 1, "CSV")
    (cli.folder / "users.xlsx").write_text("x")
    assert cli("user", "import", "users.xlsx").returncode == 2
    assert cli("user", "import", "nowhere.csv").returncode == 2


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([HASH, "1e308", "9"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
_OBJECTS = st.fixed_dictionaries(
    {"email": st.just("ann@example.com") | _VALUES, "password_hash": st.just(HASH) | _VALUES},
    optional=dict.fromkeys(("roles", "id", "claims", "disabled", "created", "x"), _VALUES),
)
_CELLS = st.lists(st.text(max_size=8) | st.sampled_from([HASH, "ann@example.com", "true", "\0", '"']), max_size=7)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.lists(st.text(max_size=20) | _OBJECTS.map(json.dumps), max_size=4), st.lists(_CELLS, max_size=4)))
def test_whatever_is_in_the_file(tmp_path: Path, lines: list[Any]) -> None:
    """Each line is an account or a reason, or the file is refused; nothing else is ever raised."""
    world = World()
    deployment: Any = SimpleNamespace(accounts=world.accounts, account_store=world.store)
    text = "\n".join(line if isinstance(line, str) else ",".join(line) for line in lines)
    for name, head in (("users.jsonl", ""), ("users.csv", HEAD + "\n")):
        file = tmp_path / name
        file.write_bytes((head + text).encode("utf-8", "surrogatepass"))
        try:
            report = asyncio.run(user_import._checked(deployment, file))
        except Rejected:
            continue
        assert report.present == 0
        assert report.imported <= len(lines) * 20

"""What is wrong with a deployment is one line that says what to do, and nothing half-made is left behind."""

from __future__ import annotations

import socket
import sqlite3
from pathlib import Path

import pytest

from .conftest import Cli, assert_refused

EVERY = [("serve", "--port", "0"), ("migrate",), ("user", "list"), ("keys", "rotate"), ("sessions", "list", "x")]
STARTS = [("serve", "--port", "0"), ("migrate",)]


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "url", ["coatcheck.db", "mysql://ann:hunter2@db/x", "sqlite://coatcheck.db", "sqlite:///x.db?mode=ro", "://"]
)
def test_a_wrong_database_url(empty: Cli, url: str) -> None:
    """It is refused without being repeated, for it may hold a password."""
    done = empty("serve", "--port", "0", "--database", url)
    assert_refused(done, 2, "sqlite:///")
    assert "hunter2" not in done.stderr
    assert _files(empty.folder) == []


@pytest.mark.parametrize("command", STARTS, ids=lambda command: command[0])
def test_a_folder_that_is_not_there(empty: Cli, command: tuple[str, ...]) -> None:
    """A database is not made together with its folder: the path may be mistyped."""
    assert_refused(empty(*command, "--database", "sqlite:///no/such/folder/x.db"), 2, "no/such/folder")
    assert _files(empty.folder) == []


@pytest.mark.parametrize("command", STARTS, ids=lambda command: command[0])
def test_a_folder_that_is_a_file(empty: Cli, command: tuple[str, ...]) -> None:
    """Nor is a file taken for a folder, or changed."""
    (empty.folder / "file").write_text("mine")
    assert_refused(empty(*command, "--database", "sqlite:///file/x.db"), 2, "file")
    assert _files(empty.folder) == ["file"]
    assert (empty.folder / "file").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that nobody can write, as /proc is")
@pytest.mark.parametrize("command", STARTS, ids=lambda command: command[0])
def test_a_file_that_cannot_be_written(empty: Cli, command: tuple[str, ...]) -> None:
    """Even root cannot make files in /proc."""
    assert_refused(empty(*command, "--database", "sqlite:////proc/coatcheck.db"), 2, "/proc/coatcheck.db")


@pytest.mark.parametrize("command", EVERY[:3], ids=lambda command: command[0])
def test_a_file_that_the_system_does_not_let_us_have(empty: Cli, command: tuple[str, ...]) -> None:
    """Whatever its reason; here the name is too long."""
    assert_refused(empty(*command, "--database", f"sqlite:///{'x' * 300}.db"), 2, "xxx.db", "too long")
    assert _files(empty.folder) == []


@pytest.mark.parametrize("command", EVERY[:3], ids=lambda command: command[0])
def test_a_file_that_is_no_database(empty: Cli, command: tuple[str, ...]) -> None:
    """It is left as it was, and no secret appears beside it."""
    (empty.folder / "coatcheck.db").write_bytes(b"my shopping list\n" * 100)
    assert_refused(empty(*command), 2, "not a SQLite database")
    assert _files(empty.folder) == ["coatcheck.db"]
    assert (empty.folder / "coatcheck.db").read_bytes() == b"my shopping list\n" * 100


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command[0])
def test_a_newer_schema(cli: Cli, command: tuple[str, ...]) -> None:
    """An older program leaves a newer database alone."""
    connection = sqlite3.connect(cli.folder / "coatcheck.db")
    connection.execute("UPDATE coatcheck_schema SET version_num = '9999'")
    connection.commit()
    connection.close()
    before = _files(cli.folder)
    assert_refused(cli(*command), 2, "newer", "upgrade")
    assert _files(cli.folder) == before


@pytest.mark.parametrize("command", EVERY[2:], ids=lambda command: command[0])
def test_a_database_that_is_not_there(empty: Cli, command: tuple[str, ...]) -> None:
    """A command that works on a deployment does not make one out of a mistyped name."""
    assert_refused(empty(*command), 2, "coatcheck migrate")
    assert _files(empty.folder) == []


def test_a_missing_secret(cli: Cli) -> None:
    """The secret of a database that has keys is not made anew: every credential would be refused."""
    (cli.folder / "coatcheck.db.secret").unlink()
    before = _files(cli.folder)
    assert_refused(cli("serve", "--port", "0"), 2, "secret")
    assert _files(cli.folder) == before


@pytest.mark.parametrize("secret", ["short", f"{'x' * 32},short", ",", "   "])
def test_a_short_secret(empty: Cli, secret: str) -> None:
    """It is refused by its variable's name and never shown."""
    done = empty("serve", "--port", "0", COATCHECK_SECRET=secret)
    assert_refused(done, 2, "COATCHECK_SECRET", "openssl rand")
    assert "short" not in done.stderr
    assert _files(empty.folder) == []


def test_a_secret_file_open_to_others(cli: Cli) -> None:
    """The line names the command that mends it."""
    path = cli.folder / "coatcheck.db.secret"
    path.chmod(0o644)
    assert_refused(cli("serve", "--port", "0"), 2, "chmod 600")
    path.chmod(0o600)
    path.write_bytes(b"")
    assert_refused(cli("serve", "--port", "0"), 2, "empty")


def test_a_port_that_is_taken(empty: Cli) -> None:
    """It is found out before anything is made."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        assert_refused(empty("serve", "--port", port), 2, port, "--port")
    assert _files(empty.folder) == []


def test_plain_http_for_other_machines(empty: Cli) -> None:
    """It is refused, and the line says both ways out."""
    done = empty("serve", "--host", "0.0.0.0", "--port", "0")
    assert_refused(done, 2, "--tls-cert", "--trusted-proxies")
    assert _files(empty.folder) == []


def test_a_certificate_that_is_none(empty: Cli) -> None:
    """The file is named."""
    (empty.folder / "cert.pem").write_text("no certificate")
    assert_refused(empty("serve", "--port", "0", "--tls-cert", "cert.pem"), 2, "cert.pem")
    assert_refused(empty("serve", "--port", "0", "--tls-cert", "none.pem"), 2, "none.pem")
    assert _files(empty.folder) == ["cert.pem"]


def test_a_private_key_open_to_others(empty: Cli) -> None:
    """The line names the command that mends it."""
    for name in ("cert.pem", "key.pem"):
        (empty.folder / name).write_text("nothing yet")
        (empty.folder / name).chmod(0o644)
    done = empty("serve", "--port", "0", "--tls-cert", "cert.pem", "--tls-key", "key.pem")
    assert_refused(done, 2, "chmod 600 key.pem")


@pytest.mark.parametrize("url", ["memory://", "sqlite://"])
def test_memory_shared_by_workers(empty: Cli, url: str) -> None:
    """Each worker would have its own accounts and sessions."""
    assert_refused(empty("serve", "--port", "0", "--workers", "2", "--database", url), 2, "--workers 1")


def test_a_wrong_setting(empty: Cli) -> None:
    """Its name and where it came from are said, wherever that was."""
    (empty.folder / "c.toml").write_text("[policy]\nmax_stalenes = 3\n")
    done = empty("serve", "--config", "c.toml")
    assert_refused(done, 2, "policy.max_stalenes in c.toml", "did you mean policy.max_staleness?")
    assert_refused(empty("serve", "--port", "many"), 2, "--port must be a whole number")
    assert_refused(empty("user", "list", COATCHECK_WORKERS="0"), 2, "COATCHECK_WORKERS must be")
    assert _files(empty.folder) == ["c.toml"]


def test_a_database_that_is_locked(cli: Cli) -> None:
    """A store that does not answer has an exit code of its own."""
    connection = sqlite3.connect(cli.folder / "coatcheck.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        assert_refused(cli("keys", "rotate"), 3, "did not answer")
    finally:
        connection.close()

"""The worked example: a table, a route, a page, a command and a setting, by a package of somebody else's."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from coatcheck import Auth, Mode, blocking
from coatcheck.accounts import Argon2Profile, PasswordHasher
from coatcheck.errors import ConfigurationError, SchemaMismatch
from coatcheck.features.tables import remove_tables
from coatcheck.service.app import auth_app
from coatcheck.service.settings import load
from coatcheck.stores.sql import migrate
from tests.features.conftest import EXAMPLE
from tests.service.visitor import EMAIL, PASSWORD, Visitor
from tests.support.servers import PostgreSQL

SECRET = "a secret of the tests, 32 bytes or more"
OWN = {"sec-fetch-site": "same-origin"}


def hasher() -> PasswordHasher:
    return PasswordHasher(Argon2Profile(memory=8, passes=1, lanes=1))


def made(url: str, *features: Any) -> Auth:
    return Auth(url, secret=SECRET, password_hasher=hasher(), features=features)


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the core's tables."""
    if request.param == "sqlite":
        found = f"sqlite:///{tmp_path}/app.db"
    else:
        server: PostgreSQL = request.getfixturevalue("postgresql_server")
        found = server.url(server.create_database())
    await migrate(found)
    return found


async def prepared(url: str, *features: Any) -> None:
    """With the tables of these features, as `coatcheck migrate` makes them."""
    async with made(url) as auth:
        from coatcheck.features.tables import ensure_tables

        await ensure_tables(features, auth._running.store, migrate=True)


async def test_everything(url: str, notes: Any) -> None:
    """A person keeps notes by the API and on the page; nobody else sees them."""
    feature = notes.Notes(longest=20)
    await prepared(url, feature)
    async with made(url, feature) as auth:
        account = await auth.accounts.register(EMAIL, PASSWORD)
        credentials = await auth.login(account.id, mode=Mode.JWT)
        headers = OWN | {"authorization": f"Bearer {credentials.access_token}"}
        transport = httpx.ASGITransport(auth_app(auth))
        async with httpx.AsyncClient(transport=transport, base_url="https://auth.test", headers=OWN) as web:
            assert (await web.get("/api/notes")).status_code == 401
            answer = await web.post("/api/notes", json={"text": "buy oats"}, headers=headers)
            assert answer.json() == {"notes": ["buy oats"]}
            assert answer.headers["cache-control"] == "no-store"
            for body, status in (({"text": "x" * 21}, 422), ({"text": 7}, 422), ({"text": "a", "more": 1}, 422)):
                assert (await web.post("/api/notes", json=body, headers=headers)).status_code == status
        visitor = Visitor(auth)
        page = await visitor.log_in()
        assert '<a href="/auth/notes">Notes</a>' in page.html
        page = await visitor.get("/auth/notes")
        page = await visitor.submit(page.form("/auth/notes"), text="<b>call Ann</b>")
        assert "<b>call Ann</b>" in page.text
        assert await feature.of(auth, account.id) == ["buy oats", "<b>call Ann</b>"]
        assert await feature.of(auth, "nobody") == []


async def test_routes_that_are_off(url: str) -> None:
    """Without the feature there is neither route nor page nor link."""
    async with made(url) as auth:
        visitor = Visitor(auth)
        await auth.accounts.register(EMAIL, PASSWORD)
        page = await visitor.log_in()
        assert "Notes" not in page.text
        for path in ("/auth/notes", "/auth/api/notes"):
            await visitor.get(path)
            assert visitor.response.status_code == 404


async def test_added_and_removed(url: str, notes: Any) -> None:
    """It comes and goes on a live database, while a program without it runs, and nothing else is touched."""
    feature = notes.Notes()
    async with made(url) as old:
        account = await old.accounts.register(EMAIL, PASSWORD)
        session = await old.login(account.id)
        if url.startswith("postgresql"):
            with pytest.raises(SchemaMismatch, match="coatcheck migrate"):
                await made(url, feature).start()
        await prepared(url, feature)
        await prepared(url, feature)  # again
        async with made(url, feature) as new:
            await feature.keep(new, account.id, "mine")
            assert await new.sessions.find(session.session.id, now=new.clock.now()) is not None
            assert (await old.login(account.id)).session.subject == account.id
        assert await remove_tables(feature, old._running.store)
        assert not await remove_tables(feature, old._running.store)
        assert (await old.accounts.authenticate(EMAIL, PASSWORD)).subject == account.id
        await prepared(url, feature)
        async with made(url, feature) as new:
            assert await feature.of(new, account.id) == []


async def test_several_at_once(tmp_path: Path, notes: Any) -> None:
    """Processes that start together on one file make the tables once."""
    url = f"sqlite:///{tmp_path}/app.db"
    await migrate(url)
    several = [made(url, notes.Notes()) for _ in range(4)]
    await asyncio.gather(*(auth.start() for auth in several))
    for auth in several:
        await auth.close()


@pytest.mark.parametrize("order", [("notes", "tags"), ("tags", "notes")])
async def test_in_either_order(url: str, notes: Any, order: tuple[str, str], tmp_path: Path) -> None:
    """Two features' tables are made and removed in either order, and neither knows of the other."""
    from tests.features.tags import Tags

    features = {"notes": notes.Notes(), "tags": Tags()}
    for name in order:
        await prepared(url, features[name])
    async with made(url, *features.values()) as auth:
        await features["notes"].keep(auth, "ann", "mine")
    async with made(url) as auth:
        assert await remove_tables(features["tags"], auth._running.store)
    async with made(url, features["notes"]) as auth:
        assert await features["notes"].of(auth, "ann") == ["mine"]


async def test_a_newer_version_of_it(url: str, notes: Any) -> None:
    """Tables of a newer version of the feature are refused, not misread."""
    from sqlalchemy import text

    feature = notes.Notes()
    await prepared(url, feature)
    async with made(url) as auth:
        await auth.database.write(
            lambda tx: tx.execute(text("UPDATE coatcheck_notes_version SET version_num = '0099'"))
        )
    with pytest.raises(SchemaMismatch, match="newer version"):
        await made(url, feature).start()


def test_threads(tmp_path: Path, notes: Any) -> None:
    """The flavour for threads takes it as well."""
    feature = notes.Notes()
    url = f"sqlite:///{tmp_path}/app.db"
    with blocking.Auth(url, secret=SECRET, password_hasher=hasher(), features=[feature]) as auth:
        auth.run(lambda inner: feature.keep(inner, "ann", "mine"))
        assert auth.run(lambda inner: feature.of(inner, "ann")) == ["mine"]


def command(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}
    path = os.pathsep.join(filter(None, (str(EXAMPLE), environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-m", "coatcheck", *arguments], cwd=folder, capture_output=True, text=True, timeout=100,
        env=environ | {"PYTHONPATH": path} | more,
    )  # fmt: skip


def test_the_command(tmp_path: Path) -> None:
    """Installed, it is on the command line: its own command, its tables, its settings, and the doctor."""
    (tmp_path / "coatcheck.toml").write_text("[features.notes]\nlongest = 20\n")
    config = {"COATCHECK_CONFIG": "coatcheck.toml"}
    assert "notes" in command(tmp_path, "--help").stdout
    done = command(tmp_path, "migrate", **config)
    assert done.returncode == 0, done.stderr
    assert command(tmp_path, "notes").stdout == "0 notes\n"
    done = command(tmp_path, "migrate", "--without", "notes", **config)
    assert (done.returncode, "take it out first" in done.stderr) == (2, True)
    assert command(tmp_path, "migrate", "--without", "notes").stdout == "tables removed\n"
    assert command(tmp_path, "migrate", "--without", "notes").stdout == "there were none\n"
    done = command(tmp_path, "doctor", **config)
    assert done.returncode == 1
    assert "the feature notes has no tables here" in done.stdout


@pytest.mark.parametrize(
    ("text", "variables", "said"),
    [
        ("[features.nots]\n", {}, "there is no feature called nots"),
        ("[features.notes]\nlongets = 3\n", {}, "has no setting longets"),
        ("[features.notes]\nlongest = 'long'\n", {}, "longest"),
        ("[features.notes]\noff = 3\n", {}, "must be true or false"),
        ("[features.admin]\nrole = 'root'\n", {}, "features.admin has no settings"),
        ("[features]\nnotes = 3\n", {}, "are tables"),
        ("", {"COATCHECK_FEATURES_NOTS_LONGEST": "3"}, "is of no feature"),
        ("", {"COATCHECK_FEATURES_NOTES_LONGEST": "long"}, "COATCHECK_FEATURES_NOTES_LONGEST"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, text: str, variables: dict[str, str], said: str) -> None:
    """They are refused with one line that says which, and where it stands."""
    file = tmp_path / "coatcheck.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load({"config": str(file)}, variables)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_settings(tmp_path: Path) -> None:
    """The file names a feature and sets it up, a variable goes before it, and `off` turns off one that is on."""
    file = tmp_path / "coatcheck.toml"
    file.write_text("[features.notes]\nlongest = 20\n[features.admin]\noff = true\n")
    found = {feature.name: feature for feature in load({"config": str(file)}, {}).features}
    assert found.keys() == {"notes", "admin"}
    assert found["notes"].longest == 20  # type: ignore[attr-defined]
    found = {one.name: one for one in load({"config": str(file)}, {"COATCHECK_FEATURES_NOTES_LONGEST": "7"}).features}
    assert found["notes"].longest == 7  # type: ignore[attr-defined]


def test_fifty_lines() -> None:
    """It is as short as the page says, and the page shows it as it is."""
    source = (EXAMPLE / "coatcheck_notes" / "__init__.py").read_text()
    lines = [line for line in source.splitlines() if line.strip() and not line.strip().startswith('"""')]
    assert len(lines) <= 65
    page = (Path(__file__).parents[2] / "docs" / "features.md").read_text()
    for file in ("__init__.py", "migrations/versions/v0001.py", "templates/notes.html"):
        assert (EXAMPLE / "coatcheck_notes" / file).read_text() in page

"""The suite for features, on the service's own, on the example, and on features that break it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Column, MetaData, Table, Text

from coatcheck import Auth, blocking, maintenance
from coatcheck.accounts import Argon2Profile, PasswordHasher
from coatcheck.errors import ConfigurationError
from coatcheck.events import Act, SecurityEvent
from coatcheck.features import Feature, Finding, Off
from coatcheck.features.admin import Admin
from coatcheck.features.devices import Devices
from coatcheck.features.introspection import Introspection
from coatcheck.features.registration import Registration
from coatcheck.features.registry import BUILT_IN, features_of, kind_of
from coatcheck.features.tables import remove_tables
from coatcheck.service.app import auth_app
from coatcheck.testing import FeatureContract
from tests.features.tags import Tags
from tests.support.patience import PATIENCE
from tests.support.second_password import SecondPassword


class TestNotes(FeatureContract):
    routes: Mapping[str, Any] = {"/api/notes": {"text": "buy oats"}}

    @pytest.fixture
    def feature(self, notes: Any) -> Feature:
        made: Feature = notes.Notes()
        return made


class TestTags(FeatureContract):
    @pytest.fixture
    def feature(self) -> Feature:
        return Tags()


class TestOwn(FeatureContract):
    @pytest.fixture(params=[Admin, Devices, Introspection, Registration])
    def feature(self, request: pytest.FixtureRequest) -> Feature:
        made: Feature = request.param()
        return made


class Everything(Feature):
    """Contributes what the others do not."""

    name = "everything"

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def start(self, auth: Auth) -> None:
        self.seen.append("start")

    async def stop(self) -> None:
        self.seen.append("stop")

    async def upkeep(self, auth: Auth) -> None:
        self.seen.append("upkeep")

    def happened(self, event: SecurityEvent) -> None:
        self.seen.append(event.name)

    def steps(self) -> Sequence[SecondPassword]:
        return (SecondPassword(),)

    async def checks(self, auth: Auth) -> Sequence[Finding]:
        return (Finding(True, "it is there"),)


def made(tmp_path: Path, *features: Any) -> Auth:
    cheap = PasswordHasher(Argon2Profile(memory=8, passes=1, lanes=1))
    return Auth(f"sqlite:///{tmp_path}/app.db", password_hasher=cheap, features=features)


async def test_what_it_is_called_for(tmp_path: Path) -> None:
    """It starts and stops with the Auth, hears of everything, and its steps are steps of logins."""
    feature = Everything()
    async with made(tmp_path, feature) as auth:
        assert [step.method for step in auth.steps] == ["second_password"]
        await auth.revoke_subject("nobody")
    assert feature.seen == ["key.added", "start", "subject.cut_off", "stop"]


async def test_one_that_cannot_start(tmp_path: Path) -> None:
    """Then nothing starts, and nothing is left open: those that had started are stopped, the last one first, and no
    other, for which there is nothing to stop."""
    stopped: list[str] = []

    class Named(Feature):
        def __init__(self, name: str) -> None:
            self.name = name

        async def stop(self) -> None:
            stopped.append(self.name)

    class Stubborn(Named):
        async def start(self, auth: Auth) -> None:
            raise ConfigurationError("name the mail server")

    auth = made(tmp_path, Named("first"), Named("second"), Stubborn("third"), Named("fourth"))
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="mail server"):
            await auth.start()
        assert not auth.is_running
    assert stopped == ["second", "first"] * 2
    async with made(tmp_path) as again:
        assert again.is_running


async def test_upkeep_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, called again and ends nothing; and none is called once its feature is stopped."""
    monkeypatch.setattr(maintenance, "_PRUNE_EVERY", 0.001)
    seen: list[str] = []
    often = asyncio.Event()

    class Broken(Feature):
        name = "broken"

        async def upkeep(self, auth: Auth) -> None:
            seen.append("begun")
            if seen.count("begun") == 3:
                often.set()
            if often.is_set():  # under way when the Auth is closed
                await asyncio.sleep(3600)
            raise IndexError("of an empty list")

        async def stop(self) -> None:
            seen.append("stop")

    async with made(tmp_path, Broken()) as auth:
        await asyncio.wait_for(often.wait(), PATIENCE)
        assert auth.is_running
    assert seen == ["begun", "begun", "begun", "stop"]
    assert "the upkeep of the feature broken failed" in caplog.text


class Misnamed(Feature):
    name = "No Name"


class Tables(Tags):
    name = "others"


def telling(name: str, *acts: str) -> Feature:
    feature = type(name, (Feature,), {"name": name, "acts": tuple(Act(act, "it happens") for act in acts)})
    return feature()


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (Tags(), "is a list"),
        ([Tags], "name objects"),
        (["admin"], "is no feature"),
        ([Feature()], "is no name"),
        ([Misnamed()], "is no name"),
        ([Tags(), Tags()], "two features called tags"),
        ([Tables()], "must begin with coatcheck_others"),
        ([telling("some", "session.started")], "Coatcheck has an act session.started already, and so has some"),
        ([telling("some", "a.b"), telling("more", "a.b")], "some has an act a.b already, and so has more"),
    ],
)
def test_what_is_refused(features: Any, said: str) -> None:
    """What is no feature is refused where the Auth is made, in one line."""
    with pytest.raises(ConfigurationError, match=said):
        Auth("memory://", features=features)


async def test_tables_without_a_database() -> None:
    """A feature with tables needs SQL, and says so."""
    with pytest.raises(ConfigurationError, match="SQL database"):
        await Auth("memory://", features=[Tags()]).start()


def with_tables(name: str, *tables: str) -> Feature:
    metadata = MetaData()
    for table in tables:
        Table(table, metadata, Column("name", Text))
    feature = type(name, (Feature,), {"name": name, "tables": replace(Tags.tables, metadata=metadata)})
    return feature()


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ([with_tables("sessions", "coatcheck_sessions")], "Coatcheck has a table coatcheck_sessions"),
        ([with_tables("schema", "coatcheck_schema")], "Coatcheck has a table coatcheck_schema"),
        (
            [with_tables("notes", "coatcheck_notes_tags"), with_tables("notes_tags", "coatcheck_notes_tags")],
            "notes has a table coatcheck_notes_tags already, and so has notes_tags",
        ),
        (
            [with_tables("notes", "coatcheck_notes"), with_tables("notes_version", "coatcheck_notes_version")],
            "notes has a table coatcheck_notes_version already",
        ),
    ],
)
async def test_tables_of_somebody_else(features: list[Feature], said: str, tmp_path: Path) -> None:
    """A feature gets no table of Coatcheck's or of another feature's, and takes none away."""
    with pytest.raises(ConfigurationError, match=said):
        await made(tmp_path, *features).start()
    if len(features) == 1:
        async with made(tmp_path) as auth:
            with pytest.raises(ConfigurationError, match=said):
                await remove_tables(features[0], auth._running.store)
            await auth.revoke_subject("ann")


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_the_services_own_need_no_start(name: str) -> None:
    """Nobody starts what the service has of itself, so that it may have nothing which only a start brings."""
    kind, nothing = kind_of(name), Feature()
    for part in ("start", "stop", "upkeep", "happened", "steps", "checks"):
        assert getattr(kind, part) is getattr(Feature, part), part
    assert (kind.tables, kind.acts, kind.Settings) == (nothing.tables, nothing.acts, nothing.Settings)


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_the_services_own(name: str) -> None:
    """They are on of themselves, one can be left out, and another one can take its place."""
    assert name in {feature.name for feature in features_of(Auth("memory://"))}
    assert name not in {feature.name for feature in features_of(Auth("memory://", features=[Off(name)]))}
    other = type("Other", (Feature,), {"name": name})()
    assert other in features_of(Auth("memory://", features=[other]))


def test_one_that_is_not_there_cannot_be_off() -> None:
    """Who misspells what is to be left out is told, and does not serve it."""
    with pytest.raises(ConfigurationError, match="nothing called admni is on"):
        auth_app(Auth("memory://", features=[Off("admni")]))


def test_what_is_no_feature_is_not_shown() -> None:
    """It may be a secret in the wrong place."""
    with pytest.raises(ConfigurationError) as refused:
        Auth("memory://", features=["smtp://ann:hunter2@mail.example"])  # type: ignore[list-item]
    assert "hunter2" not in str(refused.value)


def test_any_iterable() -> None:
    """Features may come from a generator, in both flavours."""
    for flavour in (Auth, blocking.Auth):
        made = flavour("memory://", features=(kind() for kind in (Everything,)))  # type: ignore[arg-type]
        assert [feature.name for feature in made.features] == ["everything"]


def test_two_answers_to_one_address() -> None:
    """A route that is there already is refused: nobody would ever reach it."""

    class Thief(Registration):
        name = "thief"

    with pytest.raises(ConfigurationError, match="two features answer POST /register"):
        auth_app(Auth("memory://", features=[Thief()]))


async def test_two_services_in_one_process(tmp_path: Path) -> None:
    """A feature that takes the place of another does so in its own service, and leaves the pages of others alone."""

    class Other(Registration):
        templates = "coatcheck_notes"

    async with made(tmp_path) as auth:
        own = auth_app(auth)
        auth_app(Auth("memory://", features=[Other()]))
        transport = httpx.ASGITransport(own)
        async with httpx.AsyncClient(transport=transport, base_url="https://auth.example") as web:
            page = await web.get("/signup")
    assert page.status_code == 200
    assert "Create your account" in page.text


class Loose(Feature):
    """Takes whatever comes."""

    name = "loose"

    def routes(self, auth: Auth, keys: Any) -> Any:
        from starlette.responses import JSONResponse
        from starlette.routing import Route

        async def answer(request: Any) -> Any:
            return JSONResponse({})

        return [Route("/loose", answer, methods=["POST"])]


@pytest.mark.parametrize("name", ["test_who_may", "test_bodies_that_are_wrong"])
async def test_the_suite_can_fail(name: str, tmp_path: Path) -> None:
    """A feature that lets everybody in and reads any body does not pass."""
    suite = FeatureContract()
    suite.routes = {"/loose": {"text": "x"}}
    with pytest.raises(AssertionError):
        await getattr(suite, name)(Loose(), f"sqlite:///{tmp_path}/app.db")

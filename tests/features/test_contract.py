"""The suite for features, on the service's own, on the example, and on features that break it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from coatcheck import Auth, blocking
from coatcheck.accounts import Argon2Profile, PasswordHasher
from coatcheck.errors import ConfigurationError
from coatcheck.events import SecurityEvent
from coatcheck.features import Feature, Finding, Off
from coatcheck.features.admin import Admin
from coatcheck.features.devices import Devices
from coatcheck.features.introspection import Introspection
from coatcheck.features.registration import Registration
from coatcheck.features.registry import BUILT_IN, features_of
from coatcheck.service.app import auth_app
from coatcheck.testing import FeatureContract
from tests.features.tags import Tags
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
    """Then nothing starts, and nothing is left open."""

    class Stubborn(Everything):
        async def start(self, auth: Auth) -> None:
            raise ConfigurationError("name the mail server")

    auth = made(tmp_path, Stubborn())
    with pytest.raises(ConfigurationError, match="mail server"):
        await auth.start()
    assert not auth.is_running
    async with made(tmp_path) as again:
        assert again.is_running


class Misnamed(Feature):
    name = "No Name"


class Tables(Tags):
    name = "others"


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

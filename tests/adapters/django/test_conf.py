"""Settings: refused where they cannot mean anything, and few needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.http import HttpResponse
from django.test import override_settings

from coatcheck import SubjectFacts
from coatcheck.blocking import Auth, RemoteVerifier
from coatcheck.credentials.transport import bearer
from coatcheck.django import AuthMiddleware, DjangoUsers, conf
from coatcheck.django import auth as imported
from coatcheck.django.users import CoatcheckUsers, Nobody, Person
from coatcheck.errors import ConfigurationError
from coatcheck.model import Identity, Mode
from tests.adapters.django.browser import Browser
from tests.support.service import PATIENCE, environment

given = Auth("memory://")
remote = RemoteVerifier("https://auth.example/auth", service_key="k" * 40)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ur": "memory://"}, "did you mean 'url'"),
        ({"zzz": 1}, "no setting"),
        ([], "dictionary"),
        ({"auth": "nowhere.at.all"}, "nowhere"),
        ({"auth": "coatcheck.django.auth"}, "blocking.Auth or RemoteVerifier"),
        ({"auth": object()}, "blocking.Auth or RemoteVerifier"),
        ({"auth": given, "url": "memory://"}, "give url to it"),
        ({"users": "coatcheck", "facts": len}, "facts.* is for Django"),
        ({"facts": 1}, "callable"),
        ({"users": "no.such.source"}, "no"),
    ],
)
def test_refused(settings: Any, said: str) -> None:
    """What is wrong is named, with what to do."""
    with override_settings(COATCHECK=settings), pytest.raises(ConfigurationError, match=said):
        conf.made()


def test_nothing_set(tmp_path: Path) -> None:
    """Without any setting there is a SQLite file in BASE_DIR with a secret beside it, and Django's users."""
    with override_settings(COATCHECK={}, BASE_DIR=tmp_path):
        made = conf.made()
        assert isinstance(made.users, DjangoUsers)
        conf.auth().start()
        assert {file.name for file in tmp_path.iterdir()} >= {"coatcheck.db", "coatcheck.db.secret"}
        assert conf.auth() is conf.knower()
    assert conf.auth() is not made.knower


def facts(user: Any) -> SubjectFacts:
    """For the dotted path below."""
    return SubjectFacts(roles=frozenset({"everybody"}), claims={"name": user.username})


HERE = "tests.adapters.django.test_conf"


def test_dotted_paths(ann: Any) -> None:
    """Objects may be named by where they are."""
    with override_settings(COATCHECK={"auth": f"{HERE}.given"}):
        assert conf.auth() is given
    with override_settings(COATCHECK={"auth": f"{HERE}.remote"}):
        assert conf.knower() is remote
        with pytest.raises(ConfigurationError, match="RemoteVerifier"):
            conf.auth()
    with override_settings(COATCHECK={"url": "memory://", "facts": f"{HERE}.facts"}):
        found = conf.auth().run(lambda inner: inner.subjects.facts(str(ann.pk)))
        assert found is not None
        assert (found.roles, found.claims) == ({"everybody"}, {"name": ann.username})


@pytest.mark.parametrize("chosen", [{"url": "memory://", "users": "coatcheck"}])
def test_own_accounts(browser: Browser, auth: Auth) -> None:
    """With our own accounts `request.user` is a small user for templates and decorators, and no admin."""
    body = {"email": "ann@example.com", "password": "nine brown owls", "mode": "session"}
    answer = browser.post("/auth/register", body, content_type="application/json", headers={"Sec-Fetch-Site": "none"})
    subject = answer.json()["subject"]["id"]
    assert browser.who() == subject
    assert browser.get("/touched").json() == {"name": subject, "active": True, "known": True}
    assert browser.get("/touched-async").json()["name"] == subject
    assert browser.get("/page").content.decode() == f"{subject} {subject}"
    assert browser.get("/admin/").status_code == 302
    assert b"Log out" in browser.get("/auth/account").content


@pytest.mark.parametrize("chosen", [{"url": "memory://", "users": lambda subject: SubjectFacts(roles=frozenset("a"))}])
def test_any_source(browser: Browser, auth: Auth) -> None:
    """Any source of subjects may be given."""
    made = auth.login("somebody", mode=Mode.JWT)
    browser.bearer = made.access_token or ""
    assert browser.get("/mine").json() == {"subject": "somebody", "roles": ["a"]}


def test_person() -> None:
    """What templates and other applications ask of a user, it answers, and grants nothing of Django's."""
    identity = Identity(
        subject="s", session_id="x", roles=frozenset({"a"}), claims={}, auth_time=0, amr=(), mode=Mode.JWT
    )
    person, nobody = Person(identity), Nobody()
    assert (person.pk, person.id, str(person), person.get_username()) == ("s", "s", "s", "s")
    assert person.is_authenticated
    assert person.has_role("a")
    assert not person.has_role("b")
    assert (person.is_anonymous, person.is_staff, person.is_superuser) == (False, False, False)
    assert (person.has_perm("x"), person.has_perms(["x"]), person.has_module_perms("x")) == (False, False, False)
    assert (nobody.pk, nobody.get_username(), nobody.is_authenticated, nobody.has_role("a")) == (None, "", False, False)


def test_without_djangos_users() -> None:
    """Where django.contrib.auth is not installed, the users are ours, and Django's cannot be asked for."""
    installed = ["coatcheck.django"]
    with override_settings(INSTALLED_APPS=installed, COATCHECK={"url": "memory://"}):
        assert not apps.is_installed("django.contrib.auth")
        assert isinstance(conf.made().users, CoatcheckUsers)
    with (
        override_settings(INSTALLED_APPS=installed, COATCHECK={"url": "memory://", "users": "django"}),
        pytest.raises(ConfigurationError, match="not in INSTALLED_APPS"),
    ):
        conf.made()


@pytest.mark.parametrize("users", ["django", "coatcheck"])
def test_not_installed(users: str) -> None:
    """The middleware alone is refused: nobody would hear of a user who is deactivated, and no check would say so."""
    chosen = {"url": "memory://", "users": users}
    with (
        override_settings(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"], COATCHECK=chosen),
        pytest.raises(ConfigurationError, match="to INSTALLED_APPS"),
    ):
        AuthMiddleware(lambda request: HttpResponse())


def test_secret_key_is_never_used() -> None:
    """No line of the adapter reads it, but for the check that warns of it."""
    folder = Path(conf.__file__).parent
    for file in folder.rglob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
        assert "SECRET_KEY" not in names or file.name == "checks.py"


def test_imported_auth(tmp_path: Path) -> None:
    """What a module has imported is the one of the settings that count now, and opens no other's database."""
    real = tmp_path / "real.db"
    with override_settings(COATCHECK={"url": f"sqlite:///{real}", "users": "coatcheck"}):
        assert imported == conf.auth()
        with override_settings(COATCHECK={"url": "memory://", "users": "coatcheck"}):
            made = imported.login(imported.run(_register).id, mode=Mode.JWT)
            assert imported.profile(imported.verify(bearer(made.access_token or ""))).email == "ann@example.com"
            assert imported == conf.auth()
            assert hash(imported) == hash(conf.auth())
            assert imported.policy is conf.auth().policy
            with imported as running:
                assert running is conf.auth()
        assert not real.exists()
    with override_settings(COATCHECK={"nonsense": 1}):
        assert isinstance(imported, Auth)
        assert repr(imported) == "<the Auth of COATCHECK>"
        assert imported == imported
        with pytest.raises(ConfigurationError, match="nonsense"):
            imported.policy  # noqa: B018 - it raises


async def _register(inner: Any) -> Any:
    return await inner.accounts.register("ann@example.com", "nine brown owls")


def test_importing_reads_no_settings() -> None:
    """`from coatcheck.django import auth` works where there are none yet."""
    program = (
        "from coatcheck.django import auth, Auth; assert isinstance(auth, Auth); import inspect; inspect.unwrap(auth)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=environment(), timeout=PATIENCE)

"""What the documentation says of numbers, settings, routes and stored secrets is what the code does."""

from __future__ import annotations

import asyncio
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from coatcheck import ApplicationSubjects, Auth, CoatcheckError, Lifetimes, Mode, Policy
from coatcheck.accounts import PROFILES, Limits, Rate
from coatcheck.accounts.passwords import MAX_BYTES, MAX_LENGTH, MIN_LENGTH
from coatcheck.adapters import problems
from coatcheck.adapters.problems import Problem
from coatcheck.cli import root
from coatcheck.errors import LoginTooOld, StepRequired, Throttled
from coatcheck.service.app import auth_app
from coatcheck.service.settings import READERS, Settings
from coatcheck.web import refusals
from tests.docs.pages import ROOT

_CODE = re.compile(r"`([^`]+)`")
_UNITS = {"minute": 60, "minutes": 60, "hour": 3600, "hours": 3600}


def text_of(page: str) -> str:
    return (ROOT / "docs" / page).read_text("utf-8")


def rows_of(page: str, columns: int) -> list[list[str]]:
    """The cells of every table row with this many columns."""
    lines = [line.strip() for line in text_of(page).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    return [row for row in rows if len(row) == columns and not row[0].startswith("---")]


def shown(value: Any) -> str:
    """A default as the documentation writes it."""
    if value in (None, (), ""):
        return "none"
    if isinstance(value, tuple):
        return "`" + ",".join(value) + "`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def policy_defaults() -> dict[str, Any]:
    """Every setting of the policy by its dotted name."""
    found: dict[str, Any] = {}
    for item in fields(Policy):
        value = getattr(Policy(), item.name)
        if item.name in READERS:
            continue  # the service has it by this name
        if isinstance(value, Lifetimes):
            found |= {f"policy.{item.name}.{part.name}": getattr(value, part.name) for part in fields(Lifetimes)}
        else:
            found[f"policy.{item.name}"] = value
    return found


def defaults() -> dict[str, Any]:
    """The same for the service; the two spellings of the secret have none."""
    settings = Settings()
    plain = {
        name: getattr(settings, name.replace(".", "_"), None) for name in READERS if not name.startswith("policy.")
    }
    return plain | policy_defaults()


def plainly(value: str) -> str:
    """Without the spelling of a float that %g chooses for large numbers."""
    return f"`{int(float(value.strip('`')))}`" if "e+" in value else value


def test_every_setting() -> None:
    """settings.md names every setting with its variable and its default, and no other."""
    documented = {row[0].strip("`"): row for row in rows_of("settings.md", 4) if row[0] != "setting"}
    assert documented.keys() == READERS.keys()
    for name, default in defaults().items():
        _, variable, said, reason = documented[name]
        assert variable == f"`COATCHECK_{name.upper().replace('.', '_')}`"
        assert said == plainly(shown(default)), name
        assert len(reason) > 20


def test_lifetimes() -> None:
    """lifetimes.md states every lifetime as it is by default, in seconds and in words."""
    code, words = policy_defaults(), {"s": 1, "min": 60, "h": 3600, "d": 86400}
    rows = [row for row in rows_of("lifetimes.md", 4) if row[1].startswith("`")]
    named = {row[1].strip("`") for row in rows}
    assert {name for name in code if name.endswith((".idle", ".absolute"))} <= named
    assert {"policy.access_lifetime", "policy.reuse_window", "policy.max_staleness", "policy.key_lead"} <= named
    for _, name, default, said in rows:
        assert float(default.removesuffix(" s")) == code[name.strip("`")], name
        if said:
            number, unit = said.split()[:2]
            assert int(number) * words[unit] == code[name.strip("`")], name


def test_other_pages_agree() -> None:
    """The numbers that other pages repeat are the defaults."""
    policy = Policy()
    assert (policy.max_staleness, policy.access_lifetime, policy.reuse_window) == (2, 900, 30)
    for page, phrase in (
        ("revocation.md", "2 seconds unless you change it"),
        ("refresh.md", "lives 15 minutes"),
        ("refresh.md", "The reuse window is 30 seconds"),
        ("modes.md", "30 min and 12 h; with `remember` 14 d and 30 d"),
    ):
        assert phrase in text_of(page), page
    assert "`max_staleness` is 2 seconds" in (ROOT / "README.md").read_text("utf-8")


def test_every_limit() -> None:
    """accounts.md names every limit with its key and its default, and how long a network stays known."""
    limits = Limits()
    rates = {item.name: getattr(limits, item.name) for item in fields(Limits)}
    documented = {row[0].strip("`"): row for row in rows_of("accounts.md", 4)}
    for name, rate in rates.items():
        if isinstance(rate, Rate):
            match = re.fullmatch(r"(\d+) in (\d+) (\w+)", documented[name][2])
            assert match, name
            assert (int(match[1]), int(match[2]) * _UNITS[match[3]]) == (rate.count, rate.seconds), name
            assert documented[name][1], name
    assert rates["known_network"] == 30 * 86400
    assert "within\nthe last 30 days" in text_of("accounts.md")


def test_password_rules() -> None:
    """accounts.md states the bounds of a password and the cost of every profile."""
    rules = {row[0]: row[1] for row in rows_of("accounts.md", 2)}
    assert rules["least length"].startswith(f"{MIN_LENGTH} characters")
    assert rules["greatest length"] == f"{MAX_LENGTH} characters, and {MAX_BYTES:,} bytes"
    profiles = {row[0].split(",")[0].strip("`"): row[1:4] for row in rows_of("accounts.md", 5)}
    for name, profile in PROFILES.items():
        number, unit = profiles[name][0].split()
        assert int(number) * {"MiB": 1024, "GiB": 1024 * 1024}[unit] == profile.memory
        assert profiles[name][1:] == [str(profile.passes), str(profile.lanes)]


async def test_every_route() -> None:
    """http-api.md names every route of the OpenAPI document, and those without accounts are as it says."""
    documented = {
        f"{row[0].split()[0]} {path}"
        for row in rows_of("http-api.md", 4)
        for path in _CODE.findall(row[0])
        if path.startswith("/")
    }
    assert documented == routes_of(Auth("memory://"))
    without = documented - routes_of(Auth("memory://", subjects=lambda subject: None))
    assert without == {
        "POST /register", "POST /login", "POST /reauthenticate", "POST /password",
        "GET /admin/subjects", "GET /admin/subjects/{id}", "PATCH /admin/subjects/{id}", "POST /admin/invitations",
    }  # fmt: skip


def routes_of(auth: Auth) -> set[str]:
    paths = auth_app(auth, service_keys=["a-key-of-the-tests-0123456789-abc"]).openapi()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def test_every_way_to_authenticate() -> None:
    """accounts.md names every route and every form that takes a password, a token or a key (ASVS 6.1.3)."""
    ways = "\n".join(row[0] for row in rows_of("accounts.md", 3))
    document = auth_app(Auth("memory://")).openapi()["paths"]
    taking = [path for path, methods in document.items() if any(secret in str(methods) for secret in _SECRETS)]
    assert {"/login", "/register", "/refresh", "/introspect"} <= set(taking)
    for path in set(taking) - {"/revoke"}:  # which ends a token and lets nobody in
        assert re.search(f"`(POST|GET) /auth{path}`", ways), path
    for form in ("/auth/login", "/auth/signup", "/auth/account/password"):
        assert f"`{form}`" in ways


_SECRETS = ("'password'", "'current_password'", "'refresh_token': {'type'", "serviceKey")


def test_every_code() -> None:
    """http-api.md names every code with the status it comes with."""
    documented = {(status, code) for row in rows_of("http-api.md", 3) for status in row[0].split(", ")
                  for code in _CODE.findall(row[1])}  # fmt: skip
    known = [value for module in (problems, refusals) for value in vars(module).values() if isinstance(value, Problem)]
    known += [*refusals.BY_STATUS.values(), refusals.invalid_request("").problem]
    known += [problems.problem_of(error) for error in _every_error()]
    assert len(known) > 20
    for problem in known:
        assert (str(problem.status), problem.code) in documented, problem


def _one(kind: Any) -> CoatcheckError:
    made: CoatcheckError
    if kind is StepRequired:
        made = StepRequired(("totp",), "cca_", expires_in=300)
    else:
        made = kind(1) if kind in (Throttled, LoginTooOld) else kind("why")
    return made


def _every_error() -> list[CoatcheckError]:
    found, waiting = list[CoatcheckError](), CoatcheckError.__subclasses__()
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__ == "coatcheck.errors":
            found.append(_one(kind))
    return found


async def test_number_of_sessions() -> None:
    """As lifetimes.md says, a subject has a hundred sessions, also when many log in at once (ASVS 7.1.2)."""
    assert "may have 100 sessions" in text_of("lifetimes.md")
    async with Auth("memory://", subjects=ApplicationSubjects()) as auth:
        made = await asyncio.gather(*(auth.login("ann", mode=Mode.JWT) for _ in range(150)))
        page = await auth.sessions.sessions_of("ann", now=auth.clock.now(), limit=200)
        assert len(page.sessions) == 100
        assert {session.id for session in page.sessions} < {one.session.id for one in made}


def test_commands() -> None:
    """cli.md shows every command."""
    page = text_of("cli.md")
    for name in root.list_commands(None):  # type: ignore[arg-type]
        assert name in page, name


async def test_forms_of_credentials(tmp_path: Path) -> None:
    """credentials.md gives their lengths and a pattern that finds them; none of them is in the database."""
    path = tmp_path / "app.db"
    pattern = re.compile(_CODE.findall(text_of("credentials.md").partition("secret scanner")[2])[0])
    async with Auth(f"sqlite:///{path}") as auth:
        account = await auth.accounts.register("ann@example.com", "nine brown owls")
        web = await auth.login(account.id, mode=Mode.SESSION)
        app = await auth.login(account.id, mode=Mode.JWT)
        held = [web.session_token, web.csrf_token, app.access_token, app.refresh_token]
    for token, size in ((web.session_token, 56), (app.refresh_token, 64), (web.csrf_token, 48)):
        assert token is not None
        assert pattern.fullmatch(token)
        assert f"`{token[:4]}` and {size} characters" in text_of("credentials.md")
        assert len(token) == 4 + size
    stored = path.read_bytes()  # closing has written everything into it
    assert web.session.id.encode() in stored
    for token in held:
        assert token is not None
        assert token[-32:].encode() not in stored


@pytest.mark.parametrize("name", ["serve", "test"])
def test_first_screen(name: str) -> None:
    """The README's first screen has both commands, and the Makefile has both targets."""
    first = "\n".join((ROOT / "README.md").read_text("utf-8").splitlines()[:20])
    assert f"make {name}" in first
    assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text("utf-8"), re.M)

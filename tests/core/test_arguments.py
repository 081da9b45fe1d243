"""Every public function says the same of an argument that cannot be meant, and nothing has happened."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import inspect
import pickle
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
import pytest_asyncio

from coatcheck import (
    Access,
    ApplicationSubjects,
    Auth,
    ConfigurationError,
    Device,
    Kind,
    Login,
    Mode,
    Policy,
    Rejected,
    RemoteVerifier,
    Site,
    SubjectFacts,
    bearer,
    blocking,
)
from coatcheck.accounts import Accounts, Logins, PasswordHasher, PasswordPolicy
from coatcheck.accounts.passwords import Argon2Profile
from coatcheck.arguments import MAX_SUBJECT
from coatcheck.features import Feature
from coatcheck.issuer import Issuer
from coatcheck.policy import Lifetimes
from coatcheck.revocation import Revocation
from tests.accounts.support import CHEAP

PASSWORD: Final = "nine brown owls"
SERVICE_KEY: Final = "kJ8sQ2mZ5vX1pR7tY4wN0bL3cF6hG9dA"
_NOT_TEXT: Final[tuple[Any, ...]] = (7, UUID(int=7), b"ann", True, ["ann"])
_WHEN: Final = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_WRONG: Final[dict[str, tuple[Any, ...]]] = {
    "str": (*_NOT_TEXT, None),
    "str | None": _NOT_TEXT,
    "float": ("1", _WHEN, datetime.timedelta(days=1), True, None),
    "float | None": ("1", _WHEN, _WHEN.replace(tzinfo=None), True, float("nan")),
    "int": ("1", 1.5, True, None),
    "int | None": ("1", 1.5, True),
    "bool": (1, "no", None),
    "Access": (None, 7, "key", Kind.KEY, {}),
    "Iterable[Kind | str]": (None, 7, Kind.KEY, "key", ["keys"], [None]),
    "tuple[Kind, ...]": ("login", b"login", 7, None, ("logins",), Kind.LOGIN),
    "Iterable[str]": ("admin", b"admin", 7, [7], [None]),
    "tuple[str, ...]": ("pwd", 7, (7,)),
    "Mode | str | None": ("cookie", 7, "", b"jwt", ["jwt"]),
    "Device | None": ("phone", {}, 0),
    "Mapping[str, Any] | None": (7, "data", [1]),
    "Credential": ("token", None, 7),
    "Identity": ("ann", None, 7),
    "tuple[Mode, ...]": ("jwt", b"jwt", 7, None, ("cookie",), datetime.timedelta(days=1)),
    "Lifetimes": (7.0, (1, 2), None, {"idle": 1, "absolute": 2}),
    "Literal['open', 'invited', 'closed']": ("Open", 7, None, b"open", ["open"]),
    "Addresses": ("Masked", 7, None, b"none", ["none"], True),
    "str | Store | KeyedSessions": (None, 7, b"memory://", Path("app.db"), {}, object()),
    "str | SessionStore | None": (7, b"memory://", Path("app.db"), {}, object()),
    "str | bytes | Sequence[str | bytes] | None": (7, [7], [None], {}, {"a" * 32}),
    "Policy | None": ({}, 7, "policy", False, Policy),
    "PasswordPolicy | None": (7, {}, "policy", False),
    "PasswordHasher | None": (7, {}, "argon2", False),
    "Clock | None": (7, time.time, "clock", False),
    "Sequence[Feature]": (7, None, "admin", {"admin": True}, [7], [Feature], Feature(), b"admin"),
    "Given": (7, "subjects", {}, False, ApplicationSubjects),
    "ssl.SSLContext | None": (True, False, "ca.pem", 7),
    "Argon2Profile": (7, None, "owasp", (1, 2, 3)),
    "SubjectHook | None": (7, "hook", SubjectFacts()),
    "PasswordCheck | None": (7, "check", True),
}
"""By how a parameter is declared. A new public function is tried without being named here."""
_LEFT_OUT: Final = {
    # The way of every request, which gets no step more; what is no Credential has no key, and is nobody.
    ("Auth", "verify"),
    # Of frameworks, which hand in what they like.
    ("Auth", "lifespan"),
    # What other parts of the library call: the protocols of `coatcheck.subjects` and pages.
    ("Accounts", "facts"),
    ("Accounts", "login_of"),
    ("Accounts", "login_of_subject"),
    ("Accounts", "replace_hash"),
}
_MADE: Final[dict[Any, dict[str, Any]]] = {
    Auth: {},
    blocking.Auth: {},
    RemoteVerifier: {"url": "https://auth.example.com", "service_key": SERVICE_KEY},
    blocking.RemoteVerifier: {"url": "https://auth.example.com", "service_key": SERVICE_KEY},
    Policy: {},
    Lifetimes: {"idle": 1.0, "absolute": 2.0},
    PasswordPolicy: {},
    PasswordHasher: {},
    Argon2Profile: {"memory": 8, "passes": 1, "lanes": 1},
    ApplicationSubjects: {},
    Login: {"subject": "ann", "password_hash": ""},
}
"""What an application makes, and what each cannot do without."""
_PLACES: Final = {"Auth": Auth, "Issuer": Issuer, "Revocation": Revocation, "Accounts": Accounts, "Logins": Logins}
_ACCEPTED: Final = (TypeError, ValueError, Rejected, ConfigurationError)


@pytest_asyncio.fixture
async def auth() -> AsyncIterator[Auth]:
    async with Auth("memory://", password_hasher=PasswordHasher(CHEAP, concurrency=1)) as auth:
        yield auth


def _calls(place: str, good: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Each public method with one wrong value at a time, the others being right."""
    for name, method in inspect.getmembers(_PLACES[place], inspect.isfunction):
        if name.startswith("_") or (place, name) in _LEFT_OUT:
            continue
        parameters = [one for one in inspect.signature(method).parameters.values() if one.name != "self"]
        needed = {one.name: good[one.name] for one in parameters if one.default is one.empty}
        for one in parameters:
            for value in _WRONG[str(one.annotation)]:
                yield name, needed | {one.name: value}, one.name


@pytest.mark.parametrize("place", _PLACES)
async def test_no_other_kind_is_taken(auth: Auth, place: str) -> None:
    """Of every parameter of every public method; afterwards everybody is who they were."""
    account = await auth.accounts.register("ann@example.com", PASSWORD)
    made = await auth.login(account.id, mode=Mode.JWT)
    assert made.access_token is not None
    cursor = (await auth.sessions.events(None, wait=0)).cursor
    objects = {
        "Auth": auth, "Issuer": auth.issuer, "Revocation": auth.revocation, "Accounts": auth.accounts,
        "Logins": auth.logins,
    }  # fmt: skip
    good = {
        "subject": account.id, "account_id": account.id, "session_id": made.session.id, "token_id": "id", "epoch": 0,
        "email": "bob@example.com", "name": "ann@example.com", "password": PASSWORD, "current": PASSWORD,
        "new": "eleven brown owls", "password_hash": account.password_hash, "token": made.refresh_token, "roles": (),
        "credential": bearer(made.access_token),
        "identity": await auth.verify(bearer(made.access_token)), "attempt": "cca_", "method": "second_password",
    }  # fmt: skip
    for name, arguments, parameter in _calls(place, good):
        try:
            answer = getattr(objects[place], name)(**arguments)
            if inspect.isawaitable(answer):
                await answer
        except _ACCEPTED:
            continue
        pytest.fail(f"{place}.{name} takes {arguments[parameter]!r} as {parameter}")
    assert not (await auth.sessions.events(cursor, wait=0)).events
    assert await auth.accounts.get(account.id) == account
    assert [one.id for one in (await auth.accounts.page()).accounts] == [account.id]
    standing = await auth.sessions.find(made.session.id, now=auth.clock.now())
    assert standing is not None


@pytest.mark.parametrize("made", _MADE, ids=lambda made: f"{made.__module__}.{made.__name__}")
def test_nothing_is_made_of_another_kind(made: Any) -> None:
    """Of every parameter of whatever an application makes; the error names the parameter."""
    made(**_MADE[made])
    for one in inspect.signature(made).parameters.values():
        for value in _WRONG[str(one.annotation)]:
            with pytest.raises(_ACCEPTED, match=one.name):
                made(**_MADE[made] | {one.name: value})


_MODES: Final = "'session', 'jwt', 'jwt-cookie'"


def test_a_policy_takes_texts_as_its_file_does() -> None:
    """And gives back members, whatever it was made of."""
    policy = Policy(modes=("session", Mode.JWT), kinds=["login", "key"])  # type: ignore[arg-type]
    assert [type(one) for one in (*policy.modes, *policy.kinds)] == [Mode, Mode, Kind, Kind]
    assert policy == Policy(modes=(Mode.SESSION, Mode.JWT), kinds=(Kind.LOGIN, Kind.KEY))
    assert policy.lifetimes("session", False) == policy.session
    assert policy.lifetimes("jwt", False, "key") == policy.key
    assert policy.limit("key") == policy.keys_per_subject


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"modes": "jwt"}, "policy.modes must be a list, not one text: write modes=['jwt']"),
        ({"modes": "JWT"}, "policy.modes must be a list, not one text: write modes=['session']"),
        ({"kinds": Kind.KEY}, "policy.kinds must be a list, not one text: write kinds=['key']"),
        ({"modes": ("sesion",)}, f"each of policy.modes must be one of {_MODES}; did you mean session?"),
        ({"modes": ("nothing like it",)}, f"each of policy.modes must be one of {_MODES}"),
        ({"modes": (7,)}, f"each of policy.modes must be one of {_MODES}, not int"),
        ({"modes": 7}, f"policy.modes must be a list of {_MODES}, not int"),
        ({"acces_lifetime": 60}, "Policy has no setting acces_lifetime; did you mean access_lifetime?"),
        ({"colour": "red"}, "Policy has no setting colour"),
        (
            {"session_idle": 60},
            "Policy has no setting session_idle: write session=Lifetimes(idle=1800.0, absolute=43200.0)",
        ),
        (
            {"refresh_lifetime": 60},
            "Policy has no setting refresh_lifetime: write refresh=Lifetimes(idle=604800.0, absolute=2592000.0)",
        ),
        ({"key_leed": 60}, "Policy has no setting key_leed; did you mean key_lead?"),
        ({"session": 60}, "policy.session must be such as Lifetimes(idle=1800.0, absolute=43200.0), not int"),
    ],
)
def test_what_a_policy_does_not_know_is_told_with_what_to_write(wrong: dict[str, Any], said: str) -> None:
    """In one line, which repeats no value that is none of the choices."""
    for make in (Policy, partial(dataclasses.replace, Policy())):
        with pytest.raises(ConfigurationError) as caught:
            make(**wrong)
        assert str(caught.value) == said


async def test_a_mode_and_a_kind_may_be_texts(auth: Auth) -> None:
    """Wherever one is asked for, and what is kept of them are members."""
    account = await auth.accounts.register("ann@example.com", PASSWORD)
    made = await auth.login(account.id, mode="jwt", access=Access(kind="key"))  # type: ignore[arg-type]
    assert (type(made.session.mode), type(made.session.access.kind)) == (Mode, Kind)
    assert made.refresh_token is not None
    again = await auth.issuer.refresh(made.refresh_token, mode="jwt")
    page = await auth.sessions.sessions_of(account.id, now=auth.clock.now(), kinds=["key"])  # type: ignore[arg-type]
    assert [one.id for one in page.sessions] == [again.session.id]
    await auth.revoke_subject(account.id, kinds=["login"])
    assert await auth.sessions.find(made.session.id, now=auth.clock.now()) is not None
    await auth.revoke_subject(account.id, kinds=["key"])
    assert await auth.sessions.find(made.session.id, now=auth.clock.now()) is None
    with blocking.Auth("memory://", subjects=ApplicationSubjects()) as blocked:
        assert blocked.login("ann", mode="jwt-cookie").session.mode is Mode.JWT_COOKIE
    for call, said in (
        (auth.login(account.id, mode="jtw"), f"mode must be one of {_MODES}; did you mean jwt?"),
        (auth.login(account.id, mode=7), f"mode must be one of {_MODES}, not int"),  # type: ignore[arg-type]
        (auth.revoke_subject(account.id, kinds="key"), "kinds must be a list, not one text: write kinds=['key']"),
    ):
        with pytest.raises(TypeError) as caught:
            await call
        assert str(caught.value) == said


@pytest.mark.parametrize("made", _MADE, ids=lambda made: f"{made.__module__}.{made.__name__}")
def test_an_unknown_name_gets_the_nearest(made: Any) -> None:
    """Of every parameter of whatever an application makes."""
    if made in (ApplicationSubjects, Login):
        return
    for one in inspect.signature(made).parameters.values():
        with pytest.raises((TypeError, ConfigurationError)) as caught:
            made(**_MADE[made] | {f"{one.name}_": 1})
        assert str(caught.value) == f"{made.__name__} has no setting {one.name}_; did you mean {one.name}?"


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: Site(colour="#fff"), ConfigurationError, "Site has no setting colour; did you mean color?"),
        (
            lambda: Site(title="The Shop"),
            ConfigurationError,
            "Site has no setting title; known: name, logo, color, home",
        ),
        (
            lambda: Site("The Shop"),
            ConfigurationError,
            "Site takes nothing without a name: write Site(name=..., logo=...)",
        ),
        (lambda: Access(knd="key"), TypeError, "Access has no setting knd; did you mean kind?"),
        (
            lambda: Auth("memory://", "redis://"),
            TypeError,
            "Auth takes only url without a name: write Auth(url, sessions=..., secret=...)",
        ),
    ],
)
def test_a_guess_is_told_what_there_is(make: Callable[[], object], error: type[Exception], said: str) -> None:
    """The nearest name, or all of them where they are few; and what has to have one is told so."""
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == said


def test_what_is_made_of_names_is_copied_as_ever() -> None:
    """A second look at the names stands in the way of nobody."""
    hinted = Policy(modes=("jwt",), access_lifetime=60)  # type: ignore[arg-type]
    for made in (hinted, Lifetimes(idle=1.0, absolute=2.0), PasswordPolicy(words=("acme",))):
        assert copy.copy(made) == copy.deepcopy(made) == dataclasses.replace(made) == made
        assert pickle.loads(pickle.dumps(made)) == made
        assert list(inspect.signature(type(made)).parameters) == [one.name for one in dataclasses.fields(made)]

    class Own(Auth):
        def __init__(self, **given: Any) -> None:
            super().__init__("memory://")
            self.given = given

    assert Own(colour="red").given == {"colour": "red"}


@pytest.mark.parametrize("url", [None, Path("app.db")], ids=["None", "Path"])
@pytest.mark.parametrize("kind", [Auth, blocking.Auth])
def test_what_a_store_is_named_by_is_said(kind: Any, url: Any) -> None:
    """A path comes to hand; the message has the URL to write."""
    with pytest.raises(TypeError, match=r"url must be a URL such as sqlite:///app\.db"):
        kind(url)
    if url is not None:
        with pytest.raises(TypeError, match=r"sessions must be a URL such as sqlite:///app\.db"):
            kind("memory://", sessions=url)


@pytest.mark.parametrize("wrong", [[SERVICE_KEY, 7], {SERVICE_KEY: 1}], ids=["list", "mapping"])
def test_a_wrong_secret_is_not_repeated(wrong: Any) -> None:
    """In no error."""
    with pytest.raises(TypeError) as caught:
        Auth("memory://", secret=wrong)
    assert SERVICE_KEY not in str(caught.value)


@pytest.mark.parametrize("cooldown", [-1, -0.001, float("nan"), float("inf")])
def test_a_cooldown_is_no_less_than_nothing(cooldown: float) -> None:
    """Another one would ask for keys without end, or never."""
    with pytest.raises((ConfigurationError, ValueError), match="key_cooldown"):
        RemoteVerifier("https://auth.example.com", service_key=SERVICE_KEY, key_cooldown=cooldown)


@pytest.mark.parametrize("token", [None, 7, b"token", True, ["token"]], ids=str)
def test_a_bearer_token_is_text(token: Any) -> None:
    """Refused where it is made, and not where it is verified."""
    with pytest.raises(TypeError, match="token must be str"):
        bearer(token)


@pytest.mark.parametrize("user_id", [7, UUID(int=7)], ids=["int", "uuid"])
async def test_the_remedy_is_named(auth: Auth, user_id: Any) -> None:
    """A key of a database is what comes to hand; what to write instead is in the message."""
    blocked = blocking.Auth("memory://")
    with blocked:
        for call in (blocked.login, blocked.revoke_subject, blocked.subject_changed, blocked.epoch_of):
            with pytest.raises(TypeError, match=r"pass str\(user\.id\)"):
                call(user_id)
    for action in (auth.login, auth.revoke_subject, auth.subject_changed, auth.epoch_of, auth.accounts.disable):
        with pytest.raises(TypeError, match=r"pass str\(user\.id\)"):
            await action(user_id)
    with pytest.raises(TypeError, match=r"pass str\(user\.id\)"):
        Login(subject=user_id, password_hash="")


@pytest.mark.parametrize(
    "subject", ["", "x" * (MAX_SUBJECT + 1), "\ud800", "a\0b"], ids=["empty", "long", "half", "NUL"]
)
async def test_nobody_is_nobody(subject: str) -> None:
    """Text that is no subject is refused before anybody is asked about it."""

    def asked(subject: str) -> SubjectFacts:
        raise AssertionError(subject)

    async with Auth("memory://", subjects=asked) as auth:
        for action in (auth.login, auth.revoke_subject, auth.subject_changed, auth.epoch_of):
            with pytest.raises(Rejected):
                await action(subject)


@pytest.mark.parametrize("half", ["\ud800", "a\0b"], ids=["surrogate", "NUL"])
async def test_what_no_store_keeps_is_rejected(auth: Auth, half: str) -> None:
    """The same whichever store is behind, and nothing is ended or counted."""
    account = await auth.accounts.register("ann@example.com", PASSWORD)
    made = await auth.login(account.id)
    accounts, free = auth.accounts, half.replace("\0", "\ud800")  # what names nothing may hold a NUL
    for call in (
        auth.login(half), auth.revoke(half), auth.revoke_subject(half), auth.subject_changed(half), auth.epoch_of(half),
        auth.revoke_subject(account.id, excepted=half), auth.login(account.id, amr=(half,)),
        auth.login(account.id, device=Device(user_agent=free)), auth.issuer.reauthenticate(half, epoch=0),
        auth.issuer.again(half, account.id), auth.issuer.again(made.session.id, half),
        auth.revocation.revoke_token(made.session.id, half), auth.revocation.revoke_token(half, "id"),
        accounts.get(half), accounts.disable(half), accounts.enable(half), accounts.set_roles(half, ()),
        accounts.set_roles(account.id, (half,)), accounts.set_password(half, "eleven brown owls"),
        accounts.check_password(half, PASSWORD), accounts.change_password(half, PASSWORD, "eleven brown owls"),
        accounts.change_password(account.id, PASSWORD, "eleven brown owls", keep=half), accounts.page(search=free),
        auth.logins.email_of(half), auth.logins.name_of(half),
        accounts.adopt("b@example.com", account.password_hash, account_id=half),
    ):  # fmt: skip
        with pytest.raises(Rejected):
            await call
    assert await auth.sessions.find(made.session.id, now=auth.clock.now()) is not None
    assert await accounts.get(account.id) == account


@pytest.mark.parametrize("answer", [True, {"roles": ["admin"]}, ["admin"], "admin", 0], ids=str)
async def test_a_hook_that_says_something_else_lets_nobody_in(answer: Any) -> None:
    """The error names what it should give."""
    async with Auth("memory://", subjects=ApplicationSubjects(lambda subject: answer)) as auth:
        with pytest.raises(TypeError, match="SubjectFacts"):
            await auth.login("ann")

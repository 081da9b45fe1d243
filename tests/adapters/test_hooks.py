"""What an application's functions say counts when it is of its kind, and is no yes otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from coatcheck import Auth, InvalidLogin, Login, Mode, SubjectFacts
from coatcheck.accounts import PasswordHasher
from coatcheck.django.users import DjangoUsers, facts_of, is_active
from coatcheck.features.former.trading import Former
from coatcheck.sqlalchemy import SqlAlchemyUsers
from tests.accounts.support import CHEAP

PASSWORD = "nine brown owls"


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    pw: Mapped[str]
    active: Mapped[bool]


class Said:
    """An object whose call is async."""

    async def __call__(self, user: Any) -> Any:
        return False


async def later(user: Any) -> Any:
    return False


async def bit_by_bit(user: Any) -> Any:
    yield False


_ASYNC: tuple[Any, ...] = (later, partial(later), Said(), bit_by_bit)
_NAMES = ("async", "partial", "object", "generator")
_HOOKS = ("roles", "claims", "is_active", "fold")


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Callable[..., SqlAlchemyUsers[User]]]:
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(User(id=1, email="ann@example.com", pw="", active=False))
        session.add(User(id=2, email="bob@example.com", pw="", active=True))
        session.commit()
    made = partial(SqlAlchemyUsers, User, engine, subject=User.id, login=User.email, password_hash=User.pw)
    yield made
    engine.dispose()


@pytest.mark.parametrize("hook", _HOOKS)
@pytest.mark.parametrize("function", [*_ASYNC, False, "no", User.active], ids=[*_NAMES, "False", "text", "column"])
def test_a_hook_is_an_ordinary_function(users: Any, hook: str, function: Any) -> None:
    """An async one, a column or a value is refused when the source is made."""
    with pytest.raises(TypeError, match=hook):
        users(**{hook: function})


@pytest.mark.parametrize(
    ("hook", "answer"),
    [
        ("is_active", "no"), ("is_active", "False"), ("is_active", 1), ("is_active", None), ("is_active", []),
        ("roles", "admin"), ("roles", None), ("roles", [7]), ("roles", True),
        ("claims", "team"), ("claims", None), ("claims", [("team", "engine")]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", Mode)
async def test_an_answer_of_another_kind_lets_nobody_in(users: Any, mode: Mode, hook: str, answer: Any) -> None:
    """Neither a disabled user nor an active one, and the error names the function."""
    async with Auth("memory://", subjects=users(**{hook: lambda user: answer})) as auth:
        for subject in ("1", "2"):
            with pytest.raises(TypeError, match=hook):
                await auth.login(subject, mode=mode)


async def test_a_coroutine_is_no_yes(users: Any) -> None:
    """Not even from an ordinary function; and nobody is told to await it."""
    async with Auth("memory://", subjects=users(is_active=lambda user: later(user))) as auth:
        with pytest.raises(TypeError, match="is_active must give True or False, not coroutine"):
            await auth.login("1")


async def test_true_and_false_count(users: Any) -> None:
    """A disabled user does not log in and an active one does."""
    async with Auth("memory://", subjects=users(is_active=lambda user: user.active)) as auth:
        with pytest.raises(InvalidLogin):
            await auth.login("1")
        assert (await auth.login("2")).session.subject == "2"


@pytest.mark.parametrize("answer", [None, 7, b"ann"], ids=str)
async def test_a_folded_name_is_text(users: Any, answer: Any) -> None:
    """Anything else finds nobody's password."""
    async with Auth("memory://", subjects=users(fold=lambda name: answer)) as auth:
        with pytest.raises(TypeError, match="fold"):
            await auth.authenticate("bob@example.com", PASSWORD)


class Source:
    """A `UserSource` of which one method gives something else."""

    def __init__(self, hook: str, answer: Any) -> None:
        self._told = {hook: answer}

    async def facts(self, subject: str) -> Any:
        return self._told.get("facts", SubjectFacts())

    async def login_of(self, name: str) -> Any:
        return self._told.get("login_of", Login(subject="ann", password_hash=""))

    async def login_of_subject(self, subject: str) -> Any:
        return self._told.get("login_of_subject", Login(subject="ann", password_hash=""))

    async def replace_hash(self, subject: str, old: str, new: str) -> Any:
        return self._told.get("replace_hash", True)


@pytest.mark.parametrize("answer", [True, False, "no", {"roles": ["admin"]}, ["admin"], 0], ids=str)
@pytest.mark.parametrize("mode", Mode)
async def test_a_source_of_ones_own_gives_facts_or_none(mode: Mode, answer: Any) -> None:
    """What is neither lets nobody in, in any mode."""
    async with Auth("memory://", subjects=Source("facts", answer)) as auth:
        with pytest.raises(TypeError, match="facts must give SubjectFacts"):
            await auth.login("ann", mode=mode)


@pytest.mark.parametrize("hook", ["login_of", "login_of_subject"])
async def test_a_source_of_ones_own_gives_a_login_or_none(hook: str) -> None:
    """What is neither proves nothing."""
    hasher = PasswordHasher(CHEAP, concurrency=1)
    async with Auth("memory://", subjects=Source(hook, True), password_hasher=hasher) as auth:
        with pytest.raises(TypeError, match=f"{hook} must give Login"):
            await auth.authenticate("ann", PASSWORD)


@pytest.mark.parametrize("answer", [None, "no", object()], ids=["None", "text", "object"])
async def test_a_hash_is_replaced_when_the_source_says_so(answer: Any) -> None:
    """A password that may not have been stored is not called set."""
    hasher = PasswordHasher(CHEAP, concurrency=1)
    async with Auth("memory://", subjects=Source("replace_hash", answer), password_hasher=hasher) as auth:
        with pytest.raises(TypeError, match="replace_hash must give True or False"):
            await auth.logins.set_password("ann", PASSWORD)


class Model:
    """A user of Django's, in so far as it is asked."""

    groups = None

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


@pytest.mark.parametrize("value", [lambda: False, "no", 1, None], ids=["method", "text", "number", "None"])
def test_djangos_flags_are_true_or_false(value: Any) -> None:
    """A method that lacks its @property would make everybody active, staff and administrator."""
    with pytest.raises(TypeError, match="is_active"):
        is_active(Model(is_active=value))
    for flag in ("is_staff", "is_superuser"):
        with pytest.raises(TypeError, match=flag):
            facts_of(Model(**{flag: value}))


@pytest.mark.parametrize("function", [*_ASYNC, "facts", None], ids=[*_NAMES, "text", "None"])
def test_djangos_facts_are_an_ordinary_function(function: Any) -> None:
    """As SQLAlchemy's."""
    with pytest.raises(TypeError, match="facts"):
        DjangoUsers(facts=function)


@pytest.mark.parametrize("field", [7, None, b"pk"])
def test_djangos_subject_field_is_a_name(field: Any) -> None:
    """Anything else is refused when the source is made."""
    with pytest.raises(TypeError, match="subject_field"):
        DjangoUsers(subject_field=field)


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": 7}, {"credential": b"id"}, {"expires": "1"}, {"expires": float("nan")}, {"expires": None},
        {"auth_time": "1"}, {"auth_time": float("nan")}, {"also": "ab"},
    ],
    ids=str,
)  # fmt: skip
def test_a_former_credential_is_of_its_kind(wrong: dict[str, Any]) -> None:
    """One that ends at no time would never end."""
    good: dict[str, Any] = {"subject": "7", "credential": "id"}
    with pytest.raises((TypeError, ValueError)):
        Former(**good | wrong)

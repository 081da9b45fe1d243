"""An application's users in a SQLAlchemy model, on the databases that there are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import ForeignKey, String, create_engine, event, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker
from werkzeug.security import generate_password_hash

from coatcheck import Auth
from coatcheck.accounts import PasswordHasher
from coatcheck.credentials.transport import bearer
from coatcheck.errors import (
    ConfigurationError,
    Conflict,
    InvalidCredential,
    InvalidLogin,
    StaleCredential,
    StoreUnavailable,
)
from coatcheck.model import Mode
from coatcheck.sqlalchemy import SqlAlchemyUsers
from coatcheck.subjects import Login, UserSource
from tests.accounts.support import CHEAP
from tests.support.databases import shared_postgresql

PASSWORD = "note G, table of 1843"
OTHER = "bernoulli numbers, eighth"


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), index=True)
    password_hash: Mapped[str | None] = mapped_column("pw", String(200))
    active: Mapped[bool] = mapped_column(default=True)
    team: Mapped[str | None]
    roles: Mapped[list[Role]] = relationship()


class Role(Base):
    __tablename__ = "roles"
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)


class Member(Base):
    __tablename__ = "members"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    pw: Mapped[str]


class Handle(Base):
    __tablename__ = "handles"
    id: Mapped[str] = mapped_column(primary_key=True)
    pw: Mapped[str]


class Strange(Base):
    __tablename__ = "strange"
    id: Mapped[float] = mapped_column(primary_key=True)
    pw: Mapped[str]


def old_hash() -> str:
    return generate_password_hash(PASSWORD, "pbkdf2:sha256:10")


def users_of(sessions: Any, **options: Any) -> SqlAlchemyUsers[User]:
    return SqlAlchemyUsers(
        User,
        sessions,
        subject=User.id,
        login=User.email,
        password_hash=User.password_hash,
        email=User.email,
        roles=lambda user: [role.name for role in user.roles],
        claims=lambda user: {"team": user.team},
        is_active=lambda user: user.active,
        **options,
    )


class Place:
    """A database with the model's tables, for the tests to write to, and sessions for the source to use."""

    def __init__(self, write: Callable[..., Any], sessions: Any) -> None:
        self.write = write
        self.sessions = sessions


def _rows(session: Session) -> None:
    session.add(
        User(id=7, email="ada@lovelace.example", password_hash=old_hash(), team="engine", roles=[Role(name="writer")])
    )
    session.add(User(id=8, email="off@lovelace.example", password_hash=old_hash(), active=False))
    session.add(User(id=9, email="sso@lovelace.example", password_hash=None))
    session.commit()


@pytest.fixture(params=["sqlite", "sqlite threads", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "sqlite threads":
        engine = create_engine(f"sqlite:///{tmp_path}/app.db")
        Base.metadata.create_all(engine)

        async def write(work: Callable[[Session], Any]) -> Any:
            with Session(engine) as session:
                return work(session)

        await write(_rows)
        yield Place(write, sessionmaker(engine))
        engine.dispose()
        return
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path}/app.db"
    else:
        server = shared_postgresql()
        url = server.url(server.create_database()).replace("postgresql://", "postgresql+asyncpg://")
    other = create_async_engine(url)
    async with other.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)

    async def write_async(work: Callable[[Session], Any]) -> Any:
        async with async_sessionmaker(other)() as session:
            return await session.run_sync(work)

    await write_async(_rows)
    yield Place(write_async, other)
    await other.dispose()


async def test_what_the_source_says(place: Place) -> None:
    """Roles, claims and logins are the model's, relationships followed; disabled and unknown have no facts."""
    users = users_of(place.sessions)
    assert isinstance(users, UserSource)
    facts = await users.facts("7")
    assert facts is not None
    assert (facts.roles, facts.claims) == ({"writer"}, {"team": "engine"})
    assert await users.facts("8") is None
    login = await users.login_of("ada@lovelace.example")
    assert login is not None
    assert (login.subject, login.email) == ("7", "ada@lovelace.example")
    assert login == await users.login_of_subject("7")
    assert await users.login_of("sso@lovelace.example") == Login(
        subject="9", password_hash="", email="sso@lovelace.example"
    )


@pytest.mark.parametrize("name", ["", "nobody", "ADA@lovelace.example", "a\0b", "\ud800", "x" * 100_000, "%", "7"])
async def test_names_that_nobody_has(place: Place, name: str) -> None:
    """What cannot be a name is nobody's and no error; case tells apart where the column does."""
    assert await users_of(place.sessions).login_of(name) is None


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "07",
        "+7",
        " 7",
        "7.0",
        "٧",
        "7\0",
        "\ud800",
        "-1",
        "4000000000",
        "9" * 19,
        "9" * 5000,
        "d" * 32,
        "0x7",
        "1_0",
    ],
)
async def test_subjects_that_nobody_is(place: Place, subject: str) -> None:
    """A subject has one spelling. Every other is nobody's, and no error."""
    users = users_of(place.sessions)
    assert await users.login_of_subject(subject) is None
    assert await users.facts(subject) is None
    assert not await users.replace_hash(subject, old_hash(), "new")


async def test_unknown_costs_a_query_too(tmp_path: Path) -> None:
    """For a name or an id that nobody has the database is asked as often as for one that somebody has."""
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        _rows(session)
    users, asked = users_of(engine), []
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    counts = set()
    for name, subject in (("ada@lovelace.example", "9"), ("nobody", "f" * 32), ("\0", "x")):
        asked.clear()
        await users.login_of(name)
        await users.login_of_subject(subject)
        counts.add(tuple(asked))
    assert len(counts) == 1
    engine.dispose()


async def test_two_rows_of_one_name(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """A name that two users have logs in neither, and the log says so without the name."""

    def twice(session: Session) -> None:
        session.add(User(id=10, email="ada@lovelace.example", password_hash=old_hash()))
        session.commit()

    await place.write(twice)
    assert await users_of(place.sessions).login_of("ada@lovelace.example") is None
    assert "two users" in caplog.text
    assert "ada" not in caplog.text


async def test_folded(place: Place) -> None:
    """With an expression and a fold, upper and lower case are one name."""
    users = SqlAlchemyUsers(
        User, place.sessions, subject=User.id, login=func.lower(User.email), password_hash=User.password_hash,
        fold=str.lower,
    )  # fmt: skip
    login = await users.login_of("ADA@Lovelace.example")
    assert login is not None
    assert (login.subject, login.email) == ("7", "")
    facts = await users.facts("8")
    assert facts is not None
    assert (facts.roles, facts.claims) == (frozenset(), {})


async def test_compare_and_set(place: Place) -> None:
    """The hash is replaced only where it still is the old one; of many at once one does it."""
    users = users_of(place.sessions)
    login = await users.login_of("ada@lovelace.example")
    assert login is not None
    assert not await users.replace_hash("7", "another", "new")
    done = await asyncio.gather(*(users.replace_hash("7", login.password_hash, f"new {n}") for n in range(5)))
    assert sorted(done) == [False] * 4 + [True]
    stored = await place.write(lambda session: session.scalar(select(User.password_hash).where(User.id == 7)))
    assert stored == f"new {done.index(True)}"
    assert not await users.replace_hash("9", "", "new"), "NULL is no hash that could be replaced"


async def test_other_ids(tmp_path: Path) -> None:
    """UUIDs and texts are subjects too, each in its one spelling; anything else is refused at once."""
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    Base.metadata.create_all(engine)
    member = uuid4()
    with Session(engine) as session:
        session.add_all([Member(id=member, name="ada", pw="x"), Handle(id="ada", pw="x")])
        session.commit()
    members = SqlAlchemyUsers(Member, engine, subject=Member.id, login=Member.name, password_hash=Member.pw)
    login = await members.login_of("ada")
    assert login is not None
    assert login.subject == str(member)
    assert await members.login_of_subject(str(member)) == login
    for other in (member.hex, str(member).upper(), f"{{{member}}}", "x", "0" * 32):
        assert await members.login_of_subject(other) is None
    assert await members.replace_hash(str(member), "x", "y")
    assert not await members.replace_hash(member.hex, "y", "z")
    handles = SqlAlchemyUsers(Handle, engine, subject=Handle.id, login=Handle.id, password_hash=Handle.pw)
    assert await handles.login_of_subject("ada") is not None
    assert await handles.login_of_subject("Ada") is None
    with pytest.raises(ConfigurationError, match="Strange"):
        SqlAlchemyUsers(Strange, engine, subject=Strange.id, login=Strange.pw, password_hash=Strange.pw)
    engine.dispose()


async def test_roles_that_are_one_text(place: Place) -> None:
    """``roles=lambda user: "admin"`` would be five roles of one letter, and is an error."""
    users = SqlAlchemyUsers(
        User, place.sessions, subject=User.id, login=User.email, password_hash=User.password_hash,
        roles=lambda user: "admin",
    )  # fmt: skip
    with pytest.raises(TypeError):
        await users.facts("7")


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[list[Any]]:
    """Engines of databases that do not answer: no file to open, nobody at the port."""
    sync = create_engine(f"sqlite:///{tmp_path}/nowhere/app.db")
    yield [
        sync,
        create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/nowhere/app.db"),
        create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none"),
    ]
    sync.dispose()


async def test_a_database_that_does_not_answer(broken: list[Any]) -> None:
    """Whatever the driver raises, it is `StoreUnavailable`: never unknown, never a yes."""
    for engine in broken:
        users = users_of(engine)
        for call in (
            users.facts("7"), users.login_of("x"), users.login_of_subject("7"), users.replace_hash("7", "a", "b"),
        ):  # fmt: skip
            with pytest.raises(StoreUnavailable):
                await call
        if isinstance(engine, AsyncEngine):
            await engine.dispose()


async def test_with_auth(place: Place) -> None:
    """Logging in by the model's names, the hash upgraded in its row; changed roles and disabling count at once."""
    auth = Auth("memory://", subjects=users_of(place.sessions), password_hasher=PasswordHasher(CHEAP))
    async with auth:
        assert (auth.can_authenticate, auth.has_logins, auth.has_accounts) == (True, True, False)
        proved = await auth.authenticate("ada@lovelace.example", PASSWORD)
        stored = await place.write(lambda session: session.scalar(select(User.password_hash).where(User.id == 7)))
        assert stored.startswith("$argon2id$")
        made = await auth.login(proved.subject, mode=Mode.JWT, epoch=proved.epoch)
        credential = bearer(made.access_token or "")
        assert (await auth.verify(credential)).roles == {"writer"}

        def promote(session: Session) -> None:
            session.add(Role(user_id=7, name="admin"))
            session.commit()

        await place.write(promote)
        await auth.subject_changed("7")
        with pytest.raises(StaleCredential):
            await auth.verify(credential)
        made = await auth.refresh(made.refresh_token or "")
        credential = bearer(made.access_token or "")
        assert (await auth.verify(credential)).roles == {"writer", "admin"}

        def disable(session: Session) -> None:
            session.execute(update(User).where(User.id == 7).values(active=False))
            session.commit()

        await place.write(disable)
        await auth.revoke_subject("7")
        with pytest.raises(InvalidCredential):
            await auth.verify(credential)
        for name, password in (("ada@lovelace.example", PASSWORD), ("off@lovelace.example", PASSWORD)):
            with pytest.raises(InvalidLogin):
                await auth.authenticate(name, password)


async def test_change_and_login_at_once(place: Place) -> None:
    """Of a change and many logins with the old password at once, no login outlives the change."""
    auth = Auth("memory://", subjects=users_of(place.sessions), password_hasher=PasswordHasher(CHEAP))
    async with auth:
        await auth.authenticate("ada@lovelace.example", PASSWORD)  # upgraded

        async def login() -> str | None:
            try:
                proved = await auth.authenticate("ada@lovelace.example", PASSWORD)
                return (await auth.login(proved.subject, epoch=proved.epoch)).session.id
            except (InvalidLogin, Conflict):
                return None

        change = auth.logins.change_password("7", PASSWORD, OTHER)
        *sessions, _ = await asyncio.gather(*(login() for _ in range(6)), change)
        for session in filter(None, sessions):
            assert await auth.sessions.find(session, now=auth.clock.now()) is None
        await auth.authenticate("ada@lovelace.example", OTHER)


async def test_nothing_secret_in_the_log(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a hash nor a name is in a record or a repr."""
    caplog.set_level(logging.INFO, logger="coatcheck")
    auth = Auth("memory://", subjects=users_of(place.sessions), password_hasher=PasswordHasher(CHEAP))
    async with auth:
        await auth.authenticate("ada@lovelace.example", PASSWORD)
    login = await users_of(place.sessions).login_of("ada@lovelace.example")
    assert "argon2" not in repr(login)
    assert "lovelace" not in caplog.text

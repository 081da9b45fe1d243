"""Applications with users of their own."""

from __future__ import annotations

from typing import assert_type

from sqlalchemy import String, create_engine, func
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, sessionmaker

from coatcheck import ApplicationSubjects, Auth, Login, SubjectFacts, UserSource
from coatcheck.accounts import Accounts, Logins, PasswordHasher, Proof
from coatcheck.sqlalchemy import SqlAlchemyUsers


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str | None] = mapped_column(String(200))
    is_active: Mapped[bool] = mapped_column(default=True)
    roles: Mapped[list[Role]] = relationship()


class Role(Base):
    __tablename__ = "roles"
    name: Mapped[str] = mapped_column(primary_key=True)


class MyUsers:
    """Nothing to inherit from."""

    async def facts(self, subject: str) -> SubjectFacts | None:
        return SubjectFacts(roles=frozenset({"editor"}), claims={"team": 4})

    async def login_of(self, name: str) -> Login | None:
        return Login(subject="7", password_hash="", email=name)

    async def login_of_subject(self, subject: str) -> Login | None:
        return None

    async def replace_hash(self, subject: str, old: str, new: str) -> bool:
        return False


async def check_later(name: str, password: str) -> str | None:
    return None


async def facts_later(subject: str) -> SubjectFacts | None:
    return None


engine = create_engine("sqlite://")
later = create_async_engine("sqlite+aiosqlite://")
users = SqlAlchemyUsers(
    User,
    sessionmaker(engine),
    subject=User.id,
    login=func.lower(User.email),
    fold=str.lower,
    password_hash=User.password_hash,
    email=User.email,
    roles=lambda user: [role.name for role in user.roles],
    claims=lambda user: {"address": user.email},
    is_active=lambda user: user.is_active,
)
assert_type(users, SqlAlchemyUsers[User])
SqlAlchemyUsers(User, engine, subject=User.id, login=User.email, password_hash=User.password_hash)
SqlAlchemyUsers(User, later, subject=User.id, login=User.email, password_hash=User.password_hash)
SqlAlchemyUsers(User, async_sessionmaker(later), subject=User.id, login=User.email, password_hash=User.password_hash)

source: UserSource = users
Auth("memory://", subjects=users)
Auth("memory://", subjects=facts_later)
Auth("memory://", subjects=lambda subject: SubjectFacts() if subject else None)
Auth("memory://", subjects=ApplicationSubjects(facts_later, authenticate=check_later))
Auth("memory://", subjects=ApplicationSubjects(authenticate=lambda name, password: name or None))
auth = Auth("memory://", subjects=MyUsers(), password_hasher=PasswordHasher(stored=["$2b$12$..."]))


async def log_in(name: str, password: str) -> str | None:
    proved = await auth.authenticate(name, password, ip="192.0.2.1")
    assert_type(proved, Proof)
    made = await auth.login(proved.subject, epoch=proved.epoch)
    assert_type(auth.logins, Logins)
    assert_type(auth.accounts, Accounts)
    await auth.logins.change_password(proved.subject, password, "another", keep=made.session.id)
    await auth.subject_changed(proved.subject)
    return await auth.logins.email_of(proved.subject)

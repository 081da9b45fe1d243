"""An application's users in a SQLAlchemy model: ``Auth(url, subjects=SqlAlchemyUsers(User, engine, ...))``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Engine, SmallInteger, SQLColumnExpression, select, update
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import InstrumentedAttribute, Session, sessionmaker

from . import arguments
from .background import called
from .errors import ConfigurationError, StoreUnavailable
from .model import SubjectFacts
from .subjects import Login

log = logging.getLogger("coatcheck.accounts")

T = TypeVar("T")
UserT = TypeVar("UserT")

Sessions = sessionmaker[Session] | async_sessionmaker[AsyncSession] | Engine | AsyncEngine


def _nothing(user: object) -> tuple[()]:
    return ()


def _always(user: object) -> bool:
    return True


class SqlAlchemyUsers(Generic[UserT]):
    """A `coatcheck.UserSource` over one mapped class.

    ``sessions``: an engine or a sessionmaker, asynchronous or not; with one that is not, queries run in threads.
    Asynchronous ones must belong to the event loop of `Auth`; with `coatcheck.blocking` take one that is not. They must
    reach the primary: a replica may not know yet that a password was changed.

    ``subject``: the column of the id, a number, text or UUID, which never changes and is never given to another user.
    ``login``: what people log in with. It is compared by the database, with its collation and so as the application's
    own queries are: where the column tells upper from lower case, so does logging in. To have it otherwise, give what
    is compared and how to bring a name into that form: ``login=func.lower(User.email), fold=str.lower``. A name that
    two users have logs in neither. ``password_hash``: the column of the hash; NULL: no password matches. It must hold
    200 characters. ``email``: the column of the address, if there is one.

    ``roles``, ``claims``, ``is_active`` are asked with the user, within the session, so they may follow relationships:
    the roles (none by default), further claims (none) and whether they may log in (always). After changing what they
    answer, or the address, commit and then ``await auth.subject_changed(subject)``, or ``await
    auth.revoke_subject(subject)`` to end their sessions.

    They and ``fold`` are ordinary functions: one that is ``async`` is refused, and so is an answer of another kind.
    ``is_active`` gives True or False; for any other column write ``bool(user.active)``.

    Raises `ConfigurationError` for an id of any other type, and `TypeError` for a function that is none.
    """

    def __init__(
        self,
        model: type[UserT],
        sessions: Sessions,
        *,
        subject: InstrumentedAttribute[Any],
        login: SQLColumnExpression[Any],
        password_hash: InstrumentedAttribute[Any],
        email: InstrumentedAttribute[Any] | None = None,
        roles: Callable[[UserT], Iterable[str]] = _nothing,
        claims: Callable[[UserT], Mapping[str, Any]] | None = None,
        is_active: Callable[[UserT], bool] = _always,
        fold: Callable[[str], str] = str,
    ) -> None:
        arguments.functions(roles=roles, is_active=is_active, fold=fold)
        if claims is not None:
            arguments.functions(claims=claims)
        self._model = model
        self._sessions: sessionmaker[Session] | async_sessionmaker[AsyncSession]
        if isinstance(sessions, AsyncEngine):
            self._sessions = async_sessionmaker(sessions)
        elif isinstance(sessions, Engine):
            self._sessions = sessionmaker(sessions)
        else:
            self._sessions = sessions
        self._subject = subject
        self._login = login
        self._password_hash = password_hash
        self._email = email
        self._roles = roles
        self._claims = claims
        self._is_active = is_active
        self._fold = fold
        self._type = subject.type.python_type
        if self._type not in (int, str, UUID):
            raise ConfigurationError(f"the id of {model.__name__} must be a number, text or a UUID to be a subject")

    async def facts(self, subject: str) -> SubjectFacts | None:
        """See `SubjectSource.facts`."""

        def work(session: Session) -> SubjectFacts | None:
            user = self._by_subject(session, subject)
            if user is None or not arguments.answered(bool, self._is_active(user), "is_active"):
                return None
            given = arguments.answered(Iterable, self._roles(user), "roles")  # type: ignore[type-abstract]
            roles = arguments.collection(str, given, "roles", "['editor']")
            claims: Mapping[str, Any] = {}
            if self._claims is not None:
                claims = arguments.answered(Mapping, self._claims(user), "claims")  # type: ignore[type-abstract]
            return SubjectFacts(roles=frozenset(roles), claims=dict(claims))

        return await self._run(work)

    async def login_of(self, name: str) -> Login | None:
        """See `UserSource.login_of`."""
        named = self._login == _storable(arguments.answered(str, self._fold(name), "fold"))
        return await self._run(lambda session: self._login_of(self._only(session, named)))

    async def login_of_subject(self, subject: str) -> Login | None:
        """See `UserSource.login_of_subject`."""
        return await self._run(lambda session: self._login_of(self._by_subject(session, subject)))

    async def replace_hash(self, subject: str, old: str, new: str) -> bool:
        """See `UserSource.replace_hash`."""

        def work(session: Session) -> bool:
            value = self._value(session, subject)
            if str(value) != subject:
                return False
            change = (
                update(self._model)
                .where(self._subject == value, self._password_hash == old)
                .values({self._password_hash: new})
                .execution_options(synchronize_session=False)
            )
            changed: int = session.execute(change).rowcount  # type: ignore[attr-defined]  # of an UPDATE there is one
            session.commit()
            return changed == 1

        return await self._run(work)

    def _by_subject(self, session: Session, subject: str) -> UserT | None:
        user = self._only(session, self._subject == self._value(session, subject))
        # One subject has one spelling, whatever the database takes for equal.
        return user if user is not None and str(self._read(user, self._subject)) == subject else None

    def _only(self, session: Session, condition: ColumnElement[bool]) -> UserT | None:
        try:
            found = session.scalars(select(self._model).where(condition).limit(2)).all()
        except DataError:  # the database cannot even compare with this, so nobody has it
            return None
        if len(found) > 1:
            log.error("two users of %s have the same login name, so neither can log in", self._model.__name__)
        return found[0] if len(found) == 1 else None

    def _login_of(self, user: UserT | None) -> Login | None:
        if user is None:
            return None
        email = (self._read(user, self._email) if self._email is not None else None) or ""
        named = self._login if isinstance(self._login, InstrumentedAttribute) else None
        return Login(
            subject=str(self._read(user, self._subject)),
            password_hash=self._read(user, self._password_hash) or "",
            email=email,
            name="" if email or named is None else str(self._read(user, named)),
        )

    def _read(self, user: UserT, column: InstrumentedAttribute[Any]) -> Any:
        return getattr(user, column.key)

    def _value(self, session: Session, subject: str) -> Any:
        """The subject as the column has it. What cannot be one becomes a value all the same, so that asking for it
        takes as long; `_by_subject` compares what comes back."""
        if self._type is str:
            return _storable(subject)
        try:
            if self._type is UUID:
                return UUID(subject)
            number = int(subject) if subject.isascii() and len(subject) < 20 else -1
        except ValueError:
            return UUID(int=0) if self._type is UUID else -1
        return number if abs(number) < 1 << self._bits(session) else -1

    def _bits(self, session: Session) -> int:
        """Of the largest number the column holds: a larger one is an error to some drivers."""
        if isinstance(self._subject.type, SmallInteger):
            return 15
        big = isinstance(self._subject.type, BigInteger) or session.get_bind().dialect.name == "sqlite"
        return 63 if big else 31

    async def _run(self, work: Callable[[Session], T]) -> T:
        """Run it in a session of its own. Raises `StoreUnavailable`."""
        sessions = self._sessions
        try:
            if isinstance(sessions, async_sessionmaker):
                async with sessions() as session:
                    return await session.run_sync(work)
            return await called(_in_session, sessions, work)
        except (DBAPIError, PoolTimeout, OSError) as error:
            raise StoreUnavailable("the database of the application's users did not answer") from error


def _in_session(sessions: sessionmaker[Session], work: Callable[[Session], T]) -> T:
    with sessions() as session:
        return work(session)


def _storable(text: str) -> str:
    """The text, or for one that no database holds (with a NUL or half a surrogate pair) another that nobody has."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "\ufffd"
    return "\ufffd" if "\0" in text else text

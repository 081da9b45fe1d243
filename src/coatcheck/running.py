"""What an `Auth` has while it runs: its parts, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from . import arguments
from .accounts import Accounts, Logins
from .accounts.throttle import Counters
from .credentials.jwt import AccessTokens
from .credentials.opaque import OpaqueTokens
from .errors import ConfigurationError
from .features.tables import database_of
from .follower import Follower
from .guard import Guards
from .issuer import Issuer
from .keys import Keys
from .logins import Attempts
from .parts import Parts
from .profiles import Profiles
from .revocation import Revocation
from .stores.base import AccountStore, SessionStore
from .subjects import SubjectSource
from .table import Table
from .verifier import Verifier
from .writes import Writes

if TYPE_CHECKING:
    from .stores.sql.database import Database


def not_running(*_: object) -> NoReturn:
    """Raise `RuntimeError`: it was not started, or has been closed."""
    raise RuntimeError(
        "this Auth is not running: its application's lifespan (of mount_auth, or lifespan=auth.lifespan) has "
        "not begun, or has ended; in a test, enter the client: "
        "`with TestClient(app) as client:`. Without an application: `async with auth:`"
    )


class Running(arguments.Named):
    """The parts of an `Auth`. Each raises `RuntimeError` while it does not run."""

    _parts: Parts | None = None

    @property
    def is_running(self) -> bool:
        return self._parts is not None

    @property
    def _running(self) -> Parts:
        return self._parts or not_running()

    @property
    def verifier(self) -> Verifier:
        return self._running.verifier

    @property
    def issuer(self) -> Issuer:
        return self._running.issuer

    @property
    def attempts(self) -> Attempts:
        """Logins under way, where more than a password is required."""
        return self._running.attempts

    @property
    def revocation(self) -> Revocation:
        return self._running.revocation

    @property
    def subjects(self) -> SubjectSource:
        """Who says what roles a subject has: our own accounts or the application."""
        return self._running.users.subjects

    @property
    def profiles(self) -> Profiles:
        """Addresses and names of those who are asking."""
        return self._running.profiles

    @property
    def sessions(self) -> SessionStore:
        return self._running.sessions

    @property
    def database(self) -> Database:
        """The SQL database, for features with tables: ``await auth.database.write(work)``. Raises `ConfigurationError`
        where there is none."""
        return database_of(self._running.store)

    @property
    def keys(self) -> Keys:
        return self._running.keys

    @property
    def follower(self) -> Follower:
        return self._running.follower

    @property
    def writes(self) -> Writes:
        """Whether the stores take writes."""
        return self._running.maintenance.writes

    @property
    def guards(self) -> Guards:
        """The guarded connections of this process."""
        return self._running.guards

    @property
    def table(self) -> Table:
        return self._running.table

    @property
    def opaque(self) -> OpaqueTokens:
        return self._running.opaque

    @property
    def access_tokens(self) -> AccessTokens:
        return self._running.access

    @property
    def accounts(self) -> Accounts:
        """Our own accounts. Raises `ConfigurationError` when the application has its own users."""
        accounts = self._running.users.accounts
        if accounts is None:
            raise ConfigurationError("this Auth was made with subjects=..., so it keeps no accounts of its own")
        return accounts

    @property
    def logins(self) -> Logins:
        """Proving who one is and changing passwords, for our own accounts or an application's `UserSource`. Raises
        `ConfigurationError` when there is neither."""
        logins = self._running.users.logins
        if logins is None:
            raise ConfigurationError("the subjects=... of this Auth say nothing of passwords: see UserSource")
        return logins

    @property
    def counters(self) -> Counters:
        """Counters in the database that all processes share. Raises `ConfigurationError` when it has none: Redis alone
        keeps only sessions."""
        store = self._running.store
        if not isinstance(store, AccountStore):
            raise ConfigurationError("this needs a SQL database: name one first, and this one as sessions=...")
        return store

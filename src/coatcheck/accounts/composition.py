"""Who logs in here and how: our own accounts, an application's users, or whatever an application checks itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import ConfigurationError
from ..events import Events
from ..stores.base import AccountStore, SessionStore
from ..subjects import ApplicationSubjects, SubjectHook, SubjectSource, UserSource
from .changes import Changes, Renew, Revocation
from .directory import Accounts
from .logins import CheckedLogins, Logins, Proof
from .passwords import PasswordHasher, PasswordPolicy, common_passwords
from .throttle import Counters, Throttle

log = logging.getLogger("coatcheck.accounts")

Given = SubjectSource | SubjectHook | None
"""What an application may pass as ``subjects``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """The subjects, and what there is for logging them in."""

    subjects: SubjectSource
    accounts: Accounts | None = None
    logins: Logins | None = None
    checked: CheckedLogins | None = None

    async def authenticate(self, name: str, password: str, *, ip: str) -> Proof:
        """See `Logins.authenticate`. Raises `ConfigurationError` where nobody can log in by name and password."""
        way = self.logins or self.checked
        if way is None:
            raise ConfigurationError(
                "these subjects cannot log in by name and password: pass subjects=... with `login_of` and the rest of "
                "UserSource, or ApplicationSubjects(..., authenticate=...)"
            )
        return await way.authenticate(name, password, ip=ip)

    async def prepare(self) -> None:
        """Load what the first password to be chosen would otherwise stop everybody for, and learn what is stored."""
        if self.logins is not None:
            await asyncio.to_thread(common_passwords)
        if self.accounts is not None:
            await self.accounts.prepare()

    async def close(self) -> None:
        """Finish what is under way. Idempotent."""
        if self.logins is not None:
            await self.logins.close()


def source_of(given: Given) -> SubjectSource | None:
    """The source that an application's ``subjects`` stands for; None for our own accounts.

    Raises `ConfigurationError` for what is none, such as a class where one of its objects is meant."""
    if given is None:
        return None
    if isinstance(given, type):
        raise ConfigurationError(f"subjects must be an object, not the class {given.__name__}: write subjects=...()")
    if isinstance(given, SubjectSource):
        return given
    if not callable(given):
        raise ConfigurationError(
            "subjects must be a UserSource, a SubjectSource or a function; see ApplicationSubjects"
        )
    return ApplicationSubjects(given)


def compose(
    source: SubjectSource | None,
    store: object,
    sessions: SessionStore,
    revocation: Revocation,
    *,
    renew: Renew,
    local_counters: Callable[[], Counters],
    throttle_key: bytes,
    hasher: PasswordHasher | None,
    policy: PasswordPolicy,
    now: Callable[[], float],
    events: Events,
) -> Users:
    """Put it together; without a ``source``, for our own accounts.

    Failed logins are counted in ``store`` if it can (SQL, memory); where it cannot (Redis), in ``local_counters``, and
    the log says what that means. Raises `ConfigurationError`."""

    def throttle() -> Throttle:
        if isinstance(store, AccountStore):
            return Throttle(store, key=throttle_key)
        log.warning(
            "failed logins are counted by each process for itself and forgotten at its end, because the database named "
            "first keeps no counters: N processes allow N times as many tries. Name a SQL database first, and this one "
            "as sessions=..."
        )
        return Throttle(local_counters(), key=throttle_key)

    if source is None:
        if not isinstance(store, AccountStore):
            raise ConfigurationError(
                "Coatcheck's own accounts are kept in SQL: name a SQL database, and give this one as sessions=..., "
                "or pass subjects=... if the application has its own users"
            )
        accounts = Accounts(
            store, sessions, revocation, renew=renew,
            passwords=hasher or PasswordHasher(), policy=policy, throttle=throttle(), now=now, events=events,
        )  # fmt: skip
        return Users(subjects=accounts, accounts=accounts, logins=accounts.logins)
    if isinstance(source, UserSource):
        logins = Logins(
            source, sessions, Changes(revocation, renew),
            passwords=hasher or PasswordHasher(), policy=policy, throttle=throttle(), now=now, events=events,
        )  # fmt: skip
        return Users(subjects=source, logins=logins)
    if isinstance(source, ApplicationSubjects) and source.checks_passwords:
        return Users(
            subjects=source, checked=CheckedLogins(source, sessions, throttle=throttle(), now=now, events=events)
        )
    return Users(subjects=source)


def can_authenticate(source: SubjectSource | None) -> bool:
    """Whether subjects can log in by name and password."""
    return has_logins(source) or (isinstance(source, ApplicationSubjects) and source.checks_passwords)


def has_logins(source: SubjectSource | None) -> bool:
    """Whether Coatcheck also has their password hashes, and can change them."""
    return source is None or isinstance(source, UserSource)

"""Where roles, claims and password hashes come from: our own accounts, or the application's own users."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from .arguments import answered_or_none, kinds
from .background import called
from .model import SubjectFacts

SubjectHook = Callable[[str], "Awaitable[SubjectFacts | None] | SubjectFacts | None"]
"""``hook(subject_id)`` gives the facts, or None for a subject that must not get in. It may be ``async``."""

PasswordCheck = Callable[[str, str], "Awaitable[str | None] | str | None"]
"""``authenticate(name, password)`` gives the subject who has proved themselves, or None. It may be ``async``."""


@runtime_checkable
class SubjectSource(Protocol):
    """Answers what the application says of a subject."""

    async def facts(self, subject: str) -> SubjectFacts | None:
        """Roles and claims as they are now, or None for a subject that is unknown or disabled.

        Raises `StoreUnavailable` when it cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What is known under a login name."""

    subject: str
    password_hash: str = field(repr=False)
    """argon2id as Coatcheck writes it, or one of the forms in `coatcheck.accounts.foreign_hashes`. Empty, or anything
    that is no hash: no password matches, and finding that out costs as much as any other login."""
    email: str = ""
    """Their address, if there is one: no new password may lean on it, and the service's answers show it."""
    name: str = ""
    """What they log in with, where there is no address: the service's pages say by it who is logged in."""

    def __post_init__(self) -> None:
        """Raises `TypeError` for what is no text: a subject is ``str(user.id)``."""
        kinds(str, subject=self.subject, password_hash=self.password_hash, email=self.email, name=self.name)


@runtime_checkable
class UserSource(SubjectSource, Protocol):
    """The users of an application, with their password hashes: enough for Coatcheck to log them in.

    The application finds and stores; `coatcheck.accounts.Logins` does what must be right: the order of reads, equal
    work, limits, hashes. Every method raises `StoreUnavailable` when it cannot tell. A disabled user is one without
    `facts`; whether `login_of` still knows them makes no difference to anyone outside.
    """

    async def login_of(self, name: str) -> Login | None:
        """The one user with this login name (an address, a user name, whatever they log in with), or None, also where
        there is more than one.

        ``name`` is as it was typed, of any length and content: a name that cannot be one is None and no error. For an
        unknown name it must do what it does for a known one, such as the same query."""

    async def login_of_subject(self, subject: str) -> Login | None:
        """The same for the id, read afresh: the epoch is read before it. Asked also about ids that nobody has, 32
        hexadecimal digits, for which it must do the same work."""

    async def replace_hash(self, subject: str, old: str, new: str) -> bool:
        """Replace the hash if it still is ``old``, in one statement (compare-and-set) and durably before it returns.
        False when it is another by now, or the user is gone."""


async def facts_from(source: SubjectSource, subject: str) -> SubjectFacts | None:
    """What a source says of a subject. Raises `TypeError` for anything that is neither facts nor None, such as True."""
    return answered_or_none(SubjectFacts, await source.facts(subject), "facts")


class ApplicationSubjects:
    """The subjects of an application that has its own users.

    ``hook`` is asked at each login, refresh and first sight of a session token. Without one, every subject that the
    application logs in is accepted and has no roles. After changing what the hook answers, call
    ``auth.subject_changed(subject)``.

    ``authenticate(name, password)`` gives the subject who has proved themselves, or None; then ``auth.authenticate``
    and the service's ``/login`` work. An ordinary function runs in a thread. It is called *twice* for a login that
    succeeds: whose epoch is to be read before the password is checked is known only after the first time. So it must
    have no side effects, and it must take as long for an unknown name as for a wrong password.
    """

    def __init__(self, hook: SubjectHook | None = None, *, authenticate: PasswordCheck | None = None) -> None:
        for name, given in (("hook", hook), ("authenticate", authenticate)):
            if given is not None and not callable(given):
                raise TypeError(f"{name} must be a function, not {type(given).__name__}")
        self._hook = hook
        self._authenticate = authenticate

    @property
    def checks_passwords(self) -> bool:
        """Whether ``authenticate`` was given."""
        return self._authenticate is not None

    async def facts(self, subject: str) -> SubjectFacts | None:
        """See `SubjectSource.facts`. Raises `TypeError` where the hook gives neither facts nor None."""
        if self._hook is None:
            return SubjectFacts()
        found = await called(self._hook, subject, here=True)
        facts: object = await found if inspect.isawaitable(found) else found
        if facts is None or isinstance(facts, SubjectFacts):
            return facts
        raise TypeError(f"subjects must give SubjectFacts(roles=...) or None, not {type(facts).__name__}")

    async def subject_of(self, name: str, password: str) -> str | None:
        """What ``authenticate`` says. Raises `TypeError` when that is neither a subject nor None, such as True."""
        check = self._authenticate
        if check is None:
            return None
        answer = await called(check, name, password)
        found: object = await answer if inspect.isawaitable(answer) else answer
        if found is None or (isinstance(found, str) and found):
            return found
        raise TypeError("authenticate must give the id of a subject (a text that is not empty: str(user.id)) or None")

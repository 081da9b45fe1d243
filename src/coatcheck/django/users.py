"""Whose users there are: Django's, bridged from ``AUTH_USER_MODEL``, or Coatcheck's own accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import django.db
from asgiref.sync import sync_to_async
from django.core.exceptions import MultipleObjectsReturned, ObjectDoesNotExist, ValidationError
from django.db import connections, router, transaction
from django.utils.functional import SimpleLazyObject

from .. import arguments
from ..background import called
from ..errors import StoreUnavailable
from ..model import Identity, SubjectFacts
from ..subjects import Login

T = TypeVar("T")

RESERVED: Final = frozenset({"staff", "superuser", "admin"})
"""Roles that no group can give, whatever its name."""

_ARGON2: Final = "argon2$argon2id$"
"""How Django writes an argon2id hash: its own name before what everybody else writes."""


class Users(Protocol):
    """Who a request's user is."""

    def attach(self, request: Any, identity: Identity | None) -> None:
        """Set ``request.user`` and ``request.auser``."""


def facts_of(user: Any) -> SubjectFacts:
    """The roles of one of Django's users: the names of their groups as they are, ``staff``, and for superusers
    ``superuser`` and ``admin``, the role that Coatcheck's own ``/auth/admin`` asks for. A group that is called like one
    of these three gives nothing."""
    groups = getattr(user, "groups", None)
    roles = set() if groups is None else set(groups.values_list("name", flat=True)) - RESERVED
    if _flag(user, "is_staff", absent=False):
        roles.add("staff")
    if _flag(user, "is_superuser", absent=False):
        roles |= {"superuser", "admin"}
    return SubjectFacts(roles=frozenset(roles))


class DjangoUsers:
    """The users of ``AUTH_USER_MODEL`` as Coatcheck's subjects: a `coatcheck.subjects.UserSource`.

    ``subject_field`` and ``facts`` are as in `coatcheck.django.conf`. ``facts`` is asked about active users
    only; nobody else can log in or stay in. The name to log in with is the model's ``USERNAME_FIELD``.
    """

    def __init__(self, *, subject_field: str = "pk", facts: Callable[[Any], SubjectFacts] = facts_of) -> None:
        arguments.texts(subject_field=subject_field)
        arguments.functions(facts=facts)
        self.subject_field = subject_field
        self._facts_of = facts

    async def facts(self, subject: str) -> SubjectFacts | None:
        """See `coatcheck.subjects.SubjectSource.facts`."""

        def read(alias: str) -> SubjectFacts | None:
            user = self.find(subject, alias)
            if user is None or not is_active(user):
                return None
            return arguments.answered_or_none(SubjectFacts, self._facts_of(user), "facts")

        return await in_database(read)

    async def login_of(self, name: str) -> Login | None:
        """See `coatcheck.subjects.UserSource.login_of`."""
        return await in_database(lambda alias: self._login(self.named(name, alias)))

    async def login_of_subject(self, subject: str) -> Login | None:
        """See `coatcheck.subjects.UserSource.login_of_subject`."""
        return await in_database(lambda alias: self._login(self.find(subject, alias)))

    async def replace_hash(self, subject: str, old: str, new: str) -> bool:
        """See `coatcheck.subjects.UserSource.replace_hash`. No signal is sent: the password is the same."""

        def replace(alias: str) -> bool:
            user = self.find(subject, alias)
            if user is None:
                return False
            rows = _model()._default_manager.using(alias).filter(pk=user.pk, password=to_django(old))
            return bool(rows.update(password=to_django(new)) == 1)

        return await in_database(replace)

    def subject_of(self, user: Any) -> str:
        """What a user is called in sessions and tokens. A model that inherits from theirs may have a key of its own,
        which is somebody else's there."""
        return str(key_of(user) if self.subject_field == "pk" else getattr(user, self.subject_field))

    def find(self, subject: str, using: str | None = None) -> Any | None:
        """The user whom a subject names, active or not; nobody where it names two. One query, also for a text that can
        be nobody."""
        try:
            found = list(_model()._default_manager.using(using).filter(**{self.subject_field: subject})[:2])
        except (ValueError, TypeError, OverflowError, ValidationError):
            self.named(subject, using)  # so that it takes as long
            return None
        # Nobody is meant by another spelling of the same number.
        return found[0] if len(found) == 1 and self.subject_of(found[0]) == subject else None

    def attach(self, request: Any, identity: Identity | None) -> None:
        """``request.user`` is read from the database when it is touched, and is `AnonymousUser` for nobody and for
        whoever is no longer active. What is narrowed by scopes is a `Person`: Django's user may do all that is theirs.
        """
        if identity is None or identity.scopes is not None:
            _set_user(request, _anonymous() if identity is None else _person(identity))
            return
        lookup = _Lookup(self, request, identity)
        request.user = SimpleLazyObject(lookup.user)
        request.auser = lookup.auser

    def named(self, name: str, using: str | None = None) -> Any | None:
        """The one user with this login name, active or not."""
        try:
            return _model()._default_manager.db_manager(using).get_by_natural_key(name)
        except (ObjectDoesNotExist, MultipleObjectsReturned, ValueError):  # ValueError: NUL, or half a character
            return None

    def _login(self, user: Any | None) -> Login | None:
        if user is None:
            return None
        email = getattr(user, user.get_email_field_name(), None) or ""
        name = "" if email else str(user.get_username())
        return Login(subject=self.subject_of(user), password_hash=from_django(user.password), email=email, name=name)


def key_of(user: Any) -> Any:
    """The key by which ``AUTH_USER_MODEL`` has them; None before there is one."""
    model = _model()
    if not isinstance(user, model):
        return getattr(user, "pk", None)
    found = getattr(user, model._meta.pk.attname)
    link = None if found is not None else user._meta.get_ancestor_link(model)
    return found if link is None else getattr(user, link.attname)


class _Lookup:
    """The user behind an identity, looked up once."""

    def __init__(self, users: DjangoUsers, request: Any, identity: Identity) -> None:
        self._users, self._request, self._identity = users, request, identity
        self._found: Any = None

    def user(self) -> Any:
        """Blocks; Django refuses it in an event loop."""
        if self._found is None:
            user = self._users.find(self._identity.subject)
            if user is None or not is_active(user):
                # Changed behind the back of the signals, as `QuerySet.update` does.
                self._request.identity = None
                user = _anonymous()
            self._found = user
        return self._found

    async def auser(self) -> Any:
        """In Django's own thread for this request."""
        return self._found if self._found is not None else await sync_to_async(self.user)()


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account of ours, or whose access is narrowed, as templates, decorators and other applications
    expect a user to be."""

    identity: Identity
    is_authenticated = True
    is_anonymous = False
    is_active = True
    is_staff = False
    is_superuser = False

    @property
    def pk(self) -> str:
        return self.identity.subject

    id = pk

    def __str__(self) -> str:
        return self.pk

    def get_username(self) -> str:
        """The account's id: its address may change, and is not part of an identity."""
        return self.pk

    def has_role(self, role: str) -> bool:
        """Whether the account has exactly this role."""
        return self.identity.has_role(role)

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """No: Django's permissions are for Django's users."""
        return False

    def has_perms(self, perm_list: Iterable[str], obj: object = None) -> bool:
        """No, as `has_perm`."""
        return False

    def has_module_perms(self, module: str) -> bool:
        """No, as `has_perm`."""
        return False


@dataclass(frozen=True, slots=True)
class Nobody:
    """An anonymous visitor where ``django.contrib.auth`` is not installed."""

    pk = None
    id = None
    is_authenticated = False
    is_anonymous = True
    is_active = False
    is_staff = False
    is_superuser = False

    def __str__(self) -> str:
        return "AnonymousUser"

    def get_username(self) -> str:
        """Empty, as Django's has it."""
        return ""

    def has_role(self, role: str) -> bool:
        """No."""
        return False


class CoatcheckUsers:
    """``request.user`` for our own accounts, and for the users of any other source: no database is asked."""

    def attach(self, request: Any, identity: Identity | None) -> None:
        """See `Users.attach`."""
        _set_user(request, _anonymous() if identity is None else _person(identity))


def _person(identity: Identity) -> Person:
    """One for all requests of a credential."""
    kept = getattr(identity, "_kept", None)
    if isinstance(kept, Person):
        return kept
    person = Person(identity)
    identity._keep(person)
    return person


def is_active(user: Any) -> bool:
    """As Django's own backend sees it: a model without the field has active users only."""
    return _flag(user, "is_active", absent=True)


def _flag(user: Any, name: str, *, absent: bool) -> bool:
    """Raises `TypeError` for what is neither True nor False: a method that lacks ``@property`` is always true."""
    value = getattr(user, name, absent)
    if not isinstance(value, bool):
        raise TypeError(f"{name} of a user must be True or False, not {type(value).__name__}")
    return value


def from_django(password_hash: str) -> str:
    """A hash as Coatcheck reads it. What Django writes otherwise, `coatcheck.accounts` reads as it is."""
    return password_hash.removeprefix("argon2") if password_hash.startswith(_ARGON2) else password_hash


def to_django(password_hash: str) -> str:
    """A hash as Django reads it."""
    return f"argon2{password_hash}" if password_hash.startswith("$argon2id$") else password_hash


async def in_database(work: Callable[[str], T]) -> T:
    """Do something with the users' database, whose alias ``work`` is called with: the one that is written to, for a
    replica may not know yet of a change.

    In the thread that waits for the answer, with its connection; so it is in a test that Django rolls back at its end.
    Where a transaction of the application is open, another thread does it: what is not committed does not count, nor
    may an old view of the database. Raises `StoreUnavailable` for whatever the driver says."""
    try:
        return await called(_outside_transactions, work)
    except _InTransaction:
        return await asyncio.to_thread(_outside_transactions, work)


class _InTransaction(Exception):
    """The application has a transaction open in this thread."""


def _outside_transactions(work: Callable[[str], T]) -> T:
    alias = router.db_for_write(_model())
    connection = connections[alias]
    opened = connection.connection is None
    try:
        with ExitStack() as stack:
            try:
                stack.enter_context(transaction.atomic(using=alias, durable=True))
            except RuntimeError as error:  # how Django says that one is open; it knows its own tests apart
                raise _InTransaction from error
            return work(alias)
    except django.db.Error as error:
        raise StoreUnavailable("the users' database did not answer") from error
    finally:
        if opened or connection.errors_occurred:
            connection.close_if_unusable_or_obsolete()


def _set_user(request: Any, user: Any) -> None:
    request.user = user
    request.auser = partial(_itself, user)


async def _itself(user: Any) -> Any:
    return user


def _model() -> Any:
    from django.contrib.auth import get_user_model

    return get_user_model()


def _anonymous() -> Any:
    from django.apps import apps

    if not apps.is_installed("django.contrib.auth"):
        return Nobody()
    from django.contrib.auth.models import AnonymousUser

    return AnonymousUser()

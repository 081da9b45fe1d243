"""The settings: one dictionary, ``COATCHECK``, checked when it is first needed, and the one `Auth` made of it.

All keys may be left out:

``url``, ``sessions``, ``secret``, ``policy``, ``password_hasher``, ``password_policy``
    As `coatcheck.Auth` has them. ``url`` is a SQLite file ``coatcheck.db`` in ``BASE_DIR`` when it is left out.
``users``
    Whose users there are: ``"django"`` (``AUTH_USER_MODEL``; the default where ``django.contrib.auth`` is installed),
    ``"coatcheck"`` (our own accounts; the default elsewhere), or any source or hook that `coatcheck.Auth` takes as
    ``subjects``, or the dotted path of one.
``subject_field``
    With ``"django"``: the field whose text names a user in sessions and tokens. It must be unique and never be given
    to someone else. ``"pk"`` by default.
``facts``
    With ``"django"``: a callable, or its dotted path, that gives the `SubjectFacts` (roles and claims) of an active
    user. `coatcheck.django.users.facts_of` by default.
``auth``
    In the place of all in the first entry: a `coatcheck.blocking.Auth` or `coatcheck.blocking.RemoteVerifier`, or the
    dotted path of one.
``service_keys``, ``pages``, ``site``
    As `coatcheck.service.auth_app` has them, for ``include("coatcheck.django.urls")``. ``site`` is a dictionary such as
    ``{"name": "Acme", "home": "/"}`` or a `coatcheck.Site`.
``send_to_login``
    Whether a person who comes to a page and is nobody is sent to the login page and back. True by default; False:
    everybody gets the refusal. The login page is ``LOGIN_URL``, and where that is not set the included service's own.
``test_database``
    What ``manage.py test`` opens, see `coatcheck.django.test_databases`: ``"throw-away"`` by default, or ``"real"``.

Django's ``SECRET_KEY`` is never used. It often lies in the repository, it is changed on other occasions, and changing
it would make the sealed signing keys unreadable. An embedded database has a secret of its own in a file beside it; any
other needs ``secret``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, cast

from django.apps import apps
from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from .. import blocking
from ..errors import ConfigurationError
from ..model import SubjectFacts
from ..site import Site
from .users import CoatcheckUsers, DjangoUsers, Users, facts_of

Knower = blocking.Auth | blocking.RemoteVerifier

OF_AUTH: Final = ("url", "sessions", "secret", "policy", "password_hasher", "password_policy", "features")
OF_SERVICE: Final = ("service_keys", "pages", "site")
KEYS: Final = (*OF_AUTH, *OF_SERVICE, "users", "subject_field", "facts", "auth", "send_to_login", "test_database")

THROW_AWAY: Final = "throw-away"
REAL: Final = "real"


@dataclass(frozen=True, slots=True)
class Made:
    """What the settings came to."""

    knower: Knower
    users: Users
    service: Mapping[str, Any] = field(repr=False)
    """Keywords for the service, where it is included."""
    sends: bool
    """Whether people are sent to the login page."""
    ours: bool
    """Whether the knower was made here, and so is closed here."""


_lock = threading.Lock()
_made: Made | None = None


def made() -> Made:
    """What was made of the settings, once per process. Raises `ConfigurationError`."""
    global _made
    if _made is None:
        with _lock:
            if _made is None:
                _made = _make(given())
    return _made


def knower() -> Knower:
    """What verifies in this process. Raises `ConfigurationError`."""
    return made().knower


def auth() -> blocking.Auth:
    """This process's `Auth`. Raises `ConfigurationError`, also where there is a `RemoteVerifier`: it only verifies."""
    found = knower()
    if isinstance(found, blocking.Auth):
        return found
    raise ConfigurationError("COATCHECK['auth'] is a RemoteVerifier: use coatcheck.django.knower()")


def given() -> Mapping[str, Any]:
    """``COATCHECK`` as it is written. Raises `ConfigurationError` for a key that is none."""
    found = getattr(settings, "COATCHECK", {})
    if not isinstance(found, Mapping):
        raise ConfigurationError("COATCHECK must be a dictionary")
    for name in found:
        if name not in KEYS:
            close = get_close_matches(str(name), KEYS, n=1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigurationError(f"COATCHECK[{name!r}] is no setting{meant}")
    return found


class Hidden(str):
    """A text that does not show in Django's error pages and mails, which print all settings."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<not shown>"


def hide() -> None:
    """Hide what may hold a password. The application's start does it; what Django hides by its name it hides itself."""
    found = getattr(settings, "COATCHECK", None)
    if isinstance(found, dict):
        urls = {name: Hidden(found[name]) for name in ("url", "sessions") if isinstance(found.get(name), str)}
        settings.COATCHECK = {**found, **urls}


def default_url() -> str:
    """A SQLite file in ``BASE_DIR``, or in the working directory of a project that has none."""
    base = getattr(settings, "BASE_DIR", None)
    return "sqlite:///coatcheck.db" if base is None else f"sqlite:///{Path(base).absolute() / 'coatcheck.db'}"


def _make(found: Mapping[str, Any]) -> Made:
    if not apps.is_installed("coatcheck.django"):  # its checks would be silent, its signals unheard
        raise ConfigurationError("add 'coatcheck.django' to INSTALLED_APPS: changed users would go unnoticed")
    source = _source(found)
    users: Users = source if isinstance(source, DjangoUsers) else CoatcheckUsers()
    service = {name: found[name] for name in OF_SERVICE if name in found}
    if "site" in service:
        service["site"] = Site.of(service["site"])
    sends = found.get("send_to_login", True)
    if not isinstance(sends, bool):
        raise ConfigurationError("COATCHECK['send_to_login'] must be True or False")
    opens_real_in_tests(found)
    if "auth" in found:
        return Made(_given_knower(found), users, service, sends, ours=False)
    keywords = {name: found[name] for name in OF_AUTH if name in found}
    if not keywords.get("url"):
        keywords["url"] = default_url()
    return Made(blocking.Auth(**keywords, subjects=source), users, service, sends, ours=True)


def opens_real_in_tests(found: Mapping[str, Any]) -> bool:
    """Whether tests open what is named. Raises `ConfigurationError`."""
    chosen = found.get("test_database", THROW_AWAY)
    if chosen not in (THROW_AWAY, REAL):
        raise ConfigurationError(f"COATCHECK['test_database'] is {THROW_AWAY!r} or {REAL!r}")
    return bool(chosen == REAL)


def _source(found: Mapping[str, Any]) -> Any:
    """What `coatcheck.Auth` takes as ``subjects``."""
    chosen = found.get("users") or ("django" if apps.is_installed("django.contrib.auth") else "coatcheck")
    if chosen != "django":
        for name in ("subject_field", "facts"):
            if name in found:
                raise ConfigurationError(f"COATCHECK[{name!r}] is for Django's users, and others are chosen")
        return None if chosen == "coatcheck" else _object(chosen, "users")
    if not apps.is_installed("django.contrib.auth"):
        raise ConfigurationError("COATCHECK['users'] is 'django', but django.contrib.auth is not in INSTALLED_APPS")
    facts: Callable[[Any], SubjectFacts] = _object(found.get("facts", facts_of), "facts")
    try:
        return DjangoUsers(subject_field=found.get("subject_field", "pk"), facts=facts)
    except TypeError as error:
        raise ConfigurationError(f"COATCHECK: {error}; facts must be callable with a user") from None


def _given_knower(found: Mapping[str, Any]) -> Knower:
    for name in OF_AUTH:
        if name in found:
            raise ConfigurationError(f"COATCHECK['auth'] is a whole Auth: give {name} to it, not to COATCHECK")
    given = _object(found["auth"], "auth")
    if not issubclass(type(given), (blocking.Auth, blocking.RemoteVerifier)):  # nor `auth`, which stands for this
        raise ConfigurationError("COATCHECK['auth'] must be a coatcheck.blocking.Auth or RemoteVerifier")
    return cast(Knower, given)


def _object(value: object, name: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return import_string(value)
    except ImportError as error:
        raise ConfigurationError(f"COATCHECK[{name!r}]: {error}") from error


def _forget(*, setting: str, **_: object) -> None:
    """Tests override settings; what was made of the old ones ends with them."""
    global _made
    if setting not in ("COATCHECK", "INSTALLED_APPS", "BASE_DIR"):
        return
    with _lock:
        ended, _made = _made, None
    if ended is not None and ended.ours:
        ended.knower.close()


setting_changed.connect(_forget, dispatch_uid="coatcheck.settings")

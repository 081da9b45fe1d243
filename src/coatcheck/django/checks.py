"""System checks: what is wrong with a project's settings, with what to do about it. ``manage.py check [--deploy]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import FieldDoesNotExist
from django.utils.module_loading import import_string

from ..credentials.cookies import is_ours
from ..credentials.entropy import guessed
from ..credentials.keyring import MIN_SECRET
from ..errors import ConfigurationError
from ..origins import canonical
from ..policy import Policy
from . import conf
from .hashers import CoatcheckHasher
from .middleware import AuthMiddleware
from .users import DjangoUsers, Users

_OURS: Final = "coatcheck.django.AuthMiddleware"
_HASHER: Final = "coatcheck.django.hashers.CoatcheckHasher"
_BEFORE: Final[tuple[str, ...]] = (
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
_AFTER: Final[tuple[str, ...]] = ("django.contrib.auth.middleware.LoginRequiredMiddleware",)


def check_settings(**_: Any) -> list[CheckMessage]:
    """Whether ``COATCHECK`` can be used, and whether there is a secret."""
    try:
        found = conf.given()
        wrong = _check_subject_field(conf.made().users)
        if "auth" in found:
            return wrong
        return [*wrong, *_check_secret(found.get("url") or conf.default_url(), found.get("secret"))]
    except ConfigurationError as error:
        return [Error(str(error), hint="See coatcheck.django.conf for what there is.", id="coatcheck.E003")]


def _check_subject_field(users: Users) -> list[CheckMessage]:
    if not isinstance(users, DjangoUsers) or users.subject_field == "pk":
        return []
    hint = "Choose a field with unique=True that is never given to someone else, or leave it at 'pk'."
    meta, name = get_user_model()._meta, users.subject_field
    try:
        alone = any(constraint.fields == (name,) for constraint in meta.total_unique_constraints)
        if alone or getattr(meta.get_field(name), "unique", False):
            return []
        text = f"Two users may have the same {name!r}, and then neither can log in."
    except FieldDoesNotExist:
        text = f"Users have no field {name!r}."
    return [Error(f"COATCHECK['subject_field']: {text}", hint=hint, id="coatcheck.E011")]


def _check_secret(url: object, secret: object) -> list[CheckMessage]:
    if secret is None:
        embedded = not isinstance(url, str) or url.startswith(("sqlite:", "memory:"))
        if embedded:
            return []
        hint = "Set COATCHECK['secret'] from the environment; make one with: openssl rand -base64 32"
        return [Error("There is no secret for this database.", hint=hint, id="coatcheck.E004")]
    given: Sequence[Any] = [secret] if isinstance(secret, (str, bytes)) else list(secret)  # type: ignore[call-overload]
    if not given or any(len(part) < MIN_SECRET for part in given):
        hint = f"It needs {MIN_SECRET} characters; make one with: openssl rand -base64 32"
        return [Error("COATCHECK['secret'] is too short.", hint=hint, id="coatcheck.E004")]
    if any(guessed(part.encode() if isinstance(part, str) else part) for part in given):
        hint = "Make one with: openssl rand -base64 32"
        return [Error("COATCHECK['secret'] can be guessed.", hint=hint, id="coatcheck.E004")]
    if settings.SECRET_KEY in given:
        hint = "It lies in more places and is changed on other occasions. Give Coatcheck a secret of its own."
        return [Warning("COATCHECK['secret'] is Django's SECRET_KEY.", hint=hint, id="coatcheck.W005")]
    return []


def check_middleware(**_: Any) -> list[CheckMessage]:
    """Whether `AuthMiddleware` is there, and in its place."""
    chain: list[str] = list(settings.MIDDLEWARE)
    place = next((place for place, name in enumerate(chain) if _is(name, AuthMiddleware)), None)
    if place is None:
        hint = f"Add {_OURS!r} to MIDDLEWARE, after AuthenticationMiddleware where that is."
        return [Error("Nobody asks who is asking: AuthMiddleware is missing.", hint=hint, id="coatcheck.E001")]
    wrong = [name for name in _BEFORE if name in chain[place:]]
    wrong += [name for name in _AFTER if name in chain[:place]]
    if not wrong:
        return []
    hint = f"{_OURS!r} belongs after {', '.join(_BEFORE)} and before {', '.join(_AFTER)}, where these are."
    return [Error(f"AuthMiddleware is in the wrong place beside {', '.join(wrong)}.", hint=hint, id="coatcheck.E002")]


def check_names(**_: Any) -> list[CheckMessage]:
    """Whether settings of Django's own fight ours."""
    found: list[CheckMessage] = []
    for setting in ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "LANGUAGE_COOKIE_NAME"):
        if is_ours(getattr(settings, setting)):
            hint = "Give it another name: two cookies of one name are refused."
            found.append(Error(f"{setting} is the name of one of Coatcheck's cookies.", hint=hint, id="coatcheck.E006"))
    trusted = settings.CSRF_TRUSTED_ORIGINS
    missing = [origin for origin in trusted if (canonical(origin) or origin) not in _policy().origins]
    if missing:
        hint = "Coatcheck asks its policy: Policy(origins=(...)), without wildcards. Same-origin requests need neither."
        text = f"CSRF_TRUSTED_ORIGINS has what the policy does not list: {', '.join(missing)}."
        found.append(Warning(text, hint=hint, id="coatcheck.W007"))
    return found


def check_hashers(**_: Any) -> list[CheckMessage]:
    """Whether Django and Coatcheck would renew each other's password hashes, login by login."""
    try:
        bridged = isinstance(conf.made().users, DjangoUsers)
    except ConfigurationError:  # E003 says so
        return []
    if not bridged or (settings.PASSWORD_HASHERS and _is(settings.PASSWORD_HASHERS[0], CoatcheckHasher)):
        return []
    hint = f"Put {_HASHER!r} first in PASSWORD_HASHERS, and keep the others after it for older hashes."
    text = "Passwords are hashed in one way at Django's login and in another at Coatcheck's."
    return [Warning(text, hint=hint, id="coatcheck.W010")]


def check_deployment(**_: Any) -> list[CheckMessage]:
    """Only with ``--deploy``: what works on a developer's machine and nowhere else."""
    found: list[CheckMessage] = []
    if not settings.SECURE_PROXY_SSL_HEADER and not settings.SECURE_SSL_REDIRECT:
        hint = "Behind a proxy that ends TLS set SECURE_PROXY_SSL_HEADER; otherwise set SECURE_SSL_REDIRECT."
        text = "Requests may look like plain http, and over that no cookie of ours is set or read."
        found.append(Warning(text, hint=hint, id="coatcheck.W008"))
    url = _given().get("url")
    if isinstance(url, str) and url.partition("?")[0] in ("memory://", "sqlite://"):
        hint = "Name a database that all workers share: sqlite:///file.db, postgresql://..., or sessions on redis://..."
        text = "Sessions are in the memory of each worker: they are unknown to the others, and end with it."
        found.append(Warning(text, hint=hint, id="coatcheck.W009"))
    return found


def _is(name: str, kind: type) -> bool:
    try:
        found = import_string(name)
    except ImportError:
        return False  # Django says so itself
    return isinstance(found, type) and issubclass(found, kind)


def _given() -> Any:
    try:
        return conf.given()
    except ConfigurationError:  # E003 says so
        return {}


def _policy() -> Policy:
    try:
        return conf.knower().policy
    except ConfigurationError:
        return Policy()

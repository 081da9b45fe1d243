"""Settings of the service: the command line, then ``COATCHECK_*`` variables, then a TOML file, then the defaults.

A setting has one dotted name. ``policy.session.idle`` is ``idle`` in ``[policy.session]`` of the file and
``COATCHECK_POLICY_SESSION_IDLE`` in the environment. A value that cannot be used is refused by the name under which it
was given. Secrets come from the environment or from files, never from the command line, which others can read.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ..accounts.passwords import PROFILES, PasswordHasher, PasswordPolicy
from ..arguments import meant
from ..auth import Auth
from ..credentials.entropy import guessed
from ..credentials.keyring import MIN_SECRET
from ..errors import ConfigurationError
from ..features.base import Feature, Off
from ..features.registry import BUILT_IN, kind_of, names
from ..policy import Lifetimes, Policy
from ..secret_file import check_private
from ..site import NOBODYS, Site
from .readers import (
    Reader,
    choice,
    endless,
    kinds,
    modes,
    networks,
    number,
    path,
    port,
    positive,
    secrets_of,
    several,
    split,
    text,
    whole,
)

DEFAULT_DATABASE: Final = "sqlite:///coatcheck.db"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """What an operator decides. `load` reads them; ``repr`` shows no secret and no password in a URL."""

    host: str = "127.0.0.1"
    """Address to listen on. Only this machine unless told otherwise."""
    port: int = 8000
    """TCP port to listen on; 0 picks a free one."""
    database: str = DEFAULT_DATABASE
    """Where accounts and keys are, and the sessions unless ``sessions`` says otherwise."""
    sessions: str | None = None
    """Another place for the sessions and their feed."""
    workers: int = 1
    """Processes that answer requests."""
    secrets: tuple[bytes, ...] = ()
    """At least 32 bytes each, newest first. Empty: a file beside an embedded database."""
    service_keys: tuple[str, ...] = ()
    """Bearer keys of services that may introspect and follow the feed."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose ``X-Forwarded-*`` headers are believed, and which end TLS."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    """Certificate chain and private key, PEM: the service ends TLS itself. The key may be in the certificate's file."""
    grace: int = 5
    """Seconds that requests under way get when the service is told to end. With what closing the stores takes it stays
    below the 10 s after which Docker, and others, kill."""
    log_level: str = "info"
    password_profile: str = "owasp"
    """Cost of a password hash: ``owasp``, ``rfc9106-low-memory`` or ``rfc9106-high-memory``."""
    password_min_length: int = 8
    """Characters a new password needs; 15 is better."""
    password_words: tuple[str, ...] = ()
    """Words that count for nothing in a password: the organisation, products, places."""
    site: Site = NOBODYS
    """The name, logo, colour and address that the pages show: ``site.name`` and so on. Coatcheck's own without."""
    policy: Policy = field(default_factory=Policy)
    features: tuple[Feature, ...] = ()
    """Capabilities that ``[features.NAME]`` turns on or sets up, besides what the service has of itself."""

    def __repr__(self) -> str:
        shown = {item.name: getattr(self, item.name) for item in fields(self)}
        shown["secrets"] = f"<{len(self.secrets)}, not shown>"
        shown["service_keys"] = f"<{len(self.service_keys)}, not shown>"
        shown["database"] = shown_url(self.database)
        shown["sessions"] = None if self.sessions is None else shown_url(self.sessions)
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def password_policy(self) -> PasswordPolicy:
        """Which passwords may be chosen."""
        return PasswordPolicy(min_length=self.password_min_length, words=self.password_words)

    def password_hasher(self) -> PasswordHasher:
        """A hasher of the chosen cost. It has threads of its own: whoever makes one closes it."""
        return PasswordHasher(PROFILES[self.password_profile])

    def auth(self) -> Auth:
        """An `Auth` with these settings, not yet started."""
        return Auth(
            self.database,
            sessions=self.sessions,
            secret=self.secrets or None,
            policy=self.policy,
            password_hasher=self.password_hasher(),
            password_policy=self.password_policy(),
            features=self.features,
        )


def shown_url(url: str) -> str:
    """The URL as it may be shown: without user, password and options."""
    parts = urlsplit(url)
    if "@" not in parts.netloc and not parts.query:
        return url
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _policy_readers() -> Mapping[str, Reader]:
    readers: dict[str, Reader] = {}
    default = Policy()
    for item in fields(Policy):
        if item.name == "trusted_proxies":
            continue  # a setting of its own, which the server goes by as well
        value = getattr(default, item.name)
        name = f"policy.{item.name}"
        if isinstance(value, Lifetimes):
            readers |= {f"{name}.idle": number, f"{name}.absolute": endless if item.name == "key" else number}
        elif item.name == "modes":
            readers[name] = modes
        elif item.name == "kinds":
            readers[name] = kinds
        elif isinstance(value, tuple):
            readers[name] = several
        elif isinstance(value, int):
            readers[name] = positive
        else:
            readers[name] = number if isinstance(value, float) else text
    return readers


READERS: Final[Mapping[str, Reader]] = {
    "host": text,
    "port": port,
    "database": text,
    "sessions": text,
    "workers": whole(1, 1024),
    "secret": secrets_of,
    "secret_file": path,
    "service_keys": several,
    "trusted_proxies": networks,
    "tls.cert": path,
    "tls.key": path,
    "grace": whole(0, 3600),
    "log_level": choice(LOG_LEVELS),
    "password.profile": choice(tuple(PROFILES)),
    "password.min_length": positive,
    "password.words": several,
    "site.name": text,
    "site.logo": path,
    "site.color": text,
    "site.home": text,
    **_policy_readers(),
}
"""Every setting by its dotted name."""

_PREFIX: Final = "COATCHECK_"
_FEATURES: Final = "features."
_VARIABLES: Final = {f"{_PREFIX}{name.upper().replace('.', '_')}": name for name in READERS}
_KUBERNETES: Final = re.compile(r"COATCHECK_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
"""What Kubernetes puts into every container when there is a Service called ``coatcheck``."""


@dataclass(frozen=True, slots=True)
class _Given:
    """A value and the name under which it was given."""

    value: Any
    origin: str


def load(options: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings. ``options`` are those of the command line, by dotted name, None where not given; ``config`` among
    them is the TOML file, otherwise ``COATCHECK_CONFIG``.

    Raises `ConfigurationError`, which names the setting and where it came from and never holds a secret.
    """
    environ = os.environ if environ is None else environ
    options = {name: value for name, value in (options or {}).items() if value is not None}
    config = options.pop("config", None) or environ.get(f"{_PREFIX}CONFIG")
    raw = _from_file(Path(str(config))) if config else {}
    raw |= _from_environment(environ)
    wanted = {name: raw.pop(name) for name in list(raw) if name.startswith(_FEATURES)}
    raw |= {name: _Given(value, f"--{re.sub('[._]', '-', name)}") for name, value in options.items()}
    given = {name: _Given(_read(name, item), item.origin) for name, item in raw.items()}
    features = _features(wanted)
    settings = Settings(
        secrets=_secrets(given), policy=_policy(given), features=features, site=_site(given), **_plain(given)
    )
    if settings.tls_key is not None and settings.tls_cert is None:
        raise ConfigurationError(f"{given['tls.key'].origin} needs a certificate too: set tls.cert (--tls-cert)")
    try:
        settings.password_policy()
    except ConfigurationError as error:
        raise _named(error, given, "password.") from error
    return settings


def _plain(given: Mapping[str, _Given]) -> dict[str, Any]:
    """Those that are a field of `Settings` as they are."""
    names = {item.name for item in fields(Settings)} - {"secrets", "policy", "features", "site"}
    found = {name.replace(".", "_"): item.value for name, item in given.items()}
    return {name: value for name, value in found.items() if name in names}


def _features(given: Mapping[str, _Given]) -> tuple[Feature, ...]:
    """The features that are named, each as its settings want it. ``off = true`` turns off one that is on of itself."""
    groups: dict[str, dict[str, _Given]] = {}
    for name, item in given.items():
        feature, _, setting = name.removeprefix(_FEATURES).partition(".")
        groups.setdefault(feature, {})
        if setting:
            groups[feature][setting] = item
    found: list[Feature] = []
    for name, items in groups.items():
        origin = next((item.origin for item in items.values()), f"features.{name}")
        try:
            kind = kind_of(name)
            values = {setting: item.value for setting, item in items.items()}
            off = values.pop("off", False)
            if off not in (True, False, "true", "false"):
                raise ConfigurationError(f"features.{name}.off must be true or false")
            found.append(Off(name) if off in (True, "true") else kind.from_settings(values))
        except ConfigurationError as error:
            raise ConfigurationError(f"{error} (given by {origin})") from None
    return tuple(found)


def _read(name: str, item: _Given) -> object:
    try:
        return READERS[name](item.value)
    except ValueError as error:
        raise ConfigurationError(f"{item.origin} {error}") from None


def _policy(given: Mapping[str, _Given]) -> Policy:
    default = Policy()
    values: dict[str, Any] = {}
    if "trusted_proxies" in given:
        values["trusted_proxies"] = given["trusted_proxies"].value
    for name, item in given.items():
        group, *rest = name.split(".")
        if group != "policy":
            continue
        if len(rest) == 1:
            values[rest[0]] = item.value
        else:
            lifetimes: Lifetimes = values.get(rest[0], getattr(default, rest[0]))
            values[rest[0]] = replace(lifetimes, **{rest[1]: item.value})
    try:
        return Policy(**values)
    except ConfigurationError as error:
        raise _named(error, given, "policy.") from error


def _site(given: Mapping[str, _Given]) -> Site:
    values = {name.removeprefix("site."): item.value for name, item in given.items() if name.startswith("site.")}
    try:
        return Site.of(values)
    except ConfigurationError as error:
        raise _named(error, given, "site.") from error


def _named(error: ConfigurationError, given: Mapping[str, _Given], group: str) -> ConfigurationError:
    """The same complaint, with where the values of this group that it may be about came from."""
    here = {name: item.origin for name, item in given.items() if name.startswith(group)}
    about = [origin for name, origin in here.items() if any(part in str(error) for part in _parts_of(name))]
    return ConfigurationError(f"{error} (given by {', '.join(about or here.values())})")


def _parts_of(name: str) -> tuple[str, ...]:
    """``policy.session`` of ``policy.session.idle``, and ``min_length`` of ``password.min_length``."""
    group, *rest = name.split(".")
    return (f"{group}.{rest[0]}",) if group in ("policy", "site") else (rest[0],)


def _secrets(given: Mapping[str, _Given]) -> tuple[bytes, ...]:
    inline, file = given.get("secret"), given.get("secret_file")
    if inline is not None and file is not None:
        raise ConfigurationError(f"give one of {inline.origin} and {file.origin}, not both")
    if inline is not None:
        origin, found = inline.origin, inline.value
    elif file is not None:
        origin, found = file.origin, _secret_file(file)
    else:
        return ()
    if not found:
        raise ConfigurationError(f"{origin} holds no secret; make one with: openssl rand -base64 32")
    if any(len(secret) < MIN_SECRET for secret in found):
        raise ConfigurationError(
            f"{origin} holds a secret of fewer than {MIN_SECRET} bytes; make one with: openssl rand -base64 32"
        )
    if why := next((why for secret in found if (why := guessed(secret))), None):
        raise ConfigurationError(
            f"{origin} holds a secret that can be guessed: it {why}; make one with: openssl rand -base64 32"
        )
    return tuple(found)


def _secret_file(item: _Given) -> list[bytes]:
    try:
        check_private(item.value.stat(), item.value, item.origin)
        content = item.value.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"{item.origin}: cannot read {item.value}: {why}") from error
    return [secret.encode() for secret in split(content)]


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    found = {}
    for variable, value in environ.items():
        if not variable.startswith(_PREFIX) or variable == f"{_PREFIX}CONFIG" or _KUBERNETES.fullmatch(variable):
            continue
        if variable == f"{_PREFIX}PORT" and "://" in value:  # Kubernetes again
            continue
        if variable.startswith(f"{_PREFIX}FEATURES_"):
            found[_of_feature(variable)] = _Given(value, variable)
            continue
        if variable not in _VARIABLES:
            raise ConfigurationError(f"{variable} in the environment is not a setting{meant(variable, _VARIABLES)}")
        found[_VARIABLES[variable]] = _Given(value, variable)
    return found


def _of_feature(variable: str) -> str:
    """``features.notes.limit`` of ``COATCHECK_FEATURES_NOTES_LIMIT``; names of features may hold a ``_`` as well."""
    rest = variable.removeprefix(f"{_PREFIX}FEATURES_").lower()
    there = sorted((*BUILT_IN, *names()), key=len, reverse=True)
    name = next((one for one in there if rest == one or rest.startswith(f"{one}_")), None)
    if name is None:
        raise ConfigurationError(f"{variable} in the environment is of no feature; there are {', '.join(there)}")
    setting = rest[len(name) + 1 :]
    return f"{_FEATURES}{name}.{setting}" if setting else f"{_FEATURES}{name}"


def _from_file(file: Path) -> dict[str, _Given]:
    try:
        status = file.stat()
        content = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration file {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the configuration file {file} is not TOML: {error}") from error
    found = {}
    features = content.pop("features", {})
    if not isinstance(features, dict) or not all(isinstance(each, dict) for each in features.values()):
        raise ConfigurationError(f"features in {file} are tables: [features.notes]")
    for feature, settings in features.items():
        found[f"{_FEATURES}{feature}"] = _Given(None, f"features.{feature} in {file}")
        for setting, value in settings.items():
            name = f"{_FEATURES}{feature}.{setting}"
            found[name] = _Given(value, f"{name} in {file}")
    for name, value in _flat(content, ""):
        if name not in READERS:
            raise ConfigurationError(f"{name} in {file} is not a setting{meant(name, READERS)}")
        if name in ("secret", "service_keys") or (name in ("database", "sessions") and _has_password(value)):
            check_private(status, file, f"{file} holds {'a password' if name in ('database', 'sessions') else name}")
        found[name] = _Given(value, f"{name} in {file}")
    return found


def _has_password(url: object) -> bool:
    return isinstance(url, str) and shown_url(url) != url and ":" in url.partition("://")[2].rpartition("@")[0]


def _flat(table: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found = []
    for key, value in table.items():
        name = f"{prefix}{key}"
        found += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return found

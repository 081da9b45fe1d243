"""What a URL of the Redis family says."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ...errors import ConfigurationError

Kind = Literal["single", "sentinel", "cluster"]

_KINDS: Final[Mapping[str, Kind]] = {"": "single", "+sentinel": "sentinel", "+cluster": "cluster"}
SCHEMES: Final[Mapping[str, tuple[Kind, bool]]] = {
    f"{name}{secure}{suffix}": (kind, bool(secure))
    for name in ("redis", "valkey")
    for secure in ("", "s")
    for suffix, kind in _KINDS.items()
}
"""Every scheme: what it names, and whether it is over TLS."""

MAX_SHARDS: Final = 256
_DEFAULT_SHARDS: Final[Mapping[Kind, int]] = {"single": 1, "sentinel": 1, "cluster": 16}
_PORTS: Final[Mapping[Kind, int]] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_FILES: Final = ("ca_file", "cert_file", "key_file")
_OPTIONS: Final = frozenset(
    {"prefix", "shards", "replicas", "connections", "sentinel_username", "sentinel_password", *_FILES}
)
_is_prefix: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII).fullmatch

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who we are to a server."""

    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One store. Its repr holds no secret."""

    kind: Kind
    addresses: tuple[Address, ...]
    service: str = ""
    """The name under which the sentinels know the primary."""
    database: int = 0
    login: Login = field(default_factory=Login)
    sentinel_login: Login = field(default_factory=Login)
    tls: ssl.SSLContext | None = None
    prefix: str = "coatcheck"
    shards: int = 1
    replicas: int = 0
    """How many replicas must have acknowledged a write that must not be lost."""
    connections: int = 20
    """Per server, at most."""


def parse(url: str) -> Target:
    """Read a URL. Raises `ConfigurationError`, whose text never repeats any of it: it may hold a password."""
    try:
        parts = urlsplit(url)
        options = _options(parts.query)
    except ValueError:
        raise ConfigurationError("this is not a Redis URL; write redis://user:password@host:6379/0") from None
    if parts.scheme not in SCHEMES or parts.fragment:
        raise ConfigurationError("this is not a Redis URL; write redis://user:password@host:6379/0")
    kind, secure = SCHEMES[parts.scheme]
    if not secure and any(name in options for name in _FILES):
        raise ConfigurationError("a Redis URL with certificate files needs a scheme with TLS, such as rediss://")
    if kind == "single" and "," in parts.netloc.rpartition("@")[2]:
        raise ConfigurationError("several servers need redis+sentinel:// or redis+cluster://")
    path = unquote(parts.path.removeprefix("/"))
    user, _, hosts = parts.netloc.rpartition("@")
    username, _, password = user.partition(":")
    return Target(
        kind=kind,
        addresses=tuple(_address(host, kind) for host in hosts.split(",")),
        service=_service(path) if kind == "sentinel" else "",
        database=_database(path, kind),
        login=_login(unquote(username), unquote(password)),
        sentinel_login=_login(options.get("sentinel_username", ""), options.get("sentinel_password", "")),
        tls=_tls(options) if secure else None,
        prefix=_prefix(options.get("prefix", "coatcheck")),
        shards=_number(options, "shards", _DEFAULT_SHARDS[kind], 1, MAX_SHARDS),
        replicas=_number(options, "replicas", 0, 0, 16),
        connections=_number(options, "connections", 20, 1, 10_000),
    )


def _options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    options = dict(pairs)
    unknown = sorted(set(options) - _OPTIONS)
    if unknown or len(options) != len(pairs):
        raise ConfigurationError(f"a Redis URL takes these options, each once: {', '.join(sorted(_OPTIONS))}")
    return options


def _address(text: str, kind: Kind) -> Address:
    try:
        part = SplitResult("", text, "", "", "")
        host, port = part.hostname, part.port
    except ValueError:
        host, port = None, None
    if not host or "@" in text:
        raise ConfigurationError("a Redis URL names its servers as host:port, with commas between several")
    return host, _PORTS[kind] if port is None else port


def _service(path: str) -> str:
    name, _, _ = path.partition("/")
    if not name:
        raise ConfigurationError("a Sentinel URL ends in the primary's name: redis+sentinel://host:26379/mymaster")
    return name


def _database(path: str, kind: Kind) -> int:
    text = path.partition("/")[2] if kind == "sentinel" else path
    if not text:
        return 0
    if kind == "cluster":
        raise ConfigurationError("a Redis Cluster has one database only: leave the path out of the URL")
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise ConfigurationError("the path of a Redis URL is the number of a database, such as /0")
    return int(text)


def _login(username: str, password: str) -> Login:
    if username and not password:
        raise ConfigurationError("a Redis URL with a user name needs the password too: redis://user:password@host")
    return Login(username=username or None, password=password or None)


def _prefix(text: str) -> str:
    if not _is_prefix(text):
        raise ConfigurationError("prefix must be 1 to 64 letters, digits or any of _ . : -")
    return text


def _number(options: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = options.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 9 and least <= int(text) <= most):
        raise ConfigurationError(f"{name} in a Redis URL must be a number from {least} to {most}")
    return int(text)


def _tls(options: Mapping[str, str]) -> ssl.SSLContext:
    """Certificates and host names are always checked; there is no option to leave it."""
    for name in _FILES:
        if name in options and not Path(options[name]).is_file():
            raise ConfigurationError(f"{name} in the Redis URL names no file that can be read")
    try:
        context = ssl.create_default_context(cafile=options.get("ca_file"))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if "cert_file" in options:
            context.load_cert_chain(options["cert_file"], options.get("key_file"))
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError("the certificate files named in the Redis URL cannot be used") from error
    return context

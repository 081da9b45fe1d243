"""What the URL of a PostgreSQL database says. It is libpq's, with two options of ours.

Every option that libpq knows is honoured or refused by name: what was asked for and is not done would be believed in.
(PostgreSQL, libpq, "Connection URIs" and "Parameter Key Words")
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit

from ...errors import ConfigurationError

POOL_SIZE: Final = 5
"""Connections that a process works with, unless the URL says ``pool_size=``; one more listens."""
APPLICATION: Final = "coatcheck"
"""The name under which the server shows our connections, unless the URL says ``application_name=``."""

_ADDRESS: Final = ("host", "port", "user", "password", "dbname")
"""What stands before the query as well. To libpq the query's counts, also where it is empty."""
_FOR_THE_DRIVER: Final = frozenset((
    "passfile", "service", "options", "target_session_attrs",
    "sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslnegotiation",
    "ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib",
))  # fmt: skip
_VALUES: Final[Mapping[str, str]] = {
    "target_session_attrs": "primary|read-write",
    "sslmode": "disable|allow|prefer|require|verify-ca|verify-full",
    "ssl": "true",
    "sslnegotiation": "postgres|direct",
    "ssl_min_protocol_version": "TLSv1|TLSv1.1|TLSv1.2|TLSv1.3",
    "ssl_max_protocol_version": "TLSv1|TLSv1.1|TLSv1.2|TLSv1.3",
    "channel_binding": "disable|prefer",
    "gssencmode": "disable|prefer",
    "gssdelegation": "0",
    "sslcompression": "0",
    "sslsni": "1",
    "sslcertmode": "allow",
    "client_encoding": "utf8|utf-8|auto",
    "load_balance_hosts": "disable",
    "requiressl": "0",
    "replication": "false|off|no|0",
    "keepalives": "0|1",
}
"""What is possible where not everything is, or where what is possible is what happens anyway."""
_INSTEAD: Final[Mapping[str, str]] = {"channel_binding": "; leave it out, which is prefer"}
"""What to do about a value that others hand out."""
_IMPOSSIBLE: Final = frozenset(("hostaddr", "require_auth", "requirepeer", "sslcrldir"))
_KEEPALIVES: Final = {
    "keepalives_idle": (socket.IPPROTO_TCP, "TCP_KEEPIDLE"),
    "keepalives_interval": (socket.IPPROTO_TCP, "TCP_KEEPINTVL"),
    "keepalives_count": (socket.IPPROTO_TCP, "TCP_KEEPCNT"),
    "tcp_user_timeout": (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT"),
}
"""By option: the socket's. Zero is the system's default (libpq)."""
_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_PUBLIC: Final = "system"
"""As ``sslrootcert``: the authorities that this machine trusts."""
_LONGEST: Final = 60
"""Seconds for which it may be tried to connect: requests wait for it."""
_DEFAULT_PORT: Final = "5432"
_PLACE: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::(\d*))?", re.ASCII)
"""A host before the query and its port, as libpq reads them."""
_LISTEN: Final = re.compile(r"(/.*?|\[[^\[\]/@]+\]|[^\s/:@?#\[\]]+)(?::(\d{1,5}))?", re.ASCII)
_IPV6: Final = re.compile(r"\[?([0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%\w+)?)\]?", re.ASCII)

Option = tuple[int, int, int]
"""Of a socket: level, name, value."""


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """Where the database is, and how it is spoken to. Nothing of it shows itself: it holds the password."""

    dsns: tuple[str, ...]
    """One of each server, in the order in which they are tried."""
    listening: tuple[str, ...]
    """The same, of where there are notices to be had."""
    pool_size: int
    connect_timeout: float | None
    application: str
    sockets: tuple[Option, ...]
    files: Mapping[str, str]
    """By option: files that must be there."""
    public: Mapping[str, str] | None
    """Where the system's authorities are to be believed: the options of TLS."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises `ConfigurationError`, in words that repeat nothing of the URL but the names of options."""
        try:
            parts = urlsplit(url)
            where, given = _address(parts), _options(parts.query)
        except ValueError:
            raise ConfigurationError(
                "this is not a database's URL: write postgresql://user:password@host:5432/database, "
                "with % escapes for special characters"
            ) from None
        if parts.scheme not in ("postgresql", "postgres") or parts.fragment:
            raise ConfigurationError("a PostgreSQL URL begins with postgresql:// and has no # (write %23)")
        where.update({name: given.pop(name) for name in _ADDRESS if name in given})
        given = _given(given)
        pool_size = _number(given, "pool_size", 1, 1000, POOL_SIZE)
        listen = given.pop("listen", "")
        timeout = _number(given, "connect_timeout", 1, _LONGEST, None)
        sockets = _sockets(given)
        application = given.pop("application_name", "") or given.pop("fallback_application_name", "") or APPLICATION
        given.pop("fallback_application_name", None)
        options = _checked(given)
        # Asked at each new connection: of several servers, or behind one name, it may be another one every time.
        options.setdefault("target_session_attrs", "primary")
        public = _take_public(options)
        named = {**options, **(public or {})}
        files = {name: named[name] for name in _FILES if named.get(name, _PUBLIC) != _PUBLIC}
        return cls(
            dsns=_each(where, options), listening=_each(where | _listening(listen), options),
            pool_size=pool_size or POOL_SIZE,
            connect_timeout=timeout, application=application, sockets=sockets, files=files, public=public,
        )  # fmt: skip


def _address(parts: SplitResult) -> dict[str, str]:
    """What stands before the query, under the names that it has there."""
    who, _, hosts = parts.netloc.rpartition("@")
    user, _, password = who.partition(":")
    found = [_PLACE.fullmatch(place) for place in hosts.split(",")]
    if "@" in who or not all(found):
        raise ValueError
    places = [(place[1].strip("[]"), place[2] or "") for place in found if place]
    values = (
        ",".join(unquote(host) for host, _ in places),
        ",".join(port for _, port in places) if any(port for _, port in places) else "",
        unquote(user), unquote(password), unquote(parts.path.removeprefix("/")),
    )  # fmt: skip
    return dict(zip(_ADDRESS, values, strict=True))


def _listening(listen: str) -> dict[str, str]:
    """Where the servers themselves are, if that is said. Their ports are their own."""
    if not listen:
        return {}
    found = [_LISTEN.fullmatch(place) for place in listen.split(",")]
    if not all(found):
        raise ConfigurationError(
            "listen in the database's URL is host:port, or the directory of a socket (%2Frun%2Fpostgresql), without a "
            "database; of several, with commas between them"
        )
    places = [(place[1], place[2] or _DEFAULT_PORT) for place in found if place]
    return {"host": ",".join(host for host, _ in places), "port": ",".join(_port(port, "listen") for _, port in places)}


def _each(where: Mapping[str, str], options: Mapping[str, str]) -> tuple[str, ...]:
    """One URL for each host, with everything in the query: there the driver mistakes nothing for something else."""
    hosts, ports = (where[name].split(",") for name in ("host", "port"))
    if len(ports) not in (1, len(hosts)):
        raise ConfigurationError("the database's URL has as many ports as hosts, or one")
    if len(ports) > 1:
        ports = [port or _DEFAULT_PORT for port in ports]
    each = [
        {"host": _host(host), "port": _port(port, "port")}
        for host, port in zip(hosts, ports * len(hosts), strict=False)
    ]
    return tuple(f"postgresql://?{urlencode(_given({**options, **where, **one}), quote_via=quote)}" for one in each)


def _host(host: str) -> str:
    """As the driver takes it, which would read a port out of it."""
    if found := _IPV6.fullmatch(host):
        return f"[{found[1]}]"
    if ":" in host and not host.startswith("/"):
        raise ConfigurationError("host in the database's URL holds no port: that is port=")
    return host


def _port(port: str, name: str) -> str:
    if port and not (re.fullmatch(r"\d{1,5}", port, re.ASCII) and 1 <= int(port) <= 65535):
        raise ConfigurationError(f"{name} in the database's URL: a port is a number from 1 to 65535")
    return port


def _given(options: Mapping[str, str]) -> dict[str, str]:
    """Without those that are empty: the default, to libpq."""
    return {name: value for name, value in options.items() if value}


def _options(query: str) -> dict[str, str]:
    """As libpq reads them, to which a ``+`` is one. An ``@`` is part of a password that was not escaped."""
    if "@" in query:
        raise ValueError
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"\w{1,40}", unquote(name), re.ASCII):
            raise ValueError
        options[unquote(name)] = unquote(value)
    return options


def _number(options: dict[str, str], name: str, least: int, most: int, default: int | None) -> int | None:
    text = options.pop(name, "")
    if not text:
        return default
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not least <= int(text) <= most:
        raise ConfigurationError(f"{name} in the database's URL is a number from {least} to {most}")
    return int(text)


def _sockets(options: dict[str, str]) -> tuple[Option, ...]:
    wanted = options.get("keepalives", "1") != "0"
    found: list[Option] = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(wanted))]
    for name, (level, code) in _KEEPALIVES.items():
        value = _number(options, name, 0, 2**31 - 1, 0)
        if value and hasattr(socket, code):
            found.append((level, getattr(socket, code), value))
    return tuple(found)


def _checked(given: Mapping[str, str]) -> dict[str, str]:
    """What is for the driver. Raises `ConfigurationError` for what is for nobody."""
    options: dict[str, str] = {}
    for name, value in given.items():
        possible = _VALUES.get(name)
        # The driver minds capitals, as libpq does.
        said = value if name in _FOR_THE_DRIVER else value.lower()
        if possible is not None and said not in possible.split("|"):
            choice = possible.replace("|", " or ")
            instead = _INSTEAD.get(name, "")
            raise ConfigurationError(f"{name} in the database's URL is {choice}: no other can be had{instead}")
        if name in _IMPOSSIBLE:
            raise ConfigurationError(f"{name} in the database's URL cannot be had here")
        if possible is None and name not in _FOR_THE_DRIVER:
            raise ConfigurationError(
                f"libpq knows no option {name} in a database's URL; a setting of the server is "
                "options=-c%20NAME%3DVALUE"
            )
        if name == "ssl":
            options.setdefault("sslmode", "require")
        elif name in _FOR_THE_DRIVER:
            options[name] = value
    return options


def _take_public(options: dict[str, str]) -> Mapping[str, str] | None:
    """The options of TLS, taken out, where it is the system's authorities that vouch for the server."""
    root = options.get("sslrootcert") or os.environ.get("PGSSLROOTCERT", "")
    mode = options.get("sslmode") or os.environ.get("PGSSLMODE") or ("verify-full" if root == _PUBLIC else "")
    if root == _PUBLIC and mode != "verify-full":
        raise ConfigurationError("sslrootcert=system in the database's URL needs sslmode=verify-full")
    if mode != "verify-full" or (root != _PUBLIC and (root or _own_root())):
        return None
    return {name: options.pop(name) for name in list(options) if name.startswith("ssl") and name != "sslnegotiation"}


def _own_root() -> bool:
    try:
        return (Path.home() / ".postgresql" / "root.crt").exists()
    except RuntimeError:  # there is no home
        return False

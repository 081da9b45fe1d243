"""Where sessions, accounts and keys are kept. `open_store` picks the engine by URL."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from ..errors import ConfigurationError
from ..extras import setting_needs
from .base import AccountStore, KeyStore, SessionStore

__all__ = ["KeyedSessions", "Store", "embedded_path", "open_store"]

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://")
_REDIS: Final = re.compile(r"(redis|valkey)s?(\+(sentinel|cluster))?", re.IGNORECASE)
_HELP: Final = "known are memory://, sqlite:///path/to/file.db, postgresql://host/database and redis://host:6379/0"


class KeyedSessions(SessionStore, KeyStore, Protocol):
    """Sessions and signing keys in one object: enough for an application that has users of its own."""


class Store(KeyedSessions, AccountStore, Protocol):
    """All three in one object."""

    async def open(self, *, migrate: bool = False) -> None:
        """See `SessionStore.open`. With ``migrate`` the schema is made or brought up to date first; any number of
        processes may do so at once."""


def open_store(url: str, *, wall: Callable[[], float] = time.time) -> Store | KeyedSessions:
    """The store behind a URL, not yet opened: await its ``open()``.

    - ``memory://``: in the memory of this process, gone with it.
    - ``sqlite:///relative.db``, ``sqlite:////absolute.db``: one file, shared by the processes of one machine.
    - ``sqlite://``: SQLite in the memory of this process.
    - ``postgresql://user:password@host:port/database``, also ``postgres://``: shared by all machines, with libpq's
      options (``sslmode=``) and ``pool_size=`` (default 5 connections a process, and one that listens;
      ``listen=host:port`` says where, when a pooler stands before the server). Its clock is the server's, ``wall`` is
      not used. ``coatcheck migrate`` makes its tables.
    - ``redis://``, ``rediss://`` (TLS), ``redis+sentinel://``, ``redis+cluster://`` and the like, also with ``valkey``:
      sessions and keys in Redis, see docs/redis.md. Its clock is the server's, ``wall`` is not used.

    ``wall`` is the store's clock, in seconds since the Unix epoch; tests hand in their own. Raises
    `ConfigurationError` for a URL that is not one of these, and where the package that it needs is not installed. An
    engine is imported only when it is asked for.
    """
    scheme = _scheme(url)
    if scheme == "memory":
        if url != "memory://":
            raise ConfigurationError("the memory store takes no path or options: write memory://")
        from .memory import MemoryStore

        return MemoryStore(wall=wall)
    if scheme == "sqlite":
        path = embedded_path(url)
        from .sql import SqlStore

        return SqlStore.sqlite(path, wall=wall)
    if scheme in ("postgresql", "postgres"):
        from .sql import SqlStore

        return SqlStore.postgresql(url)
    if _REDIS.fullmatch(scheme):
        with setting_needs(f"a {scheme}:// store", "redis"):
            from .redis import RedisStore
        return RedisStore(url)
    raise ConfigurationError(f"there is no store for {scheme}:// URLs; {_HELP}")


def embedded_path(url: str) -> Path | None:
    """The file behind a ``sqlite:///`` URL, None for every other store.

    Raises `ConfigurationError` when the URL is not one; its text never repeats the URL, which may hold a password.
    """
    if _scheme(url) != "sqlite":
        return None
    rest = url.removeprefix("sqlite://")
    if rest in ("", "/", "/:memory:"):
        return None
    if not rest.startswith("/"):
        raise ConfigurationError("a SQLite URL has three slashes before a relative path: sqlite:///coatcheck.db")
    if "?" in rest or "\0" in rest:
        raise ConfigurationError("a SQLite URL takes no options: write sqlite:///path/to/file.db")
    return Path(rest[1:])


def _scheme(url: str) -> str:
    found = _SCHEME.match(url)
    if found is None:
        raise ConfigurationError(f"a store is named by a URL; {_HELP}")
    return found[1]

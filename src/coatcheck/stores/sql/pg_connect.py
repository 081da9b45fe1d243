"""Connections to PostgreSQL: what a URL says, how long anything may take, which faults are an operator's to mend."""

from __future__ import annotations

import re
from typing import Any, Final

from ...errors import ConfigurationError, StoreUnavailable
from ..turns import KeptWaiting, NoRoom
from . import pg_tls
from .pg_link import Link, asyncpg
from .pg_tls import check_files, public_context
from .pg_url import Target

CONNECT_TIMEOUT: Final = 3
"""Seconds until a connection must stand."""
COMMAND_TIMEOUT: Final = 4.0
"""Seconds until a statement must be answered; then the connection is given up."""
SERVER_TIMEOUTS: Final = {"statement_timeout": "5s", "lock_timeout": "3s", "idle_in_transaction_session_timeout": "5s"}
"""What the server itself ends: a client that was suspended holds no lock for longer."""

LISTENER: Final = "coatcheck listener"
"""The name under which the server shows the connection that listens."""

_MENDED: Final = {
    "28P01": "refuses the password; look at the database's URL",
    "28000": "refuses this user or this way in; look at the database's URL and at pg_hba.conf",
    "3D000": "has no database of this name; make it, or look at the database's URL",
    "42501": "refuses this user the right to do this; grant it, or own the tables",
    "42704": "does not know an option in the database's URL",
    "22023": "refuses an option in the database's URL",
    "3F000": "has no schema to put tables in; look at the user's search_path",
}
"""By SQLSTATE: what waiting does not help."""
_TOO_MANY: Final = "53300"
"""SQLSTATE of every limit of connections: the server's, the database's and the role's."""
_POOLER_IS_FULL: Final = "no more connections allowed"
_STATEMENT_MODE: Final = "statement pooling mode"
"""In what PgBouncer says to BEGIN then."""
_NO_ROOM: Final = (
    "the database server lets no further connection in: allow more (max_connections, the role's CONNECTION LIMIT, the "
    "pooler's sizes), or ask for fewer with pool_size in the database's URL"
)
_REFUSED: Final = re.compile(r"unsupported startup parameter(?: in options)?: (\w{1,60})$")
"""What PgBouncer says."""


class Server:
    """How connections to one database are made. Nothing of it shows itself: it holds the password."""

    def __init__(self, url: str) -> None:
        """Raises `ConfigurationError`, in words that do not repeat the URL."""
        self._target = Target.parse(url)
        self.pool_size = self._target.pool_size

    async def connect(self, *, patient: bool = False, listens: bool = False) -> Link:
        """A new connection of the driver's. ``patient`` ones may work for as long as it takes; one that ``listens``
        leads to where there are notices.

        Raises `StoreUnavailable`, with the driver's error as its cause."""
        limits = dict.fromkeys(SERVER_TIMEOUTS, "0") if patient else SERVER_TIMEOUTS
        timeout = self._target.connect_timeout or CONNECT_TIMEOUT
        try:
            link = await self._dial(timeout, None if patient else COMMAND_TIMEOUT, listens=listens)
        except DRIVER_ERRORS as error:
            if sqlstate(error) == _TOO_MANY or _POOLER_IS_FULL in str(error):
                raise NoRoom(_NO_ROOM) from error
            raise StoreUnavailable(
                str(explain(error) or f"the database cannot be reached ({type(error).__name__})")
            ) from error
        except ConfigurationError as error:  # a file that is gone, which may come back
            raise StoreUnavailable(str(error)) from error
        except (ValueError, OverflowError):  # quote what they were given
            raise ConfigurationError("the database's URL is not one that the driver understands") from None
        try:
            await link.settle(limits, timeout)
        except BaseException as error:
            link.terminate()
            if isinstance(error, TimeoutError):  # it was let in, and then nobody came: a pooler in session mode
                raise KeptWaiting(_NO_ROOM) from error
            if isinstance(error, DRIVER_ERRORS):
                raise StoreUnavailable(f"the database cannot be used ({type(error).__name__})") from error
            raise
        return link

    async def _dial(self, timeout: float, command_timeout: float | None, *, listens: bool) -> Link:
        """The first server that will do. Each has its own time: one that is silent hides no other."""
        target = self._target
        check_files(target.files)
        settings = {"application_name": LISTENER if listens else target.application}
        failed: Exception | None = None
        for dsn in target.listening if listens else target.dsns:
            try:
                link: Link = await _connect(
                    dsn, timeout=timeout, command_timeout=command_timeout, server_settings=settings,
                    ssl=None if target.public is None else public_context(target.public),
                    connection_class=Link, statement_cache_size=0,
                )  # fmt: skip
            except (OSError, asyncpg.TargetServerAttributeNotMatched, asyncpg.CannotConnectNowError) as error:
                if failed is None or isinstance(error, OSError):
                    failed = error
            else:
                link.set_up(target.sockets)
                return link
        assert failed is not None  # noqa: S101 - there is one server at least
        raise failed


_connect: Final[Any] = asyncpg.connect  # has types that are not so

DRIVER_ERRORS: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def explain(error: BaseException | None) -> ConfigurationError | None:
    """The error for an operator, when it is one that only they can mend. It names no user, host or password."""
    if isinstance(error, ConfigurationError):
        return error
    if about_tls := pg_tls.explain(error):
        return ConfigurationError(about_tls)
    if isinstance(error, asyncpg.ClientConfigurationError):
        return ConfigurationError("the options in the database's URL are not ones that the driver knows")
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return ConfigurationError("the database server is a standby, which may lag behind: name the primary")
    if refused := _REFUSED.search(str(error)):
        return ConfigurationError(
            f"the pooler before the database refuses an option in the database's URL: {refused[1]}"
        )
    if _STATEMENT_MODE in str(error):
        return ConfigurationError(
            "the pooler before the database is in statement mode, in which there are no transactions: "
            "Coatcheck needs pool_mode = transaction or session"
        )
    reason = _MENDED.get(sqlstate(error))
    return ConfigurationError(f"the database server {reason}") if reason else None


def sqlstate(error: BaseException | None) -> str:
    """PostgreSQL's code of an error, empty for one that is not the server's."""
    return str(getattr(error, "sqlstate", None) or "")

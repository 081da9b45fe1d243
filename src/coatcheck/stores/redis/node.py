"""One server: a bounded pool of connections, and exchanges of commands for replies.

A connection is used by one exchange at a time and goes back to the pool only when every reply was read. Whatever else
ends an exchange (an error, a timeout, the caller's cancellation) ends the connection with it, so nobody ever reads the
answer to somebody else's question. Nothing is sent twice here.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from functools import partial
from typing import Final

from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from ..turns import NoRoom, Turns
from .records import Reply
from .urls import Address, Login

log = logging.getLogger("coatcheck.stores.redis")

CONNECT_TIMEOUT: Final = 2.0
"""Seconds until a server that does not take a connection counts as silent."""
_PATIENCE: Final = 2.5
"""Seconds until a turn must come: fewer than an operation has (`scripts`), so that it is told what is missing."""

Command = tuple[str | bytes | int, ...]


class _TlsConnection(SSLConnection):
    """A connection with a context that was made once and checks what ours check."""

    def __init__(self, context: ssl.SSLContext, **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type] # handed on as they are
        self.ssl_context.context = context


class Node:
    """A server by its address."""

    def __init__(
        self, address: Address, login: Login, *, database: int, tls: ssl.SSLContext | None, connections: int
    ) -> None:
        self.address: Address = address
        self._login = login
        self._database = database
        self._tls = tls
        self._idle: list[Connection] = []
        self._turns = Turns(connections, alone=self._warn)
        self._has_warned = False
        self._closed = False

    def connection(self) -> Connection:
        """A new connection, not connected yet, that is not in the pool."""
        settings: dict[str, object] = {
            "host": self.address[0],
            "port": self.address[1],
            "db": self._database,
            "username": self._login.username,
            "password": self._login.password,
            "socket_timeout": None,
            "socket_connect_timeout": CONNECT_TIMEOUT,
            "retry": Retry(NoBackoff(), 0),
            "driver_info": None,
            "protocol": 2,
        }
        if self._tls is not None:
            return _TlsConnection(self._tls, **settings)
        return Connection(**settings)  # type: ignore[arg-type] # handed on as they are

    async def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send these and read as many replies. A server's refusal is a reply. Has no timeout of its own.

        Raises `RedisError` or `OSError` when the connection fails."""
        return await self._turns.run(partial(self._exchange, commands), _PATIENCE)

    async def _exchange(self, commands: Sequence[Command]) -> list[Reply]:
        connection = await self._ready()
        try:
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            replies = [await _reply(connection) for _ in commands]
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        if self._closed:
            await connection.disconnect(nowait=True)
        else:
            self._idle.append(connection)
        return replies

    async def close(self) -> None:
        """Close idle connections now, and those in use when they come back."""
        self._closed = True
        await self.drop_idle()

    async def drop_idle(self) -> None:
        """Close every connection that nobody uses: what failed on one is likely to fail on all."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)

    async def _ready(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            stale = True
            try:
                stale = await _is_stale(connection)
            finally:  # also when the caller was cancelled meanwhile
                if stale:
                    await connection.disconnect(nowait=True)
            if not stale:
                return connection
        connection = self.connection()
        try:
            await connected(connection)
        except BaseException as error:
            await connection.disconnect(nowait=True)
            if is_full(error):
                raise NoRoom("Redis lets no further connection in: raise maxclients") from error
            raise
        return connection

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning("Redis lets no further connection in: raise maxclients, or ask for fewer with connections=")


async def connected(connection: Connection) -> None:
    """Connect it, and be told now rather than by the first command whether the server lets it in. A Redis that
    cannot save refuses even PING, and goes on answering what is read."""
    await connection.connect()  # type: ignore[no-untyped-call] # redis-py has no type for it
    await connection.send_command("PING")
    try:
        await connection.read_response()
    except ResponseError as error:
        if not cannot_save(error):
            raise


def cannot_save(error: ResponseError) -> bool:
    """Whether a server has refused a command because its last snapshot has failed. PING is among them."""
    return str(error).startswith("MISCONF")


def is_full(error: BaseException) -> bool:
    """Whether the server has answered a new connection with its limit of them."""
    return isinstance(error, RedisError) and "max number of clients" in str(error)


async def _is_stale(connection: Connection) -> bool:
    """Whether the server has closed it, or has said something that nobody asked for."""
    try:
        return await connection.can_read()
    except OSError:
        return True


async def _reply(connection: Connection) -> Reply:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error

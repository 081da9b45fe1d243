"""Sessions and signing keys in Redis or Valkey: one server, Sentinel or Cluster."""

from __future__ import annotations

from ...errors import StoreUnavailable
from .checks import check_rights, check_servers, settled
from .keys import RedisKeys
from .scripts import Scripts
from .sessions import RedisSessions
from .topology import topology
from .urls import Target, parse
from .wake import Wake

__all__ = ["RedisStore"]


class RedisStore(RedisSessions, RedisKeys):
    """The `SessionStore` and the `KeyStore` in Redis. Make it with `open_store`; use it from one event loop.

    Its clock is the server's. Raises `ConfigurationError` for a URL that is not one; its text holds nothing of it.
    """

    def __init__(self, url: str) -> None:
        self._target: Target = parse(url)
        self._assemble()

    def _assemble(self) -> None:
        self._topology = topology(self._target)
        self._scripts = Scripts(self._target, self._topology)
        self._wake = Wake(self._topology, self._scripts.channel, self._told)

    async def open(self, *, migrate: bool = False) -> None:
        """See `SessionStore.open`. There is no schema to migrate. Does nothing when it is open."""
        if self._wake.is_started:
            return
        self._assemble()  # what a failed try has closed stays closed
        try:
            await check_servers(self._target, self._topology)
            await check_rights(self._scripts)
            await self._wake.start()
        except BaseException as error:
            await self._topology.close()
            refusal = settled(error) if isinstance(error, StoreUnavailable) else None
            if refusal is not None:
                raise refusal from error.__cause__
            raise

    async def close(self) -> None:
        """See `SessionStore.close`."""
        await self._wake.stop()
        await self._topology.close()

"""The `KeyStore` in Redis: one small hash in the first shard."""

from __future__ import annotations

from collections.abc import Sequence

from ..base import SealedKey
from .records import Reply, number, pack_key, unpack_key
from .scripts import Effect, Scripts


class RedisKeys:
    """Signing keys, sealed."""

    _scripts: Scripts

    async def keys(self) -> Sequence[SealedKey]:
        """See `KeyStore.keys`."""
        rows = await self._keyring("all", kind=Effect.READ)
        return sorted(map(unpack_key, rows), key=lambda key: (key.created, key.kid))

    async def add_key(self, key: SealedKey, *, expected: Sequence[str]) -> bool:
        """See `KeyStore.add_key`."""
        return bool(await self._keyring("add", key.kid, pack_key(key), *expected))

    async def set_retirement(self, kid: str, retires: float) -> None:
        """See `KeyStore.set_retirement`."""
        await self._keyring("retire", kid, number(retires))

    async def delete_key(self, kid: str) -> None:
        """See `KeyStore.delete_key`."""
        await self._keyring("delete", kid)

    async def _keyring(self, order: str, *words: str | bytes, kind: Effect = Effect.LASTING) -> Reply:
        return await self._scripts.run("keys", self._scripts.shards[0], order, *words, now="0", kind=kind)

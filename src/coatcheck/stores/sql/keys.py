"""The `KeyStore` in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update

from ..base import SealedKey
from .database import Database
from .locks import KEYS
from .tables import signing_keys


class SqlKeys:
    """Signing keys, sealed."""

    database: Database

    async def keys(self) -> Sequence[SealedKey]:
        """See `KeyStore.keys`."""
        query = select(signing_keys).order_by(signing_keys.c.created, signing_keys.c.kid)
        rows = await self.database.read(lambda tx: tx.execute(query).mappings().all())
        return [SealedKey(**row) for row in rows]

    async def add_key(self, key: SealedKey, *, expected: Sequence[str]) -> bool:
        """See `KeyStore.add_key`."""
        row = {column.name: getattr(key, column.name) for column in signing_keys.c}

        def work(tx: Connection) -> bool:
            present = set(tx.scalars(select(signing_keys.c.kid)))
            if present != set(expected) or key.kid in present:
                return False
            tx.execute(insert(signing_keys).values(**row))
            return True

        return await self.database.write(work, [KEYS])

    async def set_retirement(self, kid: str, retires: float) -> None:
        """See `KeyStore.set_retirement`."""
        change = update(signing_keys).where(signing_keys.c.kid == kid).values(retires=retires)
        await self.database.write(lambda tx: tx.execute(change), [KEYS])

    async def delete_key(self, kid: str) -> None:
        """See `KeyStore.delete_key`."""
        gone = delete(signing_keys).where(signing_keys.c.kid == kid)
        await self.database.write(lambda tx: tx.execute(gone), [KEYS])

"""Signing keys in the store: load, make the first, rotate, withdraw.

At rest a key is sealed under the secret, so a leaked database signs nothing. A new key is published at once and signs
only after `Policy.key_lead`; an old one verifies until its last token has expired.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from . import acts
from .clock import Clock
from .credentials.jwt import AccessTokens
from .credentials.keyring import Keyring, Secrets, SigningKey
from .errors import Conflict, NotFound
from .events import Events
from .policy import CLOCK_LEEWAY, VIEW_MARGIN, Policy
from .stores.base import KeyStore, SealedKey, SessionStore

_PURPOSE: Final = "signing-keys"
_TRIES: Final = 5


class Keys:
    """The signing keys of an `Auth`. ``access.keyring`` is replaced whenever they are loaded."""

    def __init__(
        self,
        store: KeyStore,
        sessions: SessionStore,
        secrets: Secrets,
        access: AccessTokens,
        clock: Clock,
        policy: Policy,
        happened: Events,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._secrets = secrets
        self._access = access
        self._clock = clock
        self._policy = policy
        self._emit = happened.emit
        self._loading = asyncio.Lock()

    async def load(self) -> None:
        """Read the keys and use them. Raises `ConfigurationError` when the secret does not open them."""
        async with self._loading:  # of two reads the later one counts, whichever comes back first
            self._access.keyring = Keyring([self._open(sealed) for sealed in await self._store.keys()])

    async def ensure(self) -> None:
        """Load the keys; make the first one when there is none, and a next one when the policy's algorithm is
        another than the newest key's. Safe in several processes at once: they end up with the same key."""
        for _ in range(_TRIES):
            present = await self._store.keys()
            keys = [self._open(sealed) for sealed in present]
            if present and present[-1].algorithm == self._policy.signing_algorithm:
                self._access.keyring = Keyring(keys)
                return
            now = self._clock.now()
            await self._add(present, signs_from=now + self._policy.key_lead if present else now)
        raise Conflict("other processes keep changing the signing keys; do they agree on policy.signing_algorithm?")

    async def rotate(self, *, at_once: bool = False) -> str:
        """Publish a new key of the policy's algorithm. It signs after `Policy.key_lead`, or ``at_once`` (then whoever
        caches the JWKS may meet a token before its key). Older keys verify until their last token has expired.

        Returns the new ``kid``. Raises `Conflict` when somebody else rotated at the same moment."""
        present = await self._store.keys()
        self._check_secret(present)
        now = self._clock.now()
        kid = await self._add(present, signs_from=now if at_once else now + self._policy.key_lead)
        if kid is None:
            raise Conflict("somebody else changed the signing keys at the same moment; look and try again")
        await self.load()
        return kid

    async def withdraw(self, kid: str) -> None:
        """Remove a key at once: every token it signed is refused everywhere. Unless a newer key signs already, a new
        one is made, which signs from now on.

        Raises `NotFound` for an unknown ``kid``, and has every process read the keys even so: an earlier call may have
        failed between deleting the key and saying so."""
        present = await self._store.keys()
        now = self._clock.now()
        if kid not in [key.kid for key in present]:
            await self._sessions.announce_keys(now=now)
            raise NotFound("there is no such key")
        # A key that is to retire is no successor, even if it signs until then.
        if not any(key.kid != kid and key.signs_from <= now and key.retires is None for key in present):
            self._check_secret([key for key in present if key.kid != kid])
            await self._add(present, signs_from=now)
        await self._store.delete_key(kid)
        await self._sessions.announce_keys(now=now)
        self._emit(acts.KEY_WITHDRAWN, kid=kid)
        await self.load()

    async def list(self) -> Sequence[SealedKey]:
        """All keys, oldest first; the private parts stay sealed."""
        return await self._store.keys()

    async def prune(self, now: float) -> None:
        """Delete keys that no longer verify at ``now``, the store's time, and complete a change whose process died
        before it had announced it."""
        present = await self._store.keys()
        for key in present:
            if _has_retired(key, now):
                await self._store.delete_key(key.kid)
        live = {key.kid for key in present if not _has_retired(key, now)}
        if live != {key.kid for key in self._access.keyring.keys if not _has_retired(key, now)}:
            await self._sessions.announce_keys(now=now)

    async def _add(self, present: Sequence[SealedKey], *, signs_from: float) -> str | None:
        now = self._clock.now()
        key = SigningKey.generate(self._policy.signing_algorithm, created=now, signs_from=signs_from)
        sealed = SealedKey(
            kid=key.kid,
            algorithm=key.algorithm,
            sealed=self._secrets.seal(_PURPOSE, key.to_bytes(), context=key.kid.encode()),
            created=now,
            signs_from=signs_from,
        )
        if not await self._store.add_key(sealed, expected=[other.kid for other in present]):
            return None
        retires = signs_from + self._policy.access_lifetime + CLOCK_LEEWAY + VIEW_MARGIN
        for other in present:
            if other.retires is None:
                await self._store.set_retirement(other.kid, retires)
        await self._sessions.announce_keys(now=now)
        self._emit(acts.KEY_ADDED, kid=key.kid, algorithm=key.algorithm)
        return key.kid

    def _check_secret(self, present: Sequence[SealedKey]) -> None:
        """Raise `ConfigurationError` unless all of these can be opened: a key that is added with another secret than
        everybody's would stop everybody."""
        for sealed in present:
            self._open(sealed)

    def _open(self, sealed: SealedKey) -> SigningKey:
        key = SigningKey.from_bytes(self._secrets.unseal(_PURPOSE, sealed.sealed, context=sealed.kid.encode()))
        return replace(key, created=sealed.created, signs_from=sealed.signs_from, retires=sealed.retires)


def _has_retired(key: SealedKey | SigningKey, now: float) -> bool:
    return key.retires is not None and key.retires <= now

"""Changes that end sessions: written, and then made to count, whoever goes away in between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from ..errors import Conflict, InvalidCredential, InvalidLogin, NotFound, SessionTooLarge, StoreUnavailable
from ..issuer import Credentials

log = logging.getLogger("coatcheck.accounts")

T = TypeVar("T")
Renew = Callable[[str, int], Awaitable[Credentials]]
"""`Issuer.reauthenticate` by session id and epoch."""


class Revocation(Protocol):
    """What accounts need of `coatcheck.revocation.Revocation`."""

    async def revoke_subject(self, subject: str, *, excepted: str | None = None) -> int:
        """End the subject's sessions, but for one. `NotFound` when that one is not live."""

    async def subject_changed(self, subject: str) -> int:
        """Make changed roles or status count."""


class Changes:
    """Changes under way. Without ``renew`` no session goes on after a change of password."""

    def __init__(self, revocation: Revocation, renew: Renew | None = None) -> None:
        self._revocation = revocation
        self._renew = renew
        self._unfinished: set[asyncio.Task[Any]] = set()

    async def run(self, change: Coroutine[Any, Any, T]) -> T:
        """Await the change; a caller who goes away does not stop it between the write and what follows from it."""
        task = asyncio.create_task(change)
        self._unfinished.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    async def cut_off(self, subject: str, keep: str | None) -> Credentials | None:
        """End all sessions. Where ``keep`` names a live one of the subject, a new one takes its place: whoever has a
        copy of its credentials is out as well. None where it names none, was ended meanwhile, or cannot be renewed."""
        if keep is None or self._renew is None:
            await self._revocation.revoke_subject(subject)
            return None
        try:
            epoch = await self._revocation.revoke_subject(subject, excepted=keep)
        except NotFound:
            # The session to keep has ended meanwhile; that must not let the others live.
            await self._revocation.revoke_subject(subject)
            return None
        try:
            return await self._renew(keep, epoch)
        except (Conflict, InvalidCredential, InvalidLogin):
            # Ended elsewhere, or the subject may not log in any more: the change holds, and nobody is logged in by it.
            return None
        except SessionTooLarge:
            # It cannot be renewed, and must not live on as it is.
            await self._revocation.revoke_subject(subject)
            return None

    async def finish(self) -> None:
        """Wait for all of them."""
        while self._unfinished:
            await asyncio.wait(self._unfinished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._unfinished.discard(task)
        # The caller may have gone away and not hear of it.
        if not task.cancelled() and isinstance(task.exception(), StoreUnavailable):
            log.warning("a change was not completed, because a store did not answer; it must be repeated")

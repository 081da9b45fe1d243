"""Changes that end sessions: written, and then made to count, whoever goes away in between."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from ..errors import NotFound, StoreUnavailable
from .journal import log


class Revocation(Protocol):
    """What accounts need of `coatcheck.revocation.Revocation`."""

    async def revoke_subject(self, subject: str, *, excepted: str | None = None) -> int:
        """End the subject's sessions, but for one. `NotFound` when that one is not live."""

    async def subject_changed(self, subject: str) -> int:
        """Make changed roles or status count."""


class Changes:
    """Changes under way."""

    def __init__(self, revocation: Revocation) -> None:
        self._revocation = revocation
        self._unfinished: set[asyncio.Task[None]] = set()

    async def run(self, change: Coroutine[Any, Any, None]) -> None:
        """Await the change; a caller who goes away does not stop it between the write and what follows from it."""
        task = asyncio.create_task(change)
        self._unfinished.add(task)
        task.add_done_callback(self._finished)
        await asyncio.shield(task)

    async def cut_off(self, subject: str, keep: str | None) -> None:
        """End all sessions but ``keep``, and that one too when it has ended meanwhile."""
        try:
            await self._revocation.revoke_subject(subject, excepted=keep)
        except NotFound:
            # The session to keep has ended meanwhile; that must not let the others live.
            await self._revocation.revoke_subject(subject)

    async def finish(self) -> None:
        """Wait for all of them."""
        while self._unfinished:
            await asyncio.wait(self._unfinished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._unfinished.discard(task)
        # The caller may have gone away and not hear of it.
        if not task.cancelled() and isinstance(task.exception(), StoreUnavailable):
            log.warning("a change was not completed, because a store did not answer; it must be repeated")

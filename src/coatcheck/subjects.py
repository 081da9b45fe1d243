"""Where roles and claims come from: our own accounts, or the application's own users."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Protocol

from .model import SubjectFacts

SubjectHook = Callable[[str], "Awaitable[SubjectFacts | None] | SubjectFacts | None"]
"""``hook(subject_id)`` gives the facts, or None for a subject that must not get in. It may be ``async``."""


class SubjectSource(Protocol):
    """Answers what the application says of a subject."""

    async def facts(self, subject: str) -> SubjectFacts | None:
        """Roles and claims as they are now, or None for a subject that is unknown or disabled.

        Raises `StoreUnavailable` when it cannot tell."""


class ApplicationSubjects:
    """The subjects of an application that has its own users.

    ``hook`` is asked at each login, refresh and first sight of a session token. Without one, every subject that the
    application logs in is accepted and has no roles. After changing what the hook answers, call
    ``auth.revocation.subject_changed(subject)``.
    """

    def __init__(self, hook: SubjectHook | None = None) -> None:
        self._hook = hook

    async def facts(self, subject: str) -> SubjectFacts | None:
        """See `SubjectSource.facts`."""
        if self._hook is None:
            return SubjectFacts()
        found = self._hook(subject)
        return await found if inspect.isawaitable(found) else found

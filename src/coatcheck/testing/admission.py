"""Who somebody is to the application that a test logs them in at."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from ..auth import Auth
from ..errors import ConfigurationError, NotFound
from ..issuer import Credentials
from ..model import SubjectFacts

_LONG_AGO: Final = 86400.0
"""Seconds since a login that is not fresh."""


async def admitted(auth: Auth, subject: str, roles: Iterable[str] | None) -> str:
    """The id of somebody who may log in, with these roles."""
    wanted = None if roles is None else frozenset(roles)
    if not auth.has_accounts:
        if wanted is not None:
            await _tell_roles(auth, subject, wanted)
        return subject
    try:
        account = await auth.accounts.get(subject)
    except NotFound:
        email = subject if "@" in subject else f"{subject}@example.com"
        found = await auth.accounts.find_by_email(email)
        account = found or await auth.accounts.register(email, secrets.token_urlsafe(32))
    if wanted is not None and wanted != account.roles:
        await auth.accounts.set_roles(account.id, wanted)
    return account.id


class _Told:
    """In the place of ``facts`` of an application's users: what a test has said of some of them."""

    def __init__(self, asked: Callable[[str], Awaitable[SubjectFacts | None]]) -> None:
        self._asked = asked
        self.roles: dict[str, frozenset[str]] = {}

    async def __call__(self, subject: str) -> SubjectFacts | None:
        facts, told = await self._asked(subject), self.roles.get(subject)
        return facts if facts is None or told is None else replace(facts, roles=told)


async def _tell_roles(auth: Auth, subject: str, roles: frozenset[str]) -> None:
    source: Any = auth.subjects
    if not isinstance(source.facts, _Told):
        try:
            source.facts = _Told(source.facts)
        except AttributeError as error:
            raise ConfigurationError(
                "this application's users say their roles themselves: leave roles= away"
            ) from error
    if source.facts.roles.get(subject) != roles:
        source.facts.roles[subject] = roles
        await auth.revocation.subject_changed(subject)


async def aged(auth: Auth, made: Credentials) -> Credentials:
    """The same login, a day older. Tokens say when it was, so they are made anew."""
    session, now = made.session, auth.clock.now()
    old = session.authenticated - _LONG_AGO
    await auth.sessions.update(session.id, session.version, now=now, authenticated=old)
    if made.refresh_token is not None:
        made = await auth.refresh(made.refresh_token)
    return replace(made, session=replace(made.session, authenticated=old))

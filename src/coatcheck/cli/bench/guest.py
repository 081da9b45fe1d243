"""A guest in somebody's store: it brings its own secret and keys, writes sessions of its own, and leaves none behind.

What is measured is an `Auth` as an application has it. What it issues is signed by keys that nobody else has, so it
opens nothing anywhere, and the deployment's secret is not needed. Nothing that is everybody's is touched: no pruning,
no signing keys, no subject's epoch or version, no schema.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn, Self

from ... import ApplicationSubjects, Auth, Credential, Credentials, Lifetimes, Mode, Policy, StoreUnavailable, bearer
from ...credentials.cookies import DEVELOPMENT
from ...credentials.transport import Carrier, cookie
from ...model import ALL_KINDS, Kind
from ...service.settings import Settings
from ...stores import embedded_path, open_store
from ...stores.base import MAX_PAGE, Herald, SealedKey, SessionStore

MOST_SESSIONS: Final = 2000
"""Sessions that one run writes at most."""
LIFETIME: Final = 300.0
"""Seconds after which they end by themselves, should nobody be left to end them."""
AT_ONCE: Final = 16
"""How much is asked of the store at once, at most."""
_SUBJECTS: Final = 50
_PATIENCE: Final = 30.0
"""Seconds in which all of them must have been ended."""


class GuestStore:
    """The session store of a deployment with signing keys of its own. What a guest must not do is not passed on."""

    def __init__(self, store: SessionStore, keys: Sequence[SealedKey]) -> None:
        self.open, self.close, self.time, self.events = store.open, store.close, store.time, store.events
        self.standing_of, self.sessions_of = store.standing_of, store.sessions_of
        self.create, self.find, self.touch, self.rotate = store.create, store.find, store.touch, store.rotate
        self.update, self.revoke, self.revoke_token = store.update, store.revoke, store.revoke_token
        if isinstance(store, Herald):
            self.tell = store.tell
        self._keys = list(keys)

    async def prune(self, *, now: float, keep_events: float, limit: int = 1000) -> int:
        """Nothing: what is dead here is others' to delete."""
        return 0

    async def begin_anew(self, feed: str, *, since: float, now: float, clock: float | None = None) -> bool:
        """Nothing: the feed is everybody's."""
        return False

    async def announce_keys(self, *, now: float) -> None:
        """Nothing: nobody else needs to know these."""

    async def revoke_subject(
        self, subject: str, *, now: float, excepted: str | None = None, kinds: frozenset[Kind] = ALL_KINDS
    ) -> NoReturn:
        """Raises `NotImplementedError`: it would leave a row about the subject."""
        raise NotImplementedError

    async def step_version(self, subject: str, *, now: float) -> NoReturn:
        """Raises `NotImplementedError`, as `revoke_subject`."""
        raise NotImplementedError

    async def keys(self) -> Sequence[SealedKey]:
        """The guest's own."""
        return tuple(self._keys)

    async def add_key(self, key: SealedKey, *, expected: Sequence[str]) -> bool:
        """Add one of the guest's own."""
        self._keys.append(key)
        return True

    async def set_retirement(self, kid: str, retires: float) -> None:
        """Nothing retires in so short a time."""

    async def delete_key(self, kid: str) -> None:
        """Nor is it deleted."""


@dataclass(frozen=True, kw_only=True)
class Guest:
    """All that a process needs to take part in a run."""

    url: str = field(repr=False)
    """Where the sessions are."""
    policy: Policy
    run: str
    """Part of the name of every subject."""
    secret: bytes = field(repr=False)
    keys: tuple[SealedKey, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """A new run on this deployment, by its policy."""
        lives = Lifetimes(idle=LIFETIME, absolute=LIFETIME)
        policy = replace(
            settings.policy, session=lives, remembered=lives, refresh=lives, sessions_per_subject=MOST_SESSIONS,
            access_lifetime=min(settings.policy.access_lifetime, LIFETIME),
        )  # fmt: skip
        url = settings.sessions or settings.database
        return cls(url=url, policy=policy, run=secrets.token_hex(4), secret=secrets.token_bytes(32))

    @property
    def is_alone(self) -> bool:
        """Whether the store is in the memory of one process."""
        return self.url.startswith("memory:") or (self.url.startswith("sqlite:") and embedded_path(self.url) is None)

    @property
    def subjects(self) -> str:
        """What every subject's name begins with."""
        return f"coatcheck-bench-{self.run}-"

    def subject(self, number: int) -> str:
        """One of the made-up subjects."""
        return f"{self.subjects}{number % _SUBJECTS}"

    def auth(self) -> Auth:
        """Not yet started. Raises `ConfigurationError` for a URL that names no store."""
        store = GuestStore(open_store(self.url), self.keys)
        return Auth(store, secret=self.secret, policy=self.policy, subjects=ApplicationSubjects())

    async def with_keys_of(self, auth: Auth) -> Self:
        """The same for another process."""
        return replace(self, keys=tuple(await auth.keys.list()))

    async def clear_up(self, auth: Auth) -> None:
        """End every session of this run. Raises `StoreUnavailable` when that was not surely done."""
        subjects = map(self.subject, range(_SUBJECTS))

        async def end_some() -> None:
            for subject in subjects:
                await _end_all_of(auth, subject)

        try:
            async with asyncio.timeout(_PATIENCE):
                await together([end_some() for _ in range(AT_ONCE)])
        except (StoreUnavailable, TimeoutError) as error:
            raise StoreUnavailable(
                f"the store did not answer when the sessions of this run were to be ended ({self.subjects}…); "
                f"those that are left end by themselves within {LIFETIME / 60:.0f} minutes"
            ) from error


async def _end_all_of(auth: Auth, subject: str) -> None:
    while True:
        page = await auth.sessions.sessions_of(subject, now=auth.clock.now(), limit=MAX_PAGE)
        if not page.sessions:
            return
        for session in page.sessions:
            await auth.revoke(session.id)


async def together(works: Sequence[Coroutine[Any, Any, object]]) -> None:
    """Run all of them. The first error ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors


def credential(mode: Mode, token: str) -> Credential:
    """What a client of this mode presents, on the loopback."""
    if mode is Mode.JWT:
        return bearer(token)
    if mode is Mode.JWT_COOKIE:
        return cookie(Carrier.ACCESS_COOKIE, DEVELOPMENT.access, token)
    return cookie(Carrier.SESSION_COOKIE, DEVELOPMENT.session, token)


def credential_of(made: Credentials) -> Credential:
    """The same after a login."""
    return credential(made.session.mode, made.session_token or made.access_token or "")


def header_of(made: Credentials) -> str:
    """The same as a line of a request."""
    presented = credential_of(made)
    name = "Cookie" if presented.carrier.is_cookie else "Authorization"
    return f"{name}: {presented.key.decode('ascii')}"

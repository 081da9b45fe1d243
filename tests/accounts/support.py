"""What the account tests share: a small world of real parts, and a count of the real argon2 calls."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import argon2
import pytest

from coatcheck.accounts import Accounts, Argon2Profile, Limits, PasswordHasher, PasswordPolicy, Throttle
from coatcheck.accounts.changes import Renew
from coatcheck.errors import RevokedCredential
from coatcheck.events import Events
from coatcheck.issuer import Credentials
from coatcheck.model import Mode, Session, SubjectFacts
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import TravelClock
from tests.support.patience import SOON

CHEAP = Argon2Profile(memory=8, passes=1, lanes=1)
EMAIL = "ada@lovelace.example"
PASSWORD = "note G, table of 1843"
OTHER = "bernoulli numbers, eighth"
HERE = "192.0.2.1"
ELSEWHERE = "198.51.100.1"


class StoreRevocation:
    """What accounts need of Revocation, straight on a store."""

    def __init__(self, store: Any, clock: TravelClock) -> None:
        self._store = store
        self._clock = clock

    async def revoke_subject(self, subject: str, *, excepted: str | None = None) -> int:
        return await self._store.revoke_subject(subject, now=self._clock.now(), excepted=excepted)

    async def subject_changed(self, subject: str) -> int:
        return await self._store.step_version(subject, now=self._clock.now())


class World:
    """One store, one clock, and accounts on it; `through` gives more accounts, on a store in front of it."""

    def __init__(self, **options: Any) -> None:
        self.clock = TravelClock()
        self.store = MemoryStore(wall=self.clock)
        self.opened: list[Accounts] = []
        self.accounts = self.through(self.store, **options)

    def through(
        self,
        store: Any,
        *,
        hasher: PasswordHasher | None = None,
        limits: Limits | None = None,
        policy: PasswordPolicy | None = None,
        renew: Renew | None = None,
    ) -> Accounts:
        accounts = Accounts(
            store,
            store,
            StoreRevocation(store, self.clock),
            renew=renew or self.renew,
            passwords=hasher or PasswordHasher(CHEAP),
            policy=policy or PasswordPolicy(),
            throttle=Throttle(store, key=b"k" * 32, limits=limits),
            now=self.clock.now,
            events=Events(self.clock.now),
        )
        self.opened.append(accounts)
        return accounts

    async def session(self, subject: str, epoch: int, name: str = "s") -> str:
        """Make a session as the issuer does. Raises `Conflict` for a login that lost."""
        now = self.clock.now()
        session = Session(
            id=name, subject=subject, epoch=epoch, mode=Mode.SESSION, created=now, authenticated=now, seen=now,
            idle_timeout=600, idle_deadline=now + 600, absolute_deadline=now + 6000,
        )  # fmt: skip
        await self.store.create(session, now=now)
        return name

    async def renew(self, session_id: str, epoch: int) -> Credentials:
        """What accounts need of Issuer: a session in the place of another, its name with an apostrophe."""
        found = await self.store.find(session_id, now=self.clock.now())
        if found is None:
            raise RevokedCredential("session is not live")
        await self.session(found.session.subject, epoch, f"{session_id}'")
        await self.store.revoke(session_id, now=self.clock.now())
        return Credentials(session=found.session, facts=SubjectFacts(), csrf_token="")

    async def login(self, name: str, password: str = PASSWORD, *, accounts: Accounts | None = None) -> str:
        """A whole login: prove, then make the session."""
        proved = await (accounts or self.accounts).authenticate(EMAIL, password)
        return await self.session(proved.account.id, proved.epoch, name)

    async def live(self, names: Iterable[str]) -> set[str]:
        return {name for name in names if await self.store.find(name, now=self.clock.now())}

    async def close(self) -> None:
        for accounts in self.opened:
            await accounts.close()


class Hashing:
    """Counts the real argon2 calls, and can hold them in their threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.most = 0
        self.go = threading.Event()
        self.go.set()
        self._active = 0
        self._lock = threading.Lock()
        for name in ("hash", "verify"):
            monkeypatch.setattr(argon2.PasswordHasher, name, self._counted(name, getattr(argon2.PasswordHasher, name)))

    def _counted(self, name: str, inner: Any) -> Any:
        def call(hasher: argon2.PasswordHasher, *args: Any) -> Any:
            with self._lock:
                self.calls.append(name)
                self._active += 1
                self.most = max(self.most, self._active)
            try:
                assert self.go.wait(SOON), "nobody let the hashing go on: the event loop is blocked"
                return inner(hasher, *args)
            finally:
                with self._lock:
                    self._active -= 1

        return call

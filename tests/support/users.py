"""The users of an application, in a dictionary: a `UserSource` whose calls are counted and can be held at a gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coatcheck.errors import StoreUnavailable
from coatcheck.model import SubjectFacts
from coatcheck.subjects import Login
from tests.support.gates import Gate


@dataclass
class User:
    id: str
    names: tuple[str, ...]
    password_hash: str
    roles: frozenset[str] = frozenset()
    active: bool = True
    claims: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    """The name that `login_of_subject` tells."""


@dataclass
class Users:
    """``hold(call)`` holds the next call of that name before it does anything, ``hold(call, after=True)`` after."""

    all: list[User]
    calls: Counter[str] = field(default_factory=Counter)
    failing: set[str] = field(default_factory=set)
    _gates: dict[tuple[str, bool], Gate] = field(default_factory=dict)

    def hold(self, call: str, *, after: bool = False) -> Gate:
        gate = self._gates[call, after] = Gate()
        return gate

    async def facts(self, subject: str) -> SubjectFacts | None:
        await self._at("facts")
        user = self._by_id(subject)
        facts = SubjectFacts(roles=user.roles, claims=user.claims) if user and user.active else None
        await self._at("facts", after=True)
        return facts

    async def login_of(self, name: str) -> Login | None:
        await self._at("login_of")
        login = self._login(next((user for user in self.all if name.lower() in user.names), None))
        await self._at("login_of", after=True)
        return login

    async def login_of_subject(self, subject: str) -> Login | None:
        await self._at("login_of_subject")
        login = self._login(self._by_id(subject))
        await self._at("login_of_subject", after=True)
        return login

    async def replace_hash(self, subject: str, old: str, new: str) -> bool:
        await self._at("replace_hash")
        user = self._by_id(subject)
        done = user is not None and user.password_hash == old
        if user is not None and done:
            user.password_hash = new
        await self._at("replace_hash", after=True)
        return done

    async def _at(self, call: str, *, after: bool = False) -> None:
        if not after:
            self.calls[call] += 1
            if call in self.failing:
                raise StoreUnavailable("made to fail")
        gate = self._gates.pop((call, after), None)
        if gate is not None:
            await gate.hold()

    def _by_id(self, subject: str) -> User | None:
        return next((user for user in self.all if user.id == subject), None)

    def _login(self, user: User | None) -> Login | None:
        if user is None:
            return None
        email = user.names[-1] if user.names else ""
        return Login(subject=user.id, password_hash=user.password_hash, email=email, name=user.title)

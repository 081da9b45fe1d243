"""A running `Auth` on a gated memory store, for an application with its own users, and a clock to travel in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from coatcheck import Auth, Credential, Credentials, Mode, SubjectFacts
from coatcheck.credentials.cookies import SECURE
from coatcheck.credentials.transport import Carrier, bearer, cookie
from coatcheck.stores.memory import MemoryStore
from tests.support.gates import GatedStore

SECRET = "a secret of the tests, 32 bytes or more"


@dataclass
class Users:
    """The application's own users."""

    roles: dict[str, frozenset[str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def facts(self, subject: str) -> SubjectFacts | None:
        return None if subject in self.gone else SubjectFacts(roles=self.roles.get(subject, frozenset()))


@pytest.fixture
def users() -> Users:
    return Users()


@pytest.fixture
def store() -> GatedStore:
    return GatedStore(MemoryStore())


@pytest.fixture
async def auth(store: GatedStore, users: Users) -> AsyncIterator[Auth]:
    async with Auth(store, secret=SECRET, subjects=users.facts) as running:
        yield running


def presented(credentials: Credentials) -> Credential:
    """What a client of this mode sends with each request."""
    mode = credentials.session.mode
    if mode is Mode.SESSION:
        assert credentials.session_token is not None
        return cookie(Carrier.SESSION_COOKIE, SECURE.session, credentials.session_token)
    assert credentials.access_token is not None
    if mode is Mode.JWT:
        return bearer(credentials.access_token)
    return cookie(Carrier.ACCESS_COOKIE, SECURE.access, credentials.access_token)

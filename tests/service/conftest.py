"""The pages' service on a gated memory store, a clock to travel in, and a visitor."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coatcheck import Auth
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import TravelClock
from tests.service.visitor import EMAIL, PASSWORD, Visitor, make_auth
from tests.support.gates import GatedStore


@pytest.fixture
def clock() -> TravelClock:
    return TravelClock()


@pytest.fixture
def store(clock: TravelClock) -> GatedStore:
    return GatedStore(MemoryStore(wall=clock))


@pytest.fixture
async def auth(clock: TravelClock, store: GatedStore) -> AsyncIterator[Auth]:
    async with make_auth(clock, store) as running:
        yield running


@pytest.fixture
async def visitor(auth: Auth) -> Visitor:
    """Somebody with an account who is not logged in."""
    await auth.accounts.register(EMAIL, PASSWORD)
    return Visitor(auth)

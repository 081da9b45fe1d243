from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.accounts.support import Hashing, World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hashing]:
    hashing = Hashing(monkeypatch)
    yield hashing
    hashing.go.set()

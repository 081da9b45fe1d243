"""The memory store does what every store must."""

from __future__ import annotations

import pytest

from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.store_contract import StoreContract
from tests.contract.rewind import MemoryRewinder


class TestMemory(StoreContract):
    """One process, one event loop: every operation is one step."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def rewinder(self, store: MemoryStore) -> MemoryRewinder:
        return MemoryRewinder(store)

"""The memory store does what every store must."""

from __future__ import annotations

import pytest

from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.store_contract import StoreContract


class TestMemory(StoreContract):
    """One process, one event loop: every operation is one step."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

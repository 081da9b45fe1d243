"""Stores for tests that go back in time: servers are started once for a module, and every test has a store as new."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from .fleet.stores import PLACES, Place


class Grounds:
    """The servers of each store, started when the first test asks."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._places: dict[str, Place] = {}

    def on(self, store: str) -> Place:
        """A store as new."""
        if store in self._places:
            self._places[store].clock.set(0)
            self._places[store] = self._places[store].anew()
        else:
            self._places[store] = self._stack.enter_context(PLACES[store]())
        return self._places[store]

    def end(self) -> None:
        """Stop all servers."""
        self._stack.close()


@pytest.fixture(scope="module")
def grounds() -> Iterator[Grounds]:
    """Ends its servers with the module."""
    made = Grounds()
    try:
        yield made
    finally:
        made.end()

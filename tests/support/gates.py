"""A store whose calls can be counted, held at a gate, and made to fail. The store behind it is a real one."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from typing import Any

from coatcheck.errors import StoreUnavailable

from .patience import in_time


class Gate:
    """Holds one call: ``await gate.reached()`` until it is there, ``gate.open()`` lets it go on."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._open = asyncio.Event()

    async def reached(self) -> None:
        async with in_time():
            await self._reached.wait()

    def open(self) -> None:
        self._open.set()

    async def hold(self) -> None:
        self._reached.set()
        await self._open.wait()


class GatedStore:
    """Delegates every call to a real store."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.calls: Counter[str] = Counter()
        self._before: dict[str, Gate] = {}
        self._after: dict[str, Gate] = {}
        self._failing: set[str] = set()
        self._broken: dict[str, Exception] = {}

    def hold_before(self, name: str) -> Gate:
        """The next call of this name waits before it reaches the store."""
        gate = self._before[name] = Gate()
        return gate

    def hold_after(self, name: str) -> Gate:
        """The next call of this name has its answer, and waits before it hands it on."""
        gate = self._after[name] = Gate()
        return gate

    def fail(self, *names: str) -> None:
        """From now on these calls raise `StoreUnavailable`; with no names, none does."""
        self._failing = set(names)

    def break_once(self, name: str, error: Exception) -> None:
        """The next call of this name raises this, past the gate before it, instead of reaching the store."""
        self._broken[name] = error

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._store, name)
        if name.startswith("_") or not inspect.iscoroutinefunction(inner):
            return inner

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            if name in self._failing:
                raise StoreUnavailable("made to fail")
            gate = self._before.pop(name, None)
            if gate is not None:
                await gate.hold()
            if name in self._broken:
                raise self._broken.pop(name)
            answer = await inner(*args, **kwargs)
            gate = self._after.pop(name, None)
            if gate is not None:
                await gate.hold()
            return answer

        return call

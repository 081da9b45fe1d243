"""Sealed signing keys."""

# ruff: noqa: S101 - a suite asserts
from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from ...stores.base import SealedKey
from .support import Contract


def new_key(kid: str, created: float = 1000.25) -> SealedKey:
    """A key that is not stored yet."""
    return SealedKey(
        kid=kid, algorithm="ES256", sealed=b"\x00sealed\xff", created=created, signs_from=created + 60, retires=None
    )


class KeyContract(Contract):
    """Everything that `coatcheck.stores.base.KeyStore` says."""

    async def test_keys_come_back_oldest_first(self, store: Any, second: Any) -> None:
        """With every field, to every client."""
        assert list(await store.keys()) == []
        newer, older = new_key("b", 2000.0), new_key("z", 1000.0)
        assert await store.add_key(newer, expected=[]) is True
        assert await store.add_key(older, expected=["b"]) is True
        assert list(await second.keys()) == [older, newer]

    async def test_two_that_start_on_an_empty_store_end_up_with_one_key(self, store: Any, second: Any) -> None:
        """Exactly one of the concurrent adds succeeds."""
        clients = [store, second] * 3
        work = (client.add_key(new_key(f"key-{place}"), expected=[]) for place, client in enumerate(clients))
        results = await asyncio.gather(*work)
        assert sorted(results) == [False] * 5 + [True]
        assert [key.kid for key in await store.keys()] == [f"key-{results.index(True)}"]

    async def test_a_key_is_added_only_to_what_was_expected(self, store: Any) -> None:
        """More, fewer, others or the same id again: False, and nothing changes."""
        await store.add_key(new_key("a"), expected=[])
        await store.add_key(new_key("b"), expected=["a"])
        for expected in ([], ["a"], ["a", "c"], ["a", "b", "c"]):
            assert await store.add_key(new_key("d"), expected=expected) is False
        assert await store.add_key(replace(new_key("b"), sealed=b"other"), expected=["a", "b"]) is False
        assert list(await store.keys()) == [new_key("a"), new_key("b")]
        assert await store.add_key(new_key("d"), expected=["b", "a"]) is True

    async def test_a_key_is_retired_and_deleted(self, store: Any, second: Any) -> None:
        """Only the one named; deleting twice is no error, and nothing comes of retiring an unknown one."""
        await store.add_key(new_key("a"), expected=[])
        await store.add_key(new_key("b"), expected=["a"])
        await store.set_retirement("a", 5000.5)
        await store.set_retirement("unknown", 1.0)
        assert list(await second.keys()) == [replace(new_key("a"), retires=5000.5), new_key("b")]
        for _ in range(2):
            await store.delete_key("a")
        assert list(await second.keys()) == [new_key("b")]

    async def test_a_sealed_key_does_not_show_itself(self, store: Any) -> None:
        """Its repr has no key material, not even sealed."""
        await store.add_key(new_key("a"), expected=[])
        assert "sealed\\xff" not in repr(await store.keys())

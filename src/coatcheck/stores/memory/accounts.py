"""Accounts and signing keys in dictionaries."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from typing import Final

from ...arguments import collection, flags, free_texts, free_texts_or_none, numbers, texts, wholes
from ...errors import Conflict, EmailTaken
from ...model import Account
from ..base import (
    AccountPage,
    Counted,
    SealedKey,
)
from ..rules import KIND, MAX_KINDS, check_account, pack_cursor, page_size, to_json, unpack_cursor

_SWEPT: Final = 100
"""Counters that are over, forgotten along with others."""


class MemoryAccounts:
    """The `AccountStore` part."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._by_email: dict[str, str] = {}
        self._failures: dict[str, tuple[int, float]] = {}
        self._ends: list[tuple[float, str]] = []
        """When each of them is over, as a heap: one that was counted anew is in it twice until then."""

    async def insert(self, account: Account) -> None:
        """See `AccountStore.insert`."""
        check_account(account)
        if account.email_key in self._by_email:
            raise EmailTaken("another account has this address")
        if account.id in self._accounts:
            raise Conflict("an account with this id exists already")
        self._accounts[account.id] = replace(account, claims=json.loads(to_json(account.claims)))
        self._by_email[account.email_key] = account.id

    async def by_id(self, account_id: str) -> Account | None:
        """See `AccountStore.by_id`."""
        texts(account_id=account_id)
        account = self._accounts.get(account_id)
        return account and replace(account, claims=json.loads(to_json(account.claims)))

    async def by_email(self, email_key: str) -> Account | None:
        """See `AccountStore.by_email`."""
        texts(email_key=email_key)
        return await self.by_id(self._by_email.get(email_key, ""))

    async def set_password_hash(self, account_id: str, password_hash: str, *, expected: str) -> bool:
        """See `AccountStore.set_password_hash`."""
        texts(account_id=account_id, password_hash=password_hash, expected=expected)
        account = self._accounts.get(account_id)
        if account is None or account.password_hash != expected:
            return False
        self._accounts[account_id] = replace(account, password_hash=password_hash)
        return True

    async def set_roles(self, account_id: str, roles: Iterable[str]) -> bool:
        """See `AccountStore.set_roles`."""
        texts(account_id=account_id)
        names = collection(str, roles, "roles", "['editor']")
        account = self._accounts.get(account_id)
        if account is None:
            return False
        self._accounts[account_id] = replace(account, roles=frozenset(names))
        return True

    async def set_disabled(self, account_id: str, disabled: bool) -> bool:
        """See `AccountStore.set_disabled`."""
        texts(account_id=account_id)
        flags(disabled=disabled)
        account = self._accounts.get(account_id)
        if account is None:
            return False
        self._accounts[account_id] = replace(account, disabled=disabled)
        return True

    async def page(self, *, search: str = "", limit: int = 50, cursor: str | None = None) -> AccountPage:
        """See `AccountStore.page`."""
        free_texts(search=search)
        free_texts_or_none(cursor=cursor)
        wholes(limit=limit)
        before = unpack_cursor(cursor) if cursor is not None else (math.inf, "")
        needle = search.casefold()
        found = [
            account
            for account in self._accounts.values()
            if needle in account.email.casefold() and (account.created, account.id) < before
        ]
        found.sort(key=lambda account: (account.created, account.id), reverse=True)
        size = page_size(limit)
        page = found[:size]
        return AccountPage(accounts=page, next=pack_cursor(page[-1].created, page[-1].id) if found[size:] else None)

    async def hashes_beside(self, prefix: str) -> Sequence[str]:
        """See `KnowsHashes.hashes_beside`."""
        found = sorted(
            {one.password_hash for one in self._accounts.values() if not one.password_hash.startswith(prefix)}
        )
        kinds = {text[:KIND]: text for text in reversed(found)}, {text[:KIND]: text for text in found}
        return [text for kind in list(kinds[0])[:MAX_KINDS] for text in (kinds[0][kind], kinds[1][kind])]

    async def count_failure(self, key: str, *, now: float, window: float) -> int:
        """See `AccountStore.count_failure`."""
        texts(key=key)
        numbers(now=now, window=window)
        self._sweep(now)
        return self._count(key, now, window)

    async def failures(self, keys: Sequence[str], *, now: float) -> Sequence[tuple[int, float]]:
        """See `AccountStore.failures`."""
        return [self._failures_of(key, now) for key in keys]

    async def count_try(self, counters: Sequence[Counted], *, now: float) -> float | None:
        """See `AccountStore.count_try`."""
        for one in counters:
            count, ends = self._failures_of(one.key, now)
            if count >= one.limit:
                return ends
        self._sweep(now)
        for one in counters:
            self._count(one.key, now, one.window)
        return None

    async def settle_try(
        self, *, uncounted: Sequence[str], cleared: Sequence[str] = (), counted: Counted | None = None, now: float
    ) -> None:
        """See `AccountStore.settle_try`."""
        for key in uncounted:
            count, ends = self._failures_of(key, now)
            if count:
                self._failures[key] = (count - 1, ends)
        for key in cleared:
            self._failures.pop(key, None)
        if counted is not None:
            self._count(counted.key, now, counted.window)

    def _failures_of(self, key: str, now: float) -> tuple[int, float]:
        count, ends = self._failures.get(key, (0, now))
        return (count, ends) if now < ends else (0, now)

    def _count(self, key: str, now: float, window: float) -> int:
        count, ends = self._failures_of(key, now)
        if now >= ends:
            ends = now + window
            heappush(self._ends, (ends, key))
        self._failures[key] = (count + 1, ends)
        return count + 1

    def _sweep(self, now: float) -> None:
        """By when they are over and not by when they came: one that lasts for a month keeps no other in."""
        for _ in range(_SWEPT):
            if not self._ends or self._ends[0][0] > now:
                return
            _, key = heappop(self._ends)
            if self._failures.get(key, (0, math.inf))[1] <= now:
                del self._failures[key]


class MemoryKeys:
    """The `KeyStore` part."""

    def __init__(self) -> None:
        self._keys: dict[str, SealedKey] = {}

    async def keys(self) -> Sequence[SealedKey]:
        """See `KeyStore.keys`."""
        return sorted(self._keys.values(), key=lambda key: (key.created, key.kid))

    async def add_key(self, key: SealedKey, *, expected: Sequence[str]) -> bool:
        """See `KeyStore.add_key`."""
        if set(self._keys) != set(expected) or key.kid in self._keys:
            return False
        self._keys[key.kid] = key
        return True

    async def set_retirement(self, kid: str, retires: float) -> None:
        """See `KeyStore.set_retirement`."""
        if kid in self._keys:
            self._keys[kid] = replace(self._keys[kid], retires=retires)

    async def delete_key(self, kid: str) -> None:
        """See `KeyStore.delete_key`."""
        self._keys.pop(kid, None)

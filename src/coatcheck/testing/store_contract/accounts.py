"""Accounts and counters."""

# ruff: noqa: S101 - a suite asserts, and its hashes are none
from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import Any

import pytest

from ...errors import EmailTaken, Rejected
from ...model import Account
from ...stores.base import MAX_PAGE, Counted
from .support import Contract


def new_account(email: str | None = None, created: float = 1000.5, **changes: Any) -> Account:
    """An account that is not stored yet."""
    email = email or f"{secrets.token_hex(6)}@example.com"
    account = Account(
        id=secrets.token_hex(8), email=email, email_key=email.casefold(), password_hash="hash-1", created=created
    )
    return replace(account, **changes)


async def _counted(store: Any, key: str, *, now: float) -> tuple[int, float]:
    [(count, ends)] = await store.failures([key], now=now)
    return count, ends


class AccountContract(Contract):
    """Everything that `coatcheck.stores.base.AccountStore` says."""

    async def test_an_account_is_found_as_it_was(self, store: Any, second: Any) -> None:
        """By id and by canonical address, with every field."""
        account = new_account(
            "Zoë@Exämple.com", roles=frozenset({"admin", "é"}), claims={"a": [1, {"b": None}]}, disabled=True
        )
        await store.insert(account)
        for client in (store, second):
            assert await client.by_id(account.id) == account
            assert await client.by_email(account.email_key) == account
        assert await store.by_id("nobody") is None
        assert await store.by_email("nobody@example.com") is None

    async def test_an_address_is_given_once(self, store: Any, second: Any) -> None:
        """Also when two ask at once, exactly one gets it; the other is told EmailTaken."""
        rivals = [new_account("ann@example.com") for _ in range(4)]
        work = (client.insert(one) for client, one in zip([store, second] * 2, rivals, strict=True))
        results = await asyncio.gather(*work, return_exceptions=True)
        assert sorted(str(type(result).__name__) for result in results) == ["EmailTaken"] * 3 + ["NoneType"]
        with pytest.raises(EmailTaken):
            await store.insert(new_account("ann@example.com"))
        found = await store.by_email("ann@example.com")
        assert found is not None
        assert found.id == rivals[results.index(None)].id

    async def test_a_password_hash_is_replaced_only_if_it_is_the_expected_one(self, store: Any, second: Any) -> None:
        """Of two changes at once one wins; an unknown account is False as well."""
        account = new_account()
        await store.insert(account)
        assert await store.set_password_hash(account.id, "hash-2", expected="hash-0") is False
        work = (client.set_password_hash(account.id, "hash-2", expected="hash-1") for client in (store, second))
        assert sorted(await asyncio.gather(*work)) == [False, True]
        assert await store.by_id(account.id) == replace(account, password_hash="hash-2")
        assert await store.set_password_hash("nobody", "x", expected="hash-2") is False

    async def test_roles_and_status_are_set(self, store: Any, second: Any) -> None:
        """Each by itself; False when there is no such account."""
        account = new_account()
        await store.insert(account)
        assert await store.set_roles(account.id, ["b", "a", "b"]) is True
        assert await store.set_disabled(account.id, True) is True
        changed = replace(account, roles=frozenset({"a", "b"}), disabled=True)
        assert await second.by_id(account.id) == await second.by_email(account.email_key) == changed
        assert await store.set_disabled(account.id, False) is True
        assert await store.set_roles(account.id, []) is True
        assert await second.by_id(account.id) == account
        assert await store.set_roles("nobody", ["a"]) is False
        assert await store.set_disabled("nobody", True) is False

    async def test_accounts_are_listed_newest_first_page_by_page(self, store: Any) -> None:
        """Each once, also where many were made at the same moment."""
        made = [new_account(created=float(place // 3)) for place in range(8)]
        for account in made:
            await store.insert(account)
        seen: list[Account] = []
        cursor: str | None = None
        while True:
            page = await store.page(limit=3, cursor=cursor)
            assert len(page.accounts) <= 3
            seen.extend(page.accounts)
            cursor = page.next
            if cursor is None:
                break
        assert {account.id for account in seen} == {account.id for account in made}
        assert len(seen) == len(made)
        assert [one.created for one in seen] == sorted((one.created for one in seen), reverse=True)

    async def test_a_page_of_accounts_has_a_largest_size(self, store: Any) -> None:
        """A larger limit is cut to MAX_PAGE."""
        for _ in range(MAX_PAGE + 1):
            await store.insert(new_account())
        page = await store.page(limit=10_000)
        assert len(page.accounts) == MAX_PAGE
        assert len((await store.page(limit=10_000, cursor=page.next)).accounts) == 1

    @pytest.mark.parametrize(
        ("search", "found"),
        [
            ("", {"Ann@Example.com", "50%_off@example.com", "ÉMILE@example.org", "bob\\@example.org"}),
            ("aNN@", {"Ann@Example.com"}),
            ("%", {"50%_off@example.com"}),
            ("_", {"50%_off@example.com"}),
            ("\\", {"bob\\@example.org"}),
            ("émile", {"ÉMILE@example.org"}),
            ("example.ORG", {"ÉMILE@example.org", "bob\\@example.org"}),
            ("'", set()),
            ("\0", set()),
            ("ann\0", set()),
        ],
    )
    async def test_search_is_a_part_of_the_address(self, store: Any, search: str, found: set[str]) -> None:
        """Without regard to case; wildcards mean themselves."""
        for email in ("Ann@Example.com", "50%_off@example.com", "ÉMILE@example.org", "bob\\@example.org"):
            await store.insert(new_account(email))
        page = await store.page(search=search)
        assert {account.email for account in page.accounts} == found

    @pytest.mark.parametrize("cursor", ["", "x", "é", "bmFuIHg", "A" * 10_000])
    async def test_a_cursor_of_another_list_is_rejected(self, store: Any, cursor: str) -> None:
        """Rejected, not a first page."""
        with pytest.raises(Rejected):
            await store.page(cursor=cursor)

    async def test_failures_are_counted_in_a_window_from_the_first(self, store: Any, second: Any) -> None:
        """The window does not move with later counts, and at its end counting starts again."""
        assert await _counted(store, "ip", now=100.0) == (0, 100.0)
        assert [await client.count_failure("ip", now=100.0 + at, window=10.0) for at, client in
                enumerate((store, second, store))] == [1, 2, 3]  # fmt: skip
        assert await _counted(second, "ip", now=109.0) == (3, 110.0)
        assert await _counted(second, "ip", now=110.0) == (0, 110.0)
        assert await _counted(store, "other", now=109.0) == (0, 109.0)
        assert await store.count_failure("ip", now=110.0, window=10.0) == 1
        assert await _counted(store, "ip", now=119.0) == (1, 120.0)

    async def test_concurrent_failures_are_all_counted(self, store: Any, second: Any) -> None:
        """None is lost and no count is given twice."""
        work = (client.count_failure("ip", now=100.0, window=10.0) for client in [store, second] * 10)
        assert sorted(await asyncio.gather(*work)) == list(range(1, 21))

    async def test_a_count_can_be_given_back(self, store: Any, second: Any) -> None:
        """One from each counter, never below zero; what is unknown or over stays as it is, and so does the window."""
        for _ in range(2):
            await store.count_failure("a", now=100.0, window=10.0)
        await store.count_failure("b", now=95.0, window=10.0)
        await second.settle_try(uncounted=["a", "b", "unknown"], now=107.0)
        assert await _counted(store, "a", now=107.0) == (1, 110.0)
        assert await _counted(store, "b", now=104.0) == (1, 105.0)
        assert await _counted(store, "unknown", now=107.0) == (0, 107.0)
        for _ in range(2):
            await store.settle_try(uncounted=["a"], now=108.0)
        assert (await _counted(store, "a", now=108.0))[0] == 0
        assert await store.count_failure("a", now=109.0, window=50.0) == 1
        await store.settle_try(uncounted=[], now=109.0)

    async def test_counters_are_cleared_by_name(self, store: Any) -> None:
        """Those named and nothing that still counts."""
        for key in ("a", "b", "c"):
            await store.count_failure(key, now=100.0, window=10.0)
        await store.settle_try(uncounted=[], cleared=["a", "b", "unknown"], now=101.0)
        assert [(await _counted(store, key, now=101.0))[0] for key in ("a", "b", "c")] == [0, 0, 1]
        await store.settle_try(uncounted=[], cleared=[], now=101.0)
        assert await _counted(store, "c", now=101.0) == (1, 110.0)

    async def test_several_counters_are_read_at_once(self, store: Any, second: Any) -> None:
        """In the order of the names, whether or not there is such a counter."""
        await store.count_failure("b", now=100.0, window=10.0)
        found = await second.failures(["a", "b", "c"], now=101.0)
        assert list(found) == [(0, 101.0), (1, 110.0), (0, 101.0)]
        assert list(await store.failures([], now=101.0)) == []

    async def test_a_try_counts_in_all_or_in_none(self, store: Any, second: Any) -> None:
        """Up to each limit, in windows of their own; a refused one changes nothing and is told the first full one."""
        tries = [Counted("z", 3, 10.0), Counted("b", 2, 20.0), Counted("a", 2, 30.0)]
        assert [await client.count_try(tries, now=100.0) for client in (store, second)] == [None, None]
        assert await second.count_try(tries, now=101.0) == 120.0
        assert list(await store.failures(["z", "b", "a"], now=101.0)) == [(2, 110.0), (2, 120.0), (2, 130.0)]
        assert await store.count_try(tries, now=120.0) == 130.0
        assert list(await store.failures(["z", "b", "a"], now=129.0)) == [(0, 129.0), (0, 129.0), (2, 130.0)]
        assert await store.count_try(tries, now=130.0) is None
        assert list(await store.failures(["z", "b", "a"], now=131.0)) == [(1, 140.0), (1, 150.0), (1, 160.0)]

    async def test_tries_at_once_get_no_more_than_the_limit(self, store: Any, second: Any) -> None:
        """However the limits overlap, and in whatever order they are named."""
        inner, outer, other = Counted("m", 5, 10.0), Counted("a", 8, 10.0), Counted("z", 9, 10.0)
        ways = [[inner, outer], [other, outer]]
        work = [client.count_try(way, now=100.0) for client in [store, second] * 6 for way in ways]
        refused = await asyncio.gather(*work)
        through = sum(found is None for found in refused)
        counts = [count for count, _ in await store.failures(["m", "a", "z"], now=101.0)]
        assert through == counts[1] == counts[0] + counts[2] == 8
        assert counts[0] <= 5
        assert {found for found in refused if found is not None} == {110.0}

    async def test_a_try_is_settled_in_one_step(self, store: Any, second: Any) -> None:
        """Given back, cleared and counted elsewhere, beside others that are still under way."""
        ways = [Counted("pair", 30, 10.0), Counted("network", 30, 10.0)]

        async def once(client: Any, *, right: bool) -> None:
            assert await client.count_try(ways, now=100.0) is None
            if right:
                await client.settle_try(uncounted=["network"], counted=Counted("known", 1, 50.0), now=101.0)

        await asyncio.gather(*(once(client, right=n % 3 == 0) for n in range(6) for client in (store, second)))
        found = await store.failures(["pair", "network", "known"], now=102.0)
        assert list(found) == [(12, 110.0), (8, 110.0), (4, 151.0)]
        await second.settle_try(uncounted=["network"], cleared=["pair"], now=103.0)
        assert list(await store.failures(["pair", "network"], now=103.0)) == [(0, 103.0), (7, 110.0)]
        assert await store.count_try(ways, now=104.0) is None
        assert list(await store.failures(["pair", "network"], now=105.0)) == [(1, 114.0), (8, 110.0)]

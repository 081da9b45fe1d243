"""The `AccountStore` in SQL."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, and_, bindparam, case, delete, func, or_, select, tuple_, update
from sqlalchemy.sql.dml import ReturningInsert

from ...arguments import collection, flags, free_texts, free_texts_or_none, numbers, texts, wholes
from ...errors import CoatcheckError, Conflict, EmailTaken
from ...model import Account
from ..base import AccountPage, Counted
from ..rules import KIND, MAX_KINDS, check_account, pack_cursor, page_size, to_json, unpack_cursor
from .database import Database, Insert
from .tables import accounts, failures

_SWEPT: Final = 100
"""Counters that are over, deleted along with others."""

# Built once: building a statement, and finding it among those compiled, costs more than running it.
_BY_ID: Final = select(accounts).where(accounts.c.id == bindparam("id"))
_BY_EMAIL: Final = select(accounts).where(accounts.c.email_key == bindparam("email_key"))
_NAMED: Final = failures.c.key.in_(bindparam("keys", expanding=True))
_LIVE: Final = select(failures.c.key, failures.c.count.label("counted"), failures.c.ends).where(
    _NAMED, failures.c.ends > bindparam("now")
)
_LOCKED: Final = select(failures.c.key).where(_NAMED).order_by(failures.c.key).with_for_update()
"""In the one order in which all lock them. A statement of its own: the next one sees what was waited for."""
_CLEARED: Final = failures.c.key.in_(bindparam("cleared", expanding=True))
_SETTLE: Final = (
    update(failures)
    .where(_NAMED, or_(_CLEARED, and_(failures.c.ends > bindparam("now"), failures.c.count > 0)))
    # One that is cleared is over from now on, and goes as such.
    .values(count=case((_CLEARED, 0), else_=failures.c.count - 1), ends=case((_CLEARED, 0.0), else_=failures.c.ends))
)
_OVER: Final = select(failures.c.key).where(failures.c.ends <= bindparam("now")).limit(_SWEPT)
_SWEEP: Final = delete(failures).where(failures.c.key.in_(_OVER.with_for_update(skip_locked=True)))


class SqlAccounts:
    """Accounts and failure counters."""

    database: Database

    async def insert(self, account: Account) -> None:
        """See `AccountStore.insert`."""
        check_account(account)
        row = {
            "id": account.id,
            "email": account.email,
            "email_key": account.email_key,
            "email_folded": account.email.casefold(),
            "password_hash": account.password_hash,
            "roles": to_json(sorted(account.roles)),
            "claims": to_json(account.claims),
            "disabled": account.disabled,
            "created": account.created,
        }
        insert = self.database.insert(accounts).values(**row).on_conflict_do_nothing()

        def work(tx: Connection) -> None:
            if tx.execute(insert).rowcount != 1:
                taken = select(accounts.c.id).where(accounts.c.email_key == account.email_key)
                if tx.execute(taken).first() is not None:
                    raise EmailTaken("another account has this address")
                raise Conflict("an account with this id exists already")

        await self.database.write(work)

    async def by_id(self, account_id: str) -> Account | None:
        """See `AccountStore.by_id`."""
        texts(account_id=account_id)
        row = await self.database.read(lambda tx: tx.execute(_BY_ID, {"id": account_id}).first())
        return _to_account(row) if row else None

    async def by_email(self, email_key: str) -> Account | None:
        """See `AccountStore.by_email`."""
        texts(email_key=email_key)
        row = await self.database.read(lambda tx: tx.execute(_BY_EMAIL, {"email_key": email_key}).first())
        return _to_account(row) if row else None

    async def set_password_hash(self, account_id: str, password_hash: str, *, expected: str) -> bool:
        """See `AccountStore.set_password_hash`."""
        texts(account_id=account_id, password_hash=password_hash, expected=expected)
        change = (
            update(accounts)
            .where(accounts.c.id == account_id, accounts.c.password_hash == expected)
            .values(password_hash=password_hash)
        )
        return await self.database.write(lambda tx: tx.execute(change).rowcount == 1)

    async def set_roles(self, account_id: str, roles: Iterable[str]) -> bool:
        """See `AccountStore.set_roles`."""
        texts(account_id=account_id)
        names = collection(str, roles, "roles", "['editor']")
        change = update(accounts).where(accounts.c.id == account_id).values(roles=to_json(sorted(set(names))))
        return await self.database.write(lambda tx: tx.execute(change).rowcount == 1)

    async def set_disabled(self, account_id: str, disabled: bool) -> bool:
        """See `AccountStore.set_disabled`."""
        texts(account_id=account_id)
        flags(disabled=disabled)
        change = update(accounts).where(accounts.c.id == account_id).values(disabled=disabled)
        return await self.database.write(lambda tx: tx.execute(change).rowcount == 1)

    async def page(self, *, search: str = "", limit: int = 50, cursor: str | None = None) -> AccountPage:
        """See `AccountStore.page`."""
        free_texts(search=search)
        free_texts_or_none(cursor=cursor)
        wholes(limit=limit)
        size = page_size(limit)
        query = select(accounts).order_by(accounts.c.created.desc(), accounts.c.id.desc()).limit(size + 1)
        if "\0" in search:  # is in no address, and LIKE would stop looking there
            return AccountPage(accounts=[])
        if search:
            query = query.where(accounts.c.email_folded.contains(search.casefold(), autoescape=True))
        if cursor is not None:
            query = query.where(tuple_(accounts.c.created, accounts.c.id) < tuple_(*unpack_cursor(cursor)))
        found = [_to_account(row) for row in await self.database.read(lambda tx: tx.execute(query).all())]
        page = found[:size]
        return AccountPage(accounts=page, next=pack_cursor(page[-1].created, page[-1].id) if found[size:] else None)

    async def hashes_beside(self, prefix: str) -> Sequence[str]:
        """See `KnowsHashes.hashes_beside`."""
        text = accounts.c.password_hash
        query = (
            select(func.min(text), func.max(text))
            .where(func.substr(text, 1, len(prefix)) != prefix)
            .group_by(func.substr(text, 1, KIND))
            .limit(MAX_KINDS)
        )
        rows = await self.database.read(lambda tx: tx.execute(query).all())
        return [found for row in rows for found in row]

    async def count_failure(self, key: str, *, now: float, window: float) -> int:
        """See `AccountStore.count_failure`."""
        texts(key=key)
        numbers(now=now, window=window)
        [(_, counted, _)] = await self._count([Counted(key, math.inf, window)], now)
        return counted

    async def failures(self, keys: Sequence[str], *, now: float) -> Sequence[tuple[int, float]]:
        """See `AccountStore.failures`."""
        rows = await self.database.read(lambda tx: tx.execute(_LIVE, {"keys": list(keys), "now": now}).all())
        found = {row.key: (row.counted, row.ends) for row in rows}
        return [found.get(key, (0, now)) for key in keys]

    async def count_try(self, counters: Sequence[Counted], *, now: float) -> float | None:
        """See `AccountStore.count_try`."""
        try:
            await self._count(counters, now)
        except _Full as full:
            return full.ends
        return None

    async def settle_try(
        self, *, uncounted: Sequence[str], cleared: Sequence[str] = (), counted: Counted | None = None, now: float
    ) -> None:
        """See `AccountStore.settle_try`."""
        settled = {"keys": [*uncounted, *cleared], "cleared": list(cleared), "now": now}
        adding = self._adding([counted], now) if counted else None

        def work(tx: Connection) -> None:
            if tx.dialect.name == "postgresql":
                tx.execute(_LOCKED, {"keys": settled["keys"]})
            tx.execute(_SETTLE, settled)
            if adding is not None:
                tx.execute(*adding)

        if settled["keys"] or counted:
            await self.database.write(work)

    async def _count(self, counters: Sequence[Counted], now: float) -> Sequence[tuple[str, int, float]]:
        """Count in all of them, for each its key, count and end; or raise `_Full`, and then nothing is counted."""
        statement, values = self._adding(counters, now)

        def work(tx: Connection) -> list[tuple[str, int, float]]:
            counted = [(row.key, int(row.counted), float(row.ends)) for row in tx.execute(statement, values)]
            found = {key: (count, ends) for key, count, ends in counted}
            for one in counters:
                count, ends = found[one.key]
                if count > one.limit:
                    raise _Full(ends)
            # In this order: who has a row locked passes over those of others, so nobody waits in a circle.
            tx.execute(_SWEEP, {"now": now})
            return counted

        return await self.database.write(work)

    def _adding(self, counters: Sequence[Counted], now: float) -> tuple[ReturningInsert[Any], dict[str, Any]]:
        values: dict[str, Any] = {"now": now}
        # In one order for all, so that nobody waits in a circle.
        for number, one in enumerate(sorted(counters, key=lambda one: one.key)):
            values |= {f"key_{number}": one.key, f"ends_{number}": now + one.window}
        return _counting(self.database.insert, len(counters)), values


class _Full(CoatcheckError):
    """A counter is at its limit until ``ends``. Raised in the transaction, so that nothing of it is done."""

    def __init__(self, ends: float) -> None:
        super().__init__("a counter is full")
        self.ends = ends


@cache
def _counting(insert: Callable[[Table], Insert], rows: int) -> ReturningInsert[Any]:
    """Count in so many counters."""
    over = failures.c.ends <= bindparam("now")
    statement = insert(failures).values(
        [{"key": bindparam(f"key_{row}"), "count": 1, "ends": bindparam(f"ends_{row}")} for row in range(rows)]
    )
    changed = {
        "count": case((over, 1), else_=failures.c.count + 1),
        "ends": case((over, statement.excluded.ends), else_=failures.c.ends),
    }
    return statement.on_conflict_do_update(index_elements=[failures.c.key], set_=changed).returning(
        failures.c.key, failures.c.count.label("counted"), failures.c.ends
    )


def _to_account(row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        email=row.email,
        email_key=row.email_key,
        password_hash=row.password_hash,
        roles=frozenset(json.loads(row.roles)),
        claims=json.loads(row.claims),
        disabled=row.disabled,
        created=row.created,
    )

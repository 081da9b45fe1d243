"""The `AccountStore` in SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, case, delete, select, tuple_, update

from ...errors import Conflict, EmailTaken
from ...model import Account
from ..base import AccountPage
from ..rules import pack_cursor, page_size, to_json, unpack_cursor
from .database import Database
from .tables import accounts, failures

_SWEEP: Final = 100
"""Counters that are over, deleted along with others."""


class SqlAccounts:
    """Accounts and failure counters."""

    database: Database

    async def insert(self, account: Account) -> None:
        """See `AccountStore.insert`."""
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
        query = select(accounts).where(accounts.c.id == account_id)
        row = await self.database.read(lambda tx: tx.execute(query).first())
        return _to_account(row) if row else None

    async def by_email(self, email_key: str) -> Account | None:
        """See `AccountStore.by_email`."""
        query = select(accounts).where(accounts.c.email_key == email_key)
        row = await self.database.read(lambda tx: tx.execute(query).first())
        return _to_account(row) if row else None

    async def set_password_hash(self, account_id: str, password_hash: str, *, expected: str) -> bool:
        """See `AccountStore.set_password_hash`."""
        change = (
            update(accounts)
            .where(accounts.c.id == account_id, accounts.c.password_hash == expected)
            .values(password_hash=password_hash)
        )
        return await self.database.write(lambda tx: tx.execute(change).rowcount == 1)

    async def set_roles(self, account_id: str, roles: Iterable[str]) -> bool:
        """See `AccountStore.set_roles`."""
        change = update(accounts).where(accounts.c.id == account_id).values(roles=to_json(sorted(set(roles))))
        return await self.database.write(lambda tx: tx.execute(change).rowcount == 1)

    async def set_disabled(self, account_id: str, disabled: bool) -> bool:
        """See `AccountStore.set_disabled`."""
        change = update(accounts).where(accounts.c.id == account_id).values(disabled=disabled)
        return await self.database.write(lambda tx: tx.execute(change).rowcount == 1)

    async def page(self, *, search: str = "", limit: int = 50, cursor: str | None = None) -> AccountPage:
        """See `AccountStore.page`."""
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

    async def count_failure(self, key: str, *, now: float, window: float) -> int:
        """See `AccountStore.count_failure`."""
        over = failures.c.ends <= now
        swept = select(failures.c.key).where(over).limit(_SWEEP).with_for_update(skip_locked=True)
        count = (
            self.database.insert(failures)
            .values(key=key, count=1, ends=now + window)
            .on_conflict_do_update(
                index_elements=[failures.c.key],
                set_={
                    "count": case((over, 1), else_=failures.c.count + 1),
                    "ends": case((over, now + window), else_=failures.c.ends),
                },
            )
            .returning(failures.c.count)
        )

        def work(tx: Connection) -> int:
            # In this order: who has a row locked passes over those of others, so nobody waits in a circle.
            counted = int(tx.execute(count).scalar_one())
            tx.execute(delete(failures).where(failures.c.key.in_(swept)))
            return counted

        return await self.database.write(work)

    async def failures(self, key: str, *, now: float) -> tuple[int, float]:
        """See `AccountStore.failures`."""
        query = select(failures.c.count.label("counted"), failures.c.ends).where(
            failures.c.key == key, failures.c.ends > now
        )
        row = await self.database.read(lambda tx: tx.execute(query).first())
        return (row.counted, row.ends) if row else (0, now)

    async def uncount_failure(self, keys: Sequence[str], *, now: float) -> None:
        """See `AccountStore.uncount_failure`."""

        def work(tx: Connection) -> None:
            for key in sorted(keys):  # in one order for all, so that nobody waits in a circle
                live = (failures.c.key == key, failures.c.ends > now, failures.c.count > 0)
                tx.execute(update(failures).where(*live).values(count=failures.c.count - 1))

        if keys:
            await self.database.write(work)

    async def clear_failures(self, keys: Sequence[str], *, now: float) -> None:
        """See `AccountStore.clear_failures`."""
        named = select(failures.c.key).where(failures.c.key.in_(keys)).order_by(failures.c.key).with_for_update()
        await self.database.write(lambda tx: tx.execute(delete(failures).where(failures.c.key.in_(named))))


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

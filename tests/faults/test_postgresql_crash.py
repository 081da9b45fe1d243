"""A crash of PostgreSQL takes back the numbers of transactions that left nothing on the disk, and gives them again."""

from __future__ import annotations

import asyncio

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import create_async_engine

from coatcheck.errors import StoreUnavailable
from coatcheck.model import EventKind
from coatcheck.stores import open_store
from coatcheck.stores.sql import migrate
from coatcheck.testing.store_contract.support import new_session
from tests.support.patience import in_time
from tests.support.servers import postgresql

TAKEN_BACK = 20


async def _use_numbers(url: str, *, commit: bool) -> None:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as connection:
        for _ in range(TAKEN_BACK):
            await connection.execute(select(func.pg_current_xact_id()))
            await (connection.commit() if commit else connection.rollback())
    await engine.dispose()


async def test_a_cursor_from_before_a_crash_misses_nothing() -> None:
    """A revocation whose transaction has a number that a reader had counted as over before the crash reaches it."""
    with postgresql(fsync=True) as server:
        url = server.url(server.create_database())
        await migrate(url)
        store = open_store(url)
        await store.open()
        try:
            now = await store.time()
            session = new_session(now, "ann")
            await store.create(session, now=now)
            await _use_numbers(url, commit=False)
            before = await store.events(None, wait=0)
            server.kill()
            server.start()
            async with in_time():
                while True:
                    try:
                        await store.revoke(session.id, now=now)
                        break
                    except StoreUnavailable:
                        await asyncio.sleep(0.02)
            await _use_numbers(url, commit=True)  # the server's present is past the cursor's again
            after = await store.events(before.cursor, wait=0)
        finally:
            await store.close()
    assert [(event.kind, event.session_id) for event in after.events] == [(EventKind.SESSION_REVOKED, session.id)]

"""A PostgreSQL store behind PgBouncer, as it comes, in both of its modes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import asyncpg
import pytest
from sqlalchemy import text

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.model import Event
from coatcheck.stores.sql import SchemaState, SqlStore, migrate, pg_connect, schema_state
from coatcheck.testing.store_contract.support import here, logged_in
from tests.stores.redis_support import until_it_works
from tests.stores.test_faults import OPERATIONS
from tests.support.databases import shared_postgresql
from tests.support.patience import FOR_EVER, in_time
from tests.support.servers import PgBouncer, free_port, pgbouncer, postgresql


@pytest.fixture(scope="module", params=["transaction", "session"])
def pooler(request: pytest.FixtureRequest) -> Iterator[PgBouncer]:
    """With three connections of its own in transaction mode; in session mode each client has one."""
    few = {"default_pool_size": "3"} if request.param == "transaction" else {}
    with pgbouncer(shared_postgresql(), mode=request.param, options=few) as pooler:
        yield pooler


@pytest.fixture
def url(pooler: PgBouncer, pg_url: str) -> str:
    """An empty database, by way of the pooler."""
    return f"{pooler.url(pg_url.rpartition('/')[2])}?pool_size=3"


@pytest.fixture
def listening(url: str) -> str:
    """The same, with the server itself for the listener."""
    return f"{url}&listen=127.0.0.1:{shared_postgresql().port}"


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[SqlStore]:
    store = SqlStore.postgresql(url)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def test_a_schema_is_made_through_a_pooler(pooler: PgBouncer) -> None:
    """And looked at: migrations hold their lock in a transaction."""
    url = pooler.url(shared_postgresql().create_database())
    assert await schema_state(url) is SchemaState.MISSING
    await asyncio.gather(*(migrate(url) for _ in range(2)))
    assert await schema_state(url) is SchemaState.CURRENT


async def test_more_clients_than_connections_are_served(url: str) -> None:
    """Four processes' stores, each with its pool, share what the pooler has: every operation is done."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(_opened(url)) for _ in range(4)] * 6
        for operation in OPERATIONS.values():
            sessions = await asyncio.gather(*(logged_in(store) for store in stores))
            done = [operation(store, session) for store, session in zip(stores, sessions, strict=True)]
            await asyncio.gather(*done)


async def test_limits_hold_in_each_transaction_and_nothing_stays(pg_url: str) -> None:
    """Whoever comes next to the same connection of the server's finds its session as it was."""
    with pgbouncer(shared_postgresql(), options={"default_pool_size": "1"}) as pooler:
        url = pooler.url(pg_url.rpartition("/")[2])
        names = [*pg_connect.SERVER_TIMEOUTS, "synchronous_commit"]
        shown = f"SELECT {', '.join(f'current_setting({name!r})' for name in names)}, pg_backend_pid()"
        stranger = await asyncpg.connect(url, statement_cache_size=0)
        try:
            before = await stranger.fetchrow(shown)
            async with _opened(url) as store:
                for run in (store.database.write, store.database.read):
                    *limits, synchronous, pid = await run(lambda tx: tx.execute(text(shown)).one())
                    assert limits == [*pg_connect.SERVER_TIMEOUTS.values()]
                    assert (synchronous, pid) == ("on", before["pg_backend_pid"])
                for operation in OPERATIONS.values():
                    await operation(store, await logged_in(store))
                    kept = "SELECT (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_locks"
                    kept += " WHERE pid = pg_backend_pid() AND locktype = 'advisory'), (SELECT count(*)"
                    kept += " FROM pg_listening_channels())"
                    assert tuple(await stranger.fetchrow(kept)) == (0, 0, 0)
                assert await stranger.fetchrow(shown) == before
        finally:
            await stranger.close()


async def test_the_listener_goes_around_the_pooler(listening: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``listen=`` a process is told at once: with looking put out of reach the event comes all the same."""
    monkeypatch.setattr("coatcheck.stores.sql.postgresql.LOOK", FOR_EVER)
    async with _opened(listening) as store, _opened(listening) as other, in_time():
        while not store.database._listener.wakes:  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)
        reading = asyncio.create_task(store.events(await here(store), wait=FOR_EVER))
        await asyncio.sleep(0.05)
        await other.announce_keys(now=1.0)
        assert len((await reading).events) == 1


def _put(told: asyncio.Queue[Event], events: Sequence[Event]) -> None:
    for event in events:
        told.put_nowait(event)


async def test_without_a_way_around_a_revocation_is_seen_by_looking(
    url: str, pg_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, with the remedy; and who listens to the server itself is told by those who cannot."""
    with caplog.at_level(logging.WARNING, "coatcheck"):
        async with _opened(url) as store, _opened(pg_url) as direct, in_time():
            told: asyncio.Queue[Event] = asyncio.Queue()
            session = await logged_in(store)
            await here(store)
            cursor = await here(direct)
            direct.database.tell(partial(_put, told))
            while not (store.database._listener.wakes and direct.database._listener.wakes):  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
            reading = asyncio.create_task(store.events(await here(store), wait=FOR_EVER))
            await store.revoke(session.id, now=session.created)
            assert (await told.get()).session_id == session.id
            assert len((await direct.events(cursor, wait=FOR_EVER)).events) == 1
            assert len((await reading).events) == 1
            reading = asyncio.create_task(store.events(await here(store), wait=FOR_EVER))
            await direct.announce_keys(now=1.0)
            assert len((await reading).events) == 1
    assert [record.getMessage().count("listen=host:port") for record in caplog.records] == [1]


async def test_a_listener_that_leads_nowhere_says_so_once(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """In each outage; a revocation is seen by looking meanwhile."""
    places = (f"127.0.0.1:{free_port()}", "%2Fno%2Fwhere")
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(_opened(f"{url}&listen={place}")) for place in places]
        async with in_time():
            while any(store.database._listener.wakes < 4 for store in stores):  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
    assert [record.getMessage().count("see listen=") for record in caplog.records] == [1, 1]


async def test_a_pooler_that_starts_again_is_found_again(pooler: PgBouncer, url: str) -> None:
    """Down it is unavailable; up again the first call succeeds, reading or writing."""
    async with _opened(url) as store:
        sessions = await asyncio.gather(*(logged_in(store) for _ in range(3)))
        now = sessions[0].created
        pooler.kill()
        with pytest.raises(StoreUnavailable):
            await store.find(sessions[0].id, now=now)
        await asyncio.to_thread(pooler.start)
        assert await store.revoke(sessions[0].id, now=now) is not None
        pooler.kill()
        await asyncio.to_thread(pooler.start)
        assert await store.find(sessions[1].id, now=now) is not None
        assert await store.find(sessions[0].id, now=now) is None


async def test_a_pooler_whose_server_starts_again_goes_on(url: str) -> None:
    """What is half done when its server connection breaks is undone; afterwards everything works."""
    async with _opened(url) as store:
        session = await logged_in(store)
        await asyncio.to_thread(shared_postgresql().restart)
        assert await until_it_works(lambda: store.find(session.id, now=session.created))
        assert await until_it_works(lambda: store.revoke(session.id, now=session.created))


async def test_a_pooler_that_leads_to_a_standby_gives_no_answer() -> None:
    """From one transaction to the next it may lead elsewhere: nothing is read there, and back it goes on."""
    with postgresql() as primary, pgbouncer(primary) as pooler:
        name = primary.create_database()
        await migrate(primary.url(name))
        with postgresql(standby_of=primary) as standby:
            async with _opened(pooler.url(name)) as store:
                session = await logged_in(store)
                pooler.lead_to(standby)
                for _ in range(3):
                    with pytest.raises(StoreUnavailable):
                        await store.find(session.id, now=session.created)
                pooler.lead_to(primary)
                assert await until_it_works(lambda: store.find(session.id, now=session.created))


async def test_an_option_that_the_pooler_refuses_is_told(url: str) -> None:
    """At the start, as an error of the configuration."""
    with pytest.raises(ConfigurationError, match="option"):
        await SqlStore.postgresql(f"{url}&options=-c%20work_mem%3D8MB").open()


async def test_statement_mode_is_told(pg_url: str) -> None:
    """There are no transactions in it: at the start, by its name."""
    with (
        pgbouncer(shared_postgresql(), mode="statement") as pooler,
        pytest.raises(ConfigurationError, match="statement mode"),
    ):
        await SqlStore.postgresql(pooler.url(pg_url.rpartition("/")[2])).open()

"""A connection that cannot be added is not a store that is away: whoever wanted it waits for one that stands."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
import pytest

from coatcheck.errors import StoreUnavailable
from coatcheck.stores.redis import RedisStore
from coatcheck.stores.sql import SqlStore, migrate
from coatcheck.stores.turns import KeptWaiting, NoRoom, Turns
from coatcheck.testing.store_contract.support import here, logged_in
from tests.stores.redis_support import with_prefix
from tests.support.databases import shared_postgresql
from tests.support.patience import in_time
from tests.support.servers import pgbouncer, postgresql, redis
from tests.support.servers.processes import eventually


@asynccontextmanager
async def _opened(store: SqlStore | RedisStore) -> AsyncIterator[SqlStore | RedisStore]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def _busy(store: SqlStore | RedisStore) -> None:
    """Many operations at once, and every one is done."""
    sessions = await asyncio.gather(*(logged_in(store) for _ in range(30)))
    now = sessions[0].created
    assert all(await asyncio.gather(*(store.find(session.id, now=now) for session in sessions)))
    cursor = await here(store)
    await asyncio.gather(*(store.revoke(session.id, now=now) for session in sessions))
    assert len((await store.events(cursor, wait=0)).events) == 30


async def _limited(limit: int) -> str:
    """The URL of a migrated database, as a role that may connect so many times."""
    server = shared_postgresql()
    name = server.create_database()
    server.psql(f'CREATE ROLE "{name}" LOGIN CONNECTION LIMIT {limit}; ALTER DATABASE "{name}" OWNER TO "{name}"')
    url = f"postgresql://{name}@127.0.0.1:{server.port}/{name}"
    await migrate(url)
    return url


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_a_role_of_few_connections_is_enough(limit: int, caplog: pytest.LogCaptureFixture) -> None:
    """With one there is none to listen on, which is said; afterwards the server may start again."""
    url = await _limited(limit)
    async with _opened(SqlStore.postgresql(url)) as store:
        await _busy(store)
        await asyncio.to_thread(shared_postgresql().restart)
        await _busy(store)
    if limit == 1:
        assert "no connection is left to listen on" in caplog.text


async def test_the_listener_leaves_its_connection_to_those_who_work() -> None:
    """It may have been first after a restart: then nobody could work."""
    url = await _limited(1)
    async with _opened(SqlStore.postgresql(url)) as store:
        assert isinstance(store, SqlStore)
        listener = store.database._listener  # type: ignore[attr-defined]
        await store.database.engines[0].dispose()
        await listener.stop()
        listener.start()
        async with in_time():
            while listener._connection is None:
                await asyncio.sleep(0.01)
        await _busy(store)


async def test_a_server_that_is_full_is_waited_for_at_the_start() -> None:
    """It opens when somebody leaves; where nobody does it says what is missing, and what to do."""
    with postgresql(options={"max_connections": "6", "superuser_reserved_connections": "0"}) as server:
        url = server.url(server.create_database())
        await migrate(url)
        others = [await asyncpg.connect(url) for _ in range(6)]
        with pytest.raises(StoreUnavailable, match=r"max_connections.*pool_size"):
            await SqlStore.postgresql(url).open()
        store = SqlStore.postgresql(url)
        opening = asyncio.create_task(store.open())
        await asyncio.sleep(0.3)
        assert not opening.done()
        await others.pop().close()
        await opening
        await _busy(store)
        for other in others:
            await other.close()
        await store.close()


async def test_a_pooler_that_is_full_is_shared() -> None:
    """By its own limit of clients, and in session mode by that of the server's connections."""
    server = shared_postgresql()
    url = server.create_database()
    await migrate(server.url(url))
    async with AsyncExitStack() as stack:
        for mode, limits in (("transaction", {"max_client_conn": "2"}), ("session", {"default_pool_size": "2"})):
            pooler = stack.enter_context(pgbouncer(server, mode=mode, options=limits))
            async with _opened(SqlStore.postgresql(pooler.url(url))) as store:
                await _busy(store)


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_a_redis_that_is_full_is_shared(most: int, caplog: pytest.LogCaptureFixture) -> None:
    """Its ``maxclients`` are waited for; one who cannot listen looks, and one who cannot work says why."""
    with redis() as server:
        server.cli("CONFIG", "SET", "maxclients", str(most))
        url = with_prefix(server.url())
        async with _opened(RedisStore(url)) as store:
            await _busy(store)
        assert ("maxclients" in caplog.text) == (most == 1)
        with ExitStack() as stack:
            for _ in range(most):
                let_in = partial(_let_in, server.port)
                stack.enter_context(await asyncio.to_thread(eventually, let_in, what="its connections are gone"))
            with pytest.raises(StoreUnavailable, match="maxclients"):
                await RedisStore(url).open()


def _let_in(port: int) -> socket.socket | None:
    """A connection to a Redis, unless it is full."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"PING\r\n")
    if connection.recv(5) == b"+PONG":
        return connection
    connection.close()
    return None


async def test_turns_are_handed_on_whoever_leaves() -> None:
    """Cancelled while it waits, at its turn or at work: nobody else's turn is lost."""
    turns = Turns(1)
    gate = asyncio.Event()
    first = asyncio.create_task(turns.run(gate.wait))
    waiting = [asyncio.create_task(turns.run(gate.wait)) for _ in range(4)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    first.cancel()
    await asyncio.sleep(0)
    waiting[1].cancel()
    gate.set()
    await asyncio.gather(first, *waiting, return_exceptions=True)
    assert [task.cancelled() for task in (first, *waiting)] == [True, True, True, False, False]
    assert await turns.run(gate.wait, 1.0)
    gate.clear()
    first = asyncio.create_task(turns.run(gate.wait))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await turns.run(gate.wait, 0.01)
    gate.set()
    assert await first


async def test_no_more_is_asked_for_than_was_let_in() -> None:
    """After a refusal as many work at once as have a connection."""
    standing: set[int] = set()
    refusals = 0

    def work(name: int) -> Callable[[], Awaitable[int]]:
        async def run() -> int:
            nonlocal refusals
            if len(standing) == 2:
                refusals += 1
                raise NoRoom("full")
            standing.add(name)
            await asyncio.sleep(0)
            standing.remove(name)
            return name

        return run

    turns = Turns(5)
    assert await asyncio.gather(*(turns.run(work(name), 5.0) for name in range(30))) == [*range(30)]
    assert 1 <= refusals <= 3


async def test_more_are_asked_for_again_beside_those_who_work() -> None:
    """Nobody waits for that, however long it takes; what is let in then is worked with."""
    url = await _limited(2)
    async with _opened(SqlStore.postgresql(url)) as store:
        await _busy(store)
        assert isinstance(store, SqlStore)
        database: Any = store.database
        connect, asked, gate = database._server.connect, asyncio.Event(), asyncio.Event()

        async def slow() -> object:
            asked.set()
            await gate.wait()
            return await connect()

        database._server.connect = slow
        database._turns._again = 0.0
        async with in_time():
            await _busy(store)
            await asked.wait()
            server = shared_postgresql()
            name = url.rpartition("/")[2]
            await asyncio.to_thread(server.psql, f'ALTER ROLE "{name}" CONNECTION LIMIT 10')
            gate.set()
            count = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{name}'"
            while int(await asyncio.to_thread(server.psql, count)) < 5:
                await _busy(store)


@pytest.mark.parametrize("beside", [True, False])
async def test_what_was_refused_is_asked_for_again_later(beside: bool) -> None:
    """After a while, by one of those who work or beside them; where it is refused by silence less and less often."""
    limit, running, most = 2, 0, 0

    async def work() -> None:
        nonlocal running, most
        if running == limit:
            raise NoRoom("full")
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    async def one_more() -> None:
        if turns._room >= limit:
            raise KeptWaiting("full")

    async def many() -> None:
        turns._again = 0.0
        await asyncio.gather(*(turns.run(work, 5.0) for _ in range(30)))

    turns = Turns(5, one_more=one_more if beside else None)
    pauses = []
    for _ in range(8):
        await many()
        pauses.append(turns._pause)
    assert most == 2
    if beside:
        assert pauses == sorted(pauses)
        assert (turns._pause, turns._again > time.monotonic() + 250.0) == (300.0, True)
    limit = 5
    await many()
    assert most == 5


async def test_who_comes_first_is_served_first() -> None:
    """However many wait."""
    served: list[int] = []

    async def work(name: int) -> None:
        await asyncio.sleep(0)
        served.append(name)

    turns = Turns(1)
    await asyncio.gather(*(turns.run(partial(work, name)) for name in range(10)))
    assert served == [*range(10)]

"""A PostgreSQL store works with the primary only, and in READ COMMITTED, whatever the server's own defaults are."""

from __future__ import annotations

import asyncio
import time
import traceback
from contextlib import AsyncExitStack

import asyncpg
import pytest

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.stores import open_store
from coatcheck.stores.base import SealedKey
from coatcheck.stores.sql import SqlStore, migrate, pg_connect
from coatcheck.stores.sql.locks import KEYS
from coatcheck.testing.store_contract.support import logged_in
from tests.stores.redis_support import until_it_works
from tests.support.databases import shared_postgresql
from tests.support.patience import in_time
from tests.support.servers import PostgreSQL, postgresql


async def _opened(stack: AsyncExitStack, url: str) -> SqlStore:
    store = SqlStore.postgresql(url)
    await store.open()
    stack.push_async_callback(store.close)
    return store


async def test_a_standby_among_several_servers_never_answers() -> None:
    """While there is no primary nothing is read from a standby; once it is promoted the store goes on with it."""
    async with AsyncExitStack() as stack:
        primary = stack.enter_context(postgresql())
        name = primary.create_database()
        await migrate(primary.url(name))
        standby = stack.enter_context(postgresql(standby_of=primary))
        both = f"127.0.0.1:{standby.port},127.0.0.1:{primary.port}"
        store = await _opened(stack, f"postgresql://postgres@{both}/{name}")
        session = await logged_in(store)
        while standby.psql("SELECT count(*) FROM coatcheck_sessions", database=name) != "1":
            await asyncio.sleep(0.01)
        primary.kill()
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await store.find(session.id, now=session.created)
        standby.psql("SELECT pg_promote()")
        assert await until_it_works(lambda: store.find(session.id, now=session.created))
        listeners = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'coatcheck listener'"
        async with in_time():
            while standby.psql(listeners) != "1":
                await asyncio.sleep(0.05)


async def test_a_revoke_tried_again_waits_for_the_standbys_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no standby has confirmed is not reported as done, though this server shows it."""
    monkeypatch.setattr(pg_connect, "COMMAND_TIMEOUT", 0.5)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(postgresql())
        url = server.url(server.create_database())
        await migrate(url)
        store = await _opened(stack, url)
        session = await logged_in(store)
        await asyncio.to_thread(_wait_for_standbys, server, "nobody")
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await store.revoke(session.id, now=session.created)
        assert await store.find(session.id, now=session.created) is None
        await asyncio.to_thread(_wait_for_standbys, server, "")
        assert await store.revoke(session.id, now=session.created) is None


def _wait_for_standbys(server: PostgreSQL, names: str) -> None:
    server.psql(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    server.psql("SELECT pg_reload_conf()")
    while server.psql("SHOW synchronous_standby_names") != names:
        time.sleep(0.01)


@pytest.mark.parametrize("wanted", ["any", "standby", "prefer-standby", "read-only"])
async def test_a_url_cannot_ask_for_a_standby(wanted: str) -> None:
    """libpq's option says which of several servers is taken; only a primary will do."""
    with pytest.raises(ConfigurationError, match="is primary or read-write"):
        open_store(f"postgresql://127.0.0.1/db?target_session_attrs={wanted}")


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_the_servers_isolation_level_does_not_matter(level: str) -> None:
    """Of two processes that wait for the keys' lock, the second sees what the first has done."""
    server = shared_postgresql()
    name = server.create_database()
    url = server.url(name)
    server.psql(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = '{level}'")
    await migrate(url)
    async with AsyncExitStack() as stack:
        stores = [await _opened(stack, url) for _ in range(2)]
        other = await asyncpg.connect(url)
        stack.push_async_callback(other.close)
        await other.execute("SELECT pg_advisory_lock($1, $2)", *KEYS)
        keys = [SealedKey(kid=kid, algorithm="ES256", sealed=b"-", created=1.0, signs_from=1.0) for kid in "ab"]
        adding = [
            asyncio.create_task(store.add_key(key, expected=()))
            for store, key in zip(stores, keys, strict=True)
        ]  # fmt: skip
        while await other.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") < 2:
            await asyncio.sleep(0.01)
        await other.execute("SELECT pg_advisory_unlock($1, $2)", *KEYS)
        assert sorted(await asyncio.gather(*adding)) == [False, True]
        assert len(await stores[0].keys()) == 1


@pytest.mark.parametrize("wrong", ["user:12quokka/x@127.0.0.1", "user:quokka@127.0.0.1:99999"])
async def test_a_url_with_a_wrong_port_is_told_without_quoting_it(wrong: str) -> None:
    """A slash in a password makes what precedes it the port: it is neither in the error nor in what led to it."""
    with pytest.raises(ConfigurationError) as caught:
        await open_store(f"postgresql://{wrong}/db").open()
    assert "quokka" not in "".join(traceback.format_exception(caught.value, limit=0))

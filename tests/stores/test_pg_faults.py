"""A PostgreSQL store that is disturbed says so or goes on; nothing is half done, done twice, or given away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from coatcheck.errors import ConfigurationError, Rejected, StoreUnavailable
from coatcheck.model import Session
from coatcheck.stores import open_store
from coatcheck.stores.sql import SqlStore, migrate, pg_connect, schema_state
from coatcheck.stores.sql.locks import session_lock
from coatcheck.testing.store_contract.support import here, logged_in, new_session
from tests.stores.gate import StatementGate
from tests.stores.test_faults import OPERATIONS
from tests.support.databases import shared_postgresql
from tests.support.patience import FOR_EVER, in_time
from tests.support.proxy import Mode, proxy
from tests.support.servers import PostgreSQL, postgresql

WRITES = [name for name in OPERATIONS if name not in {"find", "events"}]
_OURS = "FROM pg_stat_activity WHERE application_name LIKE 'coatcheck%' AND datname = current_database()"


async def _kill_all(admin: Any) -> None:
    """End every connection of ours to this database, and wait until they are gone."""
    killed = [row[0] for row in await admin.fetch(f"SELECT pid, pg_terminate_backend(pid) {_OURS}")]
    while await admin.fetchval(f"SELECT count(*) {_OURS} AND pid = ANY ($1)", killed):  # new ones may come meanwhile
        await asyncio.sleep(0)


async def _changed(store: SqlStore, session: Session) -> bool:
    """Whether the operation on the session was done; row and event are in step."""
    found = await store.find(session.id, now=session.created)
    changed = found is None or found.session.generation + found.session.version > 0
    events = [one for one in (await store.events(None, wait=0)).events if one.subject == session.subject]
    assert len(events) == int(found is None or found.session.version > 0)
    return changed


@pytest.mark.parametrize("name", WRITES)
async def test_a_killed_connection_is_made_again_before_the_commit(pg: SqlStore, admin: Any, name: str) -> None:
    """At every statement before COMMIT the operation is done once by another connection; at COMMIT nobody can know."""
    gate = StatementGate(pg)
    for at in count():
        session = await logged_in(pg)
        gate.arm(at)
        calling = asyncio.ensure_future(OPERATIONS[name](pg, session))
        if not await gate.reached_or(calling):
            await calling
            assert at > 1
            return
        await _kill_all(admin)
        gate.open()
        if gate.at_commit:
            with pytest.raises(StoreUnavailable):
                await calling
            assert not await _changed(pg, session)
        else:
            await calling
            assert await _changed(pg, session) == (name != "create")


@pytest.mark.parametrize("cancel", ["the caller", "the transaction"])
@pytest.mark.parametrize("name", WRITES)
async def test_an_interrupted_operation_is_whole(pg: SqlStore, admin: Any, name: str, cancel: str) -> None:
    """Cancelled at every statement, from outside or with its loop: done or not done, and no lock stays."""
    gate = StatementGate(pg)
    for at in count():
        session = await logged_in(pg)
        gate.arm(at)
        calling = asyncio.ensure_future(OPERATIONS[name](pg, session))
        reached = await gate.reached_or(calling)
        if cancel == "the caller":
            calling.cancel()
        else:
            [task.cancel() for task in list(pg.database._running)]
        await asyncio.gather(calling, return_exceptions=True)
        gate.open()
        while pg.database._running:
            await asyncio.sleep(0)
        await _changed(pg, session)
        await asyncio.gather(*(pg.find(session.id, now=session.created) for _ in range(8)))
        assert await admin.fetchval(f"SELECT count(*) {_OURS} AND state LIKE 'idle in%'") == 0
        if not reached:
            return


async def test_the_death_of_the_listener_costs_only_time(pg: SqlStore, pg_url: str, admin: Any) -> None:
    """A reader that nobody wakes looks by itself; soon it listens again."""
    other = SqlStore.postgresql(pg_url)
    await other.open()
    cursor = await here(pg)
    reading = asyncio.create_task(pg.events(cursor, wait=FOR_EVER))
    await _kill_all(admin)
    await other.announce_keys(now=1.0)
    async with in_time():
        assert len((await reading).events) == 1
        while await admin.fetchval(f"SELECT count(*) {_OURS} AND application_name LIKE '% listener'") < 2:
            await asyncio.sleep(0.01)
    await other.close()


async def test_a_waiting_reader_is_woken_by_the_server(pg: SqlStore, pg_url: str, monkeypatch: Any) -> None:
    """Another process's event, without looking: with LOOK put out of reach it comes all the same."""
    monkeypatch.setattr("coatcheck.stores.sql.postgresql.LOOK", FOR_EVER)
    other = SqlStore.postgresql(pg_url)
    await other.open()
    cursor = await here(pg)
    async with in_time():
        while pg.database._listener._connection is None or not pg.database._listener.wakes:  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)
        for at in range(3):
            reading = asyncio.create_task(pg.events(cursor, wait=FOR_EVER))
            await asyncio.sleep(0.05)
            await other.announce_keys(now=float(at))
            cursor = (await reading).cursor
    await other.close()


async def test_a_server_that_starts_again_is_found_again(pg: SqlStore) -> None:
    """Down it is unavailable at once; up again the first call succeeds, reading or writing."""
    server = shared_postgresql()
    sessions = [await logged_in(pg) for _ in range(2)]
    now = sessions[0].created
    server.stop()
    with pytest.raises(StoreUnavailable):
        await pg.find(sessions[0].id, now=now)
    server.start()
    assert await pg.revoke(sessions[0].id, now=now) is not None
    server.restart()
    assert await pg.find(sessions[1].id, now=now) is not None
    server.restart()
    cursor = await here(pg)
    assert await pg.revoke(sessions[1].id, now=now) is not None
    assert len((await pg.events(cursor, wait=0)).events) == 1


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short time limits."""
    monkeypatch.setattr(pg_connect, "COMMAND_TIMEOUT", 0.5)
    monkeypatch.setattr(pg_connect, "CONNECT_TIMEOUT", 0.5)
    monkeypatch.setitem(pg_connect.SERVER_TIMEOUTS, "idle_in_transaction_session_timeout", "300ms")
    monkeypatch.setitem(pg_connect.SERVER_TIMEOUTS, "lock_timeout", "200ms")


@pytest.mark.usefixtures("patience")
async def test_a_silent_server_is_unavailable_and_then_forgiven(pg: SqlStore) -> None:
    """Stopped in its tracks: every call ends in time; when it goes on, so does the store, on new connections."""
    server = shared_postgresql()
    session = await logged_in(pg)
    await asyncio.gather(*(pg.find(session.id, now=session.created) for _ in range(8)))
    server.pause()
    calls = [OPERATIONS[name](pg, session) for name in OPERATIONS]
    try:
        async with in_time():
            results = await asyncio.gather(*calls, return_exceptions=True)
    finally:
        server.resume()
    assert [type(result) for result in results] == [StoreUnavailable] * len(calls)
    assert await pg.find(session.id, now=session.created) is not None or await _changed(pg, session)
    assert await logged_in(pg)


@pytest.mark.usefixtures("patience")
async def test_a_line_that_swallows_bytes_is_unavailable(pg_url: str) -> None:
    """Half-open: the server is well, and nothing comes back."""
    with proxy(shared_postgresql().port) as line:
        store = SqlStore.postgresql(shared_postgresql().url(pg_url.rpartition("/")[2], port=line.port))
        await store.open()
        session = await logged_in(store)
        line.set(Mode.SWALLOW)
        async with in_time():
            for work in (store.revoke(session.id, now=session.created), store.find(session.id, now=session.created)):
                with pytest.raises(StoreUnavailable):
                    await work
        line.set(Mode.PASS)
        with suppress(StoreUnavailable):  # a connection that was being made meanwhile
            await store.find(session.id, now=session.created)
        assert await logged_in(store)
        await store.close()


@pytest.mark.usefixtures("patience")
async def test_a_suspended_client_does_not_hold_a_lock_for_ever(pg_url: str) -> None:
    """The server ends its transaction; it is tried again when the client goes on."""
    one, other = SqlStore.postgresql(pg_url), SqlStore.postgresql(pg_url)
    await one.open()
    await other.open()
    session = await logged_in(one)
    gate = StatementGate(one)
    gate.arm(1)
    held = asyncio.ensure_future(one.rotate(session.id, 0, window=1.0, now=session.created))
    assert await gate.reached_or(held)
    assert await other.revoke(session.id, now=session.created) is not None
    gate.open()
    assert type(await held).__name__ == "Gone"
    await one.close()
    await other.close()


@pytest.mark.usefixtures("patience")
async def test_a_lock_that_stays_is_unavailable(pg_url: str, admin: Any) -> None:
    """It is waited for, for a while; then nothing was done."""
    store = SqlStore.postgresql(pg_url)
    store.database._patience = 0.1
    await store.open()
    session = await logged_in(store)
    async with admin.transaction():
        await admin.execute("SELECT pg_advisory_xact_lock($1, $2)", *session_lock(session.id))
        with pytest.raises(StoreUnavailable, match="LockNotAvailable"):
            await store.revoke(session.id, now=session.created)
    assert await store.revoke(session.id, now=session.created) is not None
    await store.close()


async def test_connections_are_bounded(pg_url: str, admin: Any) -> None:
    """As many as the URL says and one that listens, however much is asked for."""
    store = open_store(f"{pg_url}?pool_size=2")
    await store.open()
    session = await logged_in(store)
    most = 0

    async def look() -> None:
        nonlocal most
        while True:
            most = max(most, await admin.fetchval(f"SELECT count(*) {_OURS}"))

    looking = asyncio.create_task(look())
    now = session.created
    await asyncio.gather(*(store.find(session.id, now=now) for _ in range(100)), *(logged_in(store) for _ in range(50)))
    looking.cancel()
    assert 2 <= most <= 3
    await store.close()
    while await admin.fetchval(f"SELECT count(*) {_OURS}"):
        await asyncio.sleep(0)


async def test_text_the_database_cannot_keep_is_rejected(pg: SqlStore) -> None:
    """Half a surrogate pair, NUL where none can be, numbers past 64 bits: nothing is changed."""
    session = await logged_in(pg)
    now = session.created
    for work in (
        pg.update(session.id, 0, now=now, label="\ud800"),
        pg.rotate(session.id, 2**70, window=1.0, now=now),
        pg.find("\udfff", now=now),
        pg.find("\0", now=now),
        pg.create(new_session(now, "a\0b"), now=now),
    ):
        with pytest.raises(Rejected):
            await work
    assert await pg.update(session.id, 0, now=now, label="\\0 \\ \\\\ \0") is not None
    found = await pg.find(session.id, now=now)
    assert found is not None
    assert found.session.device.label == "\\0 \\ \\\\ \0"


@pytest.fixture(scope="module")
def strict() -> Iterator[PostgreSQL]:
    """A server that asks for passwords, with a user who owns nothing."""
    with postgresql(auth="scram-sha-256") as server:
        server.psql("CREATE ROLE app LOGIN PASSWORD 'hunter2'")
        server.psql("CREATE ROLE reader LOGIN PASSWORD 'hunter2'")
        server.psql("CREATE DATABASE app OWNER app")
        asyncio.run(migrate(_as(server, "app", "app")))
        server.psql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", database="app")
        yield server


def _as(server: PostgreSQL, user: str, database: str, password: str = "hunter2", query: str = "") -> str:
    return f"postgresql://{user}:{password}@127.0.0.1:{server.port}/{database}{query}"


async def test_what_an_operator_must_mend_is_said_in_one_line_without_secrets(strict: PostgreSQL) -> None:
    """Password, database, rights, options; an error of the configuration for opening, asking and migrating."""
    wrong = {
        _as(strict, "app", "app", "wrong-hunter2"): "refuses the password",
        _as(strict, "nobody", "app"): "refuses the password",
        _as(strict, "app", "absent"): "has no database of this name",
        _as(strict, "app", "app", query="?options=-c%20work_mem%3Dmuch"): "option in the database's URL",
        _as(strict, "app", "app", query="?options=-c%20sslmod%3D1"): "option in the database's URL",
        _as(strict, "reader", "app"): "grant it SELECT, INSERT",
    }
    for url, words in wrong.items():
        tries = [SqlStore.postgresql(url).open(), SqlStore.postgresql(url).open(migrate=True)]
        if "reader" not in url:
            tries.append(schema_state(url))
        for work in tries:
            with pytest.raises(ConfigurationError) as caught:
                await work
            assert words in str(caught.value), url
            assert "\n" not in str(caught.value)
            assert "hunter2" not in str(caught.value)


async def test_an_ordinary_user_is_enough(strict: PostgreSQL) -> None:
    """Who owns the tables, and who only has the four rights on them and on the sequence."""
    strict.psql("CREATE ROLE worker LOGIN PASSWORD 'hunter2'")
    strict.psql(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO worker;"
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO worker",
        database="app",
    )
    for user in ("app", "worker"):
        store = SqlStore.postgresql(_as(strict, user, "app"))
        await store.open()
        session = await logged_in(store)
        cursor = await here(store)
        await store.revoke(session.id, now=session.created)
        assert len((await store.events(cursor, wait=0)).events) == 1
        await store.prune(now=session.created, keep_events=60)
        await store.close()
        assert "hunter2" not in repr(vars(store)) + repr(vars(store.database))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@host:port/db",
        "postgresql://u:hunter2@[::1/db",
        "postgresql://u:hunter2@h/db?pool_size=0",
        "postgresql://u:hunter2@h/db?pool_size=many",
        "postgresql://u:hunter2@h/db?sslmode",
        "postgresql://u:hunter2@h/db#x",
    ],
)
async def test_a_wrong_url_is_refused_without_its_password(url: str) -> None:
    """One line that says how it should be."""
    with pytest.raises(ConfigurationError) as caught:
        await open_store(url).open()
    assert "hunter2" not in f"{caught.value!r}"
    assert "\n" not in str(caught.value)


async def test_a_notice_of_a_closed_connection_is_nobodys(pg: SqlStore, admin: Any) -> None:
    """The driver calls for what it had received when the connection was closed; nothing is told and nothing fails."""
    told: list[Any] = []
    pg.tell(told.append)
    await admin.close()
    listener = pg.database._listener  # type: ignore[attr-defined] # of PostgreSQL
    wakes = listener.wakes
    listener._heard(admin, 1, "coatcheck_events", "")
    assert (told, listener.wakes) == ([], wakes)

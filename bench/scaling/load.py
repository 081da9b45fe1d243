"""Loading very many sessions and events fast, in the layout that the store's own operations make.

`tests/bench/test_scale.py` checks the layout against what `create` and `revoke` write.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from hiredis import pack_command
from redis.asyncio import Redis as RedisClient
from sqlalchemy import insert

from coatcheck.credentials.opaque import new_session_id, session_slot
from coatcheck.model import Device, EventKind, Mode, Session
from coatcheck.stores.redis.records import pack_session
from coatcheck.stores.sql import feed, operations, tables

_BATCH: Final = 5_000
PER_SUBJECT: Final = 4
"""Sessions that each of the other subjects has."""
_IDLE: Final = 1_209_600.0
_ABSOLUTE: Final = 2_592_000.0
_GRACE: Final = 3600
_AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


def session_of(subject: str, created: float, **changes: Any) -> Session:
    """A remembered browser session as a login makes it."""
    plain = {
        "epoch": 0, "mode": Mode.SESSION, "authenticated": created, "seen": created, "idle_timeout": _IDLE,
        "idle_deadline": created + _IDLE, "absolute_deadline": created + _ABSOLUTE, "remember": True,
        "device": Device(user_agent=_AGENT, ip="203.0.113.77"),
    }  # fmt: skip
    return Session(id=new_session_id(subject), subject=subject, created=created, **(plain | changes))


def others(start: int, count: int, now: float) -> Iterator[Session]:
    """Sessions of many subjects, begun over the last week."""
    for number in range(start, start + count):
        yield session_of(f"0197a3c2-other-{number // PER_SUBJECT:08d}", now - number % 604_800)


def of_one(subject: str, count: int, now: float) -> Iterator[Session]:
    """As many sessions of one subject."""
    return (session_of(subject, now - number / 10) for number in range(count))


async def load_sessions(store: Any, sessions: Iterator[Session], url: str = "") -> None:
    """Store them. ``url`` is the Redis server's."""
    if hasattr(store, "database"):
        for batch in _batches(map(operations.to_row, sessions)):
            await _insert(store, batch)
        return
    if not url.startswith("redis"):
        for session in sessions:
            await store.create(session, now=session.created)
        return
    for batch in _batches(sessions):
        await _send(url, [command for session in batch for command in _commands(store, session, time.time())])


async def load_events(store: Any, count: int, now: float, url: str = "") -> None:
    """Append as many SESSION_REVOKED."""
    subject = "0197a3c2-other-00000000"
    batches = _batches(new_session_id(subject) for _ in range(count))
    if hasattr(store, "database"):
        for ids in batches:
            await store.database.write(
                lambda tx, ids=ids: feed.append(tx, EventKind.SESSION_REVOKED, now, subject, *ids)
            )
        return
    await store.events(None, wait=0)  # makes the feed
    places = itertools.count(int(time.time() * 1_000_000) + 1_000_000)
    async with RedisClient.from_url(url) as client:
        for ids in batches:
            pipeline = client.pipeline(transaction=False)
            for session_id in ids:
                key = _base(store, session_id) + "f"
                fields = {"k": "r", "a": repr(now), "u": subject, "s": session_id, "t": "", "n": "0"}
                pipeline.xadd(key, fields, id=f"{next(places)}-1")  # type: ignore[arg-type] # str is encodable
            await pipeline.execute()


async def _insert(store: Any, rows: Sequence[dict[str, Any]]) -> None:
    engine = store.database.engines[0]
    if engine.dialect.name != "postgresql":
        await store.database.write(lambda tx: tx.execute(insert(tables.sessions), rows))
        return
    columns = [column.name for column in tables.sessions.c]
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        records = [tuple(row[name] for name in columns) for row in rows]
        await raw.driver_connection.copy_records_to_table("coatcheck_sessions", records=records, columns=columns)


def _base(store: Any, session_id: str) -> str:
    shards = store._scripts.shards
    meta: str = shards[int.from_bytes(session_slot(session_id), "big") % len(shards)].meta
    return meta[:-1]


def _commands(store: Any, session: Session, now: float) -> list[tuple[str | bytes | int | float, ...]]:
    base = _base(store, session.id)
    left = min(session.idle_deadline, session.absolute_deadline) - now
    index = f"{base}i:{session.subject}:{session.epoch}"
    return [
        ("SET", f"{base}s:{session.id}", pack_session(session), "PX", int((left + _GRACE) * 1000)),
        ("ZADD", index, session.created, session.id),
        ("PEXPIRE", index, int((session.absolute_deadline - now + _GRACE) * 1000)),
    ]


async def _send(url: str, commands: Sequence[tuple[str | bytes | int | float, ...]]) -> None:
    """Many commands in one go: a client's pipeline spends three times as long on packing them."""
    async with RedisClient.from_url(url, single_connection_client=True) as client:
        await client.ping()
        connection = client.connection
        assert connection is not None
        await connection.send_packed_command([pack_command(command) for command in commands])
        for _ in commands:
            await connection.read_response()


def _batches(items: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(itertools.islice(items, _BATCH)):
        yield batch

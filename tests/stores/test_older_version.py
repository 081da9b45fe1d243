"""A running older version, which knows no kinds, on the same data: whatever it ends is ended here, it lets in nothing
but plain logins, and what it writes and deletes harms nobody.

It is here as the statements that it makes, word for word where it matters: of the release before revision 0004, and of
lua/ before `cut_of`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio
import redis.asyncio as asyncio_redis
from sqlalchemy import Connection, text

from coatcheck.credentials.opaque import session_slot
from coatcheck.errors import Conflict
from coatcheck.model import ALL_KINDS, LOGOUT_KINDS, EventKind, Kind, Session
from coatcheck.stores.redis import RedisStore
from coatcheck.stores.rules import next_number
from coatcheck.stores.sql import SqlStore
from coatcheck.testing.store_contract.support import (
    ACCESSES,
    assert_ended,
    events_after,
    here,
    new_session,
    new_subject,
)
from tests.support.databases import emptied
from tests.support.servers import Redis, redis

from .redis_support import opened, with_prefix


class Older(Protocol):
    """What the older version does."""

    store: Any

    async def find(self, session_id: str, now: float) -> bool:
        """Whether it lets this session in."""

    async def create(self, session: Session) -> None:
        """A login."""

    async def revoke_subject(self, subject: str, now: float) -> int:
        """The only cut-off that it knows."""

    async def prune(self, now: float) -> None:
        """Deletes what is dead to it."""


class OlderSql:
    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self._txn = "pg_current_xact_id()" if "Postgre" in type(store.database).__name__ else "0"

    async def _do(self, statement: str, **values: Any) -> Any:
        def work(tx: Connection) -> Any:
            found = tx.execute(text(statement), values)
            return found.all() if found.returns_rows else found.rowcount

        return await self.store.database.write(work)

    async def find(self, session_id: str, now: float) -> bool:
        found = await self._do(
            "SELECT s.id, s.subject, s.epoch, s.mode, s.amr, s.data, s.version FROM coatcheck_sessions s"
            " LEFT OUTER JOIN coatcheck_subjects u ON u.subject = s.subject WHERE s.id = :id"
            " AND s.epoch = coalesce(u.epoch, 0) AND s.idle_deadline > :now AND s.absolute_deadline > :now",
            id=session_id, now=now,
        )  # fmt: skip
        return bool(found)

    async def create(self, session: Session) -> None:
        names = (
            "id", "subject", "epoch", "created", "authenticated", "seen", "idle_timeout", "idle_deadline",
            "absolute_deadline", "remember", "generation", "rotated", "version",
        )  # fmt: skip
        row = {name: getattr(session, name) for name in names}
        row |= {"mode": session.mode.value, "amr": '["pwd"]', "data": "{}", "user_agent": "", "ip": "", "label": ""}
        await self._do(
            f"INSERT INTO coatcheck_sessions ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})", **row
        )

    async def revoke_subject(self, subject: str, now: float) -> int:
        epoch = next_number((await self.store.standing_of(subject))[0], now)
        await self._do(
            "INSERT INTO coatcheck_subjects (subject, epoch, version, swept) VALUES (:subject, :epoch, 0, 0)"
            " ON CONFLICT (subject) DO UPDATE SET epoch = :epoch",
            subject=subject, epoch=epoch,
        )  # fmt: skip
        await self._do(
            "INSERT INTO coatcheck_events (kind, at, subject, session_id, token_id, number, mark, txn)"
            f" VALUES ('subject_cut_off', :now, :subject, '', '', :epoch, '01de2', {self._txn})",
            now=now, subject=subject, epoch=epoch,
        )  # fmt: skip
        return epoch

    async def prune(self, now: float) -> None:
        await self._do(
            "DELETE FROM coatcheck_sessions WHERE id IN (SELECT s.id FROM coatcheck_subjects u"
            " JOIN coatcheck_sessions s ON s.subject = u.subject AND s.epoch < u.epoch WHERE u.swept < u.epoch)"
        )
        await self._do(
            "UPDATE coatcheck_subjects SET swept = epoch WHERE swept < epoch AND NOT EXISTS (SELECT * FROM"
            " coatcheck_sessions s WHERE s.subject = coatcheck_subjects.subject AND s.epoch < coatcheck_subjects.epoch)"
        )


class OlderRedis:
    def __init__(self, store: RedisStore, url: str) -> None:
        self.store = store
        self._client = asyncio_redis.Redis.from_url(url)

    async def close(self) -> None:
        await self._client.aclose()

    async def _run(self, body: str, subject: str, *words: Any) -> Any:
        base = self.store._of(subject).meta[:-1]
        return await self._client.eval(f"local BASE = ARGV[1]\n{body}", 0, base, *words)

    async def find(self, session_id: str, now: float) -> bool:
        shard = self.store._shard(session_slot(session_id))
        found = await self._client.eval(
            """local packed = redis.call('GET', ARGV[1] .. 's:' .. ARGV[2])
            if not packed then return 0 end
            local session = cmsgpack.unpack(packed)
            local found = redis.call('HMGET', ARGV[1] .. 'u:' .. session[1], 'e', 'v')
            return session[2] == tonumber(found[1] or 0) and 1 or 0""",
            0, shard.meta[:-1], session_id,
        )  # fmt: skip
        return bool(found)

    async def create(self, session: Session) -> None:
        row = [
            session.subject, session.epoch, session.mode.value, session.created, session.authenticated, session.seen,
            session.idle_timeout, session.idle_deadline, session.absolute_deadline, '["pwd"]', "", "", "", False, 0,
            session.rotated, "{}", 0,
        ]  # fmt: skip
        await self._run(
            """local row = cjson.decode(ARGV[3])
            redis.call('SET', BASE .. 's:' .. ARGV[2], cmsgpack.pack(row))
            local index = BASE .. 'i:' .. row[1] .. ':' .. string.format('%.0f', row[2])
            redis.call('ZADD', index, row[4], ARGV[2])""",
            session.subject, session.id, json.dumps(row),
        )  # fmt: skip

    async def revoke_subject(self, subject: str, now: float) -> int:
        before = (await self.store.standing_of(subject))[0]
        epoch = next_number(before, now)
        await self._run(
            """local last = redis.call('XREVRANGE', BASE .. 'f', '+', '-', 'COUNT', 1)[1][1]
            local place = string.format('%.0f', tonumber(string.match(last, '^%d+')) + 1) .. '-7'
            local told = {'k', 'c', 'a', ARGV[3], 'u', ARGV[2], 's', '', 't', '', 'n', ARGV[5]}
            redis.call('XADD', BASE .. 'f', place, unpack(told))
            redis.call('HSET', BASE .. 'u:' .. ARGV[2], 'e', ARGV[5])
            if redis.call('EXISTS', BASE .. 'i:' .. ARGV[2] .. ':' .. ARGV[4]) == 1 then
              redis.call('SADD', BASE .. 'x', ARGV[2] .. ':' .. ARGV[4])
            end""",
            subject, subject, repr(now), str(before), str(epoch),
        )  # fmt: skip
        return epoch

    async def prune(self, now: float) -> None:
        for shard in self.store._scripts.shards:
            await self._client.eval(
                """local BASE = ARGV[1]
                for _, name in ipairs(redis.call('SMEMBERS', BASE .. 'x')) do
                  for place, word in ipairs(redis.call('ZPOPMIN', BASE .. 'i:' .. name, 1000)) do
                    if place % 2 == 1 then redis.call('DEL', BASE .. 's:' .. word) end
                  end
                  redis.call('SREM', BASE .. 'x', name)
                end""",
                0, shard.meta[:-1],
            )  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with redis() as server:
        yield server


@pytest_asyncio.fixture(params=["sqlite", "postgresql", "redis"])
async def older(request: pytest.FixtureRequest, path: Path, server: Redis) -> AsyncIterator[Older]:
    if request.param == "redis":
        async with opened(with_prefix(server.url())) as found:
            older = OlderRedis(found, server.url())
            yield older
            await older.close()
        return
    store = SqlStore.sqlite(path) if request.param == "sqlite" else SqlStore.postgresql(await emptied())
    await store.open()
    yield OlderSql(store)
    await store.close()


async def _one_of_each(store: Any, subject: str, now: float) -> list[Session]:
    epoch = (await store.standing_of(subject))[0]
    made = [new_session(now, subject, access=access, epoch=epoch) for access in ACCESSES]
    for session in made:
        await store.create(session, now=now)
    return made


async def test_it_lets_in_plain_logins_only(older: Older) -> None:
    """A key, a third party, and a login that is narrowed or bound, are of no epoch that it knows."""
    store, subject = older.store, new_subject()
    now = float(int(await store.time()))
    for _ in range(2):
        plain, *others = await _one_of_each(store, subject, now)
        assert await older.find(plain.id, now)
        for session in others:
            assert not await older.find(session.id, now)
        await store.revoke_subject(subject, now=now)


async def test_what_it_ends_is_ended(older: Older) -> None:
    """Sessions of every kind, those under way as well; also where kinds were cut off one by one before."""
    store, subject = older.store, new_subject()
    now = float(int(await store.time()))
    for kinds in (ALL_KINDS, LOGOUT_KINDS, frozenset({Kind.KEY})):
        await store.revoke_subject(subject, now=now, kinds=kinds)
        made = await _one_of_each(store, subject, now)
        before = (await store.standing_of(subject))[0]
        cursor = await here(store)
        epoch = await older.revoke_subject(subject, now)
        (event,) = await events_after(store, cursor)
        assert (event.kind, event.number, event.spared) == (EventKind.SUBJECT_CUT_OFF, epoch, frozenset())
        for session in made:
            await assert_ended(store, session.id, subject, now)
        for access in ACCESSES:
            with pytest.raises(Conflict):
                await store.create(new_session(now, subject, access=access, epoch=before), now=now)
        for session in await _one_of_each(store, subject, now):
            assert await store.find(session.id, now=now) is not None


async def test_a_cut_off_after_one_of_its_own_spares_only_what_came_later(older: Older) -> None:
    """The kinds that this version spares are not those that the older one has ended."""
    store, subject = older.store, new_subject()
    now = float(int(await store.time()))
    ended = await _one_of_each(store, subject, now)
    await older.revoke_subject(subject, now)
    made = await _one_of_each(store, subject, now)
    await store.revoke_subject(subject, now=now, kinds=LOGOUT_KINDS)
    for session in ended:
        assert await store.find(session.id, now=now) is None
    for session in made:
        assert (await store.find(session.id, now=now) is None) == (session.kind in LOGOUT_KINDS)


async def test_what_it_makes_is_a_plain_login(older: Older) -> None:
    """And what this version makes of it, it still knows."""
    store, subject = older.store, new_subject()
    now = float(int(await store.time()))
    epoch = await store.revoke_subject(subject, now=now)
    session = new_session(now, subject, epoch=epoch)
    await older.create(session)
    found = await store.find(session.id, now=now)
    assert found is not None
    assert found.session.access.is_plain
    await store.update(session.id, 0, now=now, label="desk")
    await store.rotate(session.id, 0, window=1.0, now=now)
    assert await older.find(session.id, now)
    await store.revoke_subject(subject, now=now, kinds=LOGOUT_KINDS)
    assert not await older.find(session.id, now)
    assert await store.find(session.id, now=now) is None


async def test_it_deletes_no_key_that_lives(older: Older) -> None:
    """After a logout everywhere, which spares it; and what it deletes of those that are dead matters to nobody."""
    store, subject = older.store, new_subject()
    now = float(int(await store.time()))
    made = await _one_of_each(store, subject, now)
    await store.revoke_subject(subject, now=now, kinds=LOGOUT_KINDS)
    again = new_session(now, subject, epoch=(await store.standing_of(subject))[0])
    await store.create(again, now=now)
    await older.prune(now)
    for session in (*made, again):
        lives = session is again or session.kind not in LOGOUT_KINDS
        assert (await store.find(session.id, now=now) is not None) == lives
    await store.revoke_subject(subject, now=now)
    await older.prune(now)
    await store.prune(now=now, keep_events=1e9)
    for session in (*made, again):
        await assert_ended(store, session.id, subject, now)

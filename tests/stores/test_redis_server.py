"""One Redis server that is flushed, filled up, cut off, paused, demoted or set up wrongly."""

from __future__ import annotations

import asyncio
import gc
import re
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib.resources import files

import pytest
import pytest_asyncio

from coatcheck.errors import ConfigurationError, NotFound, Rejected, StoreUnavailable
from coatcheck.model import Device, EventKind
from coatcheck.stores.base import FeedLost, Rotated, Touch
from coatcheck.stores.redis import RedisStore, wake
from coatcheck.testing.store_contract.support import (
    events_after,
    here,
    logged_in,
    new_session,
    new_subject,
)
from tests.stores.redis_support import opened, until_it_works, with_prefix
from tests.support.patience import FOR_EVER, SOON, in_time
from tests.support.proxy import Mode, proxy
from tests.support.redis_users import QUOTED, USER, rules
from tests.support.servers import Redis, redis


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with redis(users=[rules("t:*")]) as server:
        yield server


@pytest.fixture
def url(server: Redis) -> str:
    return with_prefix(server.url(user=USER, password=QUOTED))


@pytest_asyncio.fixture
async def store(url: str) -> AsyncIterator[RedisStore]:
    async with opened(url) as store:
        yield store


def prefix(url: str) -> str:
    return url.partition("prefix=")[2].partition("&")[0]


async def test_a_flush_logs_everybody_out_and_is_noticed(server: Redis, store: RedisStore) -> None:
    """Sessions are gone, the cursor is lost, the feed is another one that covers nothing from before."""
    session = await logged_in(store)
    before = await store.events(None, wait=0)
    server.cli("FLUSHALL")
    assert await store.find(session.id, now=session.created) is None
    assert await store.rotate(session.id, 0, window=30, now=session.created) is not None
    assert await store.touch([Touch(session_id=session.id, seen=session.created)], now=session.created) == {session.id}
    with pytest.raises(FeedLost):
        await store.events(before.cursor, wait=5)
    after = await store.events(None, wait=0)
    assert after.feed != before.feed
    assert after.since > before.now
    assert list(after.events) == []
    await logged_in(store)


async def test_a_flush_during_a_wait_ends_it(server: Redis, store: RedisStore) -> None:
    """The next reading finds another feed, whoever made it."""
    cursor = await here(store)
    reading = asyncio.create_task(store.events(cursor, wait=FOR_EVER))
    await asyncio.sleep(0)
    server.cli("FLUSHALL")
    async with in_time():
        with pytest.raises(FeedLost):
            await reading


async def test_a_write_makes_the_feed_anew_when_all_was_flushed(server: Redis, store: RedisStore) -> None:
    """A revocation that comes first after a flush is the first event of a new feed."""
    old = await store.events(None, wait=0)
    server.cli("FLUSHALL")
    await store.revoke_subject(new_subject(), now=old.now)
    read = await store.events(None, wait=0)
    assert read.feed != old.feed
    assert [event.kind for event in read.events] == [EventKind.SUBJECT_CUT_OFF]


async def test_lost_scripts_are_sent_again(server: Redis, store: RedisStore) -> None:
    """After SCRIPT FLUSH each operation works at the first try."""
    session = await logged_in(store)
    for call in (
        lambda: store.find(session.id, now=session.created),
        lambda: store.events(None, wait=0),
        lambda: store.revoke(session.id, now=session.created),
    ):
        server.cli("SCRIPT", "FLUSH")
        assert await call() is not None


async def test_a_cursor_of_another_history_is_lost(server: Redis, store: RedisStore, url: str) -> None:
    """A failover lost events and went on counting: the same place, another random part."""
    cursor = await here(store)
    feed = server.cli("--scan", "--pattern", f"{prefix(url)}:*:f")
    await store.announce_keys(now=1.0)
    ahead = await here(store)
    place = ahead.rpartition(":")[2].partition("-")[0]
    server.cli("XDEL", feed, ahead.rpartition(":")[2])
    server.cli("XSETID", feed, cursor.rpartition(":")[2])
    server.cli("XADD", feed, f"{place}-7", "k", "y", "a", "2", "u", "", "s", "", "t", "", "n", "0")
    with pytest.raises(FeedLost):
        await store.events(ahead, wait=5)
    assert [event.at for event in await events_after(store, cursor)] == [2.0]


async def test_killed_connections_cost_a_try_and_no_more(server: Redis, store: RedisStore) -> None:
    """CLIENT KILL in the middle of the traffic: each call is done, or raises; what is said to be done is done."""
    made = [await logged_in(store) for _ in range(60)]
    cursor = await here(store)
    said: set[str] = set()

    async def end(number: int) -> None:
        for session in made[number::6]:
            try:
                if await store.revoke(session.id, now=session.created) is not None:
                    said.add(session.id)
            except StoreUnavailable:
                continue

    async def kill() -> None:
        for _ in range(10):
            await asyncio.to_thread(server.cli, "CLIENT", "KILL", "TYPE", "normal")
            await asyncio.to_thread(server.cli, "CLIENT", "KILL", "TYPE", "pubsub")

    await asyncio.gather(kill(), *(end(number) for number in range(6)))
    events = {event.session_id for event in await until_it_works(lambda: events_after(store, cursor))}
    assert said <= events
    for session in made:
        found = await until_it_works(lambda session=session: store.find(session.id, now=session.created))
        assert (found is None) == (session.id in events)


async def test_a_reader_is_woken_again_after_its_subscription_was_lost(server: Redis, store: RedisStore) -> None:
    """The listener comes back by itself, and nothing that came meanwhile is missed."""
    await asyncio.wait_for(store._wake.listening.wait(), SOON)
    cursor = await here(store)
    reading = asyncio.create_task(store.events(cursor, wait=FOR_EVER))
    await asyncio.to_thread(server.cli, "CLIENT", "KILL", "TYPE", "pubsub")
    await store.announce_keys(now=5.0)
    async with in_time():
        assert len((await reading).events) == 1
        while not store._wake.listening.is_set():
            await asyncio.sleep(0.01)


async def test_a_listener_gives_up_on_a_network_that_swallows(
    server: Redis, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is trying to listen while nothing comes through, and listens soon after, on another connection."""
    monkeypatch.setattr(wake, "_PATIENCE", 0.2)
    with proxy(server.port) as between:
        async with opened(url.replace(str(server.port), str(between.port))) as store:
            between.set(Mode.SWALLOW)
            await asyncio.to_thread(server.cli, "CLIENT", "KILL", "TYPE", "pubsub")
            between.set(Mode.RESET)
            between.set(Mode.SWALLOW)
            async with in_time():
                while store._wake.listening.is_set() or not between.connections:
                    await asyncio.sleep(0.01)
                between.set(Mode.PASS)
                await store._wake.listening.wait()


async def test_a_store_closed_as_soon_as_it_is_open_leaves_no_connection(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the listener's, whose task has hardly begun."""
    left: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: left.append(unraisable.exc_value))
    for _ in range(3):
        store = RedisStore(url)
        await store.open()
        await store.close()
    del store
    gc.collect()  # what was left open warns when it goes, and warnings are errors here
    assert left == []


async def test_opening_a_second_time_changes_nothing(store: RedisStore) -> None:
    """The one listener goes on, and is gone with the store."""
    cursor = await here(store)
    await store.open()
    assert [task.get_name() for task in asyncio.all_tasks()].count("coatcheck-wake") == 1
    await store.announce_keys(now=5.0)
    assert len((await store.events(cursor, wait=0)).events) == 1
    await store.close()
    assert "coatcheck-wake" not in [task.get_name() for task in asyncio.all_tasks()]


@pytest.mark.parametrize("steps", range(0, 40, 3))
async def test_a_cancelled_call_never_leaves_an_answer_for_the_next(store: RedisStore, steps: int) -> None:
    """Whoever comes next reads the answer to their own question."""
    one, other = await logged_in(store), await logged_in(store)
    calling = asyncio.create_task(store.find(one.id, now=one.created))
    for _ in range(steps):
        await asyncio.sleep(0)
    calling.cancel()
    await asyncio.wait({calling})
    for session in (other, one):
        found = await store.find(session.id, now=session.created)
        assert found is not None
        assert found.session == session


async def test_a_paused_server_is_unavailable_within_seconds(server: Redis, store: RedisStore) -> None:
    """Neither reads nor writes hang; afterwards all goes on, and answers that came too late harm nobody."""
    session = await logged_in(store)
    server.pause()
    try:
        async with in_time():
            answers = await asyncio.gather(
                store.find(session.id, now=session.created),
                store.events(None, wait=0),
                store.update(session.id, 0, now=session.created, label="late"),
                return_exceptions=True,
            )
        assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
    finally:
        server.resume()
    found = await until_it_works(lambda: store.find(session.id, now=session.created))
    assert found is not None
    assert found.session.id == session.id


async def test_a_demoted_primary_is_not_believed(server: Redis, store: RedisStore) -> None:
    """A server that has become a replica still answers reads; what it says counts for nothing, writable or not."""
    session = await logged_in(store)
    with redis(options={"replica-read-only": "no"}) as other:
        for writable in ("yes", "no"):
            server.cli("CONFIG", "SET", "replica-read-only", "no" if writable == "yes" else "yes")
            server.cli("REPLICAOF", "127.0.0.1", str(other.port))
            try:
                for call in (
                    store.find(session.id, now=session.created),
                    store.events(None, wait=0),
                    store.revoke(session.id, now=session.created),
                ):
                    with pytest.raises(StoreUnavailable):
                        await call
                with pytest.raises(ConfigurationError, match="replica"):
                    async with opened(server.url()):
                        pass
            finally:
                server.cli("REPLICAOF", "NO", "ONE")
                server.cli("CONFIG", "SET", "replica-read-only", "yes")


async def test_full_memory_refuses_logins_and_never_a_logout() -> None:
    """Without memory a login changes nothing; every way to end a session is done whole, row and event."""
    with redis() as server:
        async with opened(server.url()) as store:
            made = [await logged_in(store) for _ in range(4)]
            now = made[0].created
            assert isinstance(await store.rotate(made[3].id, 0, window=30, now=now), Rotated)
            cursor = await here(store)
            server.cli("CONFIG", "SET", "maxmemory", "1000")
            fresh = new_session(now, made[0].subject)
            for call in (
                store.create(fresh, now=now),
                store.create(fresh, now=now, keep=1),
                store.update(made[0].id, 0, now=now, label="x", amr=("otp",)),
            ):
                with pytest.raises(StoreUnavailable, match="OOM"):
                    await call
            assert await events_after(store, cursor) == []
            assert await store.touch([Touch(session_id=made[0].id, seen=now + 1)], now=now + 1) == frozenset()
            assert await store.revoke(made[0].id, now=now) is not None
            assert await store.revoke_subject(made[1].subject, now=now) > 0
            assert await store.step_version(made[2].subject, now=now) > 0
            await store.revoke_token(made[2].id, "jti", now=now)
            await store.rotate(made[3].id, 0, window=-1, now=now)
            kinds = [event.kind for event in await events_after(store, cursor)]
            assert kinds == [
                EventKind.SESSION_REVOKED,
                EventKind.SUBJECT_CUT_OFF,
                EventKind.SUBJECT_CHANGED,
                EventKind.TOKEN_REVOKED,
                EventKind.SESSION_REVOKED,
            ]
            await store.prune(now=now, keep_events=1e6)  # what the cut-off has left behind
            assert await store.prune(now=now + 3000, keep_events=60) >= len(kinds), "what frees memory works as well"
            found = [await store.find(session.id, now=now) is not None for session in [*made, fresh]]
            assert found == [False, False, True, False, False]


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_an_evicting_server_is_refused(policy: str) -> None:
    """With the reason and the remedy, whether or not a limit is set."""
    with (
        redis(options={"maxmemory-policy": policy}) as server,
        pytest.raises(ConfigurationError, match=f"{policy}.*noeviction"),
    ):
        async with opened(server.url()):
            pass


async def test_another_number_of_shards_is_refused(server: Redis, url: str, store: RedisStore) -> None:
    """A store made with one is not opened with more, and is as it was."""
    session = await logged_in(store)
    with pytest.raises(ConfigurationError, match="shards"):
        async with opened(f"{url}&shards=2"):
            pass
    assert await store.find(session.id, now=session.created) is not None


@pytest.mark.parametrize(
    ("login", "database", "fault"),
    [
        ("coatcheck:wrong-secret@", "", "user name or password"),
        ("nobody:wrong-secret@", "", "user name or password"),
        (f"{USER}:{QUOTED}@", "/9999", "database"),
    ],
)
async def test_a_refused_login_is_said_so(server: Redis, login: str, database: str, fault: str) -> None:
    """ConfigurationError in one line, without the password."""
    with pytest.raises(ConfigurationError, match=fault) as caught:
        async with opened(f"redis://{login}127.0.0.1:{server.port}{database}?prefix=t:x"):
            pass
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_plain_server_is_no_cluster_and_no_sentinel(server: Redis) -> None:
    """Each wrong kind of URL is told from a server that is away."""
    with pytest.raises(ConfigurationError, match="no node of a cluster"):
        async with opened(f"redis+cluster://127.0.0.1:{server.port}"):
            pass
    with pytest.raises(ConfigurationError, match="no sentinel"):
        async with opened(f"redis+sentinel://127.0.0.1:{server.port}/main"):
            pass


async def test_a_server_that_is_away_is_unavailable(server: Redis) -> None:
    """Not a fault of the configuration."""
    with redis() as gone:
        url = gone.url()
    with pytest.raises(StoreUnavailable):
        async with opened(url):
            pass


async def test_a_store_that_could_not_be_opened_can_be_opened_later(server: Redis, url: str) -> None:
    """Once the server is in order; closing it twice is no error, and nothing keeps running."""
    store = RedisStore(url)
    server.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
    try:
        with pytest.raises(ConfigurationError):
            await store.open()
    finally:
        server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
    await store.open()
    await logged_in(store)
    await store.close()
    await store.close()


async def test_a_missing_right_is_named_at_the_start(server: Redis) -> None:
    """Whichever of the documented rights is taken away, `open` says ConfigurationError, and names a command."""
    rights = re.findall(r"\+(\S+)", rules("t:*"))
    assert len(rights) > 30
    for right in rights:
        if right in ("select", "wait", "cluster|slots"):
            continue  # for other kinds of URLs
        name = f"user-{secrets.token_hex(4)}"
        server.cli("ACL", "SETUSER", name, *rules("t:*").split()[1:], f"-{right}")
        with pytest.raises(ConfigurationError, match=r"docs/redis\.md"):
            async with opened(with_prefix(server.url(user=name, password=QUOTED))):
                pass
        server.cli("ACL", "DELUSER", name)


def test_every_command_is_checked_at_the_start() -> None:
    """What a script calls, lua/check.lua tries and the documented user may."""
    texts = {
        path.name: path.read_text("utf-8") for path in files("coatcheck.stores").joinpath("lua").iterdir()
    }  # fmt: skip
    tried = set(re.findall(r"try\('(\w+)'", texts.pop("check.lua")))
    called = {name for text in texts.values() for name in re.findall(r"redis\.call\('(\w+)'", text)}
    assert called == tried
    assert {name.lower() for name in tried} <= set(re.findall(r"\+(\S+)", rules("t:*")))


async def test_odd_subjects_keep_to_themselves(store: RedisStore) -> None:
    """Braces, colons, line ends and other keys' names in a subject reach nobody else's rows."""
    subjects = ["a", "a:0", "a:1", "{other}", "}{", "a\r\nDEL x", "\x01", "*", "m", "é🦊", "x" * 5000]
    made = {subject: await logged_in(store, subject) for subject in subjects}
    for subject, session in made.items():
        page = await store.sessions_of(subject, now=session.created)
        assert [found.id for found in page.sessions] == [session.id]
        assert await store.revoke_subject(subject, now=session.created) > 0
        left = [name for name, other in made.items() if await store.find(other.id, now=other.created) is not None]
        assert left == subjects[subjects.index(subject) + 1 :]


async def test_text_that_is_not_unicode_is_rejected(store: RedisStore) -> None:
    """Half a surrogate pair, as a command line or JSON may bring it; nothing is changed."""
    session = await logged_in(store)
    half, now = "\ud800", session.created
    for work in (
        store.update(session.id, 0, now=now, label=half),
        store.revoke_token(session.id, half, now=now),
        store.create(replace(new_session(now, session.subject), device=Device(user_agent=half)), now=now),
        store.standing_of(half),
        store.sessions_of(half, now=now),
        store.revoke_subject(half, now=now),
        store.revoke_subject(session.subject, now=now, excepted=half),
    ):
        with pytest.raises((Rejected, NotFound)):
            await work
    found = await store.find(session.id, now=now)
    assert found is not None
    assert found.session == session


async def test_a_session_in_use_is_listed_whatever_a_clock_has_said(store: RedisStore) -> None:
    """Looked at by a clock that was ahead it drops off the list; each use that finds it live puts it back."""
    session = await logged_in(store)
    now, id_ = session.created, session.id
    for use in (
        lambda: store.touch([Touch(session_id=id_, seen=now)], now=now),
        lambda: store.rotate(id_, 0, window=1.0, now=now),
        lambda: store.update(id_, 0, now=now, label="mine"),
        lambda: store.update(id_, 1, now=now, amr=("otp",)),
        lambda: store.revoke_subject(session.subject, now=now, excepted=id_),
    ):
        assert not (await store.sessions_of(session.subject, now=session.absolute_deadline)).sessions
        await use()
        assert [one.id for one in (await store.sessions_of(session.subject, now=now)).sessions] == [id_]


async def test_dead_sessions_leave_the_index_by_themselves(server: Redis, store: RedisStore, url: str) -> None:
    """A subject that logs in again and again and never out keeps a bounded index, and rows have an end."""
    subject, now = new_subject(), float(int(await store.time()))
    for number in range(50):
        at = now + number
        await store.create(new_session(at, subject, idle_deadline=at + 3), now=at)
    index = server.cli("--scan", "--pattern", f"{prefix(url)}:*:i:{subject}:0")
    assert int(server.cli("ZCARD", index)) <= 5
    for key in server.cli("--scan", "--pattern", f"{prefix(url)}:*:[si]:*").splitlines():
        assert 0 < int(server.cli("PTTL", key)) < 3 * 3600 * 1000


class _LossyLink:
    """Hands everything on to a server; closes a connection instead of handing back an answer when one is to be lost."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._serving: set[asyncio.Task[None]] = set()
        self.lose = 0
        """How many answers are to be lost, not counting those to who listens for messages."""

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.create_task(self._serve(reader, writer)))

    async def finish(self) -> None:
        """Until every connection has ended."""
        await asyncio.gather(*self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, sink = await asyncio.open_connection("127.0.0.1", self._target)
        is_listener = asyncio.Event()
        back = asyncio.create_task(self._back(upstream, writer, is_listener))
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                if b"SUBSCRIBE" in chunk:
                    is_listener.set()
                sink.write(chunk)
        for end in (sink, writer):
            end.close()
            with suppress(ConnectionError):
                await end.wait_closed()
        await back

    async def _back(
        self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, is_listener: asyncio.Event
    ) -> None:
        while chunk := await upstream.read(65536):
            if self.lose and not is_listener.is_set():
                self.lose -= 1
                writer.close()
                return
            writer.write(chunk)


async def test_a_write_whose_answer_was_lost_raises_and_is_not_repeated(server: Redis) -> None:
    """It was done once; what only reads is asked once more and no caller notices."""
    link = _LossyLink(server.port)
    async with await asyncio.start_server(link.accept, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with opened(with_prefix(server.url(user=USER, password=QUOTED, port=port))) as store:
            subject = new_subject()
            cursor = await here(store)
            first = await store.step_version(subject, now=1.0)  # the server knows the script from now on
            link.lose = 1
            with pytest.raises(StoreUnavailable):
                await store.step_version(subject, now=1.0)
            found = await store.standing_of(subject)
            assert found[1] > first
            assert len(await events_after(store, cursor)) == 2
            link.lose = 1
            assert await store.standing_of(subject) == found
            assert link.lose == 0
        await link.finish()

"""A revocation is told before it is read: what a message says counts at once, and only if it is of this feed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from coatcheck import Auth, Credential, InvalidCredential, Mode, Policy
from coatcheck.credentials.cookies import SECURE
from coatcheck.credentials.transport import Carrier, bearer, cookie
from coatcheck.model import Event, EventKind
from coatcheck.stores.base import Herald
from coatcheck.stores.sql import SqlStore, pg_listen
from tests.support.patience import in_time
from tests.support.servers import Redis

from .conftest import DEPLOYMENTS, Deployment

TELLING = [name for name in DEPLOYMENTS if name != "sqlite"]
POLICY = Policy(max_staleness=60)


@pytest.fixture
async def deaf(deployment: Deployment) -> AsyncIterator[tuple[Auth, Auth]]:
    """A process, and another one that can no longer read its feed, under a lease that runs on."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(deployment.process(POLICY))
        other = await stack.enter_async_context(deployment.process(POLICY))
        yield one, other


async def stop_reading(auth: Auth) -> None:
    """From its next read on, `auth` reads no more."""
    stopped = asyncio.Event()

    async def events(cursor: str | None, *, wait: float) -> Any:
        stopped.set()
        await asyncio.Event().wait()

    auth.sessions.events = events  # type: ignore[method-assign]  # the follower asks this very object
    await auth.sessions.announce_keys(now=auth.clock.now())  # ends the read under way
    async with in_time():
        await stopped.wait()


async def session_of(auth: Auth, mode: Mode) -> tuple[str, str, Credential]:
    """Subject, session and credential of a new login."""
    subject = (await auth.accounts.register(f"{secrets.token_hex(8)}@example.com", "correct horse battery staple")).id
    made = await auth.login(subject, mode=mode)
    if mode is Mode.SESSION:
        token = cookie(Carrier.SESSION_COOKIE, SECURE.session, made.session_token or "")
    else:
        token = bearer(made.access_token or "")
    return subject, made.session.id, token


ENDS: dict[str, Callable[[Auth, str, str], Awaitable[object]]] = {
    "revoke": lambda auth, subject, session: auth.revoke(session),
    "revoke_subject": lambda auth, subject, session: auth.revoke_subject(subject),
}


@pytest.mark.parametrize("deployment", TELLING, indirect=True)
@pytest.mark.parametrize("mode", [Mode.SESSION, Mode.JWT])
@pytest.mark.parametrize("name", ENDS)
async def test_what_was_told_is_refused_before_it_is_read(deaf: tuple[Auth, Auth], mode: Mode, name: str) -> None:
    """A process that never completes another read, under a running lease, refuses all the same."""
    one, other = deaf
    subject, session, credential = await session_of(one, mode)
    await other.verify(credential)
    await stop_reading(other)
    assert other.known(credential.key) is not None or await other.verify(credential)
    await ENDS[name](one, subject, session)
    async with in_time():
        while other.known(credential.key) is not None:
            await asyncio.sleep(0.001)
    assert other.follower.is_live()
    with pytest.raises(InvalidCredential):
        await other.verify(credential)


@pytest.mark.parametrize("deployment", ["postgresql", "postgresql + redis"], indirect=True)
async def test_nobody_is_told_after_the_end(deployment: Deployment) -> None:
    """A process that has been closed leaves no hearer behind."""
    async with deployment.process() as auth:
        store = auth.sessions
        assert isinstance(store, Herald)
    listener = getattr(store, "_wake", None)
    assert store._hearer is None if listener else store.database._listener.hearer is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("deployment", ["postgresql"], indirect=True)
async def test_a_notice_of_a_stranger_counts_for_nothing(deployment: Deployment) -> None:
    """Whoever may connect may notify; without the feed's identity nobody is logged out by it, and reading goes on."""
    async with deployment.process(POLICY) as auth:
        subject, session, credential = await session_of(auth, Mode.JWT)
        await auth.verify(credential)
        event = Event(kind=EventKind.SESSION_REVOKED, at=1.0, subject=subject, session_id=session)
        heard: list[Any] = []
        store = auth.sessions
        assert isinstance(store, SqlStore)
        store.tell(heard.append)
        stranger = await asyncpg.connect(deployment.database)
        genuine = pg_listen.pack(store.database._listener.feed, [event])  # type: ignore[attr-defined]
        for forged in (
            pg_listen.pack("another feed", [event]),
            genuine.replace(session, session[:-1] + ("A" if session[-1] != "A" else "B")),
            genuine[:64],
            "nonsense",
            "",
        ):
            assert forged != genuine
            await stranger.execute("SELECT pg_notify($1, $2)", pg_listen.CHANNEL, forged)
        await stranger.execute("SELECT pg_notify($1, $2)", pg_listen.CHANNEL, genuine)
        async with in_time():
            while not heard:
                await asyncio.sleep(0.01)
        await stranger.close()
        assert heard == [[event]]
        assert auth.known(credential.key) is not None


def test_many_events_at_once_are_left_to_be_read() -> None:
    """A notice has its limit; what is longer, or from before the feed is known, only wakes."""
    events = [Event(kind=EventKind.SUBJECT_CHANGED, at=1.0, subject="☃" * 100, number=1) for _ in range(60)]
    assert pg_listen.pack("feed", events) == pg_listen.pack("", events[:1]) == ""
    notice = pg_listen.pack("feed", events[:10])
    assert notice.isascii()
    assert len(notice) < 8000
    assert pg_listen.unpack("feed", notice) == events[:10]
    assert pg_listen.unpack("", notice) == []


async def test_channels_know_no_databases(redis_server: Redis) -> None:
    """Two stores with one prefix in two databases of a server share a channel, and believe only their own feed."""
    prefix, subject = secrets.token_hex(4), "7"
    urls = [f"{redis_server.url()}/{number}?prefix={prefix}" for number in (0, 1)]
    async with AsyncExitStack() as stack:
        here, there = [
            await stack.enter_async_context(
                Auth(url, secret=b"7Qm0vXr2LkT9dHs4WbNc8YpEf3GzJa6U", subjects=lambda _: None)
            )
            for url in urls
        ]
        for auth in (here, there):
            store = auth.sessions
            assert isinstance(store, Herald)
        heard: list[Any] = []
        here.sessions.tell(heard.append)  # type: ignore[attr-defined]
        await there.revoke_subject(subject)
        second = await stack.enter_async_context(
            Auth(urls[0], secret=b"7Qm0vXr2LkT9dHs4WbNc8YpEf3GzJa6U", subjects=lambda _: None)
        )
        await second.revoke_subject("8")
        async with in_time():
            while not heard:
                await asyncio.sleep(0.01)
        assert [event.subject for events in heard for event in events] == ["8"]

"""What the guarded ends of WebSockets and streams let pass, in one process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from coatcheck import Auth, Identity, Mode, Policy, StoreUnavailable, SubjectFacts, blocking
from coatcheck.adapters.connections import (
    ConnectionEnded,
    Ending,
    ending_of,
    guard_websocket,
    guarded,
    guarded_events,
    serve_guarded,
)
from coatcheck.credentials.cookies import SECURE
from coatcheck.credentials.transport import Carrier, bearer, cookie
from coatcheck.errors import RevokedCredential, SessionEnded
from coatcheck.stores.memory import MemoryStore
from tests.support.gates import GatedStore
from tests.support.issuer import issuing, until

SECRET = "a secret of the tests, 32 bytes or more"
ENDED = {"type": "websocket.close", "code": 4401, "reason": "invalid_credential"}


@pytest.fixture
def store() -> GatedStore:
    return GatedStore(MemoryStore())


@pytest.fixture
async def auth(store: GatedStore) -> AsyncIterator[Auth]:
    policy = Policy(max_staleness=0.5)
    async with Auth(store, secret=SECRET, subjects=lambda _: SubjectFacts(), policy=policy) as running:  # type: ignore[arg-type]
        yield running


@pytest.fixture
async def who(auth: Auth) -> Identity:
    made = await auth.login("ann", mode=Mode.JWT)
    return await auth.verify(bearer(made.access_token or ""))


class Wire:
    """The server's side of a WebSocket."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.incoming: asyncio.Queue[Any] = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def serve(self, auth: Any, who: Identity, app: Any) -> None:
        scope = {"type": "websocket", "path": "/"}
        async with asyncio.timeout(20):
            await serve_guarded(auth, who, app, scope, self.incoming.get, self.send)


async def test_close_waits_for_nobody(auth: Auth, who: Identity) -> None:
    """The client is told while the application still cleans up, and nothing of that clean-up goes out."""
    wire, told = Wire(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await receive()
        try:
            await auth.revoke(who.session_id)
            await asyncio.Event().wait()
        finally:
            await until(lambda: wire.sent[-1] == ENDED)
            with pytest.raises(ConnectionEnded):
                await send({"type": "websocket.send", "text": "good bye"})
            told.set()

    await wire.serve(auth, who, app)
    assert told.is_set()
    assert wire.sent == [{"type": "websocket.accept"}, ENDED]


async def test_nothing_comes_in_after_the_end(auth: Auth, who: Identity) -> None:
    """A command that was on its way when the session ended does not reach the application, whichever task waits."""
    wire, heard = Wire(), list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def listen() -> None:
            while True:
                heard.append((await receive())["type"])

        await send({"type": "websocket.accept"})
        listening = asyncio.create_task(listen())
        await until(lambda: heard == ["websocket.connect"])
        auth.guards.end(next(iter(auth.guards._by_session[who.session_id])), SessionEnded("made to"))
        wire.incoming.put_nowait({"type": "websocket.receive", "text": "delete everything"})
        try:
            await asyncio.Event().wait()
        finally:
            await until(lambda: len(heard) == 2)
            listening.cancel()

    await wire.serve(auth, who, app)
    assert heard == ["websocket.connect", "websocket.disconnect"]


async def test_exact_at_the_lease(auth: Auth, store: GatedStore, who: Identity) -> None:
    """Where the event loop was held up past the lease's deadline, what is sent next is not sent."""
    wire = Wire()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        auth.follower.lease.deadline = auth.clock.monotonic()
        await send({"type": "websocket.send", "text": "late"})

    await wire.serve(auth, who, app)
    assert wire.sent == [{"type": "websocket.accept"}, ENDED | {"code": 4503, "reason": "unavailable"}]


async def test_end_before_it_was_accepted(auth: Auth, who: Identity) -> None:
    """The handshake is refused, whether the session ended before it or during it."""
    wire = Wire()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await auth.revoke(who.session_id)
        await asyncio.Event().wait()

    for _ in range(2):
        await wire.serve(auth, who, app)
    assert wire.sent == [ENDED, ENDED]


async def test_closed_already(auth: Auth, who: Identity) -> None:
    """Nothing is sent on a WebSocket that either side has closed, or that was answered with a response."""
    closings: list[Any] = [
        {"type": "websocket.close", "code": 1000},
        {"type": "websocket.http.response.start", "status": 404},
        None,
    ]
    for closing in closings:
        wire = Wire()
        made = await auth.login("ann", mode=Mode.JWT)
        identity = await auth.verify(bearer(made.access_token or ""))

        async def app(
            scope: Any, receive: Any, send: Any, closing: Any = closing, session: str = made.session.id
        ) -> None:
            await receive()
            if closing:
                await send(closing)
            else:
                wire.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})  # noqa: B023  # awaited below
                await receive()
            await auth.revoke(session)
            await asyncio.Event().wait()

        await wire.serve(auth, identity, app)
        assert wire.sent == ([closing] if closing else [])


async def test_errors_of_the_application(auth: Auth, who: Identity) -> None:
    """They go through, also those that look like ours."""
    for error in (ZeroDivisionError(), StoreUnavailable("its own"), RevokedCredential("its own")):

        async def app(scope: Any, receive: Any, send: Any, error: Exception = error) -> None:
            raise error

        with pytest.raises(type(error)):
            await Wire().serve(auth, who, app)
    assert len(auth.guards) == 0


async def test_message_is_use(auth: Auth, who: Identity) -> None:
    """What the client sends counts as use of a session; what the application sends does not."""
    made = await auth.login("ann", mode=Mode.SESSION)
    wire, seen = Wire(), list[float]()
    credential = cookie(Carrier.SESSION_COOKIE, SECURE.session, made.session_token or "")
    identity = await auth.verify(credential)
    entry = next(iter(auth.table.of_session(made.session.id)))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        seen.append(entry.seen)
        await send({"type": "websocket.accept"})
        seen.append(entry.seen)
        wire.incoming.put_nowait({"type": "websocket.receive", "text": "hello"})
        await receive()
        seen.append(entry.seen)

    await wire.serve(auth, identity, app)
    assert seen[0] == seen[1] < seen[2]


class Socket:
    """A framework's WebSocket."""

    def __init__(self) -> None:
        self.closed: list[Any] = []

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        self.closed.append((code, reason))


async def test_guard_websocket(auth: Auth, who: Identity) -> None:
    """The block ends, the socket is closed with the reason, and the handler goes on; before the block it is refused."""
    socket = Socket()
    async with guard_websocket(auth, who, socket):
        await auth.revoke(who.session_id)
        await asyncio.Event().wait()
    assert socket.closed == [(4401, "invalid_credential")]
    with pytest.raises(RevokedCredential):
        async with guard_websocket(auth, who, socket):
            pass
    assert socket.closed == [(4401, "invalid_credential")] * 2


async def collect(stream: AsyncIterator[Any], into: list[Any]) -> list[Any]:
    async with asyncio.timeout(20):
        async for item in stream:
            into.append(item)
    return into


async def test_stream_ends_where_it_waits(auth: Auth, who: Identity) -> None:
    """The source is cancelled and cleans up, the reader gets the last event, and the end."""
    got, cleaned = list[Any](), list[bool]()

    async def source() -> AsyncIterator[str]:
        try:
            yield "one"
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    reading = asyncio.create_task(collect(guarded_events(auth, who, source()), got))
    await until(lambda: got)
    await auth.revoke(who.session_id)
    assert await reading == ["one", 'event: session-ended\ndata: {"code": "invalid_credential"}\n\n']
    assert cleaned == [True]
    assert len(auth.guards) == 0


async def test_stream_with_a_slow_reader(auth: Auth, who: Identity) -> None:
    """The end comes while the reader is busy: it is not cancelled, and reads the last event next."""

    async def source() -> AsyncIterator[int]:
        yield 1
        yield 2

    stream = guarded_events(auth, who, source(), last=lambda end: -end.close_code)
    assert await anext(stream) == 1
    await auth.revoke(who.session_id)
    await asyncio.sleep(0.01)
    assert await anext(stream) == -4401
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_stream_that_is_over_or_fails_by_itself(auth: Auth, who: Identity) -> None:
    """Its end and its errors are its own; a reader who leaves closes the source."""
    closed: list[str] = []

    async def source(error: Exception | None = None) -> AsyncIterator[str]:
        try:
            yield "one"
            if error:
                raise error
        finally:
            closed.append("closed")

    assert await collect(guarded_events(auth, who, source()), []) == ["one"]
    for error in (ZeroDivisionError(), StoreUnavailable("its own")):
        with pytest.raises(type(error)):
            await collect(guarded_events(auth, who, source(error)), [])
    stream = guarded_events(auth, who, source())
    await anext(stream)
    await stream.aclose()
    assert len(closed) == 4
    assert len(auth.guards) == 0


async def test_stream_of_a_session_that_has_ended(auth: Auth, who: Identity) -> None:
    """Nothing but the last event."""
    await auth.revoke(who.session_id)

    async def source() -> AsyncIterator[str]:
        yield "secret"

    assert await collect(guarded_events(auth, who, source()), []) == [str(ending_of(RevokedCredential("")))]


async def test_stream_whose_source_will_not_end(auth: Auth, who: Identity) -> None:
    """What a source gives after it was cancelled is not handed on."""
    got: list[Any] = []

    async def source() -> AsyncIterator[str]:
        yield "one"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            yield "two"

    reading = asyncio.create_task(collect(guarded_events(auth, who, source()), got))
    await until(lambda: got)
    await auth.revoke(who.session_id)
    assert await reading == ["one", str(Ending("invalid_credential", 4401))]


async def test_stream_exact_at_the_lease(auth: Auth, who: Identity) -> None:
    """What a source gives after the event loop was held up past the lease's deadline is not handed on."""

    async def source() -> AsyncIterator[str]:
        auth.follower.lease.deadline = auth.clock.monotonic()
        yield "late"

    assert await collect(guarded_events(auth, who, source()), []) == [str(Ending("unavailable", 4503))]


async def test_stream_at_the_lease(auth: Auth, store: GatedStore, who: Identity) -> None:
    """When nobody can know any more, the last event says so."""

    async def source() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield "never"

    store.fail("events", "find")
    assert await collect(guarded_events(auth, who, source()), []) == [str(Ending("unavailable", 4503))]


def test_stream_of_a_thread(tmp_path: Path) -> None:
    """Items stop at the end of the session, also when a thread was waiting for one, and the source is closed."""
    url = f"sqlite:///{tmp_path / 'app.db'}"
    waiting, go_on, closed = threading.Event(), threading.Event(), list[str]()

    def source() -> Iterator[str]:
        try:
            yield "one"
            waiting.set()
            go_on.wait(20)
            yield "secret"
        finally:
            closed.append("closed")

    with blocking.Auth(url, secret=SECRET, subjects=lambda _: SubjectFacts()) as auth:
        made = auth.login("ann", mode=Mode.JWT)
        who = auth.verify(bearer(made.access_token or ""))
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.extend(guarded(auth, who, source(), last=str)))
        thread.start()
        assert waiting.wait(20)
        auth.revoke(made.session.id)
        go_on.set()
        thread.join(20)
        assert got == ["one", str(Ending("invalid_credential", 4401))]
        assert closed == ["closed"]
        assert list(guarded(auth, who, ["secret"])) == []
        other = auth.login("bob", mode=Mode.JWT)
        assert list(guarded(auth, auth.verify(bearer(other.access_token or "")), ["a", "b"])) == ["a", "b"]

        async def open_ones(inner: Auth) -> int:
            return len(inner.guards)

        assert auth.run(open_ones) == 0


async def _open(auth: Any, who: Identity) -> asyncio.Task[None]:
    entered = asyncio.Event()

    async def body() -> None:
        async with auth.guard(who):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    async with asyncio.timeout(20):
        await entered.wait()
    return task


async def test_in_a_service_without_the_database() -> None:
    """A connection that a `RemoteVerifier` guards ends when the issuing service revokes, when its access token expires,
    and when the feed was lost: there is nobody to ask."""
    policy = Policy(access_lifetime=2)
    async with issuing(policy=policy) as issuer, issuer.remote(policy=policy) as remote:

        async def connected() -> tuple[Identity, asyncio.Task[None]]:
            _, credential = await issuer.login()
            who = await remote.verify(credential)
            return who, await _open(remote, who)

        who, task = await connected()
        await issuer.auth.revoke(who.session_id)
        with pytest.raises(SessionEnded, match="session was revoked"):
            await task
        with pytest.raises(RevokedCredential):
            await remote.guard(who).__aenter__()
        _, task = await connected()
        remote.follower.lose("made to")
        with pytest.raises(StoreUnavailable):
            await task
        await until(remote.follower.is_live)
        who, task = await connected()
        remote.table.clear()
        with pytest.raises(StoreUnavailable):
            await remote.guard(who).__aenter__()
        with pytest.raises(SessionEnded, match="time is over"):
            await task
        assert remote.clock.now() >= who.expires

"""WebSockets and streams that end when their session does.

`guard_websocket` and `guarded_events` are for handlers. WebSockets need neither where an adapter has found out who is
asking: `AuthMiddleware` uses `serve_guarded`, FastAPI's dependencies `serve_late`. `guarded` is for the streams of
threads. What the client is told is an `Ending`: a WebSocket is closed with 4401 when its session has ended, 4503 when
nobody can know any more; a stream of server-sent events gets one last event. See `coatcheck.guard` for what ends a
connection, and when.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, TypeVar, overload

from ..errors import CoatcheckError, InvalidCredential, StoreUnavailable
from ..guard import Guard, Guards, Interrupt, Watch
from ..model import Identity
from .problems import problem_of
from .types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Ending", "guard_websocket", "guarded", "guarded_events", "serve_guarded"]

log = logging.getLogger("coatcheck.connections")

T = TypeVar("T")

GUARDED: Final = "coatcheck.guarded"
"""Scope key: the `Guard` around this WebSocket, where there is one."""
_CLEAN_UP: Final = 1.0
"""Seconds that a stream's source may take to clean up after its end."""


class Guarding(Protocol):
    """What guards: an `Auth`, or a `RemoteVerifier` where the database is elsewhere."""

    @property
    def guards(self) -> Guards: ...


class BlockingGuarding(Protocol):
    """What guards the streams of threads: a `coatcheck.blocking.Auth` or its `RemoteVerifier`."""

    def run(self, work: Callable[[Any], Awaitable[T]]) -> T: ...


class ClosableSocket(Protocol):
    """A WebSocket as Starlette, FastAPI and Litestar hand it to a handler."""

    async def close(self, code: int = ..., reason: str | None = ...) -> None: ...


class ConnectionEnded(OSError):
    """The application sends on a WebSocket whose session has ended. ASGI servers raise an `OSError` too when the client
    has gone, so frameworks know what it means."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What a client is told at the end. The reason is in the log and goes nowhere else."""

    code: str
    """``invalid_credential``: log in or refresh, then connect again. ``unavailable``: try again in a while."""
    close_code: int
    """Of a WebSocket: 4000 and the status that a request would get."""

    event: ClassVar[str] = "session-ended"
    """The name of the last server-sent event."""

    @property
    def data(self) -> dict[str, str]:
        """The data of the last server-sent event, to be sent as JSON."""
        return {"code": self.code}

    def __str__(self) -> str:
        return f'event: {self.event}\ndata: {{"code": "{self.code}"}}\n\n'


def ending_of(error: CoatcheckError) -> Ending:
    """What a client may know of the end."""
    problem = problem_of(error)
    return Ending(problem.code, 4000 + problem.status)


@asynccontextmanager
async def guard_websocket(auth: Guarding, identity: Identity, websocket: ClosableSocket) -> AsyncIterator[Guard]:
    """``async with guard_websocket(auth, user, websocket):`` around the body of a WebSocket's handler.

    When the session ends, the WebSocket is closed with 4401 or 4503 at once and the body is cancelled; what stands
    after the block goes on. A message of the client counts as use of the session where the body says so:
    ``guard.use()``.

    Raises `InvalidCredential` or `StoreUnavailable`, and closes the WebSocket, when the session has ended before."""
    closing = _Closing(websocket.close)
    guard = auth.guards.guard(identity, closing.ended)
    entered = False
    try:
        async with guard:
            entered = True
            yield guard
    except (InvalidCredential, StoreUnavailable) as error:
        if not entered:
            closing.begin(ending_of(error))
        if guard.ended is None:  # it was not let in, or the error is the body's own
            raise
    finally:
        await closing.done()


async def serve_guarded(
    auth: Guarding, identity: Identity, app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Serve a WebSocket for as long as the session lives, whatever the application does: for adapters.

    At the end it is closed with 4401 or 4503 at once, and the application is cancelled. From then on nothing that it
    sends goes out, from whatever task, and nothing that the client sends comes in. Each message of the client counts as
    use of the session; that the connection is open does not."""
    socket = _Socket(receive, send)
    guard = socket.guard = scope[GUARDED] = auth.guards.guard(identity, socket.closing.ended)
    entered = False
    try:
        async with guard:
            entered = True
            await app(scope, socket.receive, socket.send)
    except (InvalidCredential, StoreUnavailable, ConnectionEnded) as error:
        if not entered and isinstance(error, CoatcheckError):
            socket.closing.begin(ending_of(error))
        elif guard.ended is None:  # the application's own
            raise
    finally:
        await socket.closing.done()


class LateGuard:
    """A WebSocket that is guarded from when it is known who is asking: for adapters that ask after the handshake has
    been handed to the application. See `serve_late`."""

    def __init__(self, socket: _Socket, stack: AsyncExitStack) -> None:
        self.receive: Receive = socket.receive
        self.send: Send = socket.send
        self._socket = socket
        self._stack = stack

    async def guard(self, auth: Guarding, identity: Identity) -> None:
        """From now on, in the task that serves it. Once; whoever asks again is the same.

        Raises `InvalidCredential` or `StoreUnavailable` when the session has ended before."""
        if self._socket.guard is None:
            guard = auth.guards.guard(identity, self._socket.closing.ended)
            await self._stack.enter_async_context(guard)
            self._socket.guard = guard

    @property
    def entered(self) -> Guard | None:
        """The guard; None before it is known who is asking."""
        return self._socket.guard


async def serve_late(app: Callable[[LateGuard], Awaitable[None]], receive: Receive, send: Send) -> None:
    """`serve_guarded` for an application that finds out by itself who is asking, and then calls `LateGuard.guard`."""
    socket = _Socket(receive, send)
    try:
        async with AsyncExitStack() as stack:
            await app(LateGuard(socket, stack))
    except (InvalidCredential, StoreUnavailable, ConnectionEnded):
        if socket.guard is None or socket.guard.ended is None:  # the application's own
            raise
    finally:
        await socket.closing.done()


@overload
def guarded_events(auth: Guarding, identity: Identity, stream: AsyncIterable[str]) -> AsyncGenerator[str, None]: ...


@overload
def guarded_events(
    auth: Guarding, identity: Identity, stream: AsyncIterable[T], *, last: Callable[[Ending], T]
) -> AsyncGenerator[T, None]: ...


async def guarded_events(
    auth: Guarding, identity: Identity, stream: AsyncIterable[Any], *, last: Callable[[Ending], Any] = str
) -> AsyncGenerator[Any, None]:
    """What ``stream`` gives, for as long as the session lives; then what ``last`` makes of the `Ending`, and the end.

    Without ``last`` the stream is text and that is a server-sent event: ``event: session-ended`` with
    ``data: {"code": "invalid_credential"}``, or the code ``unavailable`` where nobody can know any more. The source is
    cancelled where it waits, and closed. A reader who is slow gets at most the one item that was on its way."""
    interrupt = Interrupt()

    def end(watch: Watch) -> None:
        if watch.ended is not None:
            interrupt.fire(watch.ended)

    source = aiter(stream)
    try:
        watch = await auth.guards.watch(identity, end)
    except (InvalidCredential, StoreUnavailable) as error:
        yield last(ending_of(error))
        return
    try:
        while watch.goes_on():
            interrupt = Interrupt()
            try:
                with interrupt:
                    item = await anext(source)
            except StopAsyncIteration:
                break
            except (InvalidCredential, StoreUnavailable):
                if watch.ended is None:  # the source's own
                    raise
                break
            if watch.goes_on():
                yield item
        if watch.ended is not None:
            yield last(ending_of(watch.ended))
    finally:
        watch.close()
        await _close_source(source)


def guarded(
    auth: BlockingGuarding, identity: Identity, items: Iterable[T], *, last: Callable[[Ending], T] | None = None
) -> Iterator[T]:
    """`guarded_events` for the streams of threads, such as Flask's.

    No item is handed on after the session has ended. But nobody can interrupt a thread that waits for its next item, so
    a stream that is silent stays open until it has one: let it say something, a comment line, every second or two.
    Without ``last`` the stream just ends."""
    try:
        watch: Watch = auth.run(lambda inner: inner.guards.watch(identity))
    except (InvalidCredential, StoreUnavailable) as error:
        if last is not None:
            yield last(ending_of(error))
        return
    try:
        for item in items:
            try:
                watch.check()
            except CoatcheckError as error:
                if last is not None:
                    yield last(ending_of(error))
                return
            yield item
    finally:
        watch.close_soon()
        close = getattr(items, "close", None)
        if close is not None:
            close()


class _Closing:
    """Closes a WebSocket from the step in which its guard ends, whatever its handler does meanwhile."""

    def __init__(self, close: Callable[[int, str], Awaitable[None]]) -> None:
        self._close = close
        self._task: asyncio.Task[None] | None = None

    def ended(self, watch: Watch) -> None:
        if watch.ended is not None:
            self.begin(ending_of(watch.ended))

    def begin(self, ending: Ending) -> None:
        self._task = asyncio.get_running_loop().create_task(self._send(ending), name="coatcheck-close")

    async def done(self) -> None:
        """Wait until it is closed. That the client or the application has closed it already is no fault."""
        if self._task is None:
            return
        await asyncio.wait([self._task])
        error = None if self._task.cancelled() else self._task.exception()
        if error is not None:
            log.debug("a WebSocket could not be closed", exc_info=error)

    async def _send(self, ending: Ending) -> None:
        await self._close(ending.close_code, ending.code)


class _Socket:
    """The two ends of a WebSocket, which open and shut together."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.guard: Guard | None = None
        self.closing = _Closing(self._close)
        self._receive = receive
        self._send = send
        self._may_close = True

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._may_close = False
        if message["type"] == "websocket.receive" and self.guard is not None:
            if not self.guard.goes_on():
                return {"type": "websocket.disconnect", "code": 1006}
            self.guard.use()
        return message

    async def send(self, message: Message) -> None:
        if self.guard is not None and not self.guard.goes_on():
            raise ConnectionEnded("the session has ended")
        if message["type"] in ("websocket.close", "websocket.http.response.start"):
            self._may_close = False
        await self._send(message)

    async def _close(self, code: int, reason: str) -> None:
        if self._may_close:
            self._may_close = False
            await self._send({"type": "websocket.close", "code": code, "reason": reason})


async def _close_source(source: AsyncIterator[Any]) -> None:
    close = getattr(source, "aclose", None)
    if close is None:
        return
    try:
        async with asyncio.timeout(_CLEAN_UP):
            await close()
    except TimeoutError:
        log.warning("the source of a stream did not end within %g s", _CLEAN_UP)

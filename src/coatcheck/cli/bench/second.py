"""The second process: it verifies against the same store, and it is the server that HTTP is measured on.

It is told what to do over a pipe and ends when that closes, however the first process ended.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Final

from ... import Auth, CoatcheckError, Credential, Identity, InvalidCredential, StoreUnavailable
from ...adapters.asgi import IDENTITY, AuthMiddleware, Receive, Scope, Send
from ...clock import boottime
from .guest import Guest, credential_of, header_of

BODY: Final = b'{"hello":"world","items":[1,2,3]}'
_HEADERS: Final = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
GUARDED: Final = "/guarded"
BARE: Final = "/bare"
_PATIENCE: Final = 20.0
"""Seconds for anything it is asked, and for its start."""
_END: Final = 5.0
"""Seconds that it gets to end."""


def event_loop() -> asyncio.AbstractEventLoop:
    """What the service runs on."""
    try:
        import uvloop
    except ImportError:  # where there is none
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class Second:
    """The first process's hold on the second."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.port: int = 0

    async def ask(self, order: str, *arguments: Any) -> Any:
        """The answer. Raises what it met, and `StoreUnavailable` when it stays silent."""
        self._pipe.send((order, *arguments))
        return await self.answer()

    async def answer(self, longer: float = 0.0) -> Any:
        """What it says next; ``longer``: seconds that it may take beyond the usual. Raises what it met."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._pipe.fileno(), readable.set)
        try:
            async with asyncio.timeout(_PATIENCE + longer):
                await readable.wait()
            os.set_blocking(self._pipe.fileno(), True)  # uvloop has changed that
            fault, answer = self._pipe.recv()
        except (EOFError, TimeoutError) as error:
            raise StoreUnavailable("the second process of the measurement does not answer") from error
        finally:
            loop.remove_reader(self._pipe.fileno())
        if fault is not None:
            raise fault
        return answer


@asynccontextmanager
async def second_process(guest: Guest) -> AsyncIterator[Second]:
    """It runs, and has ended afterwards."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=main, args=(guest, theirs), name="coatcheck-bench", daemon=True)
    # Ctrl+C in a terminal reaches both processes; the first one decides.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    theirs.close()
    try:
        second = Second(ours)
        second.port = await second.answer()
        yield second
    finally:
        ours.close()
        await asyncio.shield(asyncio.to_thread(process.join, _END))
        process.kill()
        process.join()
        process.close()


def main(guest: Guest, pipe: Connection) -> None:
    """The second process."""
    logging.getLogger("coatcheck").addHandler(logging.NullHandler())
    # Cancelled, or in the middle of an answer: nobody waits for it any more.
    with asyncio.Runner(loop_factory=event_loop) as runner, suppress(asyncio.CancelledError, BrokenPipeError):
        runner.run(_serve(guest, pipe))


async def _serve(guest: Guest, pipe: Connection) -> None:
    loop, here = asyncio.get_running_loop(), asyncio.current_task()
    orders: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def read() -> None:
        try:
            orders.put_nowait(pipe.recv())
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            if here is not None:
                here.cancel()

    loop.add_reader(pipe.fileno(), read)
    os.set_blocking(pipe.fileno(), True)  # uvloop has changed that
    try:
        async with guest.auth() as auth, _http(auth) as port:
            pipe.send((None, port))
            while True:
                pipe.send((None, await _obey(auth, guest, pipe, await orders.get())))
    except CoatcheckError as error:
        with suppress(BrokenPipeError):
            pipe.send((error, None))


async def _obey(auth: Auth, guest: Guest, pipe: Connection, order: tuple[Any, ...]) -> Any:
    match order:
        case ("headers", int(count)):
            modes = auth.policy.modes
            made = [await auth.login(guest.subject(n), mode=modes[n % len(modes)]) for n in range(count)]
            for one in made:
                await auth.verify(credential_of(one))  # the first sight is measured elsewhere
            return [header_of(one) for one in made]
        case ("processor time",):
            return time.process_time()
        case ("watch", Credential() as credential):
            await auth.verify(credential)
            pipe.send((None, "accepted"))
            return await _last_acceptance(auth, credential)
    raise AssertionError(order[0])


async def _last_acceptance(auth: Auth, credential: Credential) -> float:
    """Ask on and on until it is refused. When it was accepted last, by `boottime`, which all processes share."""
    last = boottime()
    while True:
        try:
            await auth.verify(credential)
        except InvalidCredential:
            return last
        last = boottime()
        await asyncio.sleep(0)


@asynccontextmanager
async def _http(auth: Auth) -> AsyncIterator[int]:
    """A server on the loopback, with authentication on one path and without on the other. Its port."""
    import uvicorn

    guarded = AuthMiddleware(_hello, auth)

    def app(scope: Any, receive: Any, send: Any) -> Any:
        return (guarded if scope["path"] == GUARDED else _hello)(scope, receive, send)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                interface="asgi3", http="httptools", ws="none", lifespan="off", log_config=None, access_log=False,
            )
        )  # fmt: skip
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True
            await serving


async def _hello(scope: Scope, receive: Receive, send: Send) -> None:
    """The same for everybody, but nothing for those whom the middleware did not recognise."""
    identity: Identity | None = scope.get(IDENTITY)
    status = 200 if identity is not None or scope["path"] == BARE else 401
    await send({"type": "http.response.start", "status": status, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": BODY})

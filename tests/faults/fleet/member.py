"""A process of the fleet, told what to do over a socket: ``python -m tests.faults.fleet.member ROLE FD``."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from operator import attrgetter
from typing import Any, Final, TypeVar

from coatcheck import (
    ApplicationSubjects,
    Auth,
    Credential,
    InvalidCredential,
    Mode,
    Policy,
    RemoteVerifier,
)
from coatcheck.clock import Clock, boottime
from coatcheck.credentials.cookies import SECURE
from coatcheck.credentials.opaque import new_session_id
from coatcheck.credentials.transport import Carrier, bearer, cookie
from coatcheck.errors import CoatcheckError, StoreUnavailable
from tests.support.patience import SOON
from tests.support.presenting import presented

from . import sabotage
from .words import (
    Answer,
    Call,
    Done,
    End,
    Find,
    Forge,
    Hold,
    Issue,
    Order,
    Report,
    Settle,
    Setup,
    Sight,
    Ticket,
    Where,
)

PAUSE: Final = 0.008
"""Seconds between two verifications of one credential."""
PAUSE_REFUSED: Final = 0.05
"""The same once it has been refused: it costs a look into the store each time."""
RETRY: Final = 0.05
"""Seconds after which a revocation that was not confirmed is tried again, until `SOON` is over."""

T = TypeVar("T")
Verify = Callable[[Credential], Awaitable[object]]
Verifies = Auth | RemoteVerifier


def made(setup: Setup) -> Auth:
    """Not yet started."""
    return Auth(
        setup.url,
        sessions=setup.sessions,
        secret=setup.secret,
        policy=Policy(max_staleness=setup.max_staleness),
        subjects=ApplicationSubjects(),
        clock=_clock(setup),
    )


@asynccontextmanager
async def running(setup: Setup) -> AsyncIterator[Auth]:
    """An `Auth` as this process has it. It is started again and again while the store is silent, as by a supervisor."""
    auth = made(setup)
    await until_answered(auth.start)
    try:
        yield auth
    finally:
        await auth.close()


@asynccontextmanager
async def verifying(setup: Setup) -> AsyncIterator[Verifies]:
    """What verifies in this process."""
    if not setup.service_key:
        async with running(setup) as auth:
            yield auth
        return
    remote = RemoteVerifier(
        setup.url,
        service_key=setup.service_key,
        policy=Policy(max_staleness=setup.max_staleness),
        clock=_clock(setup),
    )
    await until_answered(remote.start)
    try:
        yield remote
    finally:
        await remote.close()


def _clock(setup: Setup) -> Clock:
    return Clock(wall=lambda: time.time() + setup.clock_off)


async def verify_on_and_on(verify: Verify, credential: Credential, sight: Sight) -> None:
    """Like a client that never tires."""
    while True:
        pause = PAUSE
        began = boottime()
        try:
            await verify(credential)
        except InvalidCredential as error:
            sight.refused += 1
            sight.why = sight.why or error.reason
            sight.refused_at = min(sight.refused_at, boottime())
            pause = PAUSE_REFUSED
        except StoreUnavailable:
            sight.unavailable += 1
        else:
            if sight.accepted and began - sight.last > sight.gap:
                sight.gap, sight.resumed = began - sight.last, began
            sight.accepted += 1
            sight.last = began
        await asyncio.sleep(pause)


class Process:
    """What any process of the fleet can be asked."""

    def __init__(self, parts: Verifies) -> None:
        self._parts = parts

    async def answer(self, word: object) -> object:
        match word:
            case Call(path, args, kwargs):
                return await self._call(path, args, kwargs)
            case Settle():
                began, lease = boottime(), self._parts.follower.lease
                while lease.deadline < began + self._parts.policy.max_staleness:
                    await asyncio.sleep(0.005)
                return None
        raise AssertionError(word)

    async def _call(self, path: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Answer:
        try:
            return Answer(await attrgetter(path)(self._parts)(*args, **kwargs))
        except InvalidCredential as error:
            return Answer(refused=error.reason)
        except StoreUnavailable:
            return Answer(unavailable=True)
        except CoatcheckError as error:
            return Answer(raised=repr(error))


class Verifying(Process):
    """Holds credentials and watches what becomes of them."""

    def __init__(self, parts: Verifies) -> None:
        super().__init__(parts)
        self._verify = parts.verify
        self._held: dict[str, tuple[asyncio.Task[None], Sight]] = {}

    async def answer(self, word: object) -> object:
        match word:
            case Hold(credentials):
                for name in self._held.keys() - credentials.keys():
                    self._held.pop(name)[0].cancel()
                for name in credentials.keys() - self._held.keys():
                    sight = Sight()
                    task = asyncio.create_task(verify_on_and_on(self._verify, credentials[name], sight))
                    self._held[name] = task, sight
                return None
            case Report():
                for task, sight in self._held.values():
                    if task.done() and not sight.failures:
                        sight.failures.append(repr(task.exception()))
                return {name: sight for name, (_, sight) in self._held.items()}
        return await super().answer(word)

    async def stop(self) -> None:
        tasks = [task for task, _ in self._held.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Issuing(Process):
    """Logs in and ends sessions."""

    def __init__(self, auth: Auth) -> None:
        super().__init__(auth)
        self._auth = auth

    async def answer(self, word: object) -> object:
        match word:
            case Issue(logins):
                return [await self._issue(*login) for login in logins]
            case Forge():
                return await self._forge()
            case End(orders):
                return await asyncio.gather(*(self._end(order) for order in orders))
            case Find(session_ids):
                return await until_answered(lambda: self._find(*session_ids))
        return await super().answer(word)

    async def _issue(self, name: str, subject: str, mode: Mode) -> Ticket:
        made = await until_answered(lambda: self._auth.login(subject, mode=mode))
        return Ticket(name=name, session_id=made.session.id, subject=subject, credential=presented(made))

    async def _end(self, order: Order) -> Done:
        await asyncio.sleep(order.delay)
        failed, give_up = 0, boottime() + SOON
        while True:
            called = boottime()
            try:
                if order.session_id:
                    await self._auth.revoke(order.session_id)
                else:
                    await self._auth.revoke_subject(order.subject, excepted=order.excepted)
                return Done(called, boottime(), failed)
            except StoreUnavailable:
                failed += 1
                if boottime() > give_up:
                    return Done(called, None, failed)
            await asyncio.sleep(RETRY)

    async def _find(self, *session_ids: str) -> list[str]:
        now = self._auth.clock.now()
        return [one for one in session_ids if await self._auth.sessions.find(one, now=now) is not None]

    async def _forge(self) -> dict[str, Credential]:
        """Of another secret, with another subject, with a broken MAC, and of a session that was never stored."""
        ours = await self._auth.login("forged", mode=Mode.JWT)
        header, payload, signature = (ours.access_token or "").split(".")
        secret = "another-secret-of-the-fault-harness-long-enough"
        async with Auth("memory://", secret=secret, subjects=ApplicationSubjects()) as other:
            token = (await other.login("forged", mode=Mode.SESSION)).session_token or ""
            theirs = (await other.login("forged", mode=Mode.JWT)).access_token or ""
        never = self._auth.opaque.session_token(new_session_id("forged"))
        broken = never[:-3] + ("AAA" if never[-3:] != "AAA" else "BBB")
        name, carrier = SECURE.session, Carrier.SESSION_COOKIE
        return {
            "forged: another secret's session token": cookie(carrier, name, token),
            "forged: another secret's access token": bearer(theirs),
            "forged: another one's payload": bearer(f"{header}.{theirs.split('.')[1]}.{signature}"),
            "forged: another one's signature": bearer(f"{header}.{payload}.{theirs.split('.')[2]}"),
            "forged: a broken MAC": cookie(carrier, name, broken),
            "forged: a session never made": cookie(carrier, name, never),
        }


class Serving(Process):
    """Answers HTTP, as `coatcheck serve` does, for whatever subjects there are."""

    def __init__(self, auth: Auth, url: str) -> None:
        super().__init__(auth)
        self._url = url

    async def answer(self, word: object) -> object:
        return self._url if isinstance(word, Where) else await super().answer(word)


async def until_answered(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Asked again while the store is silent."""
    give_up = boottime() + SOON
    while True:
        try:
            return await call()
        except StoreUnavailable:
            if boottime() > give_up:
                raise
        await asyncio.sleep(RETRY)


async def serve(pipe: Connection, member: Process) -> None:
    """Answer until the harness has gone."""
    arrived = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), arrived.set)
    pipe.send("ready")
    while True:
        await arrived.wait()
        arrived.clear()
        while pipe.poll():
            try:
                word = pipe.recv()
            except EOFError:
                return
            pipe.send(await member.answer(word))


async def main(role: str, pipe: Connection) -> None:
    setup: Setup = pipe.recv()
    sabotage.apply(setup.sabotage)
    logging.getLogger("coatcheck").setLevel(logging.ERROR)  # that the store is silent is what we are here for
    if role == "issuing":
        async with running(setup) as auth:
            await serve(pipe, Issuing(auth))
    elif role == "serving":
        from tests.support.issuer import issuing  # what it needs takes the others too long to import

        async with issuing(auth=made(setup)) as issuer:
            await serve(pipe, Serving(issuer.auth, issuer.url))
    else:
        async with verifying(setup) as parts:
            member = Verifying(parts)
            await serve(pipe, member)
            await member.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Connection(int(sys.argv[2]))))

"""One run: everything in its share of the time, and whatever happens, the sessions are ended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final

from ... import Auth
from ...service.settings import Settings
from . import elsewhere, operations, passwords, requests
from .guest import AT_ONCE, MOST_SESSIONS, Guest
from .second import event_loop, second_process

Announce = Callable[[str, int], None]
"""It is told how all subjects' names begin, and how many sessions there will be at most; before the first one."""
Say = Callable[[str], None]

_SHARES: Final = {"request": 0.14, "one_at_a_time": 0.2, "sixteen_at_once": 0.2, "revocation": 0.14, "http": 0.2}
"""Of the time. Passwords have the rest."""


class Interrupted(Exception):
    """Somebody ended it. ``code``: the exit code that says so."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; the sessions that this wrote have been ended")
        self.code: int = 128 + number


def measured(settings: Settings, seconds: float, announce: Announce, say: Say) -> dict[str, Any]:
    """The figures. Raises `Interrupted`, `StoreUnavailable` or `ConfigurationError`."""
    with asyncio.Runner(loop_factory=event_loop) as runner:
        return runner.run(_until_told(_measured(settings, seconds, announce, say)))


async def _until_told(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """Ctrl+C and SIGTERM cancel the work, once: what it does then is to end its sessions."""
    loop, task = asyncio.get_running_loop(), asyncio.create_task(work)
    told: list[int] = []

    def end(number: int) -> None:
        if not told:
            told.append(number)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not told:
            raise
        raise Interrupted(told[0]) from None


async def _measured(settings: Settings, seconds: float, announce: Announce, say: Say) -> dict[str, Any]:
    guest = Guest.of(settings)
    async with guest.auth() as auth:
        announce(guest.subjects, MOST_SESSIONS)
        machine = {"cores": _cores(), "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None}
        try:
            return machine | await _each(auth, guest, settings, seconds, say)
        finally:
            say("ending the sessions that this wrote")
            await guest.clear_up(auth)
            say("")


async def _each(auth: Auth, guest: Guest, settings: Settings, seconds: float, say: Say) -> dict[str, Any]:
    shares = {name: share * seconds for name, share in _SHARES.items()}
    say("starting a second process")
    async with second_process(await guest.with_keys_of(auth)) as second:
        say("verifying requests")
        request = await requests.measure(guest.policy, shares["request"])
        store = {}
        for name, at_once in (("one_at_a_time", 1), ("sixteen_at_once", AT_ONCE)):
            say(f"the store: login, first sight, refresh, revoke; {at_once} at once")
            store[name] = await operations.measure(auth, guest, at_once, shares[name])
        revocation = None
        if not guest.is_alone:
            say("revocation, seen from the second process")
            revocation = await elsewhere.revocation(auth, guest, second, shares["revocation"])
        say("HTTP, with and without authentication")
        http = await elsewhere.http(second, shares["http"])
    say("password hashing")
    hashed = await passwords.measure(settings, seconds - sum(shares.values()))
    written = sum(found["login"]["count"] for found in store.values()) + elsewhere.USERS
    written += 0 if revocation is None else revocation["rounds"]
    return {
        "request": request,
        "store": store,
        "revocation": revocation,
        "http": http,
        "passwords": hashed,
        "sessions": written,
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

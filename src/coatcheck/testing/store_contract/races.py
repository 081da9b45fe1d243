"""Two clients at once, for every ordered pair of operations and at every step of the first one."""

# ruff: noqa: S101 - a suite asserts
from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Final

import pytest

from ...model import LOGOUT_KINDS, PLAIN, Access, EventKind, Kind, Session
from ...stores.base import Replayed, Rotated, SessionStore, Touch
from .interleave import Interleaver
from .support import A_KEY, Contract, assert_ended, events_after, here, logged_in, new_session
from .world import Operation, World, epochs_of, op

_LATER: Final = 5.0
"""Seconds between the login and the race."""

_KEYS: Final = frozenset({Kind.KEY})

_Maker = Callable[[Session, Session, float], Operation]
"""Makes the operation on a session (or on another one of its subject) at a time."""

OPERATIONS: Final[dict[str, _Maker]] = {
    "touch": lambda one, other, now: op("touch", [Touch(session_id=one.id, seen=now - 1)], now=now),
    "rotate": lambda one, other, now: op("rotate", one.id, 0, window=30.0, now=now),
    "rotate late": lambda one, other, now: op("rotate", one.id, 0, window=-1.0, now=now),
    "update": lambda one, other, now: op("update", one.id, 0, now=now, label="phone", amr=("pwd", "otp")),
    "revoke": lambda one, other, now: op("revoke", one.id, now=now),
    "revoke_subject": lambda one, other, now: op("revoke_subject", one.subject, now=now),
    "revoke others": lambda one, other, now: op("revoke_subject", one.subject, now=now, excepted=one.id),
    "create": lambda one, other, now: op("create", other, now=now),
}


WITH_KINDS: Final[dict[str, _Maker]] = OPERATIONS | {
    "log out everywhere": lambda one, other, now: op("revoke_subject", one.subject, now=now, kinds=LOGOUT_KINDS),
    "end all keys": lambda one, other, now: op("revoke_subject", one.subject, now=now, kinds=_KEYS),
    "create a key": lambda one, other, now: op("create", replace(other, access=A_KEY), now=now),
    "create the only key": lambda one, other, now: op("create", replace(other, access=A_KEY), now=now, keep=1),
    "create the only one": lambda one, other, now: op("create", other, now=now, keep=1),
}
_ENDS: Final = ("log out everywhere", "end all keys")
_OF_KEYS: Final = ("touch", "rotate", "revoke", *_ENDS, "create a key", "create the only key")
_KINDS: Final = [
    *((A_KEY, first, then) for first in _OF_KEYS for then in _OF_KEYS),
    *((PLAIN, first, then) for first in _ENDS for then in ("create", "rotate", "revoke others")),
    *((PLAIN, first, then) for first in ("create", "rotate", "revoke others") for then in _ENDS),
]
"""Those in which it matters which kinds meet: the session's own, and the two operations."""


class RaceContract(Contract):
    """Concurrent operations are as if one came after the other."""

    @pytest.mark.parametrize("second_name", OPERATIONS)
    @pytest.mark.parametrize("first_name", OPERATIONS)
    async def test_interleaved_operations_are_as_if_serial(
        self, store: Any, second: Any, interleaver: Interleaver, first_name: str, second_name: str
    ) -> None:
        """At every step of the first, the second changes neither results, rows nor events beyond a serial order."""
        await self._race(store, second, interleaver, first_name, second_name, PLAIN)

    @pytest.mark.parametrize(("access", "first_name", "second_name"), _KINDS)
    async def test_kinds_that_meet_are_as_if_serial(
        self, store: Any, second: Any, interleaver: Interleaver, access: Access, first_name: str, second_name: str
    ) -> None:
        """The same where what they meet at is a key, or one of them is about some kinds only."""
        await self._race(store, second, interleaver, first_name, second_name, access)

    async def _race(
        self, store: Any, second: Any, interleaver: Interleaver, first_name: str, second_name: str, access: Access
    ) -> None:
        for at in count():
            session = await logged_in(store, generation=0, access=access)
            other = new_session(session.created, session.subject)
            now = session.created + _LATER
            first = WITH_KINDS[first_name](session, other, now)
            then = WITH_KINDS[second_name](session, other, now)
            cursor = await here(store)
            results: dict[str, object] = {}

            async def run_first(client: SessionStore, first: Operation = first, got: Any = results) -> None:
                got["first"] = await first.on_store(client)

            async def run_second(client: SessionStore, then: Operation = then, got: Any = results) -> None:
                got["second"] = await then.on_store(client)

            reached = await interleaver.race(run_first, run_second, at)
            for client in (store, second):
                seen = await _state(client, cursor, session, other, now)
                drawn = epochs_of(await events_after(client, cursor))
                assert (results, *seen) in _serial(first, then, session, other, now, drawn)
            await _check_revoked_stays_so(store, second, cursor, session, now)
            if not reached:
                return
            assert at < 50, "the interleaver never comes to an end"

    async def test_a_generation_is_stepped_once_however_many_ask(self, store: Any, second: Any) -> None:
        """Of many concurrent rotations of one generation one is Rotated; the others get the same successor."""
        session = await logged_in(store)
        now = session.created + 1
        for generation in range(3):
            clients = [store, second] * 4
            work = (client.rotate(session.id, generation, window=30.0, now=now) for client in clients)
            results = await asyncio.gather(*work)
            assert [type(result) for result in results].count(Rotated) == 1
            assert [type(result) for result in results].count(Replayed) == 7
            assert {result.standing.session.generation for result in results} == {generation + 1}

    @pytest.mark.parametrize("name", ["update", "revoke", "revoke_subject"])
    async def test_a_cancelled_operation_is_done_or_not_done(self, store: Any, second: Any, name: str) -> None:
        """Wherever the caller leaves: row and event are in step, and the client goes on."""
        for steps in range(12):
            session = await logged_in(store)
            now = session.created
            cursor = await here(second)
            operation = OPERATIONS[name](session, session, now)
            calling = asyncio.create_task(operation.on_store(store))
            for _ in range(steps):
                await asyncio.sleep(0)
            calling.cancel()
            await asyncio.wait({calling})
            async with asyncio.timeout(20):
                while True:
                    found = await second.find(session.id, now=now)
                    done = found is None or found.session.version == 1
                    if done == bool(await events_after(second, cursor)):
                        break
            await logged_in(store)

    async def test_no_event_is_lost_between_writers(self, store: Any, second: Any) -> None:
        """A follower that reads along sees every event of two busy writers, once and in order."""
        made = [await logged_in(store) for _ in range(20)]
        cursor = await here(store)
        seen: list[str] = []

        async def follow() -> None:
            nonlocal cursor
            while len(seen) < len(made):
                read = await second.events(cursor, wait=5)
                seen.extend(event.session_id for event in read.events)
                cursor = read.cursor

        async def end(client: SessionStore, mine: list[Session]) -> None:
            for session in mine:
                assert await client.revoke(session.id, now=session.created + 1) is not None

        async with asyncio.timeout(60):
            await asyncio.gather(follow(), end(store, made[::2]), end(second, made[1::2]))
        assert sorted(seen) == sorted(session.id for session in made)
        assert seen.index(made[0].id) < seen.index(made[2].id) < seen.index(made[-2].id)


async def _state(store: SessionStore, cursor: str, session: Session, other: Session, now: float) -> tuple[object, ...]:
    page = await store.sessions_of(session.subject, now=now)
    return (
        await store.find(session.id, now=now),
        await store.find(other.id, now=now),
        {found.id for found in page.sessions},
        (await store.standing_of(session.subject))[0],
        await events_after(store, cursor),
    )


def _serial(
    first: Operation, then: Operation, session: Session, other: Session, now: float, drawn: Mapping[str, Sequence[int]]
) -> list[object]:
    """Results, rows and events of the two orders."""
    outcomes: list[object] = []
    for swapped in (False, True):
        world = World(sessions={session.id: session}, drawn=drawn)
        order = [("second", then), ("first", first)] if swapped else [("first", first), ("second", then)]
        results = {name: operation.on_world(world) for name, operation in order}
        live = {name for name in (session.id, other.id) if world.live(name, now)}
        rows = (world.find(session.id, now=now), world.find(other.id, now=now))
        outcomes.append((results, *rows, live, world.epochs.get(session.subject, 0), world.events))
    return outcomes


async def _check_revoked_stays_so(
    store: SessionStore, second: SessionStore, cursor: str, session: Session, now: float
) -> None:
    for event in await events_after(store, cursor):
        cut_off = event.kind is EventKind.SUBJECT_CUT_OFF and event.session_id != session.id
        cut_off = cut_off and session.kind not in event.spared
        if event.kind is EventKind.SESSION_REVOKED or cut_off:
            await assert_ended(store, session.id, session.subject, now)
            await assert_ended(second, session.id, session.subject, now)

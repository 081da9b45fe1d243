"""Many operations by two clients at once, drawn by lot, against the plain world."""

# ruff: noqa: S101, S311 - a suite asserts, and these lots are to be repeatable
from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from itertools import permutations
from random import Random  # noqa: TID251 - as above
from typing import Any, Final

import pytest

from ...model import ALL_KINDS, LOGOUT_KINDS, PLAIN, Kind, Session
from ...stores.base import Touch
from .support import ACCESSES, Contract, events_after, here, new_session, new_subject
from .world import Operation, World, epochs_of, op

_ROUNDS: Final = 40
"""Batches with one seed."""
_SEEDS: Final = range(-(-int(os.environ.get("COATCHECK_ROUNDS", "240")) // _ROUNDS))
"""``COATCHECK_ROUNDS=10000`` makes a long run: so many batches in all (default 240)."""


class RandomContract(Contract):
    """Batches of concurrent operations; after each there must be an order that explains every result."""

    @pytest.mark.parametrize("seed", _SEEDS)
    async def test_random_batches_have_a_serial_explanation(self, store: Any, second: Any, seed: int) -> None:
        """Whatever is thrown at two clients at once, results, rows and events are those of some order."""
        draw = Random(seed)
        now = float(int(await store.time()))
        subjects = [new_subject(), new_subject()]
        made = [_short(now, draw.choice(subjects)) for _ in range(5)]
        cursor = await here(store)
        worlds = [World()]
        for _ in range(_ROUNDS):
            now += draw.choice([0.0, 1.0, 1.0, 20.0])
            batch = [_draw(draw, made, subjects, worlds[0], now) for _ in range(draw.choice([1, 2, 3]))]
            clients = [draw.choice([store, second]) for _ in batch]
            results = await asyncio.gather(*(item.on_store(at) for item, at in zip(batch, clients, strict=True)))
            found = [await store.find(session.id, now=now) for session in made]
            drawn = epochs_of(await events_after(store, cursor))
            for world in worlds:
                world.drawn = drawn
            worlds = _explanations(worlds, batch, results, made, found, now)
            assert worlds, f"no order explains {batch} -> {results}"
        events = await events_after(second, cursor)
        assert events in [world.events for world in worlds]


def _draw(draw: Random, made: list[Session], subjects: list[str], world: World, now: float) -> Operation:
    session = draw.choice(made)
    known = world.sessions.get(session.id, session)
    match draw.choice(["create", "create", "touch", "rotate", "rotate", "update", "revoke", "revoke_subject"]):
        case "create":
            epoch = max(0, world.epochs.get(session.subject, 0) - draw.choice([0, 0, 0, 1]))
            fresh = replace(_short(now, session.subject, epoch), access=draw.choice([PLAIN, PLAIN, *ACCESSES]))
            if world.live(session.id, now) and draw.random() < 0.2:
                return op("create", replace(fresh, id=session.id), now=now)
            made[made.index(session)] = fresh
            return op("create", fresh, now=now, keep=draw.choice([None, None, 2]))
        case "touch":
            ids = {session.id, draw.choice(made).id}
            return op("touch", [Touch(session_id=one, seen=now - draw.choice([0.0, 5.0])) for one in ids], now=now)
        case "rotate":
            generation = max(0, known.generation - draw.choice([0, 0, 1, 2]))
            return op("rotate", session.id, generation, window=10.0, now=now)
        case "update":
            changes: list[dict[str, Any]] = [{"label": "desk"}, {"amr": ("pwd", "otp")}, {"data": {"n": now}}]
            change = draw.choice(changes)
            return op("update", session.id, known.version, now=now, **change)
        case "revoke":
            return op("revoke", session.id, now=now)
        case _:
            excepted = draw.choice([None, session.id])
            kinds = draw.choice([ALL_KINDS, LOGOUT_KINDS, frozenset({Kind.KEY}), frozenset({Kind.LOGIN, Kind.GRANT})])
            return op("revoke_subject", draw.choice(subjects), now=now, excepted=excepted, kinds=kinds)


def _short(now: float, subject: str, epoch: int = 0) -> Session:
    """A session short enough to run out while the test looks on."""
    times = {"idle_timeout": 40.0, "idle_deadline": now + 40, "absolute_deadline": now + 200}
    return new_session(now, subject, epoch=epoch, **times)


def _explanations(
    worlds: list[World],
    batch: list[Operation],
    results: list[object],
    made: list[Session],
    found: list[Any],
    now: float,
) -> list[World]:
    """The worlds, each after some order of the batch, in which every result and row is as it was seen."""
    after: list[World] = []
    for before in worlds:
        for order in permutations(range(len(batch))):
            world = before.copy()
            got = {place: batch[place].on_world(world) for place in order}
            rows = [world.find(session.id, now=now) for session in made]
            if [got[place] for place in range(len(batch))] == results and rows == found and world not in after:
                after.append(world)
    return after

"""The refresh generation: who steps it, who gets the same successor, and who is caught."""

# ruff: noqa: S101 - a suite asserts
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ...model import Event, EventKind, Standing
from ...stores.base import Gone, Replayed, Reused, Rotated
from .support import ABSOLUTE, IDLE, Contract, assert_ended, events_after, here, logged_in

WINDOW = 30.0


class RotationContract(Contract):
    """rotate."""

    async def test_the_current_generation_is_stepped(self, store: Any, second: Any) -> None:
        """Rotated: generation, rotated, seen and idle deadline move, nothing else, and no event is appended."""
        session = await logged_in(store, data={"kept": 1})
        cursor = await here(store)
        version = await store.step_version(session.subject, now=session.created)
        now = session.created + 100
        expected = replace(session, generation=1, rotated=now, seen=now, idle_deadline=now + IDLE)
        result = await store.rotate(session.id, 0, window=WINDOW, now=now)
        assert result == Rotated(Standing(session=expected, epoch=0, version=version))
        found = await second.find(session.id, now=now)
        assert found is not None
        assert found.session == expected
        assert [event.kind for event in await events_after(store, cursor)] == [EventKind.SUBJECT_CHANGED]

    async def test_a_rotation_never_passes_the_absolute_deadline(self, store: Any) -> None:
        """However late it comes."""
        session = await logged_in(store, idle_timeout=ABSOLUTE)
        result = await store.rotate(session.id, 0, window=WINDOW, now=session.created + 100)
        assert isinstance(result, Rotated)
        assert result.standing.session.idle_deadline == session.absolute_deadline

    async def test_the_generation_just_before_is_replayed_inside_the_window(self, store: Any, second: Any) -> None:
        """Up to and including its last moment: the same successor, and nothing is changed."""
        session = await logged_in(store)
        now = session.created + 1
        rotated = await store.rotate(session.id, 0, window=WINDOW, now=now)
        assert isinstance(rotated, Rotated)
        cursor = await here(store)
        for client, at in ((store, now), (second, now + WINDOW)):
            assert await client.rotate(session.id, 0, window=WINDOW, now=at) == Replayed(rotated.standing)
        found = await store.find(session.id, now=now)
        assert found == rotated.standing
        assert await events_after(store, cursor) == []

    async def test_the_generation_just_before_is_reuse_outside_the_window(self, store: Any, second: Any) -> None:
        """The session ends in the same step, with its event; the thief's and the owner's tokens are dead alike."""
        session = await logged_in(store)
        now = session.created + 1
        rotated = await store.rotate(session.id, 0, window=WINDOW, now=now)
        assert isinstance(rotated, Rotated)
        cursor = await here(store)
        later = now + WINDOW + 1
        assert await store.rotate(session.id, 0, window=WINDOW, now=later) == Reused(rotated.standing.session)
        await assert_ended(second, session.id, session.subject, later)
        ended = Event(kind=EventKind.SESSION_REVOKED, at=later, subject=session.subject, session_id=session.id)
        assert await events_after(second, cursor) == [ended]

    async def test_an_older_generation_is_reuse_even_inside_the_window(self, store: Any) -> None:
        """Two steps back is no lost answer."""
        session = await logged_in(store)
        now = session.created + 1
        for generation in (0, 1):
            assert isinstance(await store.rotate(session.id, generation, window=WINDOW, now=now), Rotated)
        assert isinstance(await store.rotate(session.id, 0, window=WINDOW, now=now), Reused)
        await assert_ended(store, session.id, session.subject, now)

    @pytest.mark.parametrize("generation", [1, 2, -1, -2, 2**40])
    async def test_a_generation_never_handed_out_changes_nothing(self, store: Any, generation: int) -> None:
        """Gone, and the session lives on as it was."""
        session = await logged_in(store)
        cursor = await here(store)
        assert await store.rotate(session.id, generation, window=WINDOW, now=session.created) == Gone()
        found = await store.find(session.id, now=session.created)
        assert found is not None
        assert found.session == session
        assert await events_after(store, cursor) == []

"""What the parts of the suite share."""

# ruff: noqa: S101 - a suite asserts
from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any, Final

import pytest

from ...credentials.opaque import new_session_id
from ...model import PLAIN, Access, Event, Kind, Mode, Session
from ...stores.base import FeedRead, Gone, SessionStore, Touch
from .interleave import Atomic, Interleaver
from .rewind import Rewinder

IDLE = 600.0
ABSOLUTE = 3600.0
"""Seconds a session of the suite lives."""


A_KEY: Final = Access(kind=Kind.KEY, scopes=frozenset({"read"}))
ACCESSES: Final = (
    PLAIN,
    A_KEY,
    Access(kind=Kind.GRANT, client="calendar", audience="https://api.example", scopes=frozenset()),
    Access(kind=Kind.ACTING, actor="administrator"),
    Access(kind=Kind.GUEST),
    Access(bound_key="0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
)
"""One of each kind, and a login that is no plain one."""


class Contract:
    """The fixtures. ``store`` is the one to override."""

    pytestmark = pytest.mark.asyncio

    @pytest.fixture
    def store(self) -> Any:
        """An open, empty store. To be overridden."""
        raise NotImplementedError("override the fixture `store`")

    @pytest.fixture
    def second(self, store: Any) -> Any:
        """Another client of the same data; the same object where there can be no other."""
        return store

    @pytest.fixture
    def rewinder(self, store: Any, second: Any) -> Rewinder:
        """How to put the store's data back to an earlier moment, under the open clients. To be overridden."""
        raise NotImplementedError("override the fixture `rewinder`")

    @pytest.fixture
    def interleaver(self, store: Any, second: Any) -> Interleaver:
        """How to force the two clients into each other."""
        return Atomic(store, second)


def new_subject() -> str:
    """A subject that no other test uses."""
    return f"subject-{secrets.token_hex(6)}"


def new_session(now: float, subject: str | None = None, **changes: Any) -> Session:
    """A session made at ``now``, not stored yet."""
    subject = subject or new_subject()
    plain = Session(
        id=new_session_id(subject),
        subject=subject,
        epoch=0,
        mode=Mode.SESSION,
        created=now,
        authenticated=now,
        seen=now,
        idle_timeout=IDLE,
        idle_deadline=now + IDLE,
        absolute_deadline=now + ABSOLUTE,
    )
    return replace(plain, **changes)


async def logged_in(store: SessionStore, subject: str | None = None, **changes: Any) -> Session:
    """A session made and stored; its ``created`` is the store's time, in whole seconds."""
    session = new_session(float(int(await store.time())), subject, **changes)
    await store.create(session, now=session.created)
    return session


async def here(store: SessionStore) -> str:
    """The cursor of the feed's end."""
    return (await store.events(None, wait=0)).cursor


async def events_after(store: SessionStore, cursor: str) -> list[Event]:
    """What was appended since, read until nothing more comes."""
    found: list[Event] = []
    while True:
        read: FeedRead = await store.events(cursor, wait=0)
        if not read.events:
            return found
        found.extend(read.events)
        cursor = read.cursor


async def assert_ended(store: SessionStore, session_id: str, subject: str, now: float) -> None:
    """No operation takes the session for a live one, and none brings it back."""
    assert await store.find(session_id, now=now) is None
    assert await store.touch([Touch(session_id=session_id, seen=now)], now=now) == {session_id}
    for number in range(2):
        assert await store.rotate(session_id, number, window=60.0, now=now) == Gone()
        assert await store.update(session_id, number, now=now, label="back") is None
    await store.revoke(session_id, now=now)
    assert await store.revoke(session_id, now=now) is None
    assert await store.find(session_id, now=now) is None
    page = await store.sessions_of(subject, now=now, limit=200)
    assert session_id not in [session.id for session in page.sessions]

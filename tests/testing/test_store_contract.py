"""The store contract in somebody else's project: one fixture is overridden, and what is wrong with a store is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.kit import run_pytest

_STORE = '''"""A store of somebody else's: everything in lists and dictionaries, nothing of Coatcheck's own stores."""

import asyncio
import json
import secrets
import time
from dataclasses import replace

from coatcheck.arguments import (
    collection, free_texts_or_none, mappings_or_none, numbers, numbers_or_none, texts, texts_or_none, wholes,
    wholes_or_none,
)
from coatcheck.credentials.opaque import is_session_id
from coatcheck.errors import Conflict, LimitReached, NotFound, Rejected
from coatcheck.model import ALL_KINDS, PERSON_KINDS, Event, EventKind, Kind, Standing
from coatcheck.stores.base import (
    MAX_ENDED, MAX_PAGE, MAX_TOKENS, FeedLost, FeedRead, Gone, Replayed, Reused, Rotated, SessionPage
)
from coatcheck.stores.rules import (
    check_kinds, check_session, check_touches, check_update, next_number, pack_cursor, unpack_cursor
)


class TinyStore:
    def __init__(self):
        self.rows, self.epochs, self.versions, self.cuts = {}, {}, {}, {}
        self.log, self.marks, self.pruned, self.since, self.clock = [], [secrets.token_hex(8)], 0, time.time(), 0.0
        self.feed = secrets.token_hex(8)
        self.grown = asyncio.Event()

    async def open(self):
        pass

    async def close(self):
        pass

    async def time(self):
        return max(time.time(), self.clock)

    def _say(self, kind, now, **fields):
        self.log.append(Event(kind=kind, at=max(now, self.clock), **fields))
        self.marks.append(secrets.token_hex(8))
        self.grown.set()
        self.grown = asyncio.Event()

    def _cut(self, row):
        return self.cuts.get((row.subject, row.kind), 0)

    def _live(self, session_id, now):
        row = self.rows.get(session_id)
        if row is None or row.epoch != self._cut(row):
            return None
        return row if now < min(row.idle_deadline, row.absolute_deadline) else None

    def _of(self, subject, now, kinds):
        mine = [row for row in self.rows.values() if row.subject == subject and row.kind in kinds]
        rows = [row for row in mine if self._live(row.id, now)]
        return sorted(rows, key=lambda row: (row.created, row.id), reverse=True)

    def _standing(self, row):
        epoch, version = self.epochs.get(row.subject, 0), self.versions.get(row.subject, 0)
        return Standing(session=self._copy(row), epoch=epoch, version=version)

    def _copy(self, row):
        return replace(row, data=self._plain(row.data))

    def _plain(self, data):
        try:
            return json.loads(json.dumps(dict(data), allow_nan=False))
        except (TypeError, ValueError):
            raise Rejected("data that JSON cannot say") from None

    def _end(self, row, now):
        del self.rows[row.id]
        self._say(EventKind.SESSION_REVOKED, now, subject=row.subject, session_id=row.id)

    def _used(self, row, seen):
        idle = min(max(row.idle_deadline, seen + row.idle_timeout), row.absolute_deadline)
        return replace(row, seen=max(row.seen, seen), idle_deadline=idle)

    async def standing_of(self, subject):
        texts(subject=subject)
        return self.epochs.get(subject, 0), self.versions.get(subject, 0)

    async def create(self, session, *, now, keep=None):
        check_session(session, now=now)
        wholes_or_none(keep=keep)
        if session.id in self.rows or not self._cut(session) <= session.epoch <= self.epochs.get(session.subject, 0):
            raise Conflict("the subject was cut off, or the id is taken")
        together = PERSON_KINDS if session.kind in PERSON_KINDS else {session.kind}
        old = self._of(session.subject, now, together)[::-1]
        if keep is not None and session.kind not in PERSON_KINDS and len(old) >= keep:
            raise LimitReached("there are as many already")
        self.rows[session.id] = replace(self._copy(session), epoch=self._cut(session))
        self.clock = max(self.clock, now)
        excess = 0 if keep is None else max(0, min(len(old) + 1 - max(1, keep), MAX_ENDED))
        for row in old[:excess]:
            self._end(row, now)
        return tuple(row.id for row in old[:excess])

    async def find(self, session_id, *, now):
        texts(session_id=session_id)
        numbers(now=now)
        row = self._live(session_id, now)
        return row and self._standing(row)

    async def touch(self, touches, *, now):
        check_touches(touches, now=now)
        for touch in touches:
            if row := self._live(touch.session_id, now):
                self.rows[row.id] = self._used(row, touch.seen)
        return frozenset(touch.session_id for touch in touches if not self._live(touch.session_id, now))

    async def rotate(self, session_id, generation, *, window, now):
        texts(session_id=session_id)
        wholes(generation=generation)
        numbers(window=window, now=now)
        row = self.rows.get(session_id)
        if row is None or row.epoch != self._cut(row) or not 0 <= generation <= row.generation:
            return Gone()
        replayed = generation == row.generation - 1 and now - row.rotated <= window
        if (replayed or generation == row.generation) and self._live(session_id, now) is None:
            return Gone()
        if generation == row.generation:
            self.rows[row.id] = replace(self._used(row, now), generation=generation + 1, rotated=now)
            self.clock = max(self.clock, now)
            return Rotated(self._standing(self.rows[row.id]))
        if replayed:
            return Replayed(self._standing(row))
        self._end(row, now)
        return Reused(row)

    async def update(self, session_id, version, *, now, data=None, label=None, authenticated=None, amr=None):
        check_update(session_id, version, now=now, data=data, label=label, authenticated=authenticated)
        amr = None if amr is None else collection(str, amr, "amr", "('pwd',)")
        row = self._live(session_id, now)
        if row is None:
            return None
        if row.version != version:
            raise Conflict("changed meanwhile")
        device = row.device if label is None else replace(row.device, label=label)
        self.rows[row.id] = changed = replace(
            row,
            version=version + 1,
            device=device,
            data=row.data if data is None else self._plain(data),
            authenticated=row.authenticated if authenticated is None else authenticated,
            amr=row.amr if amr is None else tuple(amr),
        )
        if authenticated is not None or amr is not None:
            fields = {"subject": row.subject, "session_id": row.id, "number": changed.version}
            self._say(EventKind.SESSION_CHANGED, now, **fields)
        return self._copy(changed)

    async def revoke(self, session_id, *, now):
        texts(session_id=session_id)
        numbers(now=now)
        row = self.rows.get(session_id)
        if row is not None:
            self._end(row, now)
            return row if row.epoch == self._cut(row) else None
        if is_session_id(session_id) and (session_id, "") not in self._ends():
            self._say(EventKind.SESSION_REVOKED, now, session_id=session_id)

    def _ends(self):
        return {(event.session_id, event.token_id) for event in self.log if "revoked" in event.kind}

    async def revoke_subject(self, subject, *, now, excepted=None, kinds=ALL_KINDS):
        texts(subject=subject)
        texts_or_none(excepted=excepted)
        numbers(now=now)
        kinds = check_kinds(kinds)
        row = self._live(excepted, now) if excepted is not None else None
        if excepted is not None and (row is None or row.subject != subject):
            raise NotFound("the excepted session is not a live one of this subject")
        epoch = self.epochs[subject] = next_number(self.epochs.get(subject, 0), now)
        self.cuts.update({(subject, kind): epoch for kind in kinds})
        if row is not None:
            self.rows[row.id] = replace(row, epoch=self._cut(row))
        fields = {"subject": subject, "session_id": excepted or "", "number": epoch, "spared": ALL_KINDS - kinds}
        self._say(EventKind.SUBJECT_CUT_OFF, now, **fields)
        return epoch

    async def step_version(self, subject, *, now):
        texts(subject=subject)
        numbers(now=now)
        version = self.versions[subject] = next_number(self.versions.get(subject, 0), now)
        self._say(EventKind.SUBJECT_CHANGED, now, subject=subject, number=version)
        return version

    async def revoke_token(self, session_id, token_id, *, now):
        texts(session_id=session_id, token_id=token_id)
        numbers(now=now)
        tokens = {token for session, token in self._ends() if session == session_id and token}
        if token_id in tokens:
            return False
        if len(tokens) >= MAX_TOKENS:
            await self.revoke(session_id, now=now)
            return True
        self._say(EventKind.TOKEN_REVOKED, now, session_id=session_id, token_id=token_id)
        return False

    async def begin_anew(self, feed, *, since, now, clock=None):
        texts(feed=feed)
        numbers(since=since, now=now)
        numbers_or_none(clock=clock)
        if feed != self.feed:
            return False
        self.since = max(since, now) if clock is not None else max(self.since, since, now, self.clock)
        self.feed = secrets.token_hex(8)
        if clock is not None:
            self.clock = clock
            self.log = [replace(event, at=min(event.at, clock)) for event in self.log]
            self.rows = {row.id: row for row in self.rows.values() if row.created <= clock}
        return True

    async def announce_keys(self, *, now):
        numbers(now=now)
        self._say(EventKind.KEYS_CHANGED, now)

    async def sessions_of(self, subject, *, now, limit=50, cursor=None, kinds=ALL_KINDS):
        texts(subject=subject)
        free_texts_or_none(cursor=cursor)
        numbers(now=now)
        wholes(limit=limit)
        rows = self._of(subject, now, check_kinds(kinds))
        if cursor is not None:
            created, last = unpack_cursor(cursor)
            rows = [row for row in rows if (row.created, row.id) < (created, last)]
        limit = max(1, min(limit, MAX_PAGE))
        page = [self._copy(row) for row in rows[:limit]]
        more = pack_cursor(page[-1].created, page[-1].id) if len(rows) > limit else None
        return SessionPage(sessions=page, next=more)

    async def prune(self, *, now, keep_events, limit=1000):
        numbers(now=now, keep_events=keep_events)
        wholes(limit=limit)
        dead = [row for row in self.rows.values() if not self._live(row.id, now)][:limit]
        for row in dead:
            del self.rows[row.id]
        old, self.clock = 0, max(self.clock, now)
        while old < min(limit, len(self.log)) and self.log[old].at < now - keep_events:
            old += 1
        if old:
            del self.log[:old], self.marks[:old]
            self.pruned += old
            self.since = max(self.since, now - keep_events)
        return len(dead) + old

    def _start(self, cursor):
        if cursor is None:
            return 0
        feed, _, place = cursor.partition(":")
        position, _, mark = place.partition(":")
        if feed != self.feed or not position.isdigit() or not 0 <= int(position) - self.pruned <= len(self.log):
            raise FeedLost("no cursor of this feed")
        start = int(position) - self.pruned
        if mark != self.marks[start]:
            raise FeedLost("another history")
        return start

    async def events(self, cursor, *, wait):
        free_texts_or_none(cursor=cursor)
        numbers(wait=wait)
        start, page = self._start(cursor), 10_000
        if cursor is not None and start == len(self.log) and wait:
            try:
                await asyncio.wait_for(self.grown.wait(), wait)
            except TimeoutError:
                pass
            start = self._start(cursor)
        end = min(len(self.log), start + page)
        wall = time.time()
        now = max(wall, self.clock)
        return FeedRead(
            feed=self.feed, cursor=f"{self.feed}:{self.pruned + end}:{self.marks[end]}",
            events=tuple(self.log[start:end]), since=self.since, now=now, behind=now - wall, more=end < len(self.log),
        )


class Backup:
    """What an operator does."""

    def __init__(self, store):
        self.store = store

    async def save(self):
        self.saved = self.copy(vars(self.store))

    async def restore(self):
        vars(self.store).update(self.copy(self.saved))

    def copy(self, state):
        return {name: value.copy() if hasattr(value, "copy") else value for name, value in state.items()}
'''
_TEST = """
import pytest
import pytest_asyncio
from coatcheck.testing.store_contract import SessionContract
from tiny import Backup, TinyStore

class TestTinyStore(SessionContract):
    @pytest_asyncio.fixture
    async def store(self):
        store = TinyStore()
        await store.open()
        yield store
        await store.close()

    @pytest.fixture
    def rewinder(self, store):
        return Backup(store)
"""


def test_a_store_that_keeps_it(tmp_path: Path) -> None:
    """A small store of somebody else's passes the whole suite, in pytest-asyncio's strict mode."""
    done = run_pytest(tmp_path, {"tiny.py": _STORE, "test_tiny.py": _TEST}, "-x", "--tb=short")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("        self._say(EventKind.SESSION_REVOKED, now, subject=row.subject, session_id=row.id)\n", ""),
        ("not self._cut(session) <= session.epoch <= self.epochs.get(session.subject, 0)", "False"),
        ("generation == row.generation - 1 and now", "generation < row.generation and now"),
        ("(row is None or row.subject != subject)", "row is None"),
        ("rows.get(session_id)\n        if row is not None:", "_live(session_id, now)\n        if row is not None:"),
        ("mark != self.marks[start]", "not mark"),
        ("next_number(self.epochs.get(subject, 0), now)", "self.epochs.get(subject, 0) + 1"),
        ("            self._say(EventKind.SESSION_REVOKED, now, session_id=session_id)\n", "            pass\n"),
        ("return max(time.time(), self.clock)", "return time.time()"),
        ("at=max(now, self.clock), **fields", "at=now, **fields"),
        ("{(subject, kind): epoch for kind in kinds}", "{(subject, kind): epoch for kind in Kind}"),
        (', "spared": ALL_KINDS - kinds}', "}"),
        ("row.subject == subject and row.kind in kinds]", "row.subject == subject]"),
    ],
    ids=[
        "revoked without an event",
        "a lost login gets in",
        "an old token is replayed",
        "anybody's session is excepted",
        "an end depends on the time of day",
        "a cursor is a position",
        "epochs repeat",
        "what was forgotten cannot be ended",
        "time goes back",
        "an event is dated before what was issued",
        "a cut-off ends every kind",
        "a cut-off does not say what it spared",
        "other kinds are listed too",
    ],
)
def test_a_store_that_breaks_it(tmp_path: Path, right: str, wrong: str) -> None:
    """What a store must not do is found."""
    assert right in _STORE
    done = run_pytest(tmp_path, {"tiny.py": _STORE.replace(right, wrong), "test_tiny.py": _TEST}, "-x", "--tb=short")
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"AssertionError|DID NOT RAISE|^E +assert ", done.stdout, re.MULTILINE)

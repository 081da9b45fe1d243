"""The feed as JSON: what is written is what is read."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from coatcheck import feed_json
from coatcheck.model import Event, EventKind, Kind
from coatcheck.stores.base import FeedRead
from tests.support.service import environment

MOMENTS = st.floats(min_value=0, max_value=4e9, allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
EVENTS = st.builds(
    Event, kind=st.sampled_from(EventKind), at=st.integers(0, 4_000_000_000).map(float), subject=TEXTS,
    session_id=TEXTS, token_id=TEXTS, number=st.integers(1, 2**63 - 1), spared=st.frozensets(st.sampled_from(Kind)),
)  # fmt: skip


def written(read: FeedRead, staleness: float = 2.0) -> bytes:
    return feed_json.write(
        [feed_json.write_events(read.events)], feed=read.feed, cursor=read.cursor, since=read.since, now=read.now,
        behind=read.behind, more=read.more, max_staleness=staleness,
    )  # fmt: skip


@given(MOMENTS, MOMENTS)
def test_since_is_never_earlier(since: float, now: float) -> None:
    """A read covers what is at or after ``since``, so it may only be said to cover less; by a microsecond at most."""
    read, _ = feed_json.read(written(FeedRead(feed="f", cursor="c", events=[], since=since, now=now)))
    assert since <= read.since <= since + 2e-6
    assert now - 2e-6 <= read.now <= now


@given(st.lists(EVENTS, max_size=5), TEXTS, TEXTS, st.floats(0.5, 3600))
def test_round_trip(events: list[Event], feed: str, cursor: str, staleness: float) -> None:
    """Every event that a store can give arrives as it was."""
    given = FeedRead(feed=feed, cursor=cursor, events=events, since=1.0, now=2.0, behind=0.5, more=bool(events))
    assert feed_json.read(written(given, staleness)) == (given, staleness)


@given(st.lists(st.lists(EVENTS, max_size=3), max_size=4))
def test_pieces_make_a_page(pieces: list[list[Event]]) -> None:
    """Pieces written one by one are the same page, empty ones among them."""
    page = feed_json.write(
        map(feed_json.write_events, pieces), feed="f", cursor="c", since=0.0, now=0.0, behind=0.0, more=False,
        max_staleness=1.0,
    )  # fmt: skip
    assert feed_json.read(page)[0].events == [event for piece in pieces for event in piece]


def test_import_needs_no_httpx() -> None:
    """``import coatcheck`` loads neither httpx nor a web framework."""
    code = "import sys, coatcheck; sys.exit(any(name in sys.modules for name in ('httpx', 'starlette', 'fastapi')))"
    assert subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode == 0

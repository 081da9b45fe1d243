"""A long feed is read page by page."""

from __future__ import annotations

import pytest

from coatcheck.stores.sql import SqlStore, feed


async def test_a_long_feed_is_read_in_pages(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page but the last says that there is more; together they are everything once, in order."""
    monkeypatch.setattr(feed, "FEED_PAGE", 4)
    start = await store.events(None, wait=0)
    made = [await store.step_version("ann", now=start.now) for _ in range(11)]
    for cursor in (None, start.cursor):
        sizes, seen = [], []
        while True:
            read = await store.events(cursor, wait=0)
            sizes.append((len(read.events), read.more))
            seen += [event.number for event in read.events]
            cursor = read.cursor
            if not read.more:
                break
        assert sizes == [(4, True), (4, True), (3, False)]
        assert seen == made

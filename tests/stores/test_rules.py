"""Cursors of pages, and the hook by which stores agree on time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.errors import Rejected
from coatcheck.model import Mode, Session
from coatcheck.stores.base import MAX_PAGE
from coatcheck.stores.rules import judge, pack_cursor, page_size, unpack_cursor

positions = st.floats(allow_nan=False, allow_infinity=False)
idents = st.text(st.characters(codec="utf-8"), max_size=60)


@given(positions, idents)
def test_a_cursor_comes_back_as_it_went(position: float, ident: str) -> None:
    """Every time and id."""
    assert unpack_cursor(pack_cursor(position, ident)) == (position, ident)


@given(st.text(max_size=60))
def test_anything_else_is_rejected(text: str) -> None:
    """What can be read is exactly what would have been written."""
    try:
        found = unpack_cursor(text)
    except Rejected:
        return
    assert pack_cursor(*found) == text


@pytest.mark.parametrize(("asked", "given_"), [(-1, 1), (0, 1), (7, 7), (MAX_PAGE, MAX_PAGE), (MAX_PAGE + 1, MAX_PAGE)])
def test_a_page_has_between_one_and_the_largest_number_of_rows(asked: int, given_: int) -> None:
    """Whatever was asked for."""
    assert page_size(asked) == given_


@pytest.mark.parametrize(("late", "verdict"), [(0, "replayed"), (30, "replayed"), (31, "reused"), (-3600, "reused")])
def test_the_reuse_window_has_two_ends(late: float, verdict: str) -> None:
    """It does not stay open for as long as a clock that was put back needs to catch up."""
    session = Session(
        id="s", subject="ann", epoch=0, mode=Mode.JWT, created=0, authenticated=0, seen=0, idle_timeout=9,
        idle_deadline=9, absolute_deadline=9, generation=1, rotated=5000.0,
    )  # fmt: skip
    assert judge(session, 0, window=30, now=session.rotated + late).value == verdict

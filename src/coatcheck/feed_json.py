"""A read of the feed as JSON: what the issuing service answers and a remote verifier reads. Pure.

Times are RFC 3339 in UTC with microseconds. ``since`` is rounded up and never down, because a read covers what is at or
after it. Reading is strict: a kind of event that we do not know may be a revocation that we do not understand. A
cut-off tells which kinds of sessions it spared, and not which it ended, so that whoever does not understand it ends too
much.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec

from .model import Event, EventKind, kinds_in
from .stores.base import FeedRead

MAX_CURSOR: Final = 16_384
"""Characters of a cursor. One of a feed with many shards names a place in each, one of
PostgreSQL every transaction under way."""

NONCE_HEADER: Final = "Coatcheck-Nonce"
"""Repeats the question's ``nonce``: the answer is to this question, and no earlier one that somebody kept."""

Text = Annotated[str, msgspec.Meta(min_length=1)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEEDED: Final[dict[EventKind, tuple[str, ...]]] = {
    EventKind.SESSION_REVOKED: ("session_id",),
    EventKind.SUBJECT_CUT_OFF: ("subject", "number"),
    EventKind.SESSION_CHANGED: ("session_id", "number"),
    EventKind.SUBJECT_CHANGED: ("subject", "number"),
    EventKind.TOKEN_REVOKED: ("session_id", "token_id"),
    EventKind.KEYS_CHANGED: (),
}
"""Without which an event would be taken in and change nothing."""


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    kind: EventKind
    at: Moment
    subject: str = ""
    session_id: str = ""
    token_id: str = ""
    number: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    spared: tuple[str, ...] = ()


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    feed: Text
    cursor: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CURSOR)]
    events: list[_Event]
    since: Moment
    now: Moment
    more: bool
    max_staleness: Annotated[float, msgspec.Meta(gt=0)]
    behind: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class _WrittenPage(msgspec.Struct, frozen=True, kw_only=True):
    feed: str
    cursor: str
    events: msgspec.Raw
    since: datetime
    now: datetime
    more: bool
    max_staleness: float
    behind: float


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Page).decode


def write_events(events: Sequence[Event]) -> bytes:
    """The events with commas between them: a piece of a page, written once for all whom it is for."""
    return _encode([_write_event(event) for event in events])[1:-1]


def write(
    pieces: Iterable[bytes],
    *,
    feed: str,
    cursor: str,
    since: float,
    now: float,
    behind: float,
    more: bool,
    max_staleness: float,
) -> bytes:
    """The answer to ``GET /events``: the pieces after one another, and the rest as in `FeedRead`. ``max_staleness`` is
    the issuing service's, in seconds."""
    page = _WrittenPage(
        feed=feed,
        cursor=cursor,
        events=msgspec.Raw(b"[%b]" % b",".join(piece for piece in pieces if piece)),
        since=_moment(since, up=True),
        now=_moment(now),
        more=more,
        max_staleness=max_staleness,
        behind=behind,
    )
    return _encode(page)


def read(body: bytes) -> tuple[FeedRead, float]:
    """The read, and the issuing service's ``max_staleness``. Raises `ValueError` for anything that is not one; its
    text says what is wrong and where, and repeats nothing of the body."""
    try:
        page = _decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a page of the feed: {error.__class__.__name__}") from None
    for event in page.events:
        if not all(getattr(event, name) for name in _NEEDED[event.kind]):
            raise ValueError(f"an event of kind {event.kind.value} lacks what it is about")
    if page.more and not page.events:
        raise ValueError("a page without events cannot have more")
    return FeedRead(
        feed=page.feed,
        cursor=page.cursor,
        events=[_read_event(event) for event in page.events],
        since=page.since.timestamp(),
        now=page.now.timestamp(),
        behind=page.behind,
        more=page.more,
    ), page.max_staleness


def _write_event(event: Event) -> _Event:
    return _Event(
        kind=event.kind, at=_moment(event.at), subject=event.subject, session_id=event.session_id,
        token_id=event.token_id, number=event.number, spared=tuple(sorted(event.spared)),
    )  # fmt: skip


def _read_event(event: _Event) -> Event:
    return Event(
        kind=event.kind, at=event.at.timestamp(), subject=event.subject, session_id=event.session_id,
        token_id=event.token_id, number=event.number, spared=kinds_in(event.spared),
    )  # fmt: skip


def _moment(at: float, *, up: bool = False) -> datetime:
    """Exact: a product of floats could be rounded to the other side."""
    numerator, denominator = at.as_integer_ratio()
    microseconds = numerator * 1_000_000
    whole = -(-microseconds // denominator) if up else microseconds // denominator
    return _EPOCH + timedelta(microseconds=whole)

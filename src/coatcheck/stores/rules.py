"""What every store decides alike: idle time, generations, pages and JSON. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import math
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, Final

from ..arguments import (
    collection,
    free_texts,
    free_texts_or_none,
    kinds,
    mappings_or_none,
    members,
    numbers,
    numbers_or_none,
    texts,
    wholes,
)
from ..errors import Rejected, StoreUnavailable
from ..model import PLAIN, Access, Account, Device, Event, EventKind, Kind, Mode, Session, kinds_in
from .base import MAX_PAGE, Touch

MAX_CURSOR: Final = 512
"""Characters of a page cursor; ours are far shorter."""

KIND: Final = 7
"""Characters of a password hash by which `KnowsHashes` tells kinds apart: ``$2b$12$``, ``pbkdf2_``, ``scrypt:``."""
MAX_KINDS: Final = 64


def used(session: Session, seen: float) -> Session:
    """The session after use at ``seen``: never backwards, never past its absolute deadline."""
    deadline = min(seen + session.idle_timeout, session.absolute_deadline)
    return replace(session, seen=max(session.seen, seen), idle_deadline=max(session.idle_deadline, deadline))


_LOT_BITS: Final = 20


def next_number(last: int, now: float) -> int:
    """The epoch or version after ``last``: higher, and one that no other history of this store has given, because most
    of it is the time and the rest is drawn by lot. Below 2^53 until the year 2106, for Lua's and JavaScript's sake."""
    return max(last, int(now) << (_LOT_BITS + 1)) + 1 + secrets.randbelow(1 << _LOT_BITS)


class Verdict(Enum):
    """What a presented refresh generation is, compared with the session's own."""

    CURRENT = "current"
    REPLAYED = "replayed"
    REUSED = "reused"
    UNKNOWN = "unknown"


def judge(session: Session, generation: int, *, window: float, now: float) -> Verdict:
    """Judge a refresh generation presented for a live session (RFC 9700 §4.14.2)."""
    if not 0 <= generation <= session.generation:
        return Verdict.UNKNOWN
    if generation == session.generation:
        return Verdict.CURRENT
    # In both directions: a clock that was put back by more than the window closes it.
    if generation == session.generation - 1 and abs(now - session.rotated) <= window:
        return Verdict.REPLAYED
    return Verdict.REUSED


def page_size(limit: int) -> int:
    """The rows a page gets: at least one, at most `MAX_PAGE`."""
    return max(1, min(limit, MAX_PAGE))


def pack_cursor(position: float, ident: str) -> str:
    """The cursor that goes on after this row of a list ordered by time and id."""
    return base64.urlsafe_b64encode(f"{position!r} {ident}".encode()).decode().rstrip("=")


def unpack_cursor(cursor: str) -> tuple[float, str]:
    """The position a cursor names. Raises `Rejected` for one that `pack_cursor` did not make."""
    try:
        if len(cursor) > MAX_CURSOR:
            raise ValueError
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        position, _, ident = text.partition(" ")
        found = float(position), ident
        if not math.isfinite(found[0]) or pack_cursor(*found) != cursor:
            raise ValueError
    except (ValueError, binascii.Error) as error:
        raise Rejected("this is not a cursor of this list") from error
    return found


def to_json(value: Mapping[str, Any] | list[str]) -> str:
    """JSON text, ASCII only, so that every store keeps it unchanged. Raises `Rejected` for what JSON cannot say."""
    try:
        return json.dumps(value if isinstance(value, list) else dict(value), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise Rejected("session data and claims must be JSON values") from error


def check_session(session: Session, *, now: float) -> None:
    """Raise `TypeError` or `Rejected` for a session that no store keeps as it is."""
    kinds(Session, session=session)
    kinds(Mode, mode=session.mode)
    kinds(Device, device=session.device)
    kinds(Access, access=session.access)
    texts(subject=session.subject, session_id=session.id)
    wholes(epoch=session.epoch, generation=session.generation, version=session.version)
    numbers(
        now=now, created=session.created, authenticated=session.authenticated, seen=session.seen,
        idle_timeout=session.idle_timeout, idle_deadline=session.idle_deadline,
        absolute_deadline=session.absolute_deadline, rotated=session.rotated,
    )  # fmt: skip
    mappings_or_none(data=session.data)
    collection(str, session.amr, "amr", "('pwd',)")
    free_texts(user_agent=session.device.user_agent, ip=session.device.ip, label=session.device.label)


def check_kinds(named: Iterable[Kind | str]) -> frozenset[Kind]:
    """The kinds that are named, each by itself or its text. Raises `TypeError` and `Rejected` where they are none."""
    found = frozenset(members(Kind, named, "kinds"))
    if not found:
        raise Rejected("kinds must name at least one kind of session")
    return found


def third_name(event: Event) -> str:
    """What is stored of an event beside subject and session: the token, or of a cut-off the kinds that it spared. They
    stand in one place, so that a running version which knows no kinds can read the event. It takes it for one that
    spared nothing."""
    return pack_kinds(event.spared) if event.kind is EventKind.SUBJECT_CUT_OFF else event.token_id


def pack_kinds(spared: frozenset[Kind]) -> str:
    """The kinds that a cut-off spared, as text."""
    return " ".join(sorted(spared))


def stored_event(kind: EventKind, at: float, subject: str, session_id: str, third: str, number: int) -> Event:
    """The event that was stored as this; ``third`` is its `third_name`."""
    is_cut_off = kind is EventKind.SUBJECT_CUT_OFF
    return Event(
        kind=kind, at=at, subject=subject, session_id=session_id, token_id="" if is_cut_off else third, number=number,
        spared=kinds_in(third.split()) if is_cut_off else frozenset(),
    )  # fmt: skip


def pack_access(access: Access) -> str:
    """What a session is for, besides its kind, as text: ASCII, empty where all of it is at its default."""
    told: dict[str, Any] = {
        name: getattr(access, name) for name in ("client", "audience", "actor", "bound_key") if getattr(access, name)
    }
    if access.scopes is not None:
        told["scopes"] = sorted(access.scopes)
    return to_json(told) if told else ""


def unpack_access(kind: str, text: str) -> Access:
    """What `pack_access` made. Raises `StoreUnavailable` for what it did not make: a newer version may have."""
    if kind == Kind.LOGIN and not text:
        return PLAIN
    try:
        return Access(kind=Kind(kind), **json.loads(text or "{}"))
    except (TypeError, ValueError, Rejected) as error:
        raise StoreUnavailable("a session is of a kind that this version does not know") from error


def check_update(
    session_id: str,
    version: int,
    *,
    now: float,
    data: Mapping[str, Any] | None,
    label: str | None,
    authenticated: float | None,
) -> None:
    """Raise `TypeError` or `Rejected` for a change of a session that no store makes."""
    texts(session_id=session_id)
    wholes(version=version)
    numbers(now=now)
    numbers_or_none(authenticated=authenticated)
    free_texts_or_none(label=label)
    mappings_or_none(data=data)


def check_touches(touches: Sequence[Touch], *, now: float) -> None:
    """Raise `TypeError` or `Rejected` for touches that are none."""
    numbers(now=now)
    for item in collection(Touch, touches, "touches", "[Touch(session_id=session.id, seen=now)]"):
        texts(session_id=item.session_id)
        numbers(seen=item.seen)


def check_account(account: Account) -> None:
    """Raise `TypeError` or `Rejected` for an account that no store keeps as it is."""
    kinds(Account, account=account)
    texts(account_id=account.id, email=account.email, email_key=account.email_key, password_hash=account.password_hash)
    collection(str, account.roles, "roles", "['editor']")
    numbers(created=account.created)

"""How sessions, events and keys are written in Redis."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec

from ...arguments import UNSTORABLE
from ...errors import Rejected, StoreUnavailable
from ...model import Device, Event, EventKind, Kind, Mode, Session
from ..base import SealedKey
from ..rules import pack_access, stored_event, to_json, unpack_access

# The places of fields in a row, counted from 1 as the scripts do.
AUTHENTICATED: Final = 5
AMR: Final = 10
LABEL: Final = 13
DATA: Final = 17


class _Row(msgspec.Struct, array_like=True, frozen=True):
    """A session without its id. The order is known to lua/common.lua. A script may write 1.0 as 1."""

    subject: str
    epoch: int
    mode: str
    created: float
    authenticated: float
    seen: float
    idle_timeout: float
    idle_deadline: float
    absolute_deadline: float
    amr: str
    user_agent: str
    ip: str
    label: str
    remember: bool
    generation: int
    rotated: float
    data: str
    version: int


class _FullRow(_Row, array_like=True, frozen=True):
    """The same of a session that is no plain login. Its epoch is negative: lua/common.lua."""

    kind: str = Kind.LOGIN.value
    access: str = ""


class _KeyRow(msgspec.Struct, array_like=True, frozen=True):
    """A signing key. The order is known to lua/keys.lua."""

    kid: str
    algorithm: str
    sealed: str
    created: float
    signs_from: float
    retires: float | None = None


_rows: Final = msgspec.msgpack.Decoder(_FullRow)
_key_rows: Final = msgspec.msgpack.Decoder(_KeyRow)
_messages: Final = msgspec.msgpack.Decoder(tuple[str, list[list[str]]])

_LETTERS: Final = {
    EventKind.SESSION_REVOKED: b"r",
    EventKind.SUBJECT_CUT_OFF: b"c",
    EventKind.SESSION_CHANGED: b"s",
    EventKind.SUBJECT_CHANGED: b"v",
    EventKind.TOKEN_REVOKED: b"t",
    EventKind.KEYS_CHANGED: b"y",
}
_KINDS: Final = {letter: kind for kind, letter in _LETTERS.items()}


def letter(kind: EventKind) -> bytes:
    """How an event's kind is written."""
    return _LETTERS[kind]


def pack_session(session: Session) -> bytes:
    """The row, with the epoch as it is: lua/create.lua decides about that. Raises `Rejected` for data that JSON cannot
    say and for text that is not Unicode."""
    device, access = session.device, session.access
    make = _Row if access.is_plain else partial(_FullRow, kind=access.kind.value, access=pack_access(access))
    row = make(
        subject=session.subject,
        epoch=session.epoch,
        mode=session.mode.value,
        created=session.created,
        authenticated=session.authenticated,
        seen=session.seen,
        idle_timeout=session.idle_timeout,
        idle_deadline=session.idle_deadline,
        absolute_deadline=session.absolute_deadline,
        amr=to_json(list(session.amr)),
        user_agent=device.user_agent,
        ip=device.ip,
        label=device.label,
        remember=session.remember,
        generation=session.generation,
        rotated=session.rotated,
        data=to_json(session.data),
        version=session.version,
    )
    try:
        return msgspec.msgpack.encode(row)
    except (UnicodeEncodeError, OverflowError) as error:
        raise Rejected(UNSTORABLE) from error


def unpack_session(session_id: str, packed: bytes) -> Session:
    """The session in a row."""
    try:
        row = _rows.decode(packed)
    except msgspec.MsgspecError as error:
        raise StoreUnavailable("a session's row in Redis is damaged") from error
    return Session(
        id=session_id,
        subject=row.subject,
        epoch=row.epoch if row.epoch >= 0 else -row.epoch - 1,
        mode=Mode(row.mode),
        created=row.created,
        authenticated=row.authenticated,
        seen=row.seen,
        idle_timeout=row.idle_timeout,
        idle_deadline=row.idle_deadline,
        absolute_deadline=row.absolute_deadline,
        amr=tuple(json.loads(row.amr)),
        device=Device(user_agent=row.user_agent, ip=row.ip, label=row.label),
        remember=row.remember,
        generation=row.generation,
        rotated=row.rotated,
        data=json.loads(row.data),
        version=row.version,
        access=unpack_access(row.kind, row.access),
    )


def unpack_event(fields: Sequence[bytes]) -> Event:
    """The event in a stream's entry; lua/common.lua writes the fields in this order."""
    _, kind, _, at, _, subject, _, session_id, _, third, _, number = fields
    return stored_event(
        _KINDS[kind], float(at), subject.decode(), session_id.decode(), third.decode(), int(number)
    )  # fmt: skip


def unpack_told(message: bytes) -> tuple[str, list[Event]]:
    """What a message says: the identity of a shard's feed, and events appended to it. None of another program's, or of
    another version of this one."""
    try:
        identity, entries = _messages.decode(message)
        return identity, [unpack_event([text.encode() for text in entry]) for entry in entries]
    except (msgspec.MsgspecError, ValueError, KeyError):
        return "", []


def covered_since(since: bytes, cut: bytes) -> float:
    """From when on a feed is whole that began at ``since`` and whose newest pruned event was of the time ``cut``."""
    begun = float(since)
    return max(begun, math.nextafter(float(cut), math.inf)) if cut else begun


def pack_key(key: SealedKey) -> bytes:
    """The row of a signing key."""
    sealed = base64.b64encode(key.sealed).decode()
    row = _KeyRow(key.kid, key.algorithm, sealed, key.created, key.signs_from, key.retires)
    return msgspec.msgpack.encode(row)


def unpack_key(packed: bytes) -> SealedKey:
    """The signing key in a row."""
    try:
        row = _key_rows.decode(packed)
    except msgspec.MsgspecError as error:
        raise StoreUnavailable("a signing key's row in Redis is damaged") from error
    return SealedKey(
        kid=row.kid,
        algorithm=row.algorithm,
        sealed=base64.b64decode(row.sealed),
        created=row.created,
        signs_from=row.signs_from,
        retires=row.retires,
    )


def number(value: float) -> str:
    """A number as text that means exactly this number."""
    return repr(value)


Reply = Any
"""What a server answers: bytes, int, None, a list of these, or an error."""

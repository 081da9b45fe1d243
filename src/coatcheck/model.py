"""The frozen records that everything else passes around.

All times are seconds since the Unix epoch by the *store's* clock (``float``), all durations seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .frozen import FrozenDict, frozen


class Mode(StrEnum):
    """How a login is delivered."""

    SESSION = "session"
    """One opaque session token in an HttpOnly cookie."""
    JWT = "jwt"
    """Access and refresh token in the body, ``Authorization: Bearer`` on requests."""
    JWT_COOKIE = "jwt-cookie"
    """The same two in HttpOnly cookies, for single-page apps."""


class _Ours:
    """What only we say. pydantic, and so FastAPI, makes none of data, whatever a body holds: it is one already."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """pydantic's hook. An instance is taken as it is, and shown field by field."""

        def only_itself(value: Any) -> Any:
            if not isinstance(value, cls):
                raise ValueError(f"{cls.__name__} is never made of data")
            return value

        checks = {"type": "no-info", "function": only_itself}
        return {"type": "function-before", "function": checks, "schema": handler(source)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Where a login came from, as the client told it. Never used to decide, only to show."""

    user_agent: str = ""
    ip: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(_Ours):
    """The server's record of one login on one device. Every credential hangs from exactly one."""

    id: str
    subject: str
    epoch: int
    """The subject's epoch when the session was made (or when it was last excepted from a cut-off)."""
    mode: Mode
    created: float
    authenticated: float
    """When the subject last proved who they are (``auth_time``)."""
    seen: float
    idle_timeout: float
    """Seconds without use after which the session ends; each touch or refresh moves ``idle_deadline`` by it."""
    idle_deadline: float
    absolute_deadline: float
    amr: tuple[str, ...] = ("pwd",)
    """Authentication methods, RFC 8176 values."""
    device: Device = field(default_factory=Device)
    remember: bool = False
    generation: int = 0
    """The refresh token's generation; rotation steps it."""
    rotated: float = 0.0
    """When ``generation`` was last stepped; the reuse window counts from here."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The application's own, JSON-serialisable. Not part of an Identity."""
    version: int = 0
    """Stepped by every ``update``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing(_Ours):
    """A live session together with its subject's epoch and version, read in one step."""

    session: Session
    epoch: int
    version: int


class _Keeping:
    """A place for what an adapter makes of an identity, such as its framework's user: made once per credential and not
    once per request. No field: it is not compared, copied or shown."""

    __slots__ = ("_kept",)

    _kept: object
    """What was kept last. Raises `AttributeError` before."""

    def _keep(self, thing: object) -> None:
        """Keep it as long as the identity itself. It must not change: requests of many threads share it."""
        object.__setattr__(self, "_kept", thing)


_NO_CLAIMS = FrozenDict()
"""Everybody's who has none."""


def _freeze(record: Any) -> None:
    """Make what was given for roles and claims what it has to be: nothing of it can be changed, by whoever gave it or
    whoever is given it. Raises `TypeError` where that cannot be."""
    if record.roles.__class__ is not frozenset:
        roles = () if isinstance(record.roles, str) else tuple(record.roles)
        if isinstance(record.roles, str) or not all(isinstance(role, str) for role in roles):
            raise TypeError("roles are a set of texts: frozenset({'admin'})")
        object.__setattr__(record, "roles", frozenset(roles))
    claims = record.claims
    if claims.__class__ is not FrozenDict:
        object.__setattr__(record, "claims", frozen(claims) if claims or claims.__class__ is not dict else _NO_CLAIMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity(_Keeping, _Ours):
    """The answer of verification: who this is and how we know. All requests of a credential share one, so it cannot be
    changed, nor anything in it: whatever tries raises an error."""

    subject: str
    session_id: str
    roles: frozenset[str]
    claims: Mapping[str, Any]
    """What the application says besides. A dictionary that cannot be changed, down to its last list; ``copy()`` gives
    an ordinary one."""
    auth_time: float
    amr: tuple[str, ...]
    mode: Mode
    expires: float = float("inf")
    """When what was presented ends by itself: an access token's ``exp``, a session's absolute deadline."""
    token_id: str = ""
    """The access token's ``jti``; empty for a session token."""

    def __post_init__(self) -> None:
        """Raises `TypeError` for roles that are no set of texts, and for claims that could be changed."""
        _freeze(self)
        if self.amr.__class__ is not tuple:
            object.__setattr__(self, "amr", tuple(self.amr))

    @property
    def is_authenticated(self) -> bool:
        """True: what templates and other libraries ask of a user. Nobody has no Identity."""
        return True

    def has_role(self, role: str) -> bool:
        """Whether the subject has exactly this role."""
        return role in self.roles


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectFacts(_Ours):
    """What an application says of a subject: its roles and claims. A subject without facts cannot log in.

    Both are copied, so that what the application goes on to do with its own changes nothing here. Claims are what JSON
    can say; in mode ``session`` also dates, `decimal.Decimal`, `uuid.UUID` and members of enumerations."""

    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=FrozenDict)

    def __post_init__(self) -> None:
        """Raises `TypeError` for roles that are no set of texts, and for claims that could be changed."""
        _freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account(_Ours):
    """One row of Coatcheck's own accounts."""

    id: str
    email: str
    """As the person wrote it."""
    email_key: str
    """The one canonical form in which addresses are compared; unique."""
    password_hash: str = field(repr=False)
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict)
    disabled: bool = False
    created: float = 0.0


class EventKind(StrEnum):
    """What the feed can say."""

    SESSION_REVOKED = "session_revoked"
    SUBJECT_CUT_OFF = "subject_cut_off"
    SESSION_CHANGED = "session_changed"
    SUBJECT_CHANGED = "subject_changed"
    TOKEN_REVOKED = "token_revoked"
    KEYS_CHANGED = "keys_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(_Ours):
    """One entry of the feed. Fields that the kind does not use are empty."""

    kind: EventKind
    at: float
    """When it was appended, by the store's clock."""
    subject: str = ""
    """Whose; empty for TOKEN_REVOKED and KEYS_CHANGED."""
    session_id: str = ""
    """The session meant; of SUBJECT_CUT_OFF, the one excepted (or empty)."""
    token_id: str = ""
    """``jti`` of TOKEN_REVOKED."""
    number: int = 0
    """The new epoch (SUBJECT_CUT_OFF), subject version (SUBJECT_CHANGED) or session version (SESSION_CHANGED)."""

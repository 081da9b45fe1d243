"""The frozen records that everything else passes around.

All times are seconds since the Unix epoch by the *store's* clock (``float``), all durations seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from . import arguments
from .errors import Rejected
from .frozen import FrozenDict, frozen


class Mode(StrEnum):
    """How a login is delivered."""

    SESSION = "session"
    """One opaque session token in an HttpOnly cookie."""
    JWT = "jwt"
    """Access and refresh token in the body, ``Authorization: Bearer`` on requests."""
    JWT_COOKIE = "jwt-cookie"
    """The same two in HttpOnly cookies, for single-page apps."""


class Kind(StrEnum):
    """What a session is for."""

    LOGIN = "login"
    """A person's own, on one device."""
    KEY = "key"
    """An API key."""
    GRANT = "grant"
    """A third party's access."""
    ACTING = "acting"
    """An administrator as somebody."""
    GUEST = "guest"
    """Somebody who has not said who they are."""


ALL_KINDS: Final = frozenset(Kind)
LOGOUT_KINDS: Final = frozenset({Kind.LOGIN, Kind.GUEST, Kind.ACTING})
"""What a logout everywhere ends. Keys and grants are no devices: they go on until they are ended themselves, or until
everything is."""
PERSON_KINDS: Final = frozenset({Kind.LOGIN, Kind.GUEST})
"""Which count for `Policy.sessions_per_subject` and give way to newer ones."""


def kinds_in(names: Iterable[str]) -> frozenset[Kind]:
    """Those of the kinds that are named; what a newer version may call others is left out."""
    found = frozenset(names)
    return frozenset(kind for kind in Kind if kind in found)


NEVER: Final = 253_402_300_799.0
"""The absolute deadline of what has none: the last second of the year 9999, which every store and format can say."""

MAX_SCOPES: Final = 100
MAX_NAME: Final = 512
"""Characters of a client, an audience, an actor, a scope or a thumbprint."""
_is_scope: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+").fullmatch
_is_thumbprint: Final = re.compile(r"[A-Za-z0-9_-]{43}").fullmatch


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
class Access(arguments.Named, _Ours):
    """What a session is for, and how far it goes. The default is a person's plain login, which is told by nothing. The
    kind may also be given as its text.

    Raises `TypeError` for a field that there is none of, and `TypeError` or `Rejected` for what makes no sense: an
    administrator's access without the administrator, a third party's without its name and the audience it is for, a
    scope with a space in it.
    """

    kind: Kind = Kind.LOGIN
    client: str = ""
    """Who has it (``client_id``), where that is not the application itself."""
    audience: str = ""
    """Whom its access tokens are for (``aud``), where that is not `Policy.audience`."""
    scopes: frozenset[str] | None = None
    """What it may do, where that is not everything its subject may. None is everything; the empty set is nothing.
    Scopes only narrow: of the subject's roles those count that are among them. RFC 6749 §3.3."""
    actor: str = ""
    """The subject of the administrator who acts (``act.sub``, RFC 8693 §4.1): of kind ``acting`` and no other."""
    bound_key: str = ""
    """The thumbprint of the key that the client must prove to have (``cnf.jkt``, RFC 9449 §6.1; RFC 7638, SHA-256).
    What is bound is refused until something has proved the key."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", arguments.member(Kind, self.kind, "kind"))
        for name in ("client", "audience", "actor", "bound_key"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise TypeError(f"{name} must be a text (str), not {type(value).__name__}")
            if len(value) > MAX_NAME or not value.isprintable():
                raise Rejected(f"{name} must be printable text of at most {MAX_NAME} characters")
        if self.scopes is not None:
            object.__setattr__(self, "scopes", _scopes(self.scopes))
        self._check_sense()

    def _check_sense(self) -> None:
        if self.kind is Kind.ACTING and not self.actor:
            raise Rejected("kind acting needs actor: the subject of the administrator who acts")
        if self.kind is not Kind.ACTING and self.actor:
            raise Rejected("actor is for kind acting only")
        if self.kind is Kind.GRANT and not (self.client and self.audience):
            raise Rejected("kind grant needs client and audience: who has the access, and for which service")
        if self.bound_key and not _is_thumbprint(self.bound_key):
            raise Rejected("bound_key must be a JWK thumbprint: SHA-256, base64url, 43 characters")

    @property
    def is_plain(self) -> bool:
        """Whether it is a person's plain login, all at its defaults."""
        return (
            self.kind is Kind.LOGIN and self.scopes is None
            and not (self.client or self.audience or self.actor or self.bound_key)
        )  # fmt: skip

    def has_scope(self, scope: str) -> bool:
        """Whether this scope is within it. Always, where it is not narrowed."""
        return self.scopes is None or scope in self.scopes

    def narrowed(self, roles: frozenset[str]) -> frozenset[str]:
        """The roles that count: all of them, or those that are among the scopes."""
        return roles if self.scopes is None else roles & self.scopes


def _scopes(given: object) -> frozenset[str]:
    """Raises `TypeError` for what is no collection of texts, and `Rejected` for what is no scope."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError("scopes are a set of texts: frozenset({'orders:read'})")
    found = frozenset(given)
    if not all(isinstance(scope, str) for scope in found):
        raise TypeError("scopes are a set of texts: frozenset({'orders:read'})")
    if len(found) > MAX_SCOPES or not all(len(scope) <= MAX_NAME and _is_scope(scope) for scope in found):
        raise Rejected(f"scopes are {MAX_SCOPES} words at most, of printable ASCII without spaces and quotes")
    return found


PLAIN: Final = Access()
"""A person's plain login."""


class _Carries:
    """What a session and an identity say of their `Access`, by its fields' own names."""

    __slots__ = ()

    access: Access

    @property
    def kind(self) -> Kind:
        """What it is for."""
        return self.access.kind

    @property
    def client(self) -> str:
        """See `Access.client`."""
        return self.access.client

    @property
    def audience(self) -> str:
        """See `Access.audience`."""
        return self.access.audience

    @property
    def scopes(self) -> frozenset[str] | None:
        """See `Access.scopes`."""
        return self.access.scopes

    @property
    def actor(self) -> str:
        """See `Access.actor`."""
        return self.access.actor

    @property
    def bound_key(self) -> str:
        """See `Access.bound_key`."""
        return self.access.bound_key

    def has_scope(self, scope: str) -> bool:
        """Whether this scope is within it. Always, where it is not narrowed."""
        return self.access.has_scope(scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(_Carries, _Ours):
    """The server's record of one login on one device, or of another access (`Kind`). Every credential hangs from
    exactly one."""

    id: str
    subject: str
    epoch: int
    """The latest cut-off of the subject's sessions of this kind when it was made (or the one that it was excepted
    from last)."""
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
    access: Access = PLAIN
    """What it is for, and how far it goes: `kind`, `client`, `audience`, `scopes`, `actor`, `bound_key`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing(_Ours):
    """A live session together with its subject's epoch, the latest of all cut-offs, and version, read in one step."""

    session: Session
    epoch: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile(_Ours):
    """What a page shows of whoever is asking: see `Auth.profile`. Who they are is told by the subject alone."""

    subject: str
    email: str = ""
    """Their address, empty where none is known. Whether it is theirs, only whoever keeps the users can say."""
    name: str = ""
    """What they are called, empty where that is not known."""

    @property
    def shown(self) -> str:
        """What to call them to their face: name, or address, or subject."""
        return self.name or self.email or self.subject


class _Keeping:
    """Places for what is made of an identity, such as its framework's user: once per credential and not once per
    request. No fields: they are not compared, copied or shown. Each raises `AttributeError` while it is empty."""

    __slots__ = ("_kept", "_profile")

    _kept: object
    """What an adapter kept last."""
    _profile: tuple[bytes, Profile]
    """What `coatcheck.profiles` read last, and the place in the table without which it does not count."""

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
class Identity(_Carries, _Keeping, _Ours):
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
    access: Access = PLAIN
    """What it is for, and how far it goes: `kind`, `client`, `audience`, `scopes`, `actor`, `bound_key`."""

    def __post_init__(self) -> None:
        """Raises `TypeError` for roles that are no set of texts, and for claims that could be changed."""
        _freeze(self)
        if self.amr.__class__ is not tuple:
            object.__setattr__(self, "amr", tuple(self.amr))

    @property
    def is_authenticated(self) -> bool:
        """True: what templates and other libraries ask of a user. Nobody has no Identity."""
        return True

    @property
    def is_person(self) -> bool:
        """Whether this is the subject in person, with everything that is theirs: no key, no third party, nobody who
        acts for them, and not narrowed."""
        return self.access.kind is Kind.LOGIN and self.access.scopes is None

    def has_role(self, role: str) -> bool:
        """Whether the subject has exactly this role, and the access is not narrowed to less."""
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
    spared: frozenset[Kind] = frozenset()
    """Of SUBJECT_CUT_OFF, the kinds whose sessions live on. None: it ends all, as it did before there were kinds."""
    number: int = 0
    """The new epoch (SUBJECT_CUT_OFF), subject version (SUBJECT_CHANGED) or session version (SESSION_CHANGED)."""

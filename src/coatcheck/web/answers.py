"""What the API answers, as the OpenAPI document shows it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..model import Access, Kind

Timestamp = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", json_schema_extra={"format": "date-time"})
]
"""RFC 3339, UTC."""
PreciseTimestamp = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$", json_schema_extra={"format": "date-time"})
]
"""The same to the microsecond."""
Seconds = Annotated[int, Field(ge=0)]
ModeName = Literal["session", "jwt", "jwt-cookie"]


class Answer(BaseModel):
    """A JSON answer. Fields that were not set are left out of it."""

    model_config = ConfigDict(extra="forbid")


class Problem(Answer):
    """RFC 9457. ``code`` is stable; ``detail`` is for people."""

    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    code: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    detail: str


class SubjectView(Answer):
    """Who has logged in. ``email`` is null where the application keeps its own users and does not tell it."""

    id: str
    email: str | None
    roles: list[str]


class SessionView(Answer):
    """``id`` names the session; it is never enough to act as it."""

    id: str
    created_at: Timestamp
    idle_expires_at: Timestamp
    expires_at: Timestamp


class LoginAnswer(Answer):
    """Mode ``jwt`` has all tokens, mode ``jwt-cookie`` only ``expires_in``; both cookie modes have ``csrf_token``."""

    subject: SubjectView
    session: SessionView
    mode: ModeName
    csrf_token: str = Field(default="", repr=False)
    access_token: str = Field(default="", repr=False)
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: Seconds = 0
    refresh_token: str = Field(default="", repr=False)
    refresh_expires_in: Seconds = 0


class Registered(Answer):
    """A new account; nobody is logged in yet."""

    subject: SubjectView


class AccessView(Answer):
    """What a session is for, and how far it goes. Each is left out where it is a plain login's."""

    kind: Literal["login", "key", "grant", "acting", "guest"] = "login"
    client: str = ""
    audience: str = ""
    scopes: list[str] = []
    actor: str = ""


def access_view(access: Access) -> dict[str, Any]:
    """Those of `AccessView` that are not at their defaults."""
    told = {name: getattr(access, name) for name in ("client", "audience", "actor") if getattr(access, name)}
    if access.kind is not Kind.LOGIN:
        told["kind"] = access.kind.value
    if access.scopes is not None:
        told["scopes"] = sorted(access.scopes)
    return told


class CurrentSession(AccessView):
    """Who is asking, and in which session."""

    subject: SubjectView
    session: SessionView
    mode: ModeName
    roles: list[str]
    amr: list[str]
    auth_time: Timestamp


class DeviceView(Answer):
    """Where a login came from, as the client told it. ``name`` is for people: "Firefox on Linux"."""

    user_agent: str
    ip: str
    label: str
    name: str


class ListedSession(SessionView, AccessView):
    """One entry of a device list."""

    mode: ModeName
    last_seen_at: Timestamp
    device: DeviceView
    current: bool
    amr: list[str]


class StepAnswer(Answer):
    """Who it is was proved, and one of these methods is required too. ``attempt`` is there in mode ``jwt`` only;
    elsewhere it is a cookie."""

    status: Literal["step_required"] = "step_required"
    methods: list[str]
    attempt: Annotated[str, Field(repr=False)] = ""
    expires_in: int


class SessionPage(Answer):
    """Live sessions, newest first. ``next`` is the cursor of the next page, null on the last."""

    sessions: list[ListedSession]
    next: str | None


class AccountView(Answer):
    """An account as an administrator sees it."""

    id: str
    email: str
    roles: list[str]
    status: Literal["active", "disabled"]
    created_at: Timestamp


class InvitationView(Answer):
    """To be handed to whoever has this address."""

    invitation: Annotated[str, Field(repr=False)]
    email: str
    expires_at: str


class AccountPage(Answer):
    """Accounts, newest first. ``next`` is the cursor of the next page, null on the last."""

    subjects: list[AccountView]
    next: str | None


class Inactive(Answer):
    """RFC 7662 §2.2: whatever the reason, and nothing else."""

    active: Literal[False]


class Act(Answer):
    """RFC 8693 §4.1: the administrator who acts."""

    sub: str


class Confirmation(Answer):
    """RFC 9449 §6.2: whoever presents the token must prove to have this key."""

    jkt: str


class Active(Answer):
    """RFC 7662 §2.2. ``token_type`` tells what kind it is: only ``Bearer`` is meant for a resource server. ``kind`` and
    what follows it are left out where they are a plain login's. ``scope`` may be empty: then nothing is allowed."""

    active: Literal[True]
    token_type: Literal["Bearer", "session_token", "refresh_token"]
    sub: str
    sid: str
    client_id: str
    iss: str
    aud: str
    iat: int
    exp: int
    jti: str = ""
    auth_time: int
    amr: list[str]
    roles: list[str]
    kind: Literal["login", "key", "grant", "acting", "guest"] = "login"
    scope: str = ""
    act: Act | None = None
    cnf: Confirmation | None = None


class PublicKeys(Answer):
    """RFC 7517 §5; never a private member and never a shared secret."""

    keys: list[dict[str, str]]


class EventView(Answer):
    """One entry of the feed. What its kind does not use is left out. ``spared``, of ``subject_cut_off``: the kinds of
    sessions that live on; where it is left out all have ended."""

    kind: Literal[
        "session_revoked", "subject_cut_off", "session_changed", "subject_changed", "token_revoked", "keys_changed"
    ]
    at: PreciseTimestamp
    subject: str = ""
    session_id: str = ""
    token_id: str = ""
    spared: list[str] = []
    number: Annotated[int, Field(ge=0)] = 0


class FeedPage(Answer):
    """Events in the order in which they came. ``more``: read on from ``cursor`` at once. Without a cursor in the
    question, the events are all since ``since``. ``max_staleness`` is this service's, in seconds. ``behind``: so many
    seconds its store's clock is behind ``now``; until it has caught up, time stands still."""

    feed: str
    cursor: str
    events: list[EventView]
    since: PreciseTimestamp
    now: PreciseTimestamp
    more: bool
    max_staleness: Annotated[float, Field(gt=0)]
    behind: Annotated[float, Field(ge=0)]


class Health(Answer):
    """The process runs."""

    status: Literal["ok"]


class Readiness(Answer):
    """The stores answer and the lease runs, so whoever is logged in is served. ``writes`` is false while a store takes
    none: then nobody can log in, here or in any other process of the fleet, and this one is still of use."""

    status: Literal["ready"]
    writes: bool

"""What the harness and the processes of the fleet say to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coatcheck import Credential, Mode
from coatcheck.credentials.transport import Carrier


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How a process of the fleet opens its store."""

    url: str
    sessions: str | None = None
    secret: str
    max_staleness: float
    """Seconds."""
    clock_off: float = 0.0
    """Seconds by which this process's time of day is wrong."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Added to its environment."""
    service_key: str = field(default="", repr=False)
    """Not empty: ``url`` is that of the issuing service, which a `RemoteVerifier` follows."""
    sabotage: str = ""
    """The rule of the guarantee that this process breaks on purpose (`sabotage.BREAKS`), or none."""


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A login: what its client holds."""

    name: str
    session_id: str
    subject: str
    credential: Credential

    @property
    def is_session(self) -> bool:
        """Of mode ``session``."""
        return self.credential.carrier is Carrier.SESSION_COOKIE


# --- to any process ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """Await this method of the process's `Auth` or `RemoteVerifier`, a path of names. Answered by `Answer`."""

    path: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a `Call` came to."""

    value: Any = None
    refused: str = ""
    """Why a credential was refused."""
    unavailable: bool = False
    raised: str = ""
    """Any other error."""


@dataclass(frozen=True)
class Settle:
    """Answered when a read of the feed that began after this has been taken in: its clock, too, is as it will be."""


# --- to a process that serves HTTP -------------------------------------------------------------------------


@dataclass(frozen=True)
class Where:
    """Answered by the URL of the API."""


# --- to the issuing process --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Issue:
    """Log these in: name, subject, mode. Answered by the tickets."""

    logins: Sequence[tuple[str, str, Mode]]


@dataclass(frozen=True)
class Forge:
    """Make credentials that nobody ever issued. Answered by a mapping of names to them."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """End a session, or with ``session_id`` empty all of a subject but ``excepted``. Tried again until it is done."""

    delay: float
    """Seconds from now to the first try."""
    subject: str
    session_id: str = ""
    excepted: str | None = None


@dataclass(frozen=True)
class End:
    """Answered by what became of each order, in the same sequence."""

    orders: Sequence[Order]


@dataclass(frozen=True)
class Done:
    """What became of an order. Times by CLOCK_BOOTTIME, which all processes of a machine share."""

    called: float
    """When the last try began."""
    returned: float | None
    """When it said that it was done; None when it never did."""
    failed: int
    """Tries that raised before it."""


@dataclass(frozen=True)
class Find:
    """Answered by those of these session ids that are live in the store."""

    session_ids: Sequence[str]


# --- to a verifying process --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hold:
    """Verify these, and only these, again and again. What is held already is not begun anew."""

    credentials: Mapping[str, Credential]


@dataclass(frozen=True)
class Report:
    """Answered by a mapping of names to what was seen."""


@dataclass
class Sight:
    """What became of one credential in one process. Acceptances count from before the verification began."""

    accepted: int = 0
    refused: int = 0
    unavailable: int = 0
    last: float = float("-inf")
    """The last acceptance."""
    refused_at: float = float("inf")
    """When it was first refused."""
    why: str = ""
    """For what reason, then."""
    gap: float = 0.0
    """The longest time between two acceptances that followed each other, in seconds."""
    resumed: float = float("-inf")
    """When that ended."""
    failures: list[str] = field(default_factory=list)
    """Errors that `Auth.verify` should not raise."""

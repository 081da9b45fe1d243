"""Every setting of the core, with its default, unit and reason. Validated once, when it is made."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import Final, Literal

from . import addresses, arguments, origins, proxies
from .addresses import Addresses
from .errors import ConfigurationError
from .model import Kind, Mode

CLOCK_LEEWAY: Final = 60.0
"""Seconds that a token's ``iat`` may lie in the future (design: clocks follow the store's, this is the remainder)."""

VIEW_MARGIN: Final = 30.0
"""Seconds an event is kept for beyond the longest access token and the leeway."""

MAX_REUSE_WINDOW: Final = 300.0
"""Seconds that `Policy.reuse_window` may be: a copy of a refresh token is good for as long, and nobody notices."""

HSTS: Final = "max-age=31536000"
_HSTS_VALUE: Final = re.compile(r"off|max-age=[0-9]{1,10}(; includeSubDomains)?(; preload)?")

SIGNING_ALGORITHMS: Final = ("ES256", "RS256", "EdDSA", "Ed25519", "HS256")

_LIFETIMES: Final = ("session", "remembered", "refresh", "guest", "acting", "key", "grant")
"""The settings that are `Lifetimes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes(arguments.Named):
    """How long a session lives, in seconds."""

    _refusal = ConfigurationError

    idle: float
    """Without use, it ends after this long."""
    absolute: float
    """However much it is used, it ends after this long. ``math.inf``, for keys only: it has no such end."""

    def __post_init__(self) -> None:
        """Raises `ConfigurationError` for what is no number."""
        arguments.settings("", {"idle": 0.0, "absolute": 0.0}, idle=self.idle, absolute=self.absolute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(arguments.Named):
    """What an application decides. Raises `ConfigurationError` when the parts do not fit together, and for a setting
    that there is none of.

    Modes and kinds may also be given as their texts, as in a file of settings: ``modes=("session",)``. They are always
    read back as members of `Mode` and `Kind`."""

    _refusal = ConfigurationError

    modes: tuple[Mode, ...] = (Mode.SESSION, Mode.JWT, Mode.JWT_COOKIE)
    """The modes a login may ask for; the first is the default. All three: a hybrid deployment."""

    issuer: str = "coatcheck"
    """``iss`` of access tokens. A team with other verifiers sets its URL (RFC 9068 §2.2)."""
    audience: str = "coatcheck"
    """``aud`` of access tokens; a token for another audience is refused (RFC 9068 §4)."""
    client_id: str = "coatcheck"
    """``client_id`` of access tokens, required by RFC 9068; one name for the first-party client."""

    signing_algorithm: str = "ES256"
    """How new access tokens are signed: ES256, RS256, EdDSA, Ed25519 or HS256 (RFC 9068 §2.1 wants an asymmetric
    one). A change makes a new key; tokens of the older key are verified until they have expired."""
    key_lead: float = 600.0
    """Seconds between publishing a new signing key and signing with it, so that whoever caches the JWKS (it may for
    half of this) has met the key before its first token."""

    max_staleness: float = 2.0
    """Seconds for which a process trusts its memory after its last completed feed read *began*: the stated worst
    case of a revocation, and how long requests are served when the store is away. 0.5 s at least, so that a
    feed read fits into it several times."""

    access_lifetime: float = 900.0
    """Seconds an access token lives. 15 min: revocation does not wait for it, so it only sets how often a client
    refreshes and how long the view remembers an event."""

    session: Lifetimes = Lifetimes(idle=1800.0, absolute=43200.0)
    """Mode ``session``: 30 min idle, 12 h in all (OWASP ASVS 7.3; NIST SP 800-63B-4 AAL2: 1 h and 24 h at most)."""
    remembered: Lifetimes = Lifetimes(idle=1209600.0, absolute=2592000.0)
    """Mode ``session`` with ``remember``: 14 d idle, 30 d in all."""
    refresh: Lifetimes = Lifetimes(idle=604800.0, absolute=2592000.0)
    """Modes ``jwt`` and ``jwt-cookie``: 7 d without a refresh, 30 d in all (RFC 9700 §4.14 wants both)."""

    reuse_window: float = 30.0
    """Seconds in which the refresh token just before the current one still gets the same successor: tabs that
    refresh at once, and answers lost on a bad line. Outside it, reuse ends the session (RFC 9700 §4.14.2). 5 min at
    most: for as long as it lasts a stolen token is not noticed."""

    guest: Lifetimes = Lifetimes(idle=1209600.0, absolute=2592000.0)
    """Kind ``guest``: 14 d idle, 30 d in all."""
    acting: Lifetimes = Lifetimes(idle=900.0, absolute=3600.0)
    """Kind ``acting``, an administrator as somebody: 15 min idle, 1 h in all, as long as one task takes."""
    key: Lifetimes = Lifetimes(idle=31536000.0, absolute=math.inf)
    """Kind ``key``: a year without use, and no end otherwise: a key is ended by whoever owns it, or has an expiry of
    its own."""
    grant: Lifetimes = Lifetimes(idle=2592000.0, absolute=31536000.0)
    """Kind ``grant``, a third party's access: 30 d without use, a year in all; then the subject is asked again."""

    kinds: tuple[Kind, ...] = (Kind.LOGIN,)
    """The kinds of access that are let in here. Credentials of any other are refused, so that code which takes whoever
    is let in for a person is right until somebody decides otherwise here."""

    sessions_per_subject: int = 100
    """Live sessions of the kinds ``login`` and ``guest`` a subject may have; when one more begins, the oldest ends
    (OWASP ASVS 7.1.2). 100: more than anybody has devices, and a script that logs in again and again fills no store."""
    keys_per_subject: int = 100
    """Live sessions of kind ``key`` a subject may have. One more is refused: what a program relies on ends for none."""
    grants_per_subject: int = 100
    """The same of kind ``grant``."""
    acting_per_subject: int = 10
    """The same of kind ``acting``: administrators who act as this subject at once."""

    touch_interval: float = 60.0
    """Seconds between two writes of "last seen" for one session at most. Shorter only where ``idle`` demands it:
    never more than a quarter of the idle time."""

    table_entries: int = 100_000
    """Verified credentials remembered per process. Eviction only costs a re-verification."""
    table_bytes: int = 256 * 1024 * 1024
    """The same bound in bytes, by estimate."""

    origins: tuple[str, ...] = ()
    """Other origins (``https://app.example``, ``capacitor://localhost``) whose pages may make state-changing requests
    with our cookies. The request's own origin is always allowed. Kept in canonical form, in which they are compared:
    lower case, no default port, no last dot, letters beyond ASCII as browsers write them. What no browser sends
    (a wildcard, a path, ``null``) is refused."""

    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks (``10.0.0.7``, ``10.0.0.0/8``) of proxies whose ``X-Forwarded-For`` is believed, and
    ``unix`` for whoever comes over a UNIX socket: for limits, the log and the list of devices. None: the address
    of the connection counts, or what the server takes for it. Scheme and host are for the server or the framework to
    believe."""

    hsts: str = HSTS
    """``Strict-Transport-Security`` of the service's answers over https (RFC 6797), never sent on a loopback address.
    A year (OWASP ASVS 3.4.1), and with subdomains where the service runs alone; ``max-age=300; includeSubDomains`` or
    such says otherwise, ``off`` leaves it to the application or the proxy around."""

    registration: Literal["open", "invited", "closed"] = "open"
    """Who may make an account of ours for themselves: everybody, whoever has an invitation for their address
    (`Auth.invite`), or nobody. ``closed`` for what is internal: accounts are then made by an operator."""

    event_addresses: Addresses = "clear"
    """How mail and network addresses are shown in events, and so in the log: ``clear``, as they are; ``masked``, the
    first letter and the domain (``a…@example.com``), and the network (``192.0.2.0/24``, ``2001:db8:1::/48``); ``none``,
    not at all."""

    @classmethod
    def _instead(cls, name: str) -> str:
        """`Lifetimes`, where it is one of their two that was guessed: ``session_idle``."""
        of, _, part = name.partition("_")
        if of not in _LIFETIMES or not any(word in part for word in ("idle", "absolute", "lifetime", "timeout", "age")):
            return ""
        return f"{of}={getattr(cls(), of)!r}"

    def __post_init__(self) -> None:
        own = {item.name: item.default for item in fields(self)}
        try:
            object.__setattr__(self, "modes", arguments.members(Mode, self.modes, "policy.modes"))
            object.__setattr__(self, "kinds", arguments.members(Kind, self.kinds, "policy.kinds"))
        except TypeError as error:
            raise ConfigurationError(str(error)) from None
        arguments.settings("policy.", own, **{name: getattr(self, name) for name in own})
        if self.registration not in ("open", "invited", "closed"):
            raise ConfigurationError("policy.registration must be 'open', 'invited' or 'closed'")
        if self.event_addresses not in addresses.CHOICES:
            raise ConfigurationError("policy.event_addresses must be 'clear', 'masked' or 'none'")
        if not self.kinds or len(set(self.kinds)) != len(self.kinds):
            raise ConfigurationError("policy.kinds must name at least one kind, each once")
        if not self.modes or len(set(self.modes)) != len(self.modes):
            raise ConfigurationError("policy.modes must name at least one mode, each once")
        for name in ("issuer", "audience", "client_id"):
            if not getattr(self, name).strip():
                raise ConfigurationError(f"policy.{name} must not be empty")
        if self.signing_algorithm not in SIGNING_ALGORITHMS:
            raise ConfigurationError(f"policy.signing_algorithm must be one of {', '.join(SIGNING_ALGORITHMS)}")
        if not _HSTS_VALUE.fullmatch(self.hsts):
            raise ConfigurationError("policy.hsts must be such as max-age=31536000; includeSubDomains, or off")
        self._check_numbers()
        try:
            object.__setattr__(self, "origins", origins.all_listed(self.origins))
        except ValueError as error:
            raise ConfigurationError(f"policy.origins: {error}") from None
        try:
            object.__setattr__(self, "trusted_proxies", proxies.all_listed(self.trusted_proxies))
        except ValueError as error:
            raise ConfigurationError(f"policy.trusted_proxies: {error}") from None

    def _check_numbers(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, (int, float)) and not (math.isfinite(value) and value > 0):
                raise ConfigurationError(f"policy.{item.name} must be a positive number")
        for name in _LIFETIMES:
            lifetimes: Lifetimes = getattr(self, name)
            if not 0 < lifetimes.idle <= lifetimes.absolute or math.isinf(lifetimes.idle):
                raise ConfigurationError(f"policy.{name}: idle must be positive and not longer than absolute")
            if math.isinf(lifetimes.absolute) and name != "key":
                raise ConfigurationError(f"policy.{name}: absolute must be finite; only a key may have no end")
        if self.max_staleness < 0.5:
            raise ConfigurationError("policy.max_staleness must be at least 0.5 s: a feed read has to fit into it")
        if self.reuse_window > MAX_REUSE_WINDOW:
            raise ConfigurationError(
                f"policy.reuse_window must be at most {MAX_REUSE_WINDOW:g} s: "
                "a stolen refresh token is not noticed for as long"
            )
        if self.access_lifetime > self.refresh.absolute:
            raise ConfigurationError("policy.access_lifetime must not exceed policy.refresh.absolute")

    def lifetimes(self, mode: Mode | str, remember: bool, kind: Kind | str = Kind.LOGIN) -> Lifetimes:
        """The idle and absolute time of a new session. Only a person's login is told apart by mode."""
        mode, kind = arguments.member(Mode, mode, "mode"), arguments.member(Kind, kind, "kind")
        if kind is not Kind.LOGIN:
            of_kind = {Kind.KEY: self.key, Kind.GRANT: self.grant, Kind.ACTING: self.acting, Kind.GUEST: self.guest}
            return of_kind[kind]
        if mode is not Mode.SESSION:
            return self.refresh
        return self.remembered if remember else self.session

    def limit(self, kind: Kind | str) -> int:
        """How many live sessions of this kind a subject may have; of logins and guests, of both together."""
        kind = arguments.member(Kind, kind, "kind")
        limits = {
            Kind.KEY: self.keys_per_subject, Kind.GRANT: self.grants_per_subject, Kind.ACTING: self.acting_per_subject
        }  # fmt: skip
        return limits.get(kind, self.sessions_per_subject)

    @property
    def event_retention(self) -> float:
        """Seconds for which an event can still matter to some access token."""
        return self.access_lifetime + CLOCK_LEEWAY + VIEW_MARGIN

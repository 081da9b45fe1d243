"""Invitations to register, where that is not open to everybody: a signed text with an address, roles and an end.

Nothing is stored. An invitation is for one address, and there is one account to an address, so it counts once. It
cannot be taken back before it ends; an account that came of it can be disabled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from .. import acts
from ..arguments import numbers
from ..credentials.opaque import OpaqueTokens
from ..errors import InvalidCredential, Rejected
from ..events import Events
from .directory import role_names
from .emails import canonical

MAX_LIFETIME = 90 * 86400.0
"""Seconds an invitation may last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """Who may register, and as what."""

    email: str
    roles: frozenset[str]
    expires: float
    """Seconds since the Unix epoch."""

    def is_for(self, email: str) -> bool:
        """Whether this is the address, in any spelling. Raises `InvalidEmail`."""
        return canonical(email).key == canonical(self.email).key


class _Written(msgspec.Struct, frozen=True, array_like=True):
    email: str
    roles: tuple[str, ...]
    expires: int


def invite(
    opaque: OpaqueTokens, events: Events, email: str, *, roles: Iterable[str] = (), lifetime: float, now: float
) -> str:
    """The invitation as text: ``cci_…``. Raises `InvalidEmail`, and `Rejected` for no role and for no such lifetime."""
    numbers(lifetime=lifetime)
    if not 1 <= lifetime <= MAX_LIFETIME:
        raise Rejected(f"an invitation lasts up to {int(MAX_LIFETIME / 86400)} days")
    written = _Written(canonical(email).written, tuple(sorted(role_names(roles))), math.ceil(now + lifetime))
    events.emit(acts.ACCOUNT_INVITED, email=written.email, roles=" ".join(written.roles))
    return opaque.invitation(msgspec.json.encode(written))


def read(opaque: OpaqueTokens, token: str, *, now: float) -> Invitation | None:
    """What an invitation says; None for one that has ended or is none of ours."""
    try:
        written = msgspec.json.decode(opaque.read_invitation(token), type=_Written)
    except (InvalidCredential, msgspec.DecodeError):
        return None
    if now >= written.expires:
        return None
    return Invitation(email=written.email, roles=frozenset(written.roles), expires=written.expires)

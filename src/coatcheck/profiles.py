"""What an application's pages show of whoever is asking, without a read at each request.

It is kept on the identity, and counts as a hit on that identity would: while the table holds this very one, under a
lease that runs. Whatever changes an address or a name steps the subject's version, as whatever changes roles does, and
that event takes the identity out of the table. So there is nothing more to invalidate, and neither of these can happen:

- *A new identity with an old profile.* An identity is in the table before anybody is given it, so it is read for after
  that. What is then written later has its event still to come, which removes this identity too.
- *An old identity with an old profile*, read before the change and kept after its event: for hours, where a connection
  is let in by it. It is in the table no more and never will be again, so what is kept on it does not count.

A cut-off that spares a session spares its entry as well: it is not enough where an address has changed.
"""

from __future__ import annotations

import sys
from typing import Final

from .arguments import answered_or_none
from .clock import Clock
from .follower import Lease
from .model import Identity, Profile
from .subjects import Login, SubjectSource, UserSource
from .table import TAIL, Table

_BYTES: Final = 200
"""Estimate of what a kept profile takes beside its texts."""


class Profiles:
    """Reads and keeps the profiles of one process."""

    def __init__(self, subjects: SubjectSource, table: Table, lease: Lease, clock: Clock) -> None:
        self._users = subjects if isinstance(subjects, UserSource) else None
        self._table = table
        self._lease = lease
        self._clock = clock

    def known(self, identity: Identity) -> Profile | None:
        """What needs no reading, or None. In any thread, so in the order of the hit path: the lease, the entry, the
        time."""
        if self._users is None:  # all that the application tells is in the identity
            return _profile_of(identity, None)
        until = self._lease.deadline
        kept: tuple[bytes, Profile] | None = getattr(identity, "_profile", None)
        if kept is None:
            return None
        place, profile = kept
        entry = self._table.get(place)
        if entry is not None and entry.identity is identity and self._clock.monotonic() < until:
            return profile
        return None

    async def of(self, identity: Identity) -> Profile:
        """See `Auth.profile`."""
        known = self.known(identity)
        if known is not None:
            return known
        profile = _profile_of(identity, await self._login_of(identity.subject))
        self._keep(identity, profile)
        return profile

    async def _login_of(self, subject: str) -> Login | None:
        if self._users is None:
            return None
        return answered_or_none(Login, await self._users.login_of_subject(subject), "login_of_subject")

    def _keep(self, identity: Identity, profile: Profile) -> None:
        """Where it can count. What was read may be of before a change whose event is yet to come: that removes it."""
        entry = self._table.entry_of(identity)
        if entry is None:
            return
        is_first = not hasattr(identity, "_profile")
        object.__setattr__(identity, "_profile", (entry.key[-TAIL:], profile))
        if is_first:
            self._table.grow(entry, _BYTES + sys.getsizeof(profile.email) + sys.getsizeof(profile.name))


def _profile_of(identity: Identity, login: Login | None) -> Profile:
    """What is known of the subject. The claims are as old as the identity's roles."""
    email, name = (login.email, login.name) if login is not None else ("", "")
    return Profile(
        subject=identity.subject, email=email or _claimed(identity, "email"), name=_claimed(identity, "name") or name
    )


def _claimed(identity: Identity, claim: str) -> str:
    """A claim of OpenID Connect Core 1.0 §5.1, empty where the application does not make it or means something else."""
    value = identity.claims.get(claim)
    return value if isinstance(value, str) else ""

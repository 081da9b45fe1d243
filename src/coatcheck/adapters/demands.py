"""What a route asks of whoever calls it: to be logged in, to have roles, to have logged in lately. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .. import decide
from ..clock import Clock
from ..errors import NotLoggedIn
from ..model import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Somebody logged in, with all of these ``roles``, whose last proof of identity is at most ``max_age`` seconds old.

    Raises `ValueError` for an age that is not positive."""

    roles: tuple[str, ...] = ()
    max_age: float | None = None

    def __post_init__(self) -> None:
        if self.max_age is not None and not 0 < self.max_age < math.inf:
            raise ValueError("how fresh a login must be is a positive time, and not for ever")

    def covers(self, other: Demand) -> bool:
        """Whether whoever meets this one meets the other as well."""
        fresh_enough = other.max_age is None or (self.max_age is not None and self.max_age <= other.max_age)
        return fresh_enough and set(other.roles) <= set(self.roles)

    def check(self, identity: Identity | None, clock: Clock) -> Identity:
        """The identity. Raises `NotLoggedIn`, `Forbidden` for a missing role, or `LoginTooOld`."""
        if identity is None:
            raise NotLoggedIn("somebody logged in is needed")
        for role in self.roles:
            decide.check_role(identity, role)
        if self.max_age is not None:
            decide.check_fresh(identity, self.max_age, clock.now())
        return identity


LOGGED_IN = Demand()
"""Somebody, whoever."""


def requires(*roles: str) -> Demand:
    """All of these roles. Raises `ValueError` without any, for that would ask for nothing, and `TypeError` for a role
    that is no text, such as a list of them."""
    if not all(isinstance(role, str) for role in roles):
        raise TypeError("roles are texts: requires('admin', 'editor')")
    if not all(roles) or not roles:
        raise ValueError("name at least one role, and none that is empty")
    return Demand(roles=roles)


def fresh(*, minutes: float) -> Demand:
    """A proof of identity (a login or re-authentication) at most so many minutes ago. Raises `ValueError` for a time
    that is not positive or has no end, and `TypeError` for what is no number."""
    if isinstance(minutes, bool) or not isinstance(minutes, int | float):
        raise TypeError("a login is fresh for a number of minutes: fresh(minutes=5)")
    return Demand(max_age=minutes * 60)

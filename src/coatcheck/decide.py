"""Every yes and no about a session or an access token that needs no store. Pure: time is an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .errors import (
    ExpiredCredential,
    Forbidden,
    LoginTooOld,
    MalformedCredential,
    RevokedCredential,
    StaleCredential,
)
from .model import Identity, Mode, Session, Standing
from .policy import CLOCK_LEEWAY, Policy

if TYPE_CHECKING:
    from .credentials.jwt import AccessClaims

_ROUNDING: Final = 1
"""``iat`` is cut to whole seconds and ``exp`` follows it, so a lifetime may look one second longer."""


def is_live(session: Session, epoch: int, now: float) -> bool:
    """Whether a session that is not revoked may be used, given its subject's epoch."""
    return session.epoch == epoch and now < session.idle_deadline and now < session.absolute_deadline


def check_access(claims: AccessClaims, policy: Policy, mode: Mode, now: float) -> None:
    """Whether an access token, its signature and types already verified, may be used now (RFC 9068 §4).

    ``mode`` is the mode whose transport carried it: a cookie's token is no bearer token and the other way round.
    Raises `MalformedCredential` or `ExpiredCredential`.
    """
    if claims.iss != policy.issuer:
        raise MalformedCredential("issuer is not ours")
    if claims.aud != policy.audience:
        raise MalformedCredential("audience is not ours")
    if claims.mode != mode:
        raise MalformedCredential("token was issued for another mode")
    if claims.iat > now + CLOCK_LEEWAY:
        raise ExpiredCredential("issued in the future")
    if claims.nbf > now + CLOCK_LEEWAY:
        raise ExpiredCredential("not valid yet")
    if now >= claims.exp:
        raise ExpiredCredential("token has expired")
    if not 0 < claims.exp - claims.iat <= policy.access_lifetime + _ROUNDING:
        raise ExpiredCredential("token lives longer than policy allows")


def check_standing(claims: AccessClaims, standing: Standing) -> None:
    """Whether an access token still says what the store says of its session, which is live. A later epoch or version
    than the store's is of a history that it has lost. Raises `RevokedCredential` or `StaleCredential`."""
    if claims.epoch > standing.epoch:
        raise RevokedCredential("token is of an epoch that the store does not know")
    if claims.ver != standing.version:
        raise StaleCredential("subject has changed since the token was issued")


def access_expiry(session: Session, policy: Policy, issued_at: float) -> float:
    """When an access token issued now ends: after its lifetime, and never after its session."""
    return min(issued_at + policy.access_lifetime, session.idle_deadline, session.absolute_deadline)


def check_role(identity: Identity, role: str) -> None:
    """Raise `Forbidden` unless the subject has exactly this role."""
    if not identity.has_role(role):
        raise Forbidden(f"role {role!r} is needed")


def check_fresh(identity: Identity, max_age: float, now: float) -> None:
    """Raise `LoginTooOld` unless the subject proved who they are within the last ``max_age`` seconds."""
    if now - identity.auth_time > max_age:
        raise LoginTooOld(max_age)

"""Every yes and no about a session or an access token that needs no store. Pure: time is an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from .errors import (
    ExpiredCredential,
    Forbidden,
    LoginTooOld,
    MalformedCredential,
    Rejected,
    RevokedCredential,
    StaleCredential,
)
from .model import PLAIN, Access, Identity, Kind, Mode, Session, Standing
from .policy import CLOCK_LEEWAY, Policy

if TYPE_CHECKING:
    from .credentials.jwt import AccessClaims

MORE: Final = "+"
"""Ends the claim ``mode`` of a token that is no plain login's, so that a version which knows no kinds, and would take
it for one, refuses it."""

_ROUNDING: Final = 1
"""``iat`` is cut to whole seconds and ``exp`` follows it, so a lifetime may look one second longer."""


def is_live(session: Session, epoch: int, now: float) -> bool:
    """Whether a session that is not revoked may be used, given the latest cut-off of its subject's sessions of its
    kind."""
    return session.epoch == epoch and now < session.idle_deadline and now < session.absolute_deadline


def check_access(claims: AccessClaims, policy: Policy, mode: Mode, now: float, *, audience: str = "") -> None:
    """Whether an access token, its signature and types already verified, may be used now (RFC 9068 §4).

    ``mode`` is the mode whose transport carried it: a cookie's token is no bearer token and the other way round.
    ``audience``: whom it must be for, where that is not the policy's.
    Raises `MalformedCredential` or `ExpiredCredential`.
    """
    if claims.iss != policy.issuer:
        raise MalformedCredential("issuer is not ours")
    if claims.aud != (audience or policy.audience):
        raise MalformedCredential("audience is not ours")
    if claims.mode != mode and claims.mode != mode + MORE:
        raise MalformedCredential("token was issued for another mode")
    if claims.iat > now + CLOCK_LEEWAY:
        raise ExpiredCredential("issued in the future")
    if claims.nbf > now + CLOCK_LEEWAY:
        raise ExpiredCredential("not valid yet")
    if now >= claims.exp:
        raise ExpiredCredential("token has expired")
    if not 0 < claims.exp - claims.iat <= policy.access_lifetime + _ROUNDING:
        raise ExpiredCredential("token lives longer than policy allows")


def access_of(claims: AccessClaims, policy: Policy) -> Access:
    """What the token is for, and how far it goes. Raises `MalformedCredential` where its claims make no sense, are
    not announced by its mode, or are of a kind that we do not know."""
    if not claims.mode.endswith(MORE):
        if claims.kind or any(told is not UNSET for told in (claims.scope, claims.act, claims.cnf)):
            raise MalformedCredential("the token of a plain login says more than that")
        return PLAIN
    try:
        kind = Kind(claims.kind or Kind.LOGIN)
        theirs = kind is Kind.GRANT  # also where these are our own names
        return Access(
            kind=kind,
            client=claims.client_id if theirs or claims.client_id != policy.client_id else "",
            audience=claims.aud if theirs or claims.aud != policy.audience else "",
            scopes=None if claims.scope is UNSET else frozenset(claims.scope.split(" ") if claims.scope else ()),
            actor="" if claims.act is UNSET else claims.act.sub,
            bound_key="" if claims.cnf is UNSET else claims.cnf.jkt,
        )
    except (ValueError, Rejected):
        raise MalformedCredential("kind, scope, act or cnf are none that we know") from None


def check_admitted(access: Access, policy: Policy) -> None:
    """Whether an access of this kind is let in here, by nothing but its token. Raises `MalformedCredential`."""
    if access.kind not in policy.kinds:
        raise MalformedCredential(f"of kind {access.kind.value}, which is not among policy.kinds")
    if access.bound_key:
        raise MalformedCredential("bound to a key that was not proved")


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
    """Raise `LoginTooOld` unless the subject proved who they are within the last ``max_age`` seconds: in person, for a
    key that was made just now is no login."""
    if identity.access.kind is not Kind.LOGIN or now - identity.auth_time > max_age:
        raise LoginTooOld(max_age)


def check_person(identity: Identity) -> None:
    """Raise `Forbidden` unless this is the subject in person, with everything that is theirs: `Identity.is_person`."""
    if not identity.is_person:
        raise Forbidden("this is for the subject in person only")

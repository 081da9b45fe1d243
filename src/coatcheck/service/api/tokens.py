"""For other services: introspection (RFC 7662), revocation (RFC 7009) and the public keys (RFC 7517)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ... import decide
from ...adapters.lifespans import auth_of
from ...auth import Auth
from ...credentials.cookies import SECURE
from ...credentials.jwt import AccessClaims
from ...credentials.opaque import REFRESH_PREFIX, SESSION_PREFIX
from ...credentials.transport import Carrier, Credential, bearer, cookie
from ...errors import InvalidCredential, RevokedCredential
from ...model import Access, Kind, Mode, Session
from ...subjects import facts_from
from ..feed import Shared
from .access import ServiceKeys, from_our_pages
from .answers import Act, Active, Confirmation, Inactive, PublicKeys
from .bodies import answer_json, read_token
from .contract import SERVICE_KEY, described
from .events import Nonce, repeated

JWKS_AGE: Final = 300
"""Seconds for which the key set may be cached, and never longer than half of the policy's ``key_lead``."""

_FORM: Final = {"token": True, "token_type_hint": False}


def router(service_keys: ServiceKeys) -> APIRouter:
    """The routes that look at service keys."""
    routes = APIRouter()

    @routes.post(
        "/introspect",
        **described(
            {200: Active | Inactive}, problems=(400, 401, 403, 413, 415, 422), security=SERVICE_KEY, form=_FORM
        ),
    )
    async def introspect(request: Request, nonce: Nonce = None) -> Response:
        """What a token says, if it counts now. Whatever else it is, it is not active."""
        auth = auth_of(request)
        from_our_pages(auth, request)
        service_keys.require(request)
        token = await read_token(request)
        try:
            answer: Active | Inactive = await _introspected(auth, token)
        except InvalidCredential:
            answer = Inactive(active=False)
        response = answer_json(answer)
        response.headers.update(repeated(nonce))
        return response

    @routes.post(
        "/revoke",
        **described(
            {200: "The token counts no more, or never did."},
            problems=(400, 401, 403, 413, 415),
            security=[*SERVICE_KEY, {}],
            form=_FORM,
        ),
    )
    async def revoke(request: Request) -> Response:
        """End a token. A session or refresh token ends its session; an access token only itself."""
        auth = auth_of(request)
        from_our_pages(auth, request)
        service_keys.check_if_given(request)
        token = await read_token(request)
        with suppress(InvalidCredential):  # RFC 7009 §2.2: an invalid token needs no revoking
            await _revoke(auth, token)
        return Response()

    return routes


def keys(auth: Auth, service_keys: ServiceKeys) -> APIRouter:
    """The route of the key set."""
    routes = APIRouter()
    load = Shared(lambda: auth.keys.load())  # the running one's, when it runs

    @routes.get("/.well-known/jwks.json", **described({200: PublicKeys}, problems=(422,)))
    async def jwks(request: Request, nonce: Nonce = None) -> Response:
        """The public keys with which access tokens are verified. With a service key: as they are in the store now."""
        age = min(JWKS_AGE, int(auth.policy.key_lead / 2))
        headers = {"Cache-Control": f"public, max-age={age}"}
        if service_keys.opens(request):
            await load()
            headers = {"Cache-Control": "no-store", **repeated(nonce)}
        keyring = auth.access_tokens.keyring.live(auth.clock.now())
        return JSONResponse(keyring.jwks(), headers=headers)

    return routes


async def _introspected(auth: Auth, token: str) -> Active:
    if token.startswith(REFRESH_PREFIX):
        return await _refresh_token(auth, token)
    if token.startswith(SESSION_PREFIX):
        return await _session_token(auth, token)
    claims = auth.access_tokens.read(token, now=auth.clock.now())
    # Of whatever kind, and whoever it is for: who asks decides whether that is them.
    identity = await auth.verifier.examine(_presented(claims, token))
    # Memory is good for whoever holds it under the lease; who asks may remember the answer under a lease of their own.
    standing = await auth.sessions.find(identity.session_id, now=auth.clock.now())
    if standing is None:
        raise RevokedCredential("session is not live")
    decide.check_standing(claims, standing)
    return Active(
        active=True, token_type="Bearer", sub=identity.subject, sid=identity.session_id, client_id=claims.client_id,
        iss=claims.iss, aud=claims.aud, iat=claims.iat, exp=claims.exp, jti=claims.jti, auth_time=claims.auth_time,
        amr=list(identity.amr), roles=sorted(identity.roles), **_access(identity.access),
    )  # fmt: skip


async def _session_token(auth: Auth, token: str) -> Active:
    identity = await auth.verifier.examine(cookie(Carrier.SESSION_COOKIE, SECURE.session, token))
    standing = await auth.sessions.find(identity.session_id, now=auth.clock.now())
    if standing is None:
        raise RevokedCredential("session is not live")
    return _of_session(auth, standing.session, "session_token", identity.roles)


async def _refresh_token(auth: Auth, token: str) -> Active:
    """Active is the one that would be rotated; the one before it only gives the same successor for a while."""
    session_id, generation = auth.opaque.read_refresh_token(token)
    standing = await auth.sessions.find(session_id, now=auth.clock.now())
    if standing is None or standing.session.generation != generation or standing.session.mode is Mode.SESSION:
        raise RevokedCredential("refresh token is not current")
    facts = await facts_from(auth.subjects, standing.session.subject)
    if facts is None:
        raise RevokedCredential("subject is unknown or disabled")
    return _of_session(auth, standing.session, "refresh_token", standing.session.access.narrowed(facts.roles))


def _of_session(auth: Auth, session: Session, kind: Any, roles: frozenset[str]) -> Active:
    policy, access = auth.policy, session.access
    return Active(
        active=True, token_type=kind, sub=session.subject, sid=session.id, client_id=access.client or policy.client_id,
        iss=policy.issuer, aud=access.audience or policy.audience, iat=int(session.created),
        exp=int(min(session.idle_deadline, session.absolute_deadline)), auth_time=int(session.authenticated),
        amr=list(session.amr), roles=sorted(roles), **_access(access),
    )  # fmt: skip


def _access(access: Access) -> dict[str, Any]:
    """What is not a plain login's."""
    told: dict[str, Any] = {}
    if access.kind is not Kind.LOGIN:
        told["kind"] = access.kind.value
    if access.scopes is not None:
        told["scope"] = " ".join(sorted(access.scopes))
    if access.actor:
        told["act"] = Act(sub=access.actor)
    if access.bound_key:
        told["cnf"] = Confirmation(jkt=access.bound_key)
    return told


async def _revoke(auth: Auth, token: str) -> None:
    if token.startswith(REFRESH_PREFIX):
        await auth.revoke(auth.opaque.read_refresh_token(token)[0])
    elif token.startswith(SESSION_PREFIX):
        await auth.revoke(auth.opaque.read_session_token(token))
    else:
        # Also one that has expired, or seems to have: ending does not depend on the time of day.
        claims = auth.access_tokens.read(token, now=float("-inf"))
        if not await _is_ended(auth, claims, token):
            await auth.revocation.revoke_token(claims.sid, claims.jti)


async def _is_ended(auth: Auth, claims: AccessClaims, token: str) -> bool:
    """Whether the token was revoked already, so that nobody fills the feed with one."""
    try:
        await auth.verifier.examine(_presented(claims, token))
    except RevokedCredential:
        return True
    except InvalidCredential:  # such as one that has expired, but perhaps not by another's clock
        return False
    return False


def _presented(claims: AccessClaims, token: str) -> Credential:
    """As if it had come in what it was issued for."""
    if claims.mode.removesuffix(decide.MORE) == Mode.JWT_COOKIE.value:
        return cookie(Carrier.ACCESS_COOKIE, SECURE.access, token)
    return bearer(token)

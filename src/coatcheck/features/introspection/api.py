"""POST /introspect (RFC 7662)."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ... import decide
from ...adapters.lifespans import auth_of
from ...auth import Auth
from ...credentials.cookies import SECURE
from ...credentials.opaque import REFRESH_PREFIX, SESSION_PREFIX
from ...credentials.transport import Carrier, cookie
from ...errors import InvalidCredential, RevokedCredential
from ...model import Access, Kind, Mode, Session
from ...subjects import facts_from
from ...web.access import ServiceKeys, from_our_pages
from ...web.answers import Act, Active, Confirmation, Inactive
from ...web.bodies import answer_json, read_token
from ...web.contract import SERVICE_KEY, described
from ...web.nonces import Nonce, repeated
from ...web.presented import presented

_FORM: Final = {"token": True, "token_type_hint": False}


def router(service_keys: ServiceKeys) -> APIRouter:
    """The route, for whoever has one of these keys."""
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

    return routes


async def _introspected(auth: Auth, token: str) -> Active:
    if token.startswith(REFRESH_PREFIX):
        return await _refresh_token(auth, token)
    if token.startswith(SESSION_PREFIX):
        return await _session_token(auth, token)
    claims = auth.access_tokens.read(token, now=auth.clock.now())
    # Of whatever kind, and whoever it is for: who asks decides whether that is them.
    identity = await auth.verifier.examine(presented(claims, token))
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

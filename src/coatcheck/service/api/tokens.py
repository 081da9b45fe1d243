"""For other services: introspection (RFC 7662), revocation (RFC 7009) and the public keys (RFC 7517)."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...adapters.lifespans import auth_of
from ...auth import Auth
from ...credentials.jwt import AccessClaims
from ...credentials.opaque import REFRESH_PREFIX, SESSION_PREFIX
from ...errors import InvalidCredential, RevokedCredential
from ...web.access import ServiceKeys, from_our_pages
from ...web.answers import PublicKeys
from ...web.bodies import read_token
from ...web.contract import SERVICE_KEY, described
from ...web.nonces import Nonce, repeated
from ...web.presented import presented
from ..feed import Shared

JWKS_AGE: Final = 300
"""Seconds for which the key set may be cached, and never longer than half of the policy's ``key_lead``."""

_FORM: Final = {"token": True, "token_type_hint": False}


def router(service_keys: ServiceKeys) -> APIRouter:
    """The routes that look at service keys."""
    routes = APIRouter()

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
        await auth.verifier.examine(presented(claims, token))
    except RevokedCredential:
        return True
    except InvalidCredential:  # such as one that has expired, but perhaps not by another's clock
        return False
    return False

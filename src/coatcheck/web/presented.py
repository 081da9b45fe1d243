"""An access token as if it had come in what it was issued for."""

from __future__ import annotations

from .. import decide
from ..credentials.cookies import SECURE
from ..credentials.jwt import AccessClaims
from ..credentials.transport import Carrier, Credential, bearer, cookie
from ..model import Mode


def presented(claims: AccessClaims, token: str) -> Credential:
    """As if it had come in what it was issued for."""
    if claims.mode.removesuffix(decide.MORE) == Mode.JWT_COOKIE.value:
        return cookie(Carrier.ACCESS_COOKIE, SECURE.access, token)
    return bearer(token)

"""What a client sends with each request."""

from __future__ import annotations

from coatcheck import Credentials, Mode
from coatcheck.credentials.cookies import SECURE
from coatcheck.credentials.transport import Carrier, Credential, bearer, cookie


def presented(made: Credentials) -> Credential:
    """What a client of this mode sends with each request."""
    if made.session.mode is Mode.SESSION:
        return cookie(Carrier.SESSION_COOKIE, SECURE.session, made.session_token or "")
    if made.session.mode is Mode.JWT_COOKIE:
        return cookie(Carrier.ACCESS_COOKIE, SECURE.access, made.access_token or "")
    return bearer(made.access_token or "")

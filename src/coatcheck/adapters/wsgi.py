"""WSGI: who is asking, for frameworks of threads. The counterpart of `asgi`, over the same pure pieces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from ..clock import Clock
from ..credentials.transport import Credential
from ..errors import InvalidCredential
from ..model import Identity
from ..policy import Policy
from .asgi import Scope, changes_state, check_origin, credential_of, header, recognise

Environ = Mapping[str, Any]

_HEADERS: Final = (
    ("HTTP_AUTHORIZATION", b"authorization"),
    ("HTTP_COOKIE", b"cookie"),
    ("HTTP_HOST", b"host"),
    ("HTTP_ORIGIN", b"origin"),
    ("HTTP_SEC_FETCH_SITE", b"sec-fetch-site"),
    ("HTTP_X_CSRF_TOKEN", b"x-csrf-token"),
    ("HTTP_USER_AGENT", b"user-agent"),
)
"""The ones that Coatcheck reads. Servers join repeated headers with a comma (RFC 3875 §4.1.18), so that two
Authorization headers are no bearer token in form."""


class BlockingKnower(Protocol):
    """What verifies for an adapter of threads: a `coatcheck.blocking.Auth` or its `RemoteVerifier`."""

    @property
    def policy(self) -> Policy: ...

    @property
    def clock(self) -> Clock: ...

    def known(self, key: str) -> Identity | None:
        """The identity if it is in memory."""

    def verify(self, credential: Credential) -> Identity:
        """The identity. Raises `InvalidCredential` or `StoreUnavailable`."""

    def check_csrf_token(self, token: str, session_id: str) -> None:
        """Raises `CrossSite` unless this is the session's CSRF token."""


def scope_of(environ: Environ) -> Scope:
    """The parts of an ASGI scope that Coatcheck reads, out of a WSGI environment (PEP 3333)."""
    found = [(name, environ[key].encode("latin-1")) for key, name in _HEADERS if environ.get(key)]
    return {
        "type": "http",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "headers": found,
        "root_path": environ.get("SCRIPT_NAME", ""),
        "path": environ.get("PATH_INFO", ""),
        "client": (environ.get("REMOTE_ADDR", ""), 0),
    }


def identify(auth: BlockingKnower, scope: Scope) -> Identity | None:
    """The identity behind a request, None when it presents nothing. `coatcheck.adapters.asgi.identify` for threads.

    Raises `InvalidCredential`, `CrossSite` or `StoreUnavailable`."""
    if not changes_state(scope):
        identity = recognise(auth.known, scope)
        if identity is not None:
            return identity
    credential = credential_of(scope)
    if credential is None:
        return None
    identity = auth.known(credential.key) or auth.verify(credential)
    if credential.carrier.is_cookie and changes_state(scope):
        check_origin(auth, scope, identity.session_id)
    return identity


def identify_leniently(auth: BlockingKnower, scope: Scope) -> Identity | None:
    """As `identify`, but a cookie that is refused counts as none: its browser is anonymous."""
    try:
        return identify(auth, scope)
    except InvalidCredential:
        if header(scope, b"authorization"):
            raise
        return None

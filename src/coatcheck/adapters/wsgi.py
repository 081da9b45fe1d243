"""WSGI: who is asking, for frameworks of threads. The counterpart of `asgi`, over the same pure pieces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, Protocol

from ..clock import Clock
from ..credentials.cookies import SECURE, CookieNames, find_pair, names_for
from ..credentials.csrf import TOKEN_HEADER, Provenance, provenance
from ..credentials.transport import Credential
from ..errors import InvalidCredential, MalformedCredential
from ..model import Identity
from ..policy import Policy
from ..verifier import Known
from . import asgi
from .asgi import Scope, changes_state, check_origin, credential_of, header, origin_of

Environ = Mapping[str, Any]
FormToken = Callable[[], str | None]

FORM_FIELD: Final = "csrf_token"
"""What the field of a form is called in which the session's CSRF token comes."""

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
Authorization headers are no bearer token in form. Joined cookies are not taken apart: a comma may stand in the value of
any cookie, and whoever can plant one of another name must not be able to plant ours with it."""


class BlockingKnower(Protocol):
    """What verifies for an adapter of threads: a `coatcheck.blocking.Auth` or its `RemoteVerifier`."""

    @property
    def policy(self) -> Policy: ...

    @property
    def clock(self) -> Clock: ...

    def known(self, key: bytes, /) -> Identity | None:
        """The identity if it is in memory."""

    def verify(self, credential: Credential) -> Identity:
        """The identity. Raises `InvalidCredential` or `StoreUnavailable`."""

    def check_csrf_token(self, token: str, session_id: str) -> None:
        """Raises `CrossSite` unless this is the session's CSRF token."""


def header_bytes(value: str) -> bytes:
    """A header's value as it was sent. What no server hands over (PEP 3333: latin-1 only) is in no credential."""
    return value.encode("latin-1", "replace")


def path_text(environ: Environ, key: str) -> str:
    """``SCRIPT_NAME`` or ``PATH_INFO`` as text: servers hand over bytes in the disguise of latin-1 (PEP 3333)."""
    value: str = environ.get(key, "")
    return value.encode("latin-1", "replace").decode("utf-8", "replace")


def scope_of(environ: Environ) -> Scope:
    """The parts of an ASGI scope that Coatcheck reads, out of a WSGI environment (PEP 3333)."""
    root_path = path_text(environ, "SCRIPT_NAME").rstrip("/")
    address = environ.get("REMOTE_ADDR")
    return {
        "type": "http",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "headers": [(name, header_bytes(environ[key])) for key, name in _HEADERS if key in environ],
        "root_path": root_path,
        "path": root_path + path_text(environ, "PATH_INFO"),
        "client": (address, int(environ.get("REMOTE_PORT") or 0)) if address else None,
    }


def recognise(known: Known, environ: Environ, scheme: str, host: str) -> Identity | None:
    """`coatcheck.adapters.asgi.recognise` of a request that reads, straight from its environment. ``scheme`` and
    ``host`` are those that the request was made to."""
    authorization: str | None = environ.get("HTTP_AUTHORIZATION")
    if authorization is not None:
        return known(authorization.encode("latin-1", "replace")) if authorization.startswith("Bearer ") else None
    text: str | None = environ.get("HTTP_COOKIE")
    if not text:
        return None
    names = SECURE if scheme == "https" else _names_for(scheme, host)
    if names is None:
        return None
    cookies = text.encode("latin-1", "replace")
    if ";" not in text:
        return known(cookies) if cookies[0] == names.first_byte else None
    try:
        pair = find_pair(cookies, names.session_needle) or find_pair(cookies, names.access_needle)
    except MalformedCredential:
        return None
    return None if pair is None else known(pair)


@lru_cache(maxsize=64)
def _names_for(scheme: str, host: str) -> CookieNames | None:
    return names_for(scheme, header_bytes(host))


def presents_nothing(environ: Environ) -> bool:
    """Whether a request is anonymous for sure, at the price of two lookups."""
    return "HTTP_COOKIE" not in environ and "HTTP_AUTHORIZATION" not in environ


def identify(auth: BlockingKnower, scope: Scope, form_token: FormToken | None = None) -> Identity | None:
    """The identity behind a request, None when it presents nothing. `coatcheck.adapters.asgi.identify` for threads.

    ``form_token`` gives the form's `FORM_FIELD`; it is called only when nothing else shows where the request comes
    from. Raises `InvalidCredential`, `CrossSite` or `StoreUnavailable`."""
    if not changes_state(scope):
        identity = asgi.recognise(auth.known, scope)
        if identity is not None:
            return identity
    credential = credential_of(scope)
    if credential is None:
        return None
    identity = auth.known(credential.key) or auth.verify(credential)
    if credential.carrier.is_cookie and changes_state(scope):
        token = form_token() if form_token is not None and _needs_token(auth, scope) else None
        check_origin(auth, scope, identity.session_id, token)
    return identity


def identify_leniently(auth: BlockingKnower, scope: Scope, form_token: FormToken | None = None) -> Identity | None:
    """As `identify`, but a cookie that is refused counts as none: its browser is anonymous."""
    try:
        return identify(auth, scope, form_token)
    except InvalidCredential:
        if header(scope, b"authorization"):
            raise
        return None


def _needs_token(auth: BlockingKnower, scope: Scope) -> bool:
    if header(scope, TOKEN_HEADER):
        return False
    return provenance(scope["headers"], origin_of(scope), auth.policy.origins) is Provenance.UNKNOWN

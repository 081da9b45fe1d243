"""WSGI: who is asking, for frameworks of threads. The counterpart of `asgi`, over the same pure pieces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, Protocol

from ..clock import Clock
from ..credentials.arrival import ENVIRON, ENVIRON_SIGNS, Arrival, arrival_of_wsgi
from ..credentials.cookies import SECURE, find_pair, over_http
from ..credentials.csrf import SAFE_METHODS, Provenance
from ..credentials.transport import Credential
from ..errors import InvalidCredential, MalformedCredential
from ..model import Identity
from ..policy import Policy
from ..verifier import Known
from . import asgi
from .asgi import ARRIVAL, Scope, check_origin
from .doubts import tell

Environ = Mapping[str, Any]
FormToken = Callable[[], str | None]

FORM_FIELD: Final = "csrf_token"
"""What the field of a form is called in which the session's CSRF token comes."""


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


def arrival_of(environ: Environ) -> Arrival:
    """What came with the request: read at the door, and the same for everybody further in."""
    found: Arrival | None = environ.get(ARRIVAL)
    if found is None:
        found = arrival_of_wsgi(environ)
        if isinstance(environ, MutableMapping):
            environ[ARRIVAL] = found
    return found


def scope_of(environ: Environ) -> Scope:
    """The parts of an ASGI scope that Coatcheck reads, out of a WSGI environment (PEP 3333)."""
    root_path = path_text(environ, "SCRIPT_NAME").rstrip("/")
    address = environ.get("REMOTE_ADDR")
    scope = {
        "type": "http",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "headers": [(name, header_bytes(environ[key])) for key, name in ENVIRON if key in environ],
        "root_path": root_path,
        "path": root_path + path_text(environ, "PATH_INFO"),
        "client": (address, int(environ.get("REMOTE_PORT") or 0)) if address else None,
    }
    if ARRIVAL in environ:
        scope[ARRIVAL] = environ[ARRIVAL]
    return scope


def recognise(known: Known, environ: Environ, scheme: str, host: str) -> Identity | None:
    """`coatcheck.adapters.asgi.recognise` of a request that reads, straight from its environment. ``scheme`` and
    ``host`` are those that the request was made to."""
    authorization: str | None = environ.get("HTTP_AUTHORIZATION")
    if authorization is not None:
        return known(authorization.encode("latin-1", "replace")) if authorization.startswith("Bearer ") else None
    text: str | None = environ.get("HTTP_COOKIE")
    if not text:
        return None
    if scheme == "https":
        names = SECURE
    elif scheme != "http" or (found := over_http[header_bytes(host)]) is None or _is_from_elsewhere(environ):
        return None
    else:
        names = found
    cookies = text.encode("latin-1", "replace")
    if ";" not in text:
        return known(cookies) if cookies[0] == names.first_byte else None
    try:
        pair = find_pair(cookies, names.session_needle) or find_pair(cookies, names.access_needle)
    except MalformedCredential:
        return None
    return None if pair is None else known(pair)


def _is_from_elsewhere(environ: Environ) -> bool:
    return any(map(environ.__contains__, ENVIRON_SIGNS)) and arrival_of(environ).names is None


def presents_nothing(environ: Environ) -> bool:
    """Whether a request is anonymous for sure, at the price of two lookups."""
    return "HTTP_COOKIE" not in environ and "HTTP_AUTHORIZATION" not in environ


def identify(auth: BlockingKnower, scope: Scope, form_token: FormToken | None = None) -> Identity | None:
    """The identity behind a request, None when it presents nothing. `coatcheck.adapters.asgi.identify` for threads.

    ``form_token`` gives the form's `FORM_FIELD`; it is called only when nothing else shows where the request comes
    from. Raises `InvalidCredential`, `CrossSite` or `StoreUnavailable`."""
    return _recognised(auth, scope) or identify_arrival(auth, asgi.arrival_of(scope), form_token)


def identify_leniently(auth: BlockingKnower, scope: Scope, form_token: FormToken | None = None) -> Identity | None:
    """As `identify`, but a cookie that is refused counts as none: its browser is anonymous."""
    return _recognised(auth, scope) or identify_arrival_leniently(auth, asgi.arrival_of(scope), form_token)


def _recognised(auth: BlockingKnower, scope: Scope) -> Identity | None:
    return asgi.recognise(auth.known, scope) if scope["method"] in SAFE_METHODS else None


def identify_arrival(auth: BlockingKnower, arrival: Arrival, form_token: FormToken | None = None) -> Identity | None:
    """As `identify`, for an adapter that has made the `Arrival` itself."""
    tell(auth, arrival)
    credential = arrival.credential
    if credential is None:
        return None
    identity = auth.known(credential.key) or auth.verify(credential)
    if arrival.changes and not arrival.by_bearer:
        token = form_token() if form_token is not None and _needs_token(auth, arrival) else None
        check_origin(auth, arrival, identity.session_id, token)
    return identity


def identify_arrival_leniently(
    auth: BlockingKnower, arrival: Arrival, form_token: FormToken | None = None
) -> Identity | None:
    """As `identify_leniently`, for an adapter that has made the `Arrival` itself."""
    try:
        return identify_arrival(auth, arrival, form_token)
    except InvalidCredential:
        if arrival.by_bearer:
            raise
        return None


def _needs_token(auth: BlockingKnower, arrival: Arrival) -> bool:
    return not arrival.csrf_token and arrival.provenance(auth.policy.origins) is Provenance.UNKNOWN

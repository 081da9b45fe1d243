"""What a request has after `AuthMiddleware`, and Django's requests as Coatcheck reads them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core.signals import setting_changed
from django.http import HttpRequest
from django.urls import Resolver404, resolve

from ..adapters import asgi, wsgi
from ..adapters.asgi import ARRIVAL, Scope
from ..adapters.sent_forms import accepts_pages
from ..credentials.arrival import Arrival, arrival_of_asgi, arrival_of_wsgi
from ..errors import CoatcheckError, ConfigurationError, NotLoggedIn
from ..model import Identity
from ..verifier import Known

if TYPE_CHECKING:
    from .conf import Made

MADE: Final = "coatcheck.made"
"""Key of ``request.META``: what the middleware was made with."""


REFUSAL: Final = "coatcheck.refusal"
"""Key of ``request.META``: what would have refused a request whose view is exempt."""

EXEMPT: Final = "coatcheck_exempt"
"""What a view has that nothing is refused before."""


class Request(HttpRequest):
    """The type of a request that has been through `AuthMiddleware`, for annotations."""

    identity: Identity | None
    """Who is asking, None for nobody."""


class LoggedInRequest(HttpRequest):
    """The type of a request in a view behind a demand of ours, for annotations."""

    identity: Identity


def optional_user(request: HttpRequest) -> Identity | None:
    """Who is asking, or None for nobody: ``request.identity`` with its type.

    Raises `ConfigurationError` when the request has not been through `AuthMiddleware`: it is not known who asks. In a
    view that is exempt it raises what refuses the request: `InvalidCredential`, `CrossSite` or `StoreUnavailable`."""
    made_for(request)
    if REFUSAL in request.META:
        refusal: CoatcheckError = request.META[REFUSAL]
        raise refusal
    identity: Identity | None = request.identity  # type: ignore[attr-defined]  # the middleware has set it
    return identity


def current_user(request: HttpRequest) -> Identity:
    """Who is asking. Raises `NotLoggedIn` for nobody, which is answered with 401."""
    identity = optional_user(request)
    if identity is None:
        raise NotLoggedIn("somebody logged in is needed")
    return identity


def made_for(request: HttpRequest) -> Made:
    """What the middleware that this request has been through was made with. Raises `ConfigurationError`."""
    made: Made | None = request.META.get(MADE)
    if made is None:
        raise ConfigurationError("add 'coatcheck.django.AuthMiddleware' to MIDDLEWARE")
    return made


def recognise(known: Known, request: HttpRequest) -> Identity | None:
    """The hit path of a request that reads; see `coatcheck.adapters.asgi.recognise`."""
    if _believes_proxy():
        return asgi.recognise(known, scope_of(request))
    scope: Scope | None = getattr(request, "scope", None)
    if scope is None:
        environ = request.META
        return wsgi.recognise(known, environ, environ["wsgi.url_scheme"], environ.get("HTTP_HOST", ""))
    return asgi.recognise(known, scope if "scheme" in scope else scope_of(request))


@cache
def _believes_proxy() -> bool:
    """Whether scheme or host may be others than the server says. Kept: asking a setting costs as much as a hit."""
    return bool(settings.SECURE_PROXY_SSL_HEADER or settings.USE_X_FORWARDED_HOST)


def _ask_again(*, setting: str, **_: object) -> None:
    if setting in ("SECURE_PROXY_SSL_HEADER", "USE_X_FORWARDED_HOST"):
        _believes_proxy.cache_clear()


setting_changed.connect(_ask_again, dispatch_uid="coatcheck.proxy")


def arrival_of(request: HttpRequest) -> Arrival:
    """What came with the request: read at the door, and the same for everybody further in. Scheme and host are what
    Django takes them for, so ``SECURE_PROXY_SSL_HEADER`` and ``USE_X_FORWARDED_HOST`` count. Raises Django's
    `DisallowedHost`."""
    found: Arrival | None = request.META.get(ARRIVAL)
    if found is None:
        host = request.get_host() if settings.USE_X_FORWARDED_HOST else None
        scope: Scope | None = getattr(request, "scope", None)
        if scope is None:
            found = arrival_of_wsgi(request.META, scheme=request.scheme, host=host)
        else:  # the headers as they came: Django joins several cookie headers with a comma
            given = {"type": "http", "method": request.method, **scope}
            found = arrival_of_asgi(given, scheme=request.scheme, host=host)
        request.META[ARRIVAL] = found
    return found


def scope_of(request: HttpRequest) -> Scope:
    """The parts of an ASGI scope that Coatcheck reads, with scheme and host as in `arrival_of`."""
    given: Scope | None = getattr(request, "scope", None)
    if given is None:
        scope = {**wsgi.scope_of(request.META), "scheme": request.scheme}
    else:
        # The headers as they came: Django joins several cookie headers with a comma.
        scope = {
            "type": "http",
            "method": request.method,
            "scheme": request.scheme,
            "headers": given["headers"],
            "root_path": given.get("root_path", ""),
            "path": given["path"],
            "client": given.get("client"),
        }
    if settings.USE_X_FORWARDED_HOST:
        host = host_of(request).encode("latin-1", "replace")
        scope["headers"] = [*(item for item in scope["headers"] if item[0] != b"host"), (b"host", host)]
    if ARRIVAL in request.META:
        scope[ARRIVAL] = request.META[ARRIVAL]
    return scope


def host_of(request: HttpRequest) -> str:
    """The host that the request is for. Raises Django's `DisallowedHost`."""
    if settings.USE_X_FORWARDED_HOST:
        return request.get_host()
    host: str = request.META.get("HTTP_HOST", "")
    return host


def wants_page(request: HttpRequest) -> bool:
    """Whether a person goes to a page, and not a program to an API."""
    arrival = arrival_of(request)
    reads = request.method in ("GET", "HEAD") and arrival.navigates and not arrival.by_bearer
    return reads and accepts_pages(request.META.get("HTTP_ACCEPT", ""))


def decides_itself(request: HttpRequest) -> bool:
    """Whether the view that a request is for is exempt, or the mounted service, which decides for itself: some of its
    bearer tokens are service keys, and logging out needs none that is still good."""
    try:
        view = resolve(request.path_info, getattr(request, "urlconf", None)).func
    except Resolver404:
        return False
    return getattr(view, "coatcheck_service", False) is True or getattr(view, EXEMPT, False) is True

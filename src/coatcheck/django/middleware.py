"""Who is asking, for every request: ``request.identity`` and ``request.user``.

Refused before any view are a bad bearer token (401), a cross-site change that rides on a cookie (403), and anything
while it cannot be known who asks (503). A cookie that has ended makes a request anonymous. Views below the mounted
service are left to the service, and before those that are `exempt` nothing is refused.

Django's `CsrfViewMiddleware` and this: a request whose credential was verified here has shown where it comes from (a
bearer token by itself, a cookie by ``Sec-Fetch-Site``, ``Origin`` or the session's token), so Django's check is not
made as well, except of a form with Django's token: one that was made for another login is refused. All other requests
it judges as ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_vary_headers

from ..adapters import asgi, wsgi
from ..adapters.asgi import ARRIVAL, Knower
from ..adapters.problems import INTERNAL, problem_of
from ..credentials.csrf import SAFE_METHODS
from ..credentials.transport import Credential
from ..errors import CoatcheckError
from ..model import Identity
from .conf import Made, made
from .kept import FORGOTTEN, MESSAGES, bind, forget_messages, has_ended
from .refusals import refused
from .requests import MADE, REFUSAL, arrival_of, decides_itself, recognise
from .sent_forms import ShownToUs

if TYPE_CHECKING:
    from .conf import Knower as BlockingKnower

asking: Final[ContextVar[HttpRequest | None]] = ContextVar("coatcheck.asking", default=None)
"""The request that this thread or task answers; what changes a user needs to know whose session to renew."""

COOKIES: Final = "coatcheck.cookies"
"""Key of ``request.META``: each `Cookie` that goes out with the answer."""

_VARY: Final = ("Cookie", "Authorization")
_VARY_ALONE: Final = ", ".join(_VARY)


@dataclass(frozen=True, slots=True)
class Cookie:
    """One of ours, to be set, or with an empty value to be forgotten."""

    name: str
    value: str = field(repr=False)
    secure: bool
    max_age: int | None = None
    """Seconds that it lasts; None: as long as the browser is open."""

    def put(self, response: HttpResponseBase) -> None:
        """Into the answer."""
        response.set_cookie(
            self.name,
            self.value,
            max_age=self.max_age if self.value else 0,
            secure=self.secure,
            httponly=True,
            samesite="Lax",
        )


class AuthMiddleware:
    """``"coatcheck.django.AuthMiddleware"``, after Django's own session and authentication middleware where
    those are: ``request.user`` is this one's word. See the module for what it does.

    Works in synchronous and asynchronous chains; what is in memory is answered without leaving the thread.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._made: Made = made()
        self._async = _Async(self._made.knower)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._acall(request)
        identity = recognise(self._made.knower.known, request) if request.method in SAFE_METHODS else None
        if identity is None and not wsgi.presents_nothing(request.META):
            try:
                identity = wsgi.identify_arrival_leniently(self._made.knower, arrival_of(request))
            except CoatcheckError as error:
                if not decides_itself(request):
                    return refused(request, error)
                request.META[REFUSAL] = error
        self._attach(request, identity)
        token = asking.set(request)
        try:
            return _finished(request, self.get_response(request))
        finally:
            asking.reset(token)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        identity = recognise(self._made.knower.known, request) if request.method in SAFE_METHODS else None
        if identity is None and not wsgi.presents_nothing(request.META):
            try:
                identity = await asgi.identify_arrival_leniently(self._async, arrival_of(request))
            except CoatcheckError as error:
                if not decides_itself(request):
                    return refused(request, error)
                request.META[REFUSAL] = error
        self._attach(request, identity)
        token = asking.set(request)
        try:
            return _finished(request, await self.get_response(request))
        finally:
            asking.reset(token)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """What a view raised of ours is a refusal; a fault of ours is left to whoever looks after faults."""
        if isinstance(exception, CoatcheckError) and problem_of(exception) is not INTERNAL:
            return refused(request, exception)
        return None

    def _attach(self, request: HttpRequest, identity: Identity | None) -> None:
        request.META[MADE] = self._made
        request.identity = identity  # type: ignore[attr-defined]  # `Request` says so to views
        self._made.users.attach(request, identity)
        if hasattr(request, "session"):
            bind(request)
        if identity is None and ARRIVAL in request.META and has_ended(arrival_of(request)):
            forget_messages(request)
        if identity is not None:
            # What Django looks at.
            request._dont_enforce_csrf_checks = (  # type: ignore[attr-defined]
                True if request.method in SAFE_METHODS else ShownToUs(request)
            )


class _Async(Knower):
    """A knower of threads as one of an event loop: what is not in memory is awaited from the background loop."""

    def __init__(self, inner: BlockingKnower) -> None:
        self._inner = inner
        self.policy = inner.policy
        self.clock = inner.clock
        self.known = lambda key: inner.known(key)  # which is another one once it has been started

    async def verify(self, credential: Credential) -> Identity:
        inner = self._inner
        return await inner.arun(lambda knower: knower.verify(credential))

    def check_csrf_token(self, token: str, session_id: str) -> None:
        self._inner.check_csrf_token(token, session_id)


def _finished(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Every answer may depend on who asked; a shared cache, Django's among them, must know."""
    found = response.headers.pop("Vary", None)  # a question that fails would cost as much as a hit
    if found is None:
        response.headers["Vary"] = _VARY_ALONE
    else:
        response.headers["Vary"] = found[1]
        patch_vary_headers(response, _VARY)
    if FORGOTTEN in request.META and MESSAGES not in response.cookies:
        domain, same_site = settings.SESSION_COOKIE_DOMAIN, settings.SESSION_COOKIE_SAMESITE
        response.delete_cookie(MESSAGES, domain=domain, samesite=same_site)
    for cookie in request.META.get(COOKIES, ()):
        cookie.put(response)
        response["Cache-Control"] = "no-store"
    return response

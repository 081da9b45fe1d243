"""Django's own response cache, whether ``@cache_page`` or its middleware: one person's page is never handed to another.

Django looks an answer up by what the view's answer says of ``Vary``, and `AuthMiddleware` says it after ``@cache_page``
has kept the answer. So somebody who is logged in is given nothing from the cache and leaves nothing in it; anonymous
requests use it as ever. That stands in the one place through which all of Django's caches go. Fragments
(``{% cache %}``) and ``django.core.cache`` are the application's to tell apart.
"""

from __future__ import annotations

from functools import wraps
from typing import Any, Final

from django.http import HttpRequest, HttpResponseBase
from django.middleware.cache import FetchFromCacheMiddleware

from ..credentials.cookies import is_ours
from .requests import MADE

_DONE: Final = "coatcheck"


def keep_apart() -> None:
    """Have Django's caches do so in this process. Idempotent."""
    found = FetchFromCacheMiddleware.process_request
    if getattr(found, _DONE, False):
        return

    @wraps(found)
    def process_request(self: FetchFromCacheMiddleware, request: HttpRequest) -> HttpResponseBase | None:
        if _may_be_somebody(request):
            request._cache_update_cache = False  # type: ignore[attr-defined]  # what Django looks at when it keeps
            return None
        return found(self, request)

    setattr(process_request, _DONE, True)
    FetchFromCacheMiddleware.process_request = process_request  # type: ignore[method-assign, assignment]


def _may_be_somebody(request: HttpRequest) -> bool:
    if MADE in request.META:
        identity: Any = request.identity  # type: ignore[attr-defined]  # the middleware has set it
        return identity is not None
    # A cache before the middleware, which knows nobody yet.
    return "HTTP_AUTHORIZATION" in request.META or any(map(is_ours, request.COOKIES))

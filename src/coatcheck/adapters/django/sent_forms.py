"""Forms that people send to a Django project: of another login, or too late."""

from __future__ import annotations

from typing import Final
from weakref import ref

from django.http import HttpRequest, UnreadablePostError

from .requests import arrival_of

_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_FIELD: Final = "csrfmiddlewaretoken"
"""What ``{% csrf_token %}`` calls it."""


class ShownToUs:
    """What stands in ``request._dont_enforce_csrf_checks``: true, for a verified credential has shown where it comes
    from, unless the request is a form with Django's own token. That changes with each login, so Django's check refuses
    a form of a tab that was opened as somebody else.

    Django asks when it is about to check, which is when it reads the form itself."""

    def __init__(self, request: HttpRequest) -> None:
        self._request: ref[HttpRequest] = ref(request)

    def __bool__(self) -> bool:
        request = self._request()
        if request is None or request.content_type not in _FORMS:
            return True
        arrival = arrival_of(request)
        if arrival.by_bearer or arrival.origin != arrival.own_origin:
            return True  # browsers name the origin of every form
        try:
            return _FIELD not in request.POST
        except UnreadablePostError:  # as Django's check passes over it: the view is told
            return True


def is_form(request: HttpRequest) -> bool:
    """Whether a person sends a form, and no script or program."""
    arrival = arrival_of(request)
    by_person = request.META.get("HTTP_SEC_FETCH_MODE", "navigate") == "navigate" and not arrival.by_bearer
    sends = request.method == "POST" and request.content_type in _FORMS
    return by_person and sends and "text/html" in request.META.get("HTTP_ACCEPT", "")


def page_of_form(request: HttpRequest) -> str:
    """The page that the form is on, where the browser says so; the address that it is sent to may be no page."""
    origin, slash, path = request.META.get("HTTP_REFERER", "").removeprefix(f"{request.scheme}://").partition("/")
    found = f"{slash}{path}"
    return found if origin == request.get_host() and not found.startswith("//") and "\\" not in found else ""

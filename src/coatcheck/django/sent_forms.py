"""Forms of another login that people send to a Django project."""

from __future__ import annotations

from typing import Final
from weakref import ref

from django.http import HttpRequest, UnreadablePostError

from ..adapters.sent_forms import FORMS
from .requests import arrival_of

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
        if request is None or request.content_type not in FORMS:
            return True
        arrival = arrival_of(request)
        if arrival.by_bearer or arrival.origin != arrival.own_origin:
            return True  # browsers name the origin of every form
        try:
            return _FIELD not in request.POST
        except UnreadablePostError:  # as Django's check passes over it: the view is told
            return True

"""Django under WSGI: see `django_site`."""

from __future__ import annotations

from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django_site import configure
from shared import ANSWER, GUARDED

configure(__name__)

from coatcheck.django import login_required  # noqa: E402  # it reads the settings


def hello(request: HttpRequest) -> JsonResponse:
    return JsonResponse(ANSWER)


urlpatterns = [path("", login_required(hello) if GUARDED else hello)]
app = get_wsgi_application()

"""Django: the middleware, and a decorator of the view."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings
from shared import GUARDED, SUBJECT, facts, mode, ready

from coatcheck.blocking import Auth

auth = Auth("memory://", subjects=facts)


def configure(urlpatterns: Any) -> None:
    """A project with nothing in it but one view; somebody is logged in."""
    settings.configure(
        ROOT_URLCONF=urlpatterns,
        ALLOWED_HOSTS=["127.0.0.1"],
        SECRET_KEY="not one",
        INSTALLED_APPS=["coatcheck.django"] if GUARDED else [],
        MIDDLEWARE=["coatcheck.django.AuthMiddleware"] if GUARDED else [],
        COATCHECK={"auth": auth},
    )
    django.setup()
    ready(auth.login(SUBJECT, mode=mode()))

"""The service's own pages: signing up, logging in, the account and its devices. Plain HTML forms, no script.

Where the application keeps the users there is no signing up, and where it checks the passwords no changing of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter

from ...auth import Auth
from ...errors import ConfigurationError
from ...features.base import Feature
from ...model import Mode
from ...web import delivery, render
from ...web.visit import Handler, endpoint
from . import account, again, forms, steps

__all__ = ["again", "forms", "router", "steps"]

_ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/", account.home),
    ("GET", "/login", forms.login_page),
    ("GET", "/account", account.account_page),
)
_OF_LOGINS: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("POST", "/account/password", account.change_password),
    ("GET", "/reauthenticate", again.page),
)
_OF_STEPS: Final[tuple[tuple[str, str, Handler], ...]] = (("GET", delivery.STEPS, steps.page),)


def router(auth: Auth, features: Sequence[Feature]) -> APIRouter:
    """The pages' routes and their static files, for the application that has the API's.

    ``POST /login``, ``/reauthenticate`` and ``/logout`` are the API's; it hands forms on to `forms` and `again`. Raises
    `ConfigurationError` when nobody can log in by name and password, or mode ``session`` is not allowed, which pages
    need."""
    if not auth.can_authenticate:
        raise ConfigurationError(
            "the pages need people who log in by name and password: accounts of our own, a UserSource or "
            "ApplicationSubjects(authenticate=...); or leave out the pages"
        )
    if Mode.SESSION not in auth.policy.modes:
        raise ConfigurationError("the pages need mode 'session' among policy.modes: add it, or leave out the pages")
    routes = APIRouter(include_in_schema=False)
    shown = [
        *_ROUTES,
        *(_OF_LOGINS if auth.has_logins else ()),
        *(_OF_STEPS if len(auth.steps) else ()),
        *((page.method, page.path, page.handler) for feature in features for page in feature.pages(auth)),
    ]
    for method, path, handler in shown:
        routes.add_route(path, endpoint(handler), methods=[method], include_in_schema=False)
    routes.add_route("/static/{name}", render.static, methods=["GET"], include_in_schema=False)
    return routes

"""The service's own pages: signing up, logging in, the account and its devices. Plain HTML forms, no script.

Where the application keeps the users there is no signing up, and where it checks the passwords no changing of them.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ...adapters.problems import Problem
from ...auth import Auth
from ...errors import ConfigurationError
from ...model import Mode
from .. import delivery, registration
from . import account, again, devices, forms, render, steps
from .visit import Handler, Visit, endpoint

__all__ = ["again", "forms", "refusal", "router", "steps", "wants_page"]

_ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/", account.home),
    ("GET", "/login", forms.login_page),
    ("GET", "/account", account.account_page),
    ("GET", "/devices", devices.devices_page),
    ("POST", "/devices/others/logout", devices.log_out_others),
    ("POST", "/devices/everywhere/logout", devices.log_out_everywhere),
    ("POST", "/devices/{id}/logout", devices.log_out_one),
    ("POST", "/devices/{id}/label", devices.rename),
)
_OF_ACCOUNTS: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/signup", forms.signup_page),
    ("POST", "/signup", forms.signup),
)
_OF_LOGINS: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("POST", "/account/password", account.change_password),
    ("GET", "/reauthenticate", again.page),
)
_OF_STEPS: Final[tuple[tuple[str, str, Handler], ...]] = (("GET", delivery.STEPS, steps.page),)


def router(auth: Auth) -> APIRouter:
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
        *(_OF_ACCOUNTS if registration.is_offered(auth) else ()),
        *(_OF_LOGINS if auth.has_logins else ()),
        *(_OF_STEPS if len(auth.steps) else ()),
    ]
    for method, path, handler in shown:
        routes.add_route(path, endpoint(handler), methods=[method], include_in_schema=False)
    routes.add_route("/static/{name}", render.static, methods=["GET"], include_in_schema=False)
    return routes


def wants_page(request: Request) -> bool:
    """Whether whoever asks would rather read a page than JSON: a browser that goes to an address."""
    return "text/html" in request.headers.get("accept", "")


async def refusal(request: Request, problem: Problem) -> Response:
    """A friendly page for a refusal, with the bar on top if somebody is logged in."""

    async def refuse(visit: Visit) -> Response:
        return visit.refusal(problem)

    return await endpoint(refuse)(request)

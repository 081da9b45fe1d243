"""The service as an ASGI application: to be mounted into another one, or alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Lifespan

from .. import __version__
from ..adapters.asgi import SECOND
from ..adapters.visits import Entrance
from ..auth import Auth
from ..errors import CoatcheckError, ConfigurationError
from ..features.registry import features_of
from ..model import Mode
from ..policy import HSTS
from ..site import NOBODYS, Site
from ..web import problems
from ..web.access import ServiceKeys
from ..web.answers import Problem
from ..web.contract import SECURITY_SCHEMES
from ..web.delivery import root_of
from ..web.envelope import Envelope
from ..web.metrics import Metrics
from .api import account, events, health, login, sessions, steps, tokens

if TYPE_CHECKING:
    from .. import blocking

_DESCRIPTION: Final = """Sessions and JWTs with the same guarantees. A login is delivered in one of three modes:
`session` (one cookie), `jwt` (bearer tokens) or `jwt-cookie` (the same tokens in cookies). Refusals are
`application/problem+json` with a stable `code`. Over plain http on a loopback address cookies lack `Secure` and their
names the prefix `__Host-` or `__Secure-`, and end with the port unless it is 8000 or 80, as `coatcheck-5000`. HEAD is
answered like GET."""


_PREFIX: Final = re.compile(r"(/[^/?#{}<>\\\s]+)+")


class Service(FastAPI):
    """A FastAPI application whose document says how to authenticate and what a problem looks like."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            components = document.setdefault("components", {})
            steps = "/login/step" in document["paths"]
            components["securitySchemes"] = {
                name: scheme for name, scheme in SECURITY_SCHEMES.items() if steps or name != "attemptCookie"
            }
            components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
            _without_framework_refusals(document)
            self.openapi_schema = document
        return self.openapi_schema


def _without_framework_refusals(document: dict[str, Any]) -> None:
    """FastAPI says that every path parameter may be refused with 422, in a form of its own. Texts never are."""
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    for path in document["paths"].values():
        for operation in path.values():
            if "HTTPValidationError" in str(operation["responses"].get("422", "")):
                del operation["responses"]["422"]


def refuse_second(routes: Iterable[BaseRoute]) -> None:
    """Raise `ConfigurationError` where a service is mounted already: a second one would let nobody in, or everybody."""
    if any(isinstance(getattr(route, "app", None), Service) for route in routes):
        raise ConfigurationError(SECOND)


def auth_app(
    auth: Auth,
    *,
    service_keys: Sequence[str] = (),
    pages: bool = True,
    feed: bool = True,
    site: Site | Mapping[str, Any] = NOBODYS,
) -> FastAPI:
    """The API and the pages, to be mounted: ``app.mount("/auth", auth_app(auth))``.

    The host application runs ``auth.lifespan``; nothing here opens or closes anything. ``service_keys``: with which
    other services may introspect and read ``/metrics``, 32 characters each at least; without any, nobody can.
    ``pages``: also the pages for people, where `has_pages` says that there can be any. ``feed``: also ``/events``, for
    remote verifiers. ``site``: whose pages these are, see `coatcheck.Site`. Raises `ConfigurationError`.
    """
    if not isinstance(auth, Auth):  # who has no type checker takes one of the others, whose names are alike
        raise ConfigurationError("the service in an event loop needs an Auth of its own: coatcheck.Auth(...)")
    keys, hsts = ServiceKeys(service_keys), auth.policy.hsts
    application = _auth_app(auth, keys, pages, feed, Metrics(auth), hsts, Site.of(site))
    application.state.within = True
    return application


def has_pages(auth: Auth | blocking.Auth) -> bool:
    """Whether there can be pages: where people log in by name and password, whoever keeps them, and mode ``session`` is
    allowed."""
    return auth.can_authenticate and Mode.SESSION in auth.policy.modes


def check_prefix(prefix: object) -> None:
    """Raise `ConfigurationError` for what is no place of its own: people would be sent to another host."""
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        raise ConfigurationError("the prefix must begin with a slash and not end with one, as /auth does")


def entrance_of(auth: Auth | blocking.Auth, prefix: str) -> Entrance | None:
    """The pages of the service at ``prefix`` that people are sent to; None where there can be none."""
    if not has_pages(auth):
        return None
    return Entrance(f"{prefix}/login", f"{prefix}/{'reauthenticate' if auth.has_logins else 'login'}")


def alone(
    auth: Auth, *, service_keys: Sequence[str] = (), prefix: str = "/auth", site: Site | Mapping[str, Any] = NOBODYS
) -> FastAPI:
    """The service as an application of its own: `auth_app` under ``prefix``, started and stopped with the server.

    Key set, health and metrics are also at the root, where metrics need no key, and ``/`` leads to the pages. Raises
    `ConfigurationError`."""
    check_prefix(prefix)
    metrics, hsts = Metrics(auth), auth.policy.hsts
    if hsts == HSTS:  # nobody has decided otherwise, and there is nobody else on this host
        hsts = f"{HSTS}; includeSubDomains"
    keys = ServiceKeys(service_keys)
    service = _auth_app(auth, keys, True, True, metrics, hsts, Site.of(site))

    async def home(request: Request) -> Response:
        return RedirectResponse(f"{root_of(request.scope, prefix)}/", 303)

    routes: list[BaseRoute] = [
        *tokens.keys(auth, keys).routes,
        *health.router(metrics, None).routes,
        Route("/", home, methods=["GET"], include_in_schema=False),
        Route(prefix, home, methods=["GET"], include_in_schema=False),
        Mount(prefix, service),
    ]
    # What is under the prefix is counted there.
    return _application(auth, routes, None, hsts, lifespan=auth.lifespan, openapi_url=None)


def _auth_app(
    auth: Auth, service_keys: ServiceKeys, pages: bool, feed: bool, metrics: Metrics, hsts: str, site: Site
) -> FastAPI:
    parts = [login.routes, sessions.routes, tokens.router(service_keys), tokens.keys(auth, service_keys)]
    if feed:
        parts.append(events.router(auth, service_keys))
    if auth.can_authenticate:
        parts.append(login.names)
    if auth.has_logins:
        parts.append(account.routes)
    if len(auth.steps):
        parts.append(steps.routes)
    parts.append(health.router(metrics, service_keys))
    features = features_of(auth)
    with_pages = pages and has_pages(auth)
    routes = [route for part in parts for route in part.routes]
    routes += [route for feature in features for route in feature.routes(auth, service_keys)]
    if with_pages:
        from .pages import router

        routes += router(auth, features).routes
    _check_apart(routes)
    application = _application(auth, routes, metrics, hsts)
    application.state.features = features
    application.state.pages = with_pages
    application.state.site = site
    if with_pages:
        from ..web.render import assets, templates
        from ..web.visit import refusal

        application.state.assets = assets(site)
        application.state.templates = templates(
            frozenset((one.name, one.templates) for one in features if one.templates)
        )
        application.state.shows = refusal
    return application


def _check_apart(routes: Iterable[BaseRoute]) -> None:
    """Raise `ConfigurationError` for two routes of one method and path: the later one would never be asked."""
    seen: set[tuple[str, str]] = set()
    for route in routes:
        for method in getattr(route, "methods", None) or ():
            place = (method, getattr(route, "path", ""))
            if place in seen and method != "HEAD":
                raise ConfigurationError(f"two features answer {method} {place[1]}")
            seen.add(place)


def _application(
    auth: Auth,
    routes: list[BaseRoute],
    metrics: Metrics | None,
    hsts: str,
    *,
    lifespan: Lifespan[Any] | None = None,
    openapi_url: str | None = "/openapi.json",
) -> FastAPI:
    application = Service(
        title="Coatcheck", version=__version__, description=_DESCRIPTION, routes=routes, lifespan=lifespan,
        openapi_url=openapi_url, docs_url=None, redoc_url=None, redirect_slashes=False,
        middleware=[Middleware(Envelope, auth, metrics, hsts)],
        exception_handlers={
            CoatcheckError: problems.on_refusal,
            RequestValidationError: problems.on_invalid,
            HTTPException: problems.on_http,
            ClientDisconnect: problems.on_disconnect,
            Exception: problems.on_fault,
        },
    )  # fmt: skip
    application.state.features = ()
    application.state.pages = False
    application.state.site = NOBODYS
    application.state.within = False
    application.state.shows = None
    application.state.auth = auth  # for whoever looks whether there is a second one
    application.state.hsts = hsts
    return application

"""What is done to a FastAPI application that was given to us, before it serves anybody.

Its routes are looked at (`parameters`), something stands around its router (`routes`), and its OpenAPI document says
which operations ask who is asking. So it is with the FastAPI applications that are mounted in it, and with those in
a Starlette application. No other application of the process is touched, nor FastAPI itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from fastapi import FastAPI, routing
from fastapi.dependencies.models import Dependant
from starlette.applications import Starlette
from starlette.routing import Router

from ..adapters import openapi
from ..adapters.asgi import SECOND, layers
from ..applications import when_given
from ..errors import ConfigurationError
from ..starlette.sending import SentToLogin, on_sent_to_login
from .dependencies import OURS, optional_user
from .routes import Around


def attach(app: object) -> None:
    """Look after this application and those in it, as `mount_auth` and ``lifespan=auth.lifespan`` do. A program that
    only prints its OpenAPI document calls it itself. Again does no harm.

    Raises `ConfigurationError` for a route that would let a request say who is asking, and for a second `Auth`."""
    services: list[Any] = []
    checked: set[int] = set()
    for each in _applications(app, services, set()):
        for route in _routes(each):
            for dependant in _dependants(getattr(route, "dependant", None)):
                OURS.check_scopes(dependant.call, dependant.own_oauth_scopes or ())
                if dependant.call is not None and id(dependant.call) not in checked:
                    checked.add(id(dependant.call))
                    OURS.check(dependant.call)
        Around.put(each.router if isinstance(each, Starlette) else each, attach)
        if isinstance(each, Starlette):  # an application's own handler of exceptions is not asked for this one
            each.exception_handlers.setdefault(SentToLogin, on_sent_to_login)
        if isinstance(each, FastAPI):
            _Document.put(each)
    if any(service.state.auth is not services[0].state.auth for service in services):
        raise ConfigurationError(SECOND)


when_given(attach)


class _Document:
    """An application's own ``openapi`` method, which FastAPI offers for changing the document.

    FastAPI shows what is a dependency of its class SecurityBase: one scheme each, never "or nothing", and each is
    solved anew with every request; three that do nothing make it a third slower. Documents in which none of our
    dependencies stands are left alone."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._before: Callable[[], dict[str, Any]] = app.openapi

    @classmethod
    def put(cls, app: FastAPI) -> None:
        """Once per application; one that has an ``openapi`` of its own keeps what that says."""
        if not isinstance(app.openapi, cls):
            app.openapi = cls(app)  # type: ignore[method-assign]

    def __call__(self) -> dict[str, Any]:
        document = self._before()
        for route in _routes(self._app):
            dependants = _dependants(getattr(route, "dependant", None))
            calls = [found.call for found in dependants if OURS.gives(found.call)]
            needed = any(call is not optional_user for call in calls)
            if calls:
                for method in route.methods or ():
                    openapi.secure(document, route.path_format, method, optional=not needed)
        return document


_SERVICE: Final = "coatcheck.service."
"""The service's own application needs none of it."""


def _applications(app: object, services: list[Any], seen: set[int]) -> Iterator[Starlette | Router]:
    """All that have routes of FastAPI in one, itself included. ``services``: takes those of ours."""
    for layer in layers(app):
        if id(layer) in seen:  # one that is mounted in itself
            return
        seen.add(id(layer))
        if type(layer).__module__.startswith(_SERVICE):
            services.append(layer)
            return
        routes = list(_routes(layer)) if isinstance(layer, Starlette | Router) else []
        if isinstance(layer, FastAPI) or any(hasattr(route, "dependant") for route in routes):
            yield layer  # type: ignore[misc]
        for route in routes:  # what is mounted, at a path or a host, or answers as a route's endpoint
            for inner in (getattr(route, "app", None), getattr(route, "_base_app", None)):  # without its middleware
                yield from _applications(inner, services, seen)


def _routes(app: Any) -> Iterable[Any]:
    """All routes, with what the routers around them add. Newer versions of FastAPI put that together in a function."""
    return getattr(routing, "iter_route_contexts", iter)(getattr(app, "routes", None) or ())


def _dependants(dependant: Dependant | None) -> Iterator[Dependant]:
    """Everything that is called for a route."""
    if dependant is not None:
        yield dependant
        for inner in dependant.dependencies:
            yield from _dependants(inner)

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

from ..adapters import openapi
from ..adapters.asgi import layers
from ..applications import when_given
from .dependencies import OURS, optional_user
from .routes import Around


def attach(app: object) -> None:
    """Look after this application and those in it, as `mount_auth` and ``lifespan=auth.lifespan`` do. A program that
    only prints its OpenAPI document calls it itself. Again does no harm.

    Raises `ConfigurationError` for a route that would let a request say who is asking."""
    for each in _applications(app):
        for route in _routes(each):
            for call in _calls(getattr(route, "dependant", None)):
                if call is not None:
                    OURS.check(call)
        Around.put(each.router)
        _Document.put(each)


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
            calls = [call for call in _calls(getattr(route, "dependant", None)) if OURS.gives(call)]
            needed = any(call is not optional_user for call in calls)
            if calls:
                for method in route.methods or ():
                    openapi.secure(document, route.path_format, method, optional=not needed)
        return document


_SERVICE: Final = "coatcheck.service."
"""The service's own application needs none of it."""


def _applications(app: object) -> Iterator[FastAPI]:
    """All FastAPI applications in one, itself included."""
    for layer in layers(app):
        if type(layer).__module__.startswith(_SERVICE):
            return
        if isinstance(layer, FastAPI):
            yield layer
        for route in _routes(layer):
            inner = getattr(route, "app", None)
            if hasattr(route, "routes") and inner is not None:  # what is mounted, at a path or a host
                yield from _applications(inner)


def _routes(app: Any) -> Iterable[Any]:
    """All routes, with what the routers around them add. Newer versions of FastAPI put that together in a function."""
    return getattr(routing, "iter_route_contexts", iter)(getattr(app, "routes", None) or ())


def _calls(dependant: Dependant | None) -> Iterator[Callable[..., object] | None]:
    """Everything that is called for a route."""
    if dependant is not None:
        yield dependant.call
        for inner in dependant.dependencies:
            yield from _calls(inner)

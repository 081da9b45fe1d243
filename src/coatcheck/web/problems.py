"""Refusals as answers, the framework's own among them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from .. import acts
from ..adapters.lifespans import auth_of
from ..adapters.problems import CONTENT_TYPE, INTERNAL, Problem
from ..adapters.sent_forms import accepts_pages
from ..errors import CoatcheckError, CrossSite, StoreUnavailable
from .bodies import complaint
from .envelope import with_headers
from .refusals import BY_STATUS, invalid_request, public_problem

Shows = Callable[[Request, Problem], Awaitable[Response]]
"""Answers a browser with a page."""

log = logging.getLogger("coatcheck.service")


def problem_response(problem: Problem) -> Response:
    """The answer."""
    return Response(problem.body(), problem.status, dict(problem.headers), CONTENT_TYPE)


def tell_cross_site(request: Request) -> None:
    """Tell that a change came from a page of another site, or could not show that it did not."""
    route = request.scope.get("route")
    auth_of(request).events.emit(acts.CROSS_SITE_REFUSED, method=request.method, route=getattr(route, "path", ""))


async def on_refusal(request: Request, error: Exception) -> Response:
    """For every `CoatcheckError`. What is our own fault is logged; a client learns nothing of it."""
    if not isinstance(error, CoatcheckError):
        raise error
    problem = public_problem(error)
    if isinstance(error, CrossSite):
        tell_cross_site(request)
    if isinstance(error, StoreUnavailable):
        log.warning("cannot answer: %s", error)
    elif problem.status >= 500:
        log.error("cannot answer", exc_info=error)
    return problem_response(problem)


async def on_invalid(request: Request, error: Exception) -> Response:
    """For a query that the framework refuses."""
    if not isinstance(error, RequestValidationError):
        raise error
    return problem_response(invalid_request(complaint(error.errors(), skip=1)).problem)


async def on_http(request: Request, error: Exception) -> Response:
    """For what the framework refuses by status: no such path, wrong method, too large. Browsers get a page."""
    if not isinstance(error, HTTPException):
        raise error
    problem = BY_STATUS.get(error.status_code, INTERNAL if error.status_code >= 500 else BY_STATUS[400])
    if problem.status == 405:
        problem = replace(problem, headers=(("Allow", _allowed(request)),))
    shows: Shows | None = request.app.state.shows
    if shows is not None and problem.status in (404, 405, 413) and accepts_pages(request.headers.get("accept", "")):
        return await shows(request, problem)
    return problem_response(problem)


async def on_disconnect(request: Request, error: Exception) -> Response:
    """For a client that went away while it was sending: nobody reads this."""
    return problem_response(BY_STATUS[400])


async def on_fault(request: Request, error: Exception) -> Response:
    """The last resort. The framework raises the error again afterwards, so that the server logs it."""
    response = problem_response(INTERNAL)
    # This answer is made outside of the envelope.
    response.raw_headers = with_headers(request.scope, response.raw_headers, request.app.state.hsts)
    return response


def _allowed(request: Request) -> str:
    """Every method of this path; the framework only knows those of one route."""
    methods: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))

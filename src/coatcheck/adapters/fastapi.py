"""FastAPI: ``user: CurrentUser`` in a path operation, or ``user: Annotated[Identity, requires("admin")]``.

The application is made with ``FastAPI(lifespan=auth.lifespan)``, where ``auth`` is an `Auth` or a `RemoteVerifier`;
nothing else has to be set up. Everything works in WebSocket routes too, and in whatever is mounted.

A refusal is an ``HTTPException`` (`Refusal`), so it is answered as every other one of the application, ``{"detail":
code}``, with the status and headers of the problem. ``app.add_exception_handler(Refusal, on_refusal)`` makes it
``application/problem+json``. A WebSocket is closed with 4000 + status.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, HTTPException, WebSocketException
from fastapi.openapi.models import HTTPBearer
from fastapi.params import Depends as Dependency
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection
from starlette.responses import Response

from ..auth import Auth
from ..errors import CoatcheckError
from ..model import Identity
from ..remote import RemoteVerifier
from ..verifier import STATE_KEY
from . import demands, openapi
from .asgi import IDENTITY, Knower, Scope, changes_state, identify, identify_leniently, recognise
from .demands import LOGGED_IN, Demand
from .problems import CONTENT_TYPE, Problem, problem_of
from .starlette import lifespans

__all__ = [
    "CurrentUser", "OptionalUser", "Refusal", "auth_of", "current_user", "fresh", "lifespans", "on_refusal",
    "optional_user", "requires",
]  # fmt: skip


class Refusal(HTTPException):
    """Why a request is not let in. ``detail`` is the problem's code."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.status, problem.code, {**dict(problem.headers), "Cache-Control": "no-store"})
        self.problem = problem


async def on_refusal(connection: HTTPConnection, error: Exception) -> Response:
    """Handler of exceptions that answers a `Refusal` with ``application/problem+json``."""
    if not isinstance(error, Refusal):
        raise error
    return Response(error.problem.body(), error.status_code, error.headers, CONTENT_TYPE)


def auth_of(connection: HTTPConnection) -> Auth:
    """The `Auth` of the application that serves this request. Raises `RuntimeError` without its lifespan."""
    auth = _knower_of(connection.scope)
    if not isinstance(auth, Auth):
        raise RuntimeError("this application only verifies: its lifespan is that of a RemoteVerifier")
    return auth


def _knower_of(scope: Scope) -> Knower:
    found = scope.get("state", {}).get(STATE_KEY)
    if not isinstance(found, (Auth, RemoteVerifier)):
        raise RuntimeError(
            "no Auth here: make the outermost application with FastAPI(lifespan=auth.lifespan), "
            "or with lifespan=lifespans(auth.lifespan, your_own)"
        )
    return found


class _Dependency(SecurityBase):
    """What FastAPI shows as a security scheme, for the price of the one call that is needed anyway: three dependencies
    that only name the three schemes would make a request a third slower. See `openapi` for what the names stand for."""

    model = HTTPBearer(description="A session cookie, an access cookie or a bearer token.")
    scheme_name = openapi.LOGGED_IN


class _Demanded(_Dependency):
    """Who is asking, provided that they are what is demanded."""

    def __init__(self, demand: Demand) -> None:
        self._check = demand.check

    async def __call__(self, connection: HTTPConnection) -> Identity:
        scope = connection.scope
        knower = _knower_of(scope)
        identity: Identity | None = scope.get(IDENTITY)
        try:
            if identity is None and not changes_state(scope):
                identity = recognise(knower.known, scope)
            if identity is None:
                identity = await identify(knower, scope)
            scope[IDENTITY] = found = self._check(identity, knower.clock)
            return found
        except CoatcheckError as error:
            raise _refusal(error, scope) from error


class _Optional(_Dependency):
    """Who is asking, or None."""

    scheme_name = openapi.ANYBODY

    async def __call__(self, connection: HTTPConnection) -> Identity | None:
        scope = connection.scope
        if IDENTITY in scope:
            known: Identity | None = scope[IDENTITY]
            return known
        knower = _knower_of(scope)
        try:
            identity = None if changes_state(scope) else recognise(knower.known, scope)
            return identity or await identify_leniently(knower, scope)
        except CoatcheckError as error:
            raise _refusal(error, scope) from error


def _refusal(error: CoatcheckError, scope: Scope) -> Exception:
    problem = problem_of(error)
    if scope["type"] == "websocket":
        return WebSocketException(4000 + problem.status, problem.code)
    return Refusal(problem)


_demanded = cache(_Demanded)
"""One dependency per demand, so that FastAPI solves it once where a router and its route both ask for it."""

current_user: Final = _demanded(LOGGED_IN)
"""Dependency: who is asking. Nobody, or a refused credential: 401; a cross-site change: 403; cannot tell: 503."""

optional_user: Final = _Optional()
"""Dependency: who is asking, or None. A cookie that has ended counts as none, a bad bearer token is a 401."""

CurrentUser = Annotated[Identity, Depends(current_user)]
"""Parameter type of a path operation that needs somebody logged in."""

OptionalUser = Annotated[Identity | None, Depends(optional_user)]
"""Parameter type of a path operation that serves everybody and wants to know who."""


def requires(*roles: str) -> Dependency:
    """Somebody with all of these roles; a missing one: 403. For ``dependencies=[requires("admin")]`` as for
    ``user: Annotated[Identity, requires("admin")]``. Raises `ValueError` without any role."""
    return Dependency(_demanded(demands.requires(*roles)))


def fresh(*, minutes: float) -> Dependency:
    """Somebody who proved who they are (a login or re-authentication) at most so many minutes ago; otherwise 401
    ``login_too_old`` (RFC 9470). Used as `requires` is. Raises `ValueError` for a time that is not positive."""
    return Dependency(_demanded(demands.fresh(minutes=minutes)))


_openapi = FastAPI.openapi


def _openapi_with_alternatives(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, where what stands for our schemes is replaced by them."""
    return openapi.with_alternatives(_openapi(app))


# FastAPI lists one scheme per dependency and has no way to say "or nothing"; `openapi` is the method that it offers for
# changing the document, but no dependency knows its application. So the class's own is changed, which leaves every
# document alone in which none of our dependencies stands.
FastAPI.openapi = _openapi_with_alternatives  # type: ignore[method-assign, assignment]

"""FastAPI: ``user: CurrentUser`` in a path operation, or ``user: Annotated[Identity, requires("admin")]``.

The application is made with ``FastAPI(lifespan=auth.lifespan)``, where ``auth`` is an `Auth` or a `RemoteVerifier`;
nothing else has to be set up. Everything works in WebSocket routes too, and in whatever is mounted. What would let a
request say who is asking is refused when the application starts, see `parameters`.

A person who comes to a page and is nobody is sent to the login page of the service that `mount_auth` has put there, and
back; one whose login is too old, to the page for proving again who they are. Any other refusal, and that of a program,
is an ``HTTPException`` (`Refusal`), so it is answered as every other one of the application, ``{"detail":
code}``, with the status and headers of the problem. ``app.add_exception_handler(Refusal, on_refusal)`` makes it
``application/problem+json``. A WebSocket is closed with 4000 + status; one that was let in ends when its session does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Annotated, Any, Final

from fastapi import Depends, HTTPException, WebSocketException
from fastapi.params import Depends as Dependency
from starlette.requests import HTTPConnection
from starlette.responses import Response

from ..adapters import demands
from ..adapters import lifespans as found
from ..adapters.asgi import IDENTITY, GuardingKnower, Scope, arrival_of, identify, identify_leniently, recognise
from ..adapters.connections import LateGuard
from ..adapters.demands import LOGGED_IN, Demand
from ..adapters.kept import bind
from ..adapters.lifespans import knower_of, lifespans
from ..adapters.problems import CONTENT_TYPE, Problem, problem_of
from ..applications import given
from ..auth import Auth
from ..credentials.csrf import SAFE_METHODS
from ..errors import CoatcheckError, InvalidCredential
from ..model import Identity
from ..starlette.sending import sent
from .parameters import Ours
from .routes import ASKED, LATE, Asked

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
    return found.auth_of(connection)


def _knower_of(scope: Scope) -> GuardingKnower:
    knower = knower_of(scope)
    asked: Asked | None = scope.get(ASKED)
    if asked is None:
        raise RuntimeError(
            "this FastAPI application was not given to us, so nobody has looked at its routes: hand it to the "
            "lifespan, auth.lifespan(app), or call coatcheck.fastapi.attach(app) before it starts"
        )
    if asked.app is not scope.get("app"):  # it stands in ours where nobody saw it, as behind a middleware
        given(scope["app"])
        asked.app = scope["app"]
    asked.yes = True
    return knower


@cache
def _demanded(demand: Demand) -> Callable[[HTTPConnection], Awaitable[Identity]]:
    """The dependency that gives whoever meets the demand. One for each, so that FastAPI solves it once where a router
    and its route both ask for it. Plain functions: FastAPI calls objects and security schemes more slowly."""

    async def user(connection: HTTPConnection) -> Identity:
        scope = connection.scope
        knower = _knower_of(scope)
        try:
            if IDENTITY in scope:  # a middleware has looked, perhaps with another Auth: what it says counts
                found = demand.check(scope[IDENTITY], knower.clock)
                if LATE in scope:  # it has found out, and guards nothing
                    await _guard(knower, scope, found)
                return found
            identity = recognise(knower.known, scope) if scope.get("method") in SAFE_METHODS else None
            if identity is not None:
                if "session" in scope:
                    bind(scope, identity)
                return demand.check(identity, knower.clock)
            found = demand.check(await _identified(knower, scope), knower.clock)
            await _guard(knower, scope, found)
            return found
        except CoatcheckError as error:
            raise _refusal(error, scope) from error

    _DEMANDED[user] = demand
    return user


_DEMANDED: Final[dict[Callable[..., Any] | None, Demand]] = {}
"""What `_demanded` has made."""

current_user: Final = _demanded(LOGGED_IN)
"""Dependency: who is asking. Nobody, or a refused credential: 401; a cross-site change: 403; cannot tell: 503."""


async def optional_user(connection: HTTPConnection) -> Identity | None:
    """Dependency: who is asking, or None. A cookie that has ended counts as none, a bad bearer token is a 401."""
    scope = connection.scope
    if IDENTITY in scope and LATE not in scope:
        known: Identity | None = scope[IDENTITY]
        if ASKED in scope:
            scope[ASKED].yes = True
        return known
    knower = _knower_of(scope)
    try:
        if IDENTITY in scope:  # somebody has found out, and guards nothing
            known = scope[IDENTITY]
            await _guard(knower, scope, known)
            return known
        identity = recognise(knower.known, scope) if scope.get("method") in SAFE_METHODS else None
        if identity is not None:
            if "session" in scope:
                bind(scope, identity)
            return identity
        found = await identify_leniently(knower, scope)
        if "session" in scope:
            bind(scope, found, renewable=arrival_of(scope).may_be_renewed)
        await _guard(knower, scope, found)
        return found
    except CoatcheckError as error:
        raise _refusal(error, scope) from error


async def _identified(knower: GuardingKnower, scope: Scope) -> Identity | None:
    found: Identity | None = None
    try:
        found = await identify(knower, scope)
    except InvalidCredential:
        if "session" in scope and not arrival_of(scope).by_bearer:
            bind(scope, None, renewable=arrival_of(scope).may_be_renewed)
        raise
    if "session" in scope:
        bind(scope, found)
    return found


async def _guard(knower: GuardingKnower, scope: Scope, identity: Identity | None) -> None:
    """A WebSocket ends when the session does, whatever its route does."""
    late: LateGuard | None = scope.get(LATE)
    if late is not None and identity is not None:
        await late.guard(knower, identity)


def _refusal(error: CoatcheckError, scope: Scope) -> Exception:
    problem = problem_of(error)
    if scope["type"] == "websocket":
        return WebSocketException(4000 + problem.status, problem.code)
    return sent(scope, problem) or Refusal(problem)


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


OURS: Final = Ours(demands=_DEMANDED, optional=optional_user, others=(auth_of,))
"""What is a dependency of ours."""

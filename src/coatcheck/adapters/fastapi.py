"""FastAPI: ``user: CurrentUser`` in a path operation.

The application is made with ``FastAPI(lifespan=auth.lifespan)``, where ``auth`` is an `Auth` or a `RemoteVerifier`;
nothing else has to be set up.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException
from starlette.requests import HTTPConnection

from ..auth import Auth
from ..errors import CoatcheckError
from ..model import Identity
from ..remote import RemoteVerifier
from ..verifier import STATE_KEY
from .asgi import IDENTITY, Knower, identify, identify_leniently
from .problems import NOT_LOGGED_IN, Problem, problem_of

__all__ = ["CurrentUser", "OptionalUser", "auth_of", "current_user", "optional_user"]


def auth_of(connection: HTTPConnection) -> Auth:
    """The `Auth` of the application that serves this request."""
    auth = connection.scope.get("state", {}).get(STATE_KEY)
    if not isinstance(auth, Auth):
        raise RuntimeError("no Auth here: make the application with FastAPI(lifespan=auth.lifespan)")
    return auth


def _knower_of(connection: HTTPConnection) -> Knower:
    found = connection.scope.get("state", {}).get(STATE_KEY)
    return found if isinstance(found, RemoteVerifier) else auth_of(connection)


async def optional_user(connection: HTTPConnection) -> Identity | None:
    """Who is asking, or None. A cookie that has ended counts as none, a bad bearer token is a 401."""
    if IDENTITY in connection.scope:
        known: Identity | None = connection.scope[IDENTITY]
        return known
    try:
        return await identify_leniently(_knower_of(connection), connection.scope)
    except CoatcheckError as error:
        raise _refusal(problem_of(error)) from error


async def current_user(connection: HTTPConnection) -> Identity:
    """Who is asking. Nobody, or a credential that is refused: 401; a cross-site change: 403; cannot tell: 503."""
    identity: Identity | None = connection.scope.get(IDENTITY)
    if identity is None:
        try:
            identity = await identify(_knower_of(connection), connection.scope)
        except CoatcheckError as error:
            raise _refusal(problem_of(error)) from error
    if identity is None:
        raise _refusal(NOT_LOGGED_IN)
    return identity


def _refusal(problem: Problem) -> HTTPException:
    return HTTPException(problem.status, problem.code, dict(problem.headers) | {"Cache-Control": "no-store"})


CurrentUser = Annotated[Identity, Depends(current_user)]
"""Parameter type of a path operation that needs somebody logged in."""

OptionalUser = Annotated[Identity | None, Depends(optional_user)]
"""Parameter type of a path operation that serves everybody and wants to know who."""

"""Starlette: ``Middleware(AuthMiddleware, auth=auth)``, and then ``request.user`` and ``@logged_in``.

`AuthMiddleware` refuses what the plain ASGI one refuses (see `asgi`). It gives ``request.user``, a `User` or `Nobody`,
and ``request.auth``, whose scopes are ``authenticated`` and, for each role, ``role:`` and its name: a role that is
called "authenticated" is the scope ``role:authenticated``. So Starlette's own ``@requires`` works as ever, and answers
a bare 403. The decorators here answer with our problems: `logged_in`, `requires` and `fresh`, for every endpoint.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NoReturn, ParamSpec, TypeVar, cast

from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
    UnauthenticatedUser,
)
from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from ..adapters import asgi, demands
from ..adapters.asgi import (
    IDENTITY,
    ASGIApp,
    GuardingKnower,
    Knower,
    Paths,
    Receive,
    Scope,
    Send,
    recognise,
    varied,
)
from ..adapters.demands import Demand
from ..adapters.kept import FOR, OWNER, bind, binding, seal_in
from ..adapters.lifespans import lifespans
from ..adapters.problems import CONTENT_TYPE, INTERNAL, Problem, problem_of
from ..errors import CoatcheckError
from ..model import Identity
from .sending import SentToLogin, sent

__all__ = [
    "AuthMiddleware", "CoatcheckBackend", "Nobody", "Refusal", "User", "current_user", "fresh", "lifespans",
    "logged_in", "on_error", "optional_user", "requires",
]  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")

_CLOCK: Final = "coatcheck.clock"
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class _Shared:
    """What all requests of a credential share: nothing can be set on it, nor taken away."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name}: this is shared by all requests of a credential and cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name}: this is shared by all requests of a credential and cannot be changed")

    @property
    def __dict__(self) -> Mapping[str, Any]:  # type: ignore[override]  # Starlette's classes have one
        return _NOTHING


class User(_Shared, BaseUser):
    """``request.user`` of somebody logged in: one for all requests of a credential, so nothing can be set on it."""

    __slots__ = ("_credentials", "_identity")

    _credentials: AuthCredentials
    _identity: Identity

    def __init__(self, identity: Identity) -> None:
        object.__setattr__(self, "_identity", identity)
        object.__setattr__(self, "_credentials", _Scopes(identity.roles))

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        """The claim ``name`` where the application gives one, otherwise the subject."""
        name = self._identity.claims.get("name")
        return name if isinstance(name, str) else self._identity.subject

    @property
    def identity(self) -> Identity:  # type: ignore[override]  # Starlette leaves it at a text that names the user
        return self._identity


class _Scopes(_Shared, AuthCredentials):
    """``request.auth`` of somebody logged in, who shares it with later requests: it cannot be added to."""

    __slots__ = ("scopes",)

    def __init__(self, roles: frozenset[str]) -> None:
        object.__setattr__(self, "scopes", _scopes_of(roles))  # Starlette has a list, and only looks into it


class Nobody(UnauthenticatedUser):
    """``request.user`` of an anonymous request."""

    @property
    def identity(self) -> None:  # type: ignore[override]  # as above
        return None


class Refusal(HTTPException):
    """A refusal on its way out. Starlette's own handler answers it as ``application/problem+json``."""

    def __init__(self, problem: Problem) -> None:
        headers = {**dict(problem.headers), "Cache-Control": "no-store", "Content-Type": CONTENT_TYPE}
        super().__init__(problem.status, problem.body().decode(), headers)
        self.problem = problem


class _Refused(AuthenticationError):
    """What Starlette's middleware hands to `on_error`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class AuthMiddleware(asgi.AuthMiddleware):
    """`asgi.AuthMiddleware`, which also gives ``request.user`` and ``request.auth``.

    ``service``: where the service is mounted within the application, such as ``/auth``. Its requests are left to it,
    so that a client whose token has ended can still refresh and log in; below it nobody is known. ``exclude`` as
    `asgi.AuthMiddleware` has it: ``request.user`` is `Nobody` there, and the decorators let nobody in. What is given
    neither leaves to itself what one further in does, such as that of ``mount_auth``."""

    def __init__(
        self, app: ASGIApp, auth: GuardingKnower, service: str | None = None, *, exclude: Sequence[str] = ()
    ) -> None:
        """Raises `ConfigurationError` also where one with another ``auth`` is inside: it would have the last word."""
        super().__init__(app, auth, exclude=exclude)
        self._service = Paths(() if service is None else (service,))
        if service is None and not exclude:
            for inner in asgi.layers(app):
                if isinstance(inner, AuthMiddleware):
                    self._service, self._excluded = inner._service, inner._excluded
        self._has_apart = bool(self._service or self._excluded)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._has_apart and self._goes_apart(scope):
            await self.app(scope, receive, send)
            return
        if (method := scope.get("method")) == "GET" or method == "HEAD":  # of HTTP alone: nothing else has one
            identity = recognise(self.auth.known, scope)
            if identity is not None:  # as in the plain one, and without what a call costs
                scope[IDENTITY] = identity
                scope[_CLOCK] = self.auth.clock
                user: Any  # an annotation costs nothing
                try:
                    user = identity._kept
                except AttributeError:
                    user = None
                if user.__class__ is not User:
                    user = _user_of(identity)
                scope["user"] = user
                scope["auth"] = user._credentials
                if "session" in scope:
                    send = binding(scope, identity, send)
                try:
                    await self.app(scope, receive, partial(varied, send))
                except BaseException:
                    seal_in(scope)
                    raise
                return
        await self.look_closely(scope, receive, send)

    def attach(self, scope: Scope, identity: Identity | None) -> None:
        """See `asgi.AuthMiddleware.attach`."""
        scope[_CLOCK] = self.auth.clock
        if identity is None:
            scope["auth"], scope["user"] = AuthCredentials(), Nobody()
        else:
            user = scope["user"] = _user_of(identity)
            scope["auth"] = user._credentials

    def _goes_apart(self, scope: Scope) -> bool:
        if super()._goes_apart(scope):
            return True
        if scope["type"] not in ("http", "websocket") or not self._service.hold(scope):
            return False
        scope[IDENTITY] = None
        self.attach(scope, None)
        return True


class CoatcheckBackend(AuthenticationBackend):
    """The same for Starlette's own ``AuthenticationMiddleware(backend=CoatcheckBackend(auth), on_error=on_error)``,
    which closes a refused WebSocket with 1000; `AuthMiddleware` says why. ``exclude`` as there."""

    def __init__(self, auth: Knower, *, exclude: Sequence[str] = ()) -> None:
        self.auth = auth
        self._excluded = Paths(exclude)

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser]:
        """Raises `AuthenticationError` for what the middleware refuses."""
        scope = conn.scope
        try:
            left_out = self._excluded and self._excluded.hold(scope)
            scope[IDENTITY] = None if left_out else await asgi.identify_leniently(self.auth, scope)
        except CoatcheckError as error:
            raise _Refused(problem_of(error)) from error
        scope[_CLOCK] = self.auth.clock
        if "session" in scope and not left_out:
            _keep_apart(scope)
        if scope[IDENTITY] is None:
            return AuthCredentials(), Nobody()
        user = _user_of(scope[IDENTITY])
        return user._credentials, user


def _keep_apart(scope: Scope) -> None:
    """Without a hand in the answer: what is kept for somebody is marked before there is any."""
    bind(scope, scope[IDENTITY], renewable=asgi.arrival_of(scope).may_be_renewed)
    if scope.get(FOR) is not None and OWNER not in scope["session"]:
        scope["session"][OWNER] = scope[FOR]


def on_error(conn: HTTPConnection, error: Exception) -> Response:
    """The answer to what a `CoatcheckBackend` or a `Refusal` refuses."""
    problem = error.problem if isinstance(error, (_Refused, Refusal)) else INTERNAL
    headers = {**dict(problem.headers), "Cache-Control": "no-store"}
    return Response(problem.body(), problem.status, headers, CONTENT_TYPE)


def optional_user(connection: HTTPConnection) -> Identity | None:
    """Who is asking, or None: ``request.user.identity``, for type checkers too. Raises `RuntimeError` where no
    middleware has looked."""
    identity: Identity | None = connection.scope.get(IDENTITY)
    if identity is None and IDENTITY not in connection.scope:
        raise RuntimeError(
            "nobody has looked who is asking: AuthMiddleware is missing, or stands further in than whatever asks here. "
            "Make the application with middleware=[Middleware(AuthMiddleware, auth=auth), ...], before whatever asks; "
            "mount_auth leaves it where it stands"
        )
    return identity


def current_user(connection: HTTPConnection) -> Identity:
    """Who is asking. Raises `Refusal` (401), or `WebSocketException` (4401), for nobody."""
    return _check(demands.LOGGED_IN, connection)


def requires(*roles: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator of an endpoint: somebody with all of these roles. Nobody gets 401, anybody else 403."""
    return _demanding(demands.requires(*roles))


def fresh(*, minutes: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator of an endpoint: somebody who proved who they are at most so many minutes ago. Otherwise 401."""
    return _demanding(demands.fresh(minutes=minutes))


def logged_in(endpoint: Callable[P, R]) -> Callable[P, R]:
    """Decorator of an endpoint: somebody logged in. Nobody gets 401; a WebSocket is closed with 4401."""
    return _demanding(demands.LOGGED_IN)(endpoint)


def _user_of(identity: Identity) -> User:
    try:
        user = identity._kept
    except AttributeError:
        user = None
    if user.__class__ is not User:
        user = User(identity)
        identity._keep(user)
    return user


@functools.lru_cache(maxsize=1024)
def _scopes_of(roles: frozenset[str]) -> tuple[str, ...]:
    return ("authenticated", *sorted(f"role:{role}" for role in roles))


def _check(demand: Demand, connection: HTTPConnection) -> Identity:
    identity = optional_user(connection)
    try:
        return demand.check(identity, connection.scope[_CLOCK])
    except CoatcheckError as error:
        problem = problem_of(error)
        if connection.scope["type"] == "websocket":
            raise WebSocketException(4000 + problem.status, problem.code) from error
        raise (sent(connection.scope, problem) or Refusal(problem)) from error


def _demanding(demand: Demand) -> Callable[[Callable[P, R]], Callable[P, R]]:
    def decorate(endpoint: Callable[P, R]) -> Callable[P, R]:
        if inspect.isclass(endpoint):
            raise TypeError(f"decorate the methods of {endpoint.__name__}, not the class")
        is_simple = demand == demands.LOGGED_IN
        if not inspect.iscoroutinefunction(endpoint):

            @functools.wraps(endpoint)
            def checked(*args: P.args, **kwargs: P.kwargs) -> Any:
                try:
                    _check(demand, _connection(args, kwargs))
                except SentToLogin as sent_to:
                    return sent_to.answer()
                return endpoint(*args, **kwargs)

            return cast(Callable[P, R], checked)

        @functools.wraps(endpoint)
        async def checked_first(*args: P.args, **kwargs: P.kwargs) -> Any:
            first: Any = args[0] if args else None  # asking an abstract class for its instances costs a microsecond
            connection: HTTPConnection = first if first.__class__ is Request else _connection(args, kwargs)
            if not (is_simple and connection.scope.get(IDENTITY)):
                try:
                    _check(demand, connection)
                except SentToLogin as sent_to:  # answered here: whoever is around has handlers of their own
                    return sent_to.answer()
            return await endpoint(*args, **kwargs)

        return cast(Callable[P, R], checked_first)

    return decorate


def _connection(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> HTTPConnection:
    """The request or WebSocket that an endpoint, which may be a method, is called with."""
    for argument in (*args, *kwargs.values()):
        if isinstance(argument, HTTPConnection):
            return argument
    raise TypeError("an endpoint takes a request or a websocket")

"""Litestar: ``Litestar([...], plugins=[CoatcheckPlugin(auth)])``, and then ``current_user: CurrentUser`` in a handler.

The plugin runs the lifespan of ``auth``, an `Auth` or a `RemoteVerifier`, and adds:

- a middleware: ``request.user`` and ``request.auth`` are the `Identity`, or None. It refuses what the plain ASGI one
  refuses (see `asgi`); a handler with ``exclude_from_auth=True`` is left out and knows nobody;
- two dependencies: ``current_user: CurrentUser`` and ``optional_user: OptionalUser``;
- a handler of exceptions: every `CoatcheckError` is answered with its problem, or closes a WebSocket;
- the security schemes of the OpenAPI document, and which operations need them.

The guards `logged_in`, `requires` and `fresh` go into ``guards=[...]`` of a handler, controller or router.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator, Mapping
from copy import copy
from functools import partial
from types import new_class
from typing import Any, Final, cast

from litestar import Request, Response
from litestar.config.app import AppConfig
from litestar.config.response_cache import ResponseCacheConfig, default_cache_key_builder
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.enums import ScopeType
from litestar.exceptions import WebSocketException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins import InitPlugin, ReceiveRoutePlugin
from litestar.routes import ASGIRoute, BaseRoute, HTTPRoute, WebSocketRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from ..adapters import asgi, demands
from ..adapters.asgi import IDENTITY, GuardingKnower, Knower, identify_leniently, recognise, varied
from ..adapters.connections import serve_guarded
from ..adapters.problems import CONTENT_TYPE, Problem, problem_of
from ..auth import Auth
from ..credentials.cookies import SECURE
from ..errors import CoatcheckError, ConfigurationError
from ..model import Identity
from ..remote import RemoteVerifier
from ..verifier import STATE_KEY
from .cache import apart
from .checks import check_handler
from .kept import bind_sessions

__all__ = [
    "AuthMiddleware", "CoatcheckPlugin", "CurrentUser", "DemandGuard", "OptionalUser", "auth_of", "current_user",
    "fresh", "logged_in", "optional_user", "requires",
]  # fmt: skip

EXCLUDED: Final = "exclude_from_auth"
"""The ``opt`` by which Litestar's own authentication leaves a handler out too."""

IS_SERVICE: Final = "is_coatcheck_service"
"""The ``opt`` of the service's own route handler."""

SECURITY_SCHEMES: Final = {
    "sessionCookie": SecurityScheme(
        type="apiKey", security_scheme_in="cookie", name=SECURE.session, description="Mode session."
    ),
    "accessCookie": SecurityScheme(
        type="apiKey", security_scheme_in="cookie", name=SECURE.access, description="Mode jwt-cookie."
    ),
    "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT", description="Mode jwt."),
}
"""As they are in the service's own document."""

_ANY_OF_THEM: Final[list[dict[str, list[str]]]] = [{name: []} for name in SECURITY_SCHEMES]


def auth_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Auth:
    """The `Auth` of the application that serves this request. Raises `RuntimeError` without the plugin."""
    found = _knower_of(connection.scope)
    if not isinstance(found, Auth):
        raise RuntimeError("this application only verifies: its CoatcheckPlugin has a RemoteVerifier")
    return found


def _knower_of(scope: Scope) -> Knower:
    found: Knower | None = scope["litestar_app"].state.get(STATE_KEY)
    if found is None:
        raise RuntimeError(
            "no Auth here: make the application with Litestar(plugins=[ServicePlugin(...)]), or with "
            "CoatcheckPlugin(auth), which only verifies"
        )
    return found


def _refusal(error: CoatcheckError, scope: Scope) -> Exception:
    """Litestar closes a WebSocket with 4500 over what it does not know. Ours is 4000 + status, so 401 is 4401."""
    if scope["type"] == ScopeType.HTTP:
        return error
    problem = problem_of(error)
    return WebSocketException(detail=problem.code, code=4000 + problem.status)


def _identity_of(scope: Scope) -> Identity | None:
    """From our own key: in ``user`` there may be anything, where another middleware has put it."""
    found: Identity | None = scope.get(IDENTITY)  # type: ignore[assignment]
    return found


def _demand(demand: demands.Demand, scope: Scope) -> Identity:
    try:
        return demand.check(_identity_of(scope), _knower_of(scope).clock)
    except CoatcheckError as error:
        raise _refusal(error, scope) from error


async def current_user(scope: Scope) -> Identity:
    """Dependency: who is asking. Nobody: 401."""
    return _demand(demands.LOGGED_IN, scope)


async def optional_user(scope: Scope) -> Identity | None:
    """Dependency: who is asking, or None."""
    return _identity_of(scope)


CurrentUser = NamedDependency[Identity]
"""Type of the parameter ``current_user`` of a handler, or of a dependency."""

OptionalUser = NamedDependency[Identity | None]
"""Type of the parameter ``optional_user``."""


class DemandGuard:
    """A guard that lets pass whoever meets a `Demand`. A coroutine, for Litestar runs other guards in a thread."""

    def __init__(self, demand: demands.Demand) -> None:
        self.demand = demand

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        # What guards a whole application leaves the way in open, and what Litestar says of methods to everybody.
        if not handler.opt.get(IS_SERVICE) and not _is_litestars(handler):
            _demand(self.demand, connection.scope)


def _is_litestars(handler: BaseRouteHandler) -> bool:
    """Whether it is the handler of OPTIONS that Litestar adds to a path which has none: browsers ask so before they
    send a credential."""
    return handler.fn.__module__ == HTTPRoute.__module__


logged_in: Final = DemandGuard(demands.LOGGED_IN)
"""Guard: somebody, whoever. Nobody: 401."""


def requires(*roles: str) -> DemandGuard:
    """Guard: all of these roles. A missing one: 403. Raises `ValueError` without any."""
    return DemandGuard(demands.requires(*roles))


def fresh(*, minutes: float) -> DemandGuard:
    """Guard: a proof of identity at most so many minutes ago. Older: 401 ``login_too_old``, RFC 9470."""
    return DemandGuard(demands.fresh(minutes=minutes))


class AuthMiddleware:
    """Finds out who is asking. See the module for what it does."""

    def __init__(self, app: ASGIApp, auth: GuardingKnower) -> None:
        self.app = app
        self.auth = auth
        self._handler: object = None
        self._is_left_out = False
        self._next = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """What is awaited after a hit is the application itself: a coroutine in between would cost as much as one."""
        handler = scope["route_handler"]
        if handler is not self._handler:
            self._meet(handler)
        if self._is_left_out:
            return self.app(scope, receive, send)
        plain: asgi.Scope = scope  # type: ignore[assignment]  # a dictionary, of whose keys Litestar knows its own
        if plain["type"] == "http" and ((method := plain["method"]) == "GET" or method == "HEAD"):
            identity = recognise(self.auth.known, plain)
            if identity is not None:
                plain["user"] = plain["auth"] = plain[IDENTITY] = identity
                return self._next(scope, receive, partial(varied, send))  # type: ignore[arg-type]  # the same messages
        return self._look_closely(scope, receive, send)

    async def _look_closely(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything but a hit."""
        plain = cast("asgi.Scope", scope)
        try:
            identity = await identify_leniently(self.auth, plain)
        except CoatcheckError as error:
            raise _refusal(error, scope) from error
        plain["user"] = plain["auth"] = plain[IDENTITY] = identity
        if identity is not None and plain["type"] == "websocket":
            app = cast("asgi.ASGIApp", self.app)
            await serve_guarded(self.auth, identity, app, plain, cast("asgi.Receive", receive), cast("asgi.Send", send))
        elif plain["type"] == "http":
            await self.app(scope, receive, partial(varied, send))  # type: ignore[arg-type]  # as above
        else:
            await self.app(scope, receive, send)

    def _meet(self, handler: BaseRouteHandler) -> None:
        """Take down what does not change from one request of a route to the next.

        Below a route's middleware Litestar puts a second handler of exceptions, so that an answer to one of them passes
        what they do to ``send``. We do nothing to it: where there is no other, the first handler is enough."""
        self._handler = handler
        self._is_left_out = bool(handler.opt.get(EXCLUDED))
        catches = type(self.app).__name__ == "ExceptionHandlerMiddleware"
        is_alone = len(handler.resolve_middleware()) == 1
        self._next = getattr(self.app, "app", self.app) if catches and is_alone else self.app


def response_of(problem: Problem) -> Response[bytes]:
    """A problem as an answer."""
    headers = dict(problem.headers) | {"Cache-Control": "no-store"}
    return Response(problem.body(), status_code=problem.status, headers=headers, media_type=CONTENT_TYPE)


def on_refusal(request: Request[Any, Any, Any], error: CoatcheckError) -> Response[bytes]:
    """Litestar's handler of our exceptions."""
    return response_of(problem_of(error))


class _FromScope(Provide):
    """One of our two dependencies, called with the scope and without detours. Litestar would convert the scope with a
    model of its own, key by key, and await a coroutine within a coroutine: several times what a hit costs."""

    __slots__ = ()

    async def __call__(self, **kwargs: Any) -> Any:
        """See `Provide.__call__`."""
        return kwargs["scope"].get(IDENTITY) or await self.dependency(**kwargs)

    def take_scope_as_it_is(self) -> None:
        """Once it has the model."""
        model: Any = getattr(self, "signature_model", None)
        if model is not None and not issubclass(model, _Unconverted):
            self.signature_model = new_class(model.__name__, (_Unconverted, model))


class _Unconverted:
    """What goes before the model."""

    __slots__ = ()

    @classmethod
    def parse_values_from_connection_kwargs(
        cls, connection: ASGIConnection[Any, Any, Any, Any], kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {"scope": connection.scope}


class CoatcheckPlugin(InitPlugin, ReceiveRoutePlugin):
    """Everything at once; see the module. ``auth`` is an `Auth` or a `RemoteVerifier` that nobody else starts."""

    def __init__(self, auth: Auth | RemoteVerifier) -> None:
        self.auth = auth
        self._cache = ResponseCacheConfig()
        self._provided = (_FromScope(current_user), _FromScope(optional_user))

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """First of all middleware and lifespans; what the application itself has named so stays. Raises
        `ConfigurationError` where there is a plugin of ours already."""
        self._cache = app_config.response_cache_config
        app_config.response_cache_config = apart(self._cache)
        if app_config.state.get(STATE_KEY, self.auth) is not self.auth or self.auth.lifespan in app_config.lifespan:
            raise ConfigurationError(asgi.SECOND)
        app_config.lifespan.insert(0, self.auth.lifespan)
        app_config.middleware.insert(0, DefineMiddleware(AuthMiddleware, auth=self.auth))
        app_config.state[STATE_KEY] = self.auth
        for provide in self._provided:
            app_config.dependencies.setdefault(provide.dependency.__name__, provide)
        app_config.exception_handlers = {CoatcheckError: on_refusal, **app_config.exception_handlers}
        if app_config.openapi_config is not None:
            document = app_config.openapi_config = copy(app_config.openapi_config)  # the default one is everybody's
            given = document.components
            ours = Components(security_schemes=dict(SECURITY_SCHEMES))
            document.components = [*(given if isinstance(given, list) else [given]), ours]
        return app_config

    def receive_route(self, route: BaseRoute) -> None:
        """Say in the OpenAPI document who gets in to which operation.

        Raises `ConfigurationError` for a handler that asks for a user, or is guarded, and whose answers Litestar would
        keep for everybody; what else it keeps is kept of anonymous requests only, see `litestar_cache`. And for one
        that takes who is asking from the request itself, see `litestar_checks`."""
        for provide in self._provided:
            provide.take_scope_as_it_is()
        handlers: Iterable[BaseRouteHandler] = getattr(route, "route_handlers", ())  # of a socket's there is one
        for each in handlers or [cast("WebSocketRoute | ASGIRoute", route).route_handler]:
            check_handler(each, (current_user, optional_user), DemandGuard, current_user)
            bind_sessions(each.resolve_middleware())
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                asked = list(_asked_for(handler.parsed_fn_signature.parameters, handler.resolve_dependencies()))
                key = handler.cache_key_builder or self._cache.key_builder
                asks = bool({current_user, optional_user} & set(asked)) or _is_guarded(handler)
                if handler.cache and key is default_cache_key_builder and asks:
                    raise ConfigurationError(f"{handler}: cache=... needs a cache_key_builder that tells users apart")
                handler.security = [*(handler.security or ()), *_ways_in(handler, asked)]


def _ways_in(handler: HTTPRouteHandler, asked: list[object]) -> list[dict[str, list[str]]]:
    """One entry is enough; an empty one is for nobody. An empty list says nothing."""
    if current_user in asked or _is_guarded(handler):
        return _ANY_OF_THEM
    return [*_ANY_OF_THEM, {}] if optional_user in asked else []


def _is_guarded(handler: HTTPRouteHandler) -> bool:
    return any(isinstance(guard, DemandGuard) for guard in handler.resolve_guards())


def _asked_for(parameters: Iterable[str], providers: Mapping[str, Provide]) -> Iterator[object]:
    """The dependencies of a function, and theirs."""
    for name in parameters:
        if name in providers:
            yield providers[name].dependency
            yield from _asked_for(providers[name].parsed_fn_signature.parameters, providers)

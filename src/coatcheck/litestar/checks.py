"""What a Litestar handler may ask for; looked at when the application is made.

Litestar takes a parameter that is no dependency for a part of the query or, called ``data``, for the body: it would
let a stranger say who they are. Dependencies are found by their names, whatever type a parameter has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, Final, get_args

from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from litestar.utils.sync import AsyncCallable

from ..adapters.demands import Demand
from ..adapters.parameters import NEVER, is_of_ours, is_union, never_of_requests, unaliased
from ..errors import ConfigurationError

_WRITE: Final = "Write `current_user: CurrentUser` or `optional_user: OptionalUser`, under these names."
_WHOLE: Final = ("request", "socket", "scope", "state")
"""What Litestar hands over as it is, and whose types may well name an Identity: ``Request[Identity | None, ...]``."""
_GUARDS: Final = 'guards=[...] takes logged_in, requires("admin") and fresh(minutes=5).'


def check_handler(handler: BaseRouteHandler, provided: tuple[Any, ...], guard: type, somebody: Any) -> None:
    """Raise `ConfigurationError` for a handler that would have a request say who is asking, or that asks nobody.

    ``provided``: our dependencies; ``somebody``: the one that never gives None; ``guard``: the class of our guards."""
    for made in handler.resolve_guards():
        function = made.func if isinstance(made, AsyncCallable) else made
        if is_of_ours(function) or function is guard or isinstance(function, Demand):
            raise ConfigurationError(f"{handler}: {getattr(function, '__name__', function)} is no guard. {_GUARDS}")
    providers = handler.resolve_dependencies()
    for where, name, annotation in _parameters(handler, providers, set()):
        if name in _WHOLE:
            continue
        if name not in providers:
            found = never_of_requests(annotation)
            if found is not None:
                raise ConfigurationError(
                    f"{where}: parameter {name!r}: {found.__name__} is never made of a request. {_WRITE}"
                )
        elif providers[name].dependency is somebody and _may_be_none(unaliased(annotation)):
            raise ConfigurationError(f"{where}: {name} is never None. {_WRITE}")
    for name, provide in providers.items():
        call: Any = provide.dependency
        if call in provided:
            continue
        if (
            is_of_ours(call)
            or isinstance(call, (guard, Demand))
            or (isinstance(call, type) and issubclass(call, NEVER))
        ):
            shown = getattr(call, "__name__", type(call).__name__)
            raise ConfigurationError(f"dependency {name!r}: Provide({shown}) gives nobody who is asking. {_WRITE}")


def _parameters(
    handler: BaseRouteHandler, providers: Mapping[str, Provide], seen: set[str]
) -> Iterator[tuple[str, str, Any]]:
    """Every parameter of a handler and of what it depends on: where, its name, its type."""
    found = [(str(handler), handler.parsed_fn_signature)]
    if (data := handler.parsed_data_field) is not None:  # a listener's is not among its parameters
        yield str(handler), "data", data.raw
    while found:
        where, signature = found.pop()
        for name, field in signature.parameters.items():
            yield where, name, field.raw
            if name in providers and name not in seen:
                seen.add(name)
                found.append((f"dependency {name!r}", providers[name].parsed_fn_signature))


def _may_be_none(annotation: object) -> bool:
    return is_union(annotation) and NoneType in get_args(annotation)

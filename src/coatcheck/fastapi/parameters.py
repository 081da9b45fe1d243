"""What FastAPI must never make of a request.

FastAPI takes a parameter whose type it does not find to be a dependency for a part of the query or the body:
``user: Identity``, ``Annotated[Identity, requires]`` and the like would let a stranger say who they are. And of several
demands in one ``Annotated`` it asks the last one only. Here each is refused, with what to write instead, before an
application that was given to us serves anybody. That an identity cannot be made of data stands in the type itself too
(`coatcheck.model.Identity`), for applications that were not.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, ForwardRef, NoReturn, get_args, get_origin

from fastapi import params
from fastapi.dependencies import utils

from ..adapters.demands import Demand
from ..adapters.parameters import NEVER, is_of_ours, is_union, never_of_requests, unaliased
from ..errors import ConfigurationError

Dependable = Callable[..., Any]

_NAMES: Final = ("CurrentUser", "OptionalUser", "Identity")


@dataclass(frozen=True, slots=True)
class Ours:
    """What the adapter offers."""

    demands: Mapping[Dependable | None, Demand]
    """Our dependencies that refuse, and what each asks for."""
    optional: Dependable
    """The one that gives None for nobody."""
    others: tuple[Dependable, ...]
    """More of ours that are dependencies."""

    def asks(self, mark: object) -> bool:
        """Whether it is a ``Depends`` of one of ours that give an identity."""
        return isinstance(mark, params.Depends) and self.gives(mark.dependency)

    def gives(self, call: object) -> bool:
        """Whether it is one of our dependencies that give an identity. What others have may have no hash."""
        return inspect.isfunction(call) and (call in self.demands or call is self.optional)

    def check(self, call: Callable[..., Any]) -> None:
        """Look at what is called for a route, and at each of its parameters. Raises `ConfigurationError`."""
        self.check_call(call)
        if self.gives(call) or any(call is other for other in self.others):
            return
        for one in utils.get_typed_signature(call).parameters.values():
            self.check_parameter(one.name, one.annotation, one.default)

    def check_parameter(self, name: str, annotation: Any, default: Any) -> None:
        """Raises `ConfigurationError` for one that must not be made of a request."""
        annotation = unaliased(annotation)
        base, marks = _parts(annotation)
        if any(map(_is_unfinished, (*marks, default))) or isinstance(base, params.Depends) or is_of_ours(base):
            _refuse(name)
        found = [mark for mark in marks if isinstance(mark, params.Depends)]
        if any(self.asks(mark) for mark in found) and len(found) > 1:
            self._check_last(name, found)
        if not found and is_union(base) and any(map(self._is_given, get_args(base))):
            _refuse(name, "FastAPI asks nobody where a dependency is part of a union; OptionalUser is None for nobody")
        used = found[-1] if found else default
        if isinstance(used, params.Depends):
            if used.dependency is None:
                self.check_call(base)
        elif never_of_requests(annotation) is not None or _is_forward(annotation):
            _refuse(name, kind=never_of_requests(annotation))

    def check_call(self, call: Any) -> None:
        """Raise `ConfigurationError` for what must not be called with parts of a request."""
        if isinstance(call, params.Depends):
            raise ConfigurationError(
                "requires(...) and fresh(...) are dependencies already: write them without Depends"
            )
        if get_origin(call) is Annotated and never_of_requests(call):
            raise ConfigurationError("CurrentUser is the type of a parameter: write Depends(current_user), or the type")
        while isinstance(call, partial):
            call = call.func
        if isinstance(call, type) and issubclass(call, NEVER):
            raise ConfigurationError(f"Depends({call.__name__}): {call.__name__} is never made of a request. {_WRITE}")
        if self.gives(call) or any(call is other for other in self.others):
            return
        if is_of_ours(call) or (isinstance(call, type) and call.__module__.startswith("coatcheck.")):
            name = getattr(call, "__name__", "")
            how = f"write {name}(...) with what it asks for" if name in ("requires", "fresh") else "it is no dependency"
            raise ConfigurationError(f"Depends({name}) would call it with parts of the request: {how}")

    def check_scopes(self, call: object, scopes: Sequence[str]) -> None:
        """Raise `ConfigurationError` for ``Security(current_user, scopes=["admin"])``: nobody would ask for them."""
        if scopes and self.gives(call):
            raise ConfigurationError(
                "our dependencies do not know scopes of Security, and would let in somebody without: "
                f'write requires("{scopes[0]}") for a role'
            )

    def _is_given(self, annotation: Any) -> bool:
        return any(map(self.asks, _parts(unaliased(annotation))[1]))

    def _check_last(self, name: str, marks: list[params.Depends]) -> None:
        """FastAPI asks the last one only, so that must ask for all that the others do."""
        asked = [self.demands[mark.dependency] for mark in marks if mark.dependency in self.demands]
        last = self.demands.get(marks[-1].dependency)
        if not all(map(self.asks, marks)) or (asked and (last is None or not all(map(last.covers, asked)))):
            _refuse(name, "FastAPI asks the last Depends of an Annotated only; put the others into dependencies=[...]")


_WRITE: Final = (
    "Write `user: CurrentUser`, `user: OptionalUser` (None for nobody), "
    '`user: Annotated[Identity, requires("admin")]`, or `user: Identity = Depends(current_user)`.'
)


def _parts(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(annotation) is not Annotated:
        return annotation, ()
    base, *marks = get_args(annotation)
    return base, tuple(marks)


def _is_unfinished(mark: Any) -> bool:
    """Whether it is of ours, but not what FastAPI takes for a dependency: ``requires`` without its call,
    ``current_user`` without ``Depends``, ``CurrentUser`` where a value is meant."""
    if get_origin(mark) is Annotated:
        return never_of_requests(mark) is not None
    return mark is params.Depends or is_of_ours(mark)


def _is_forward(annotation: Any) -> bool:
    """Whether it is a name that could not be looked up, as one that is imported for type checkers only: FastAPI would
    take it for a part of the query."""
    return isinstance(annotation, ForwardRef) and any(name in annotation.__forward_arg__ for name in _NAMES)


def _refuse(name: str, why: str = "", kind: type | None = None) -> NoReturn:
    reason = why or f"{kind.__name__ if kind else 'who is asking'} is never made of a request"
    raise ConfigurationError(f"parameter {name!r}: {reason}. {_WRITE}")

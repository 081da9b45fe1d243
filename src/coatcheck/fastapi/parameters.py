"""How FastAPI reads the parameters of a route, so that none of ours is ever made of a request.

FastAPI takes a parameter whose type it does not find to be a dependency for a part of the query or the body:
``user: Identity``, ``Annotated[Identity, requires]`` and the like would let a stranger say who they are. Here each is
refused when the route is made, with what to write instead. ``CurrentUser | None`` does what it says, and of several
demands in one ``Annotated`` all are met, where FastAPI asks the last one only.

FastAPI has no hook for this, so two of its functions are replaced: ``analyze_param``, through which every parameter of
every route and dependency goes, and ``get_dependant``, which reads what is to be called. That an identity cannot be
made of data stands in the type itself too (`coatcheck.model.Identity`), for applications that do not load this.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, ForwardRef, NoReturn, get_args, get_origin

from fastapi import params, routing
from fastapi.dependencies import utils
from pydantic.fields import FieldInfo

from ..adapters.demands import LOGGED_IN, Demand
from ..adapters.parameters import NEVER, is_of_ours, is_union, never_of_requests, unaliased
from ..errors import ConfigurationError
from ..model import Identity

Dependable = Callable[..., Any]

_EMPTY: Final = inspect.Parameter.empty
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
    demanded: Callable[[Demand], Dependable]
    """Makes the dependency of a demand."""

    def asks(self, mark: object) -> bool:
        """Whether it is a ``Depends`` of one of ours that give an identity."""
        return isinstance(mark, params.Depends) and self.gives(mark.dependency)

    def gives(self, call: object) -> bool:
        """Whether it is one of our dependencies that give an identity. What others have may have no hash."""
        return inspect.isfunction(call) and (call in self.demands or call is self.optional)

    def read(self, name: str, annotation: Any, default: Any) -> tuple[Any, Any]:
        """A parameter as FastAPI shall see it. Raises `ConfigurationError` for one that must not be."""
        annotation = unaliased(annotation)
        base, marks = _parts(annotation)
        if any(map(_is_unfinished, (*marks, default))) or isinstance(base, params.Depends) or is_of_ours(base):
            _refuse(name)
        found = [mark for mark in marks if isinstance(mark, params.Depends)]
        if any(self.asks(mark) for mark in found) and len(found) > 1:
            return Annotated[base, self._all_of(name, found)], default
        is_field = any(isinstance(mark, FieldInfo) for mark in (*marks, default))
        if not (found or is_field) and is_union(base) and any(map(self._is_given, get_args(base))):
            return self._maybe(name, get_args(base), default), _EMPTY
        used = found[-1] if found else default
        if isinstance(used, params.Security) and used.scopes and self.asks(used):
            _refuse(name, "our dependencies do not know scopes of Security; roles are asked for by requires(...)")
        if isinstance(used, params.Depends):
            if used.dependency is None:
                self.check_call(base)
        elif never_of_requests(annotation) is not None or _is_forward(annotation):
            _refuse(name, kind=never_of_requests(annotation))
        return annotation, default

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

    def _is_given(self, annotation: Any) -> bool:
        return any(map(self.asks, _parts(unaliased(annotation))[1]))

    def _maybe(self, name: str, members: tuple[Any, ...], default: Any) -> Any:
        """What ``CurrentUser | None`` says. Nobody can tell what ``Annotated[Identity, requires("admin")] | None``
        means for somebody else."""
        given = [unaliased(member) for member in members if member is not type(None)]
        marks = [mark for member in given for mark in _parts(member)[1] if isinstance(mark, params.Depends)]
        simple = all(
            mark.dependency is self.optional or self.demands.get(mark.dependency) == LOGGED_IN for mark in marks
        )
        if len(given) != 1 or not simple or default not in (None, _EMPTY):
            _refuse(name, "only CurrentUser may be left open by `| None`")
        return Annotated[Identity | None, params.Depends(self.optional)]

    def _all_of(self, name: str, marks: list[params.Depends]) -> params.Depends:
        """One dependency for several demands."""
        if not all(map(self.asks, marks)):
            _refuse(name, "FastAPI calls the last Depends of an Annotated only; put the others into dependencies=[...]")
        demands = [self.demands[mark.dependency] for mark in marks if mark.dependency in self.demands]
        ages = [demand.max_age for demand in demands if demand.max_age is not None]
        roles = dict.fromkeys(role for demand in demands for role in demand.roles)
        if not demands:
            return marks[-1]
        return params.Depends(self.demanded(Demand(roles=tuple(roles), max_age=min(ages, default=None))))


_WRITE: Final = (
    "Write `user: CurrentUser`, `user: OptionalUser` (None for nobody), "
    '`user: Annotated[Identity, requires("admin")]`, or `user: Identity = Depends(current_user)`.'
)


def install(ours: Ours) -> None:
    """Have FastAPI read parameters so, in every application of this process."""
    analyze, read, listed = utils.analyze_param, utils.get_dependant, utils.get_parameterless_sub_dependant

    def analyze_param(*, param_name: str, annotation: Any, value: Any, **more: Any) -> Any:
        annotation, value = ours.read(param_name, annotation, value)
        return analyze(param_name=param_name, annotation=annotation, value=value, **more)

    def get_dependant(*, call: Any, **more: Any) -> Any:
        ours.check_call(call)
        return read(call=call, **more)

    def get_parameterless_sub_dependant(*, depends: Any, **more: Any) -> Any:
        if _is_unfinished(depends):
            what = 'requires("admin"), fresh(minutes=5) or Depends(current_user)'
            raise ConfigurationError(f"dependencies=[...] takes {what}")
        if isinstance(depends.dependency, params.Depends):
            ours.check_call(depends.dependency)
        return listed(depends=depends, **more)

    utils.analyze_param = analyze_param
    utils.get_dependant = get_dependant
    setattr(routing, listed.__name__, get_parameterless_sub_dependant)  # which has it by its name


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

"""What a framework must never make of a request: parameters of handlers that say who somebody is. Pure.

Frameworks that read annotations take a dataclass for a part of the body, and then a stranger says who they are.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from ..auth import Auth
from ..credentials.arrival import Arrival
from ..credentials.transport import Credential
from ..issuer import Credentials
from ..model import Account, Event, Identity, Profile, Session, Standing, SubjectFacts
from ..policy import Lifetimes, Policy
from ..remote import RemoteVerifier
from ..subjects import Login

NEVER: Final = (
    Identity, Session, Standing, SubjectFacts, Account, Event, Arrival, Credential, Credentials, Login, Policy,
    Lifetimes, Profile, Auth, RemoteVerifier,
)  # fmt: skip
"""Only we say these."""

_INNER: Final = ("coatcheck.service.api.", "coatcheck.service.pages.")
"""The service's own routes."""
_FIELDS: Final = ("__dataclass_fields__", "__struct_fields__", "__attrs_attrs__", "model_fields", "__total__")
"""What classes have that are made of a body, field by field: dataclasses, msgspec's, attrs', pydantic's, TypedDict."""


def never_of_requests(annotation: object) -> type | None:
    """The first type among `NEVER` that an annotation names, however deep: also in a union, in what a container
    holds, and among the fields of a model."""
    return next(_named(annotation, set()), None)


def is_union(annotation: object) -> bool:
    """Whether it is ``X | Y``, ``Optional[X]`` or ``Union[X, Y]``."""
    return get_origin(annotation) in (Union, types.UnionType)


def unaliased(annotation: Any) -> Any:
    """What an alias of PEP 695 (``type Me = ...``) stands for; anything else as it is."""
    while type(annotation).__name__ == "TypeAliasType":
        annotation = annotation.__value__
    return annotation


def is_of_ours(function: Any) -> bool:
    """Whether it is one of our functions or methods, wrapped or not, and none of the service's own routes."""
    while isinstance(function, partial):
        function = function.func
    if not inspect.isroutine(function):
        return False
    module = getattr(inspect.unwrap(function), "__module__", None) or ""
    return module.startswith("coatcheck.") and not module.startswith(_INNER)


def _named(annotation: object, seen: set[int]) -> Iterator[type]:
    annotation = unaliased(annotation)
    if id(annotation) in seen:
        return
    seen.add(id(annotation))
    if isinstance(annotation, type) and issubclass(annotation, NEVER):
        yield annotation
    elif isinstance(annotation, type) and any(hasattr(annotation, name) for name in _FIELDS):
        for hint in _hints(annotation):
            yield from _named(hint, seen)
    for inner in get_args(annotation):
        yield from _named(inner, seen)


def _hints(model: type) -> list[Any]:
    try:
        return list(get_type_hints(model, include_extras=True).values())
    except (
        NameError,
        TypeError,
        AttributeError,
        SyntaxError,
    ):  # names that cannot be looked up; the framework says so itself
        return []

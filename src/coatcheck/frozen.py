"""Data that cannot be changed, down to its last list: what an Identity shows is shared by all requests of a credential.

A frozen mapping is a ``dict`` and a frozen list a ``list``, so that whatever writes JSON writes them as ever, and they
compare as ever. Whatever would change one raises `TypeError`; ``copy()``, and the functions of `copy` and `pickle`,
give ordinary ones that may be changed.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Never
from uuid import UUID

_PLAIN: Final = (
    type(None), bool, int, float, str, bytes, frozenset, datetime.date, datetime.time, datetime.timedelta,
    datetime.tzinfo, Decimal, UUID, Enum,
)  # fmt: skip
"""What cannot be changed by itself."""


def _refuse(self: object, *args: object, **kwargs: object) -> Never:
    raise TypeError("this is shared by all requests of a credential and cannot be changed; copy() gives one that can")


class FrozenDict(dict[str, Any]):
    """A dictionary that cannot be changed."""

    __slots__ = ("__weakref__",)

    def __new__(cls, items: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> FrozenDict:
        made = super().__new__(cls)
        dict.update(made, items)
        return made

    def __init__(self, items: object = ()) -> None:
        """It has been filled."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def copy(self) -> dict[str, Any]:
        """One that may be changed, down to its last list."""
        return {name: thawed(value) for name, value in self.items()}

    __copy__ = copy

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self.copy(),)


class FrozenList(list[Any]):
    """A list that cannot be changed."""

    __slots__ = ()

    def __new__(cls, items: Iterable[Any] = ()) -> FrozenList:
        made = super().__new__(cls)
        list.extend(made, items)
        return made

    def __init__(self, items: object = ()) -> None:
        """It has been filled."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = remove = pop = clear = sort = reverse = _refuse

    def copy(self) -> list[Any]:
        """One that may be changed, down to its last list."""
        return [thawed(value) for value in self]

    __copy__ = copy

    def __deepcopy__(self, memo: object) -> list[Any]:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self.copy(),)


def frozen(items: Mapping[str, Any]) -> FrozenDict:
    """A copy of a mapping that cannot be changed, nor anything in it; itself, where it is one.

    Raises `TypeError` for what could be changed all the same, such as an object of the application's."""
    if items.__class__ is FrozenDict:
        return items
    if items.__class__ is not dict and not isinstance(items, Mapping):
        raise TypeError(f"claims are a mapping of names to values, not {type(items).__name__}")
    return FrozenDict({name: _frozen(value) for name, value in items.items()})


def thawed(value: Any) -> Any:
    """The same, as an ordinary dictionary or list where it is one of ours."""
    return value.copy() if isinstance(value, (FrozenDict, FrozenList)) else value


def _frozen(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        return frozen(value)
    if isinstance(value, list):
        return value if value.__class__ is FrozenList else FrozenList(map(_frozen, value))
    if isinstance(value, tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, (set, frozenset)):
        return frozenset(value)
    raise TypeError(f"claims are what JSON can say: texts, numbers, lists and mappings, not {type(value).__name__}")

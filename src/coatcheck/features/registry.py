"""Which features there are: those that the service has of itself, and those of other packages."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

from ..auth import Auth
from ..errors import ConfigurationError
from .base import Feature, Off

BUILT_IN: Final = {
    "registration": "coatcheck.features.registration:Registration",
    "devices": "coatcheck.features.devices:Devices",
    "introspection": "coatcheck.features.introspection:Introspection",
    "admin": "coatcheck.features.admin:Admin",
}
"""On, unless an application names `Off` or another one of the name."""
GROUP: Final = "coatcheck.features"
"""The entry points by which other packages make theirs known to the command and its settings."""


def features_of(auth: Auth) -> tuple[Feature, ...]:
    """What a service of this `Auth` has, in the order of its routes. Raises `ConfigurationError` where one is to be off
    that is not on of itself: it may be misspelt, and another one would stay on."""
    unknown = [one.name for one in auth.features if isinstance(one, Off) and one.name not in BUILT_IN]
    if unknown:
        raise ConfigurationError(f"nothing called {unknown[0]} is on of itself; there are {', '.join(BUILT_IN)}")
    own = {feature.name: feature for feature in auth.features}
    found = [own.pop(name) if name in own else _load(place)() for name, place in BUILT_IN.items()]
    return tuple(feature for feature in (*found, *own.values()) if not isinstance(feature, Off))


def known() -> dict[str, type[Feature]]:
    """The features of other packages, by name; imports them."""
    return {point.name: _checked(point.name, point.load()) for point in entry_points(group=GROUP)}


def names() -> Sequence[str]:
    """Of those of other packages; imports none."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def kind_of(name: str) -> type[Feature]:
    """The feature of this name. Raises `ConfigurationError`."""
    place = BUILT_IN.get(name)
    found = _load(place) if place else known().get(name)
    if found is None:
        there = ", ".join((*BUILT_IN, *names()))
        raise ConfigurationError(f"there is no feature called {name}; there are {there}")
    return found


def _load(place: str) -> type[Feature]:
    module, _, name = place.partition(":")
    found: type[Feature] = getattr(import_module(module), name)
    return found


def _checked(name: str, found: object) -> type[Feature]:
    if not (isinstance(found, type) and issubclass(found, Feature)) or found.name != name:
        raise ConfigurationError(f"the entry point {name} of {GROUP} is no feature of that name")
    return found

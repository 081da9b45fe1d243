"""What a feature may contribute. All of it may be left out.

A feature is one object that an application names, ``Auth(url, features=[Notes()])``, and one folder that holds all of
it. It changes sessions through `Issuer` and `Revocation` alone, and imports no other feature.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from ..acts import ACTS
from ..errors import ConfigurationError

if TYPE_CHECKING:
    import click
    from sqlalchemy import MetaData
    from starlette.routing import BaseRoute

    from ..auth import Auth
    from ..events import Act, SecurityEvent
    from ..logins import Step
    from ..web.access import ServiceKeys
    from ..web.visit import Handler

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")


@dataclass(frozen=True, slots=True)
class Link:
    """A way to a page of the feature's."""

    path: str
    """Below the service, as ``/notes``."""
    label: str
    before: str = ""
    """What is said before it: "No account yet?"."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page, or what a form of one is sent to. It finds out who is asking, and refuses forms of other sites."""

    method: str
    path: str
    handler: Handler


@dataclass(frozen=True, slots=True)
class Finding:
    """What the doctor has found."""

    well: bool
    text: str
    """What was looked at, in a few words."""
    cure: str = ""
    """What to do, where it is not well."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables of its own, whose names begin with ``coatcheck_`` and the feature's name, and the Alembic branch that
    makes them: a folder with ``versions``. One branch knows nothing of another, nor of the core's."""

    metadata: MetaData = field(repr=False)
    migrations: Path


class Feature:
    """Derive from it and say what there is; the rest is nothing."""

    name: str = ""
    """Small letters, digits and ``_``: in settings, on the command line, in the database."""
    tables: Tables | None = None
    acts: tuple[Act, ...] = ()
    """What it tells of with ``auth.events.emit``, beside the core's."""
    templates: str = ""
    """The package whose folder ``templates`` has the templates of its pages, which are called ``NAME/page.html``."""
    Settings: type[msgspec.Struct] | None = None
    """What ``[features.NAME]`` may say. Its fields are the keyword arguments of the class."""

    @classmethod
    def from_settings(cls, given: Mapping[str, Any]) -> Self:
        """The feature as the settings want it. Raises `ConfigurationError` for what they may not say."""
        if cls.Settings is None:
            if given:
                raise ConfigurationError(f"features.{cls.name} has no settings")
            return cls()
        try:
            settings = msgspec.convert(given, cls.Settings, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"features.{cls.name}: {error}") from None
        unknown = sorted(given.keys() - {one.name for one in msgspec.structs.fields(cls.Settings)})
        if unknown:
            raise ConfigurationError(f"features.{cls.name} has no setting {unknown[0]}")
        return cls(**msgspec.structs.asdict(settings))

    async def start(self, auth: Auth) -> None:
        """Called when the `Auth` has started. Raises `ConfigurationError` for what it needs and is not there, with
        nothing left open: the `Auth` closes again, and `stop` is called for those alone that had started."""

    async def stop(self) -> None:
        """Called before the `Auth` closes, after the last upkeep, the last one that started first. Must not raise."""

    async def upkeep(self, auth: Auth) -> None:
        """Called every five minutes or so, in every process: bounded, harmless beside itself and again. Raises
        `StoreUnavailable` to be put off. Whatever else it raises is logged, and it is called again."""

    def happened(self, event: SecurityEvent) -> None:
        """Called with every event. It must not wait."""

    def steps(self) -> Sequence[Step]:
        """Second factors, as steps of a login."""
        return ()

    def routes(self, auth: Auth, keys: ServiceKeys) -> Sequence[BaseRoute]:
        """Of the API, below the service. ``keys``: the service's, for routes that other services call."""
        return ()

    def pages(self, auth: Auth) -> Sequence[Page]:
        """Of the service, where it has any."""
        return ()

    def navigation(self, auth: Auth) -> Sequence[Link]:
        """On the bar of somebody who is logged in."""
        return ()

    def entries(self, auth: Auth) -> Sequence[Link]:
        """Below the form on the login page."""
        return ()

    def sections(self, auth: Auth) -> Sequence[str]:
        """Templates that are included into the account page, which have what that page has."""
        return ()

    @classmethod
    def commands(cls) -> Sequence[click.Command]:
        """Of ``coatcheck``, wherever the package is installed."""
        return ()

    async def checks(self, auth: Auth) -> Sequence[Finding]:
        """For ``coatcheck doctor``."""
        return ()


class Off(Feature):
    """In the place of a feature that is on of itself: ``features=[Off("admin")]``."""

    def __init__(self, name: str) -> None:
        self.name = name


def checked(features: object) -> tuple[Feature, ...]:
    """These features. Raises `ConfigurationError` for what is none, a name that is none, and two of one name, be it
    of features or of what they tell."""
    if isinstance(features, str | bytes | Mapping | Feature) or not isinstance(features, Iterable):
        raise ConfigurationError("features is a list: features=[Notes()]")
    found: dict[str, Feature] = {}
    acts = {act.name: "Coatcheck" for act in ACTS}
    for each in features:
        if isinstance(each, type) or not isinstance(each, Feature):
            kind = each.__name__ if isinstance(each, type) else type(each).__name__
            raise ConfigurationError(f"{kind} is no feature: name objects, features=[Notes()]")
        if not NAME.fullmatch(each.name):
            raise ConfigurationError(f"{each.name!r} is no name of a feature: small letters, digits and _")
        if each.name in found:
            raise ConfigurationError(f"there are two features called {each.name}")
        if each.tables is not None:
            own = f"coatcheck_{each.name}"
            wrong = [one for one in each.tables.metadata.tables if one != own and not one.startswith(f"{own}_")]
            if wrong:
                raise ConfigurationError(f"the table {wrong[0]} of the feature {each.name} must begin with {own}")
        for act in each.acts:
            if act.name in acts:
                raise ConfigurationError(f"{acts[act.name]} has an act {act.name} already, and so has {each.name}")
            acts[act.name] = each.name
        found[each.name] = each
    return tuple(found.values())

"""What a token says, for services in other languages: ``/introspect`` (RFC 7662)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..base import Feature

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from ...auth import Auth
    from ...web.access import ServiceKeys

__all__ = ["Introspection"]


class Introspection(Feature):
    """For whoever has one of the service's keys; without any, it answers nobody."""

    name = "introspection"

    def routes(self, auth: Auth, keys: ServiceKeys) -> Sequence[BaseRoute]:
        """See `Feature.routes`."""
        from . import api

        return api.router(keys).routes

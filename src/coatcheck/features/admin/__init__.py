"""Subjects and their sessions, for administrators: ``/admin/subjects`` and ``/admin/invitations``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..base import Feature

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from ...auth import Auth
    from ...web.access import ServiceKeys

__all__ = ["Admin"]


class Admin(Feature):
    """For whoever has the role ``admin``. Accounts and invitations where there are accounts of ours."""

    name = "admin"

    def routes(self, auth: Auth, keys: ServiceKeys) -> Sequence[BaseRoute]:
        """See `Feature.routes`."""
        from . import api

        found: list[BaseRoute] = [*api.routes.routes]
        if auth.has_accounts:
            found += api.accounts.routes
            if auth.policy.registration != "closed":
                found += api.invitations.routes
        return found

"""Accounts that people make for themselves: open to everybody, by invitation, or closed (`Policy.registration`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..base import Feature, Link, Page

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from ...auth import Auth
    from ...web.access import ServiceKeys

__all__ = ["Registration"]


class Registration(Feature):
    """``POST /register`` and the sign-up page, where there are accounts of ours and registration is not closed."""

    name = "registration"
    templates = "coatcheck.features.registration"

    def routes(self, auth: Auth, keys: ServiceKeys) -> Sequence[BaseRoute]:
        """See `Feature.routes`."""
        from . import api, rules

        return api.routes.routes if rules.is_offered(auth) else ()

    def pages(self, auth: Auth) -> Sequence[Page]:
        """See `Feature.pages`."""
        from . import pages, rules

        if not rules.is_offered(auth):
            return ()
        return (Page("GET", "/signup", pages.signup_page), Page("POST", "/signup", pages.signup))

    def entries(self, auth: Auth) -> Sequence[Link]:
        """See `Feature.entries`."""
        from . import rules

        if not rules.is_offered(auth) or rules.needs_invitation(auth):
            return ()
        return (Link("/signup", "Sign up", "No account yet?"),)

"""The pages of the devices: where somebody is logged in, and ending it there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..base import Feature, Link, Page

if TYPE_CHECKING:
    from ...auth import Auth

__all__ = ["Devices"]


class Devices(Feature):
    """``/devices``, a way to it on the bar, and one on the account page."""

    name = "devices"
    templates = "coatcheck.features.devices"

    def pages(self, auth: Auth) -> Sequence[Page]:
        """See `Feature.pages`."""
        from . import pages

        return (
            Page("GET", "/devices", pages.devices_page),
            Page("POST", "/devices/others/logout", pages.log_out_others),
            Page("POST", "/devices/everywhere/logout", pages.log_out_everywhere),
            Page("POST", "/devices/{id}/logout", pages.log_out_one),
            Page("POST", "/devices/{id}/label", pages.rename),
        )

    def navigation(self, auth: Auth) -> Sequence[Link]:
        """See `Feature.navigation`."""
        return (Link("/devices", "Devices"),)

    def sections(self, auth: Auth) -> Sequence[str]:
        """See `Feature.sections`."""
        return ("devices/section.html",)

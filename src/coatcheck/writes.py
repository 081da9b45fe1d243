"""Whether the stores take writes. Where they do not, nobody can log in, while verification goes on."""

from __future__ import annotations

import logging

from .errors import StoreUnavailable
from .stores.base import ChecksWrites

log = logging.getLogger("coatcheck.writes")


class Writes:
    """What the stores said last: all that can say it; the others are taken at their word when they are written to."""

    def __init__(self, *stores: object) -> None:
        self._stores = [store for store in stores if isinstance(store, ChecksWrites)]
        self.are_taken: bool = True
        """By every store."""

    async def look(self) -> bool:
        """Ask them. Says each change in the log."""
        found = ""
        for store in self._stores:
            try:
                await store.check_writes()
            except StoreUnavailable as error:
                found = str(error)
                break
        if found and self.are_taken:
            log.warning("no writes, so no logins, while verification goes on: %s", found)
        elif not found and not self.are_taken:
            log.warning("writes are taken again")
        self.are_taken = not found
        return self.are_taken

"""Putting a backup back."""

from __future__ import annotations

from typing import Protocol


class Rewinder(Protocol):
    """Does to the store's data what an operator's backup and restore do, while the clients have it open."""

    async def save(self) -> None:
        """Back up everything: sessions, subjects and the feed, with its positions."""

    async def restore(self) -> None:
        """Put back what was saved. What came since is gone, and positions are given again."""

"""Databases to copy instead of migrating one for each test."""

from __future__ import annotations

from pathlib import Path

from coatcheck.stores.sql import migrate


async def migrated(directory: Path) -> Path:
    """A migrated, empty SQLite file in this directory, made by whoever asks first."""
    path = directory / "template.db"
    await migrate(f"sqlite:///{path}")
    return path

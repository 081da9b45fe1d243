"""Capabilities beyond the core, one folder each. See `coatcheck.features.base` for what one may contribute."""

from .base import Feature, Finding, Link, Off, Page, Tables

__all__ = ["Feature", "Finding", "Link", "Off", "Page", "Tables"]

"""Whether a state-changing request comes from our own pages (Fetch Metadata, Origin). Pure.

``same-site`` is not trusted: a sister host may belong to someone else (standards: Fetch Metadata).
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import Final

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""RFC 9110 §9.2.1; everything else changes state."""

TOKEN_HEADER: Final = b"x-csrf-token"
"""Where a program that sends neither Sec-Fetch-Site nor Origin puts the session's CSRF token."""


class Provenance(Enum):
    """Where a request comes from, as far as its headers tell."""

    OWN = "own"
    """The same origin, a listed one, or the person's own doing (typed, bookmarked)."""
    FOREIGN = "foreign"
    UNKNOWN = "unknown"
    """Neither header is there: no browser of today. Only a CSRF token can show that it is ours."""


def provenance(site: str | None, origin: str | None, own_origin: str, listed: Collection[str]) -> Provenance:
    """Judge a request by its ``Sec-Fetch-Site`` and, failing that, its ``Origin``; None for one that is not there.

    The origins are canonical: that of the page, the request's own, and the policy's."""
    if site in ("same-origin", "none"):
        return Provenance.OWN
    if origin is not None:
        if origin in listed or (site is None and origin == own_origin):
            return Provenance.OWN
        return Provenance.FOREIGN
    return Provenance.UNKNOWN if site is None else Provenance.FOREIGN

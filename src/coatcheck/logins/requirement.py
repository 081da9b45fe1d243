"""What else is required of somebody who has proved who they are. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MULTIPLE: Final = "mfa"
"""RFC 8176: more than one factor was proved."""


def is_complete(amr: Sequence[str]) -> bool:
    """Whether these authentication methods (RFC 8176) say that more than one factor was proved."""
    return MULTIPLE in amr


def required(amr: Sequence[str], set_up: Sequence[str]) -> tuple[str, ...]:
    """The methods of which one is needed yet; none when the login may be completed.

    ``amr``: what was proved so far. ``set_up``: the second factors that the subject has, in the order in which they are
    offered. Whoever has none needs none."""
    return () if is_complete(amr) else tuple(dict.fromkeys(set_up))


def grown(amr: Sequence[str], by: Sequence[str]) -> tuple[str, ...]:
    """What was proved so far, and a second factor besides."""
    return tuple(dict.fromkeys((*amr, *by, MULTIPLE)))

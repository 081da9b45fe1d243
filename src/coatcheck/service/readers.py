"""How a setting's value is read: from a text of the environment or command line, or from a value of a TOML file.

A reader returns the value or raises `ValueError`, whose text goes on after the setting's name. It never repeats the
value, which may be a secret in the wrong place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ..model import Kind, Mode
from ..proxies import all_listed

Reader = Callable[[object], object]

_HIGHEST: Final = 2**63 - 1


def text(value: object) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text that is not empty")
    return value


def path(value: object) -> Path:
    """The name of a file."""
    return value if isinstance(value, Path) else Path(text(value))


def whole(low: int, high: int) -> Reader:
    """A reader of whole numbers from ``low`` to ``high``."""

    def read(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value, re.ASCII):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            upto = f"from {low} to {high}" if high < _HIGHEST else f"of at least {low}"
            raise ValueError(f"must be a whole number {upto}")
        return value

    return read


port: Final = whole(0, 65535)
positive: Final = whole(1, _HIGHEST)


def number(value: object) -> float:
    """A finite number."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError("must be a number") from None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("must be a number")
    return float(value)


def choice(known: Sequence[str]) -> Reader:
    """A reader of one of these words."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return value

    return read


def split(value: str) -> list[str]:
    """The parts of a text with commas or line ends between them."""
    return [part for piece in re.split(r"[,\r\n]", value) if (part := piece.strip())]


def several(value: object) -> tuple[str, ...]:
    """Several texts: a list, or one text with commas or line ends between them."""
    if isinstance(value, str):
        return tuple(split(value))
    if not isinstance(value, (list, tuple)) or not all(isinstance(part, str) and part.strip() for part in value):
        raise ValueError("must be a list of texts")
    return tuple(value)


def secrets_of(value: object) -> list[bytes]:
    """Several secrets, newest first."""
    return [part.encode() for part in several(value)]


def modes(value: object) -> tuple[Mode, ...]:
    """Several modes."""
    try:
        return tuple(Mode(name) for name in several(value))
    except ValueError:
        raise ValueError(f"must be a list of modes out of {', '.join(Mode)}") from None


def kinds(value: object) -> tuple[Kind, ...]:
    """Several kinds of access."""
    try:
        return tuple(Kind(name) for name in several(value))
    except ValueError:
        raise ValueError(f"must be a list of kinds out of {', '.join(Kind)}") from None


def endless(value: object) -> float:
    """A number, or ``inf``."""
    return math.inf if value in ("inf", math.inf) else number(value)


def networks(value: object) -> tuple[str, ...]:
    """Several addresses or networks. ``*`` is none: it would believe whatever a client claims."""
    try:
        return all_listed(several(value))
    except ValueError as error:
        raise ValueError(f"must be a list of addresses or networks: {error}") from None

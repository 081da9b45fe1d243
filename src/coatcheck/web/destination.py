"""Where a person goes on to after logging in: ``next``, which anybody may have put into a link."""

from __future__ import annotations

import re
from typing import Final

MAX_LENGTH: Final = 2000
"""Characters of a path that is kept; longer ones are dropped."""

_PATH: Final = re.compile(r"/(?!/)[!-\[\]-~]*", re.ASCII)
"""One slash, then printable ASCII without spaces and without a backslash, which browsers read as a slash."""
_DOTS: Final = re.compile(r"(\.|%2e){1,2}", re.ASCII | re.IGNORECASE)


def safe_next(value: str) -> str:
    """The path if it surely stays on this site, otherwise an empty text.

    Browsers drop tabs and line ends in a URL, take a backslash for a slash, and resolve dot segments first; what holds
    one of these is refused, not repaired. So is an empty segment, which some proxies would merge."""
    if len(value) > MAX_LENGTH or not _PATH.fullmatch(value):
        return ""
    path = re.split(r"[?#]", value, maxsplit=1)[0]
    if "//" in path or any(_DOTS.fullmatch(segment) for segment in path.split("/")):
        return ""
    return value

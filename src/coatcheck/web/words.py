"""Times, devices and modes in words that people understand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import ua_parser

from ..model import Mode

MODES: Final = {
    Mode.SESSION: "Browser",
    Mode.JWT: "App",
    Mode.JWT_COOKIE: "Web app",
}
"""What a mode is to a person."""

_LONGEST: Final = 256
"""Characters of a user agent that are looked at: parsing takes time by length, and a client chooses the length."""
_BROWSERS: Final = {
    "Mobile Safari": "Safari",
    "Mobile Safari UI/WKWebView": "Safari",
    "Chrome Mobile": "Chrome",
    "Chrome Mobile iOS": "Chrome",
    "Chrome Mobile WebView": "Chrome",
    "HeadlessChrome": "Chrome",
    "Firefox Mobile": "Firefox",
    "Firefox iOS": "Firefox",
    "Edge Mobile": "Edge",
    "Opera Mobile": "Opera",
}
_SYSTEMS: Final = {"Mac OS X": "macOS"}
_PRODUCT: Final = re.compile(r"([A-Za-z][A-Za-z0-9._-]{1,39})(?=[/ ]|$)", re.ASCII)

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in four spellings."""

    machine: str
    """RFC 3339, UTC."""
    exact: str
    """Such as ``21 November 2026, 01:02 UTC``."""
    day: str
    """Such as ``21 November 2026``."""
    words: str
    """Such as ``3 minutes ago``."""


def moment(at: float, now: float) -> Moment:
    """A time as seen from ``now``; both seconds since the Unix epoch. "Last seen" is written about once a minute, so
    less than two minutes is "just now"."""
    time = datetime.fromtimestamp(int(at), UTC)
    day = f"{time.day} {time:%B %Y}"
    return Moment(f"{time:%Y-%m-%dT%H:%M:%SZ}", f"{day}, {time:%H:%M} UTC", day, _ago(now - at) or f"on {day}")


def _ago(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return "just now"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} minutes ago"
    for size, name in ((_HOUR, "hour"), (_DAY, "day")):
        count = int(seconds // size)
        if count < (24 if size == _HOUR else 31):
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return ""


def duration(seconds: int) -> str:
    """How long to wait, rounded up."""
    if seconds <= _MINUTE:
        return "a minute"
    minutes = -(-seconds // _MINUTE)
    return f"{minutes} minutes" if minutes < 120 else f"{-(-minutes // 60)} hours"


@lru_cache(maxsize=1024)
def device_name(user_agent: str) -> str:
    """What to call a device, such as ``Firefox on Linux``. It says what the client claims, no more."""
    text = user_agent[:_LONGEST]
    parsed = ua_parser.parse(text)
    browser = parsed.user_agent.family if parsed.user_agent else ""
    system = parsed.os.family if parsed.os else ""
    model = parsed.device.family if parsed.device else ""
    browser = _BROWSERS.get(browser, browser)
    system = model if model in ("iPhone", "iPad") else _SYSTEMS.get(system, system)
    if browser and system:
        return f"{browser} on {system}"
    if browser or system:
        return browser or system
    product = _PRODUCT.match(text)
    return product[1] if product else "Unknown device"

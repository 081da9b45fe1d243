"""The log of what happens to accounts."""

from __future__ import annotations

import logging

from .emails import MAX_EMAIL

log = logging.getLogger("coatcheck.accounts")


def record(level: int, event: str, **details: str) -> None:
    """One line and one structured record of what happened (ASVS 16.3.1). What a client wrote cannot begin a line or
    colour a terminal: all that is not printable is escaped (ASVS 16.4.1)."""
    shown = {name: _printable(value) for name, value in details.items() if value}
    text = " ".join(f"{name}={value!r}" for name, value in shown.items())
    log.log(level, "%s: %s", event, text, extra={"event": event, **shown})


def _printable(text: str) -> str:
    kept = text[: MAX_EMAIL * 2]
    return "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in kept)

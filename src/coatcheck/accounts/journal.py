"""The log of what happens to accounts."""

from __future__ import annotations

import logging

from ..acting import printable, who

log = logging.getLogger("coatcheck.accounts")


def record(level: int, event: str, **details: str) -> None:
    """One line and one structured record of what happened (ASVS 16.3.1), by whom and from where as far as it is known.
    What a client wrote cannot begin a line or colour a terminal: what is not printable is escaped (ASVS 16.4.1)."""
    shown = {name: printable(value) for name, value in (who() | details).items() if value}
    text = " ".join(f"{name}={value!r}" for name, value in shown.items())
    log.log(level, "%s: %s", event, text, extra={"event": event, **shown})

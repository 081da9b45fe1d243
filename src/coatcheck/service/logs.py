"""The service's log: one line a record on standard error, with what the record holds beside its text.

Nothing that a client wrote can begin a line of its own or colour a terminal: values are written as JSON (ASVS 16.4.1).
"""

from __future__ import annotations

import json
import logging
from typing import Any, Final

_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "event"}


class Formatter(logging.Formatter):
    """``2026-01-31T12:00:00+0000 INFO coatcheck.issuer login subject="…" session="…"``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        line = super().formatMessage(record)
        line = "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)
        extra = {name: value for name, value in vars(record).items() if name not in _OWN}
        if "event" in vars(record):  # the text says these already
            extra = {}
        return " ".join([line, *(f"{name}={json.dumps(value, default=str)}" for name, value in extra.items())])


def config(level: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`. ``level`` is one of `coatcheck.service.settings.LOG_LEVELS`."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "coatcheck.service.logs.Formatter"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "coatcheck": {"level": level.upper()},
            # What it says at level INFO is about processes, not about anybody's login.
            "uvicorn": {"level": "DEBUG" if level == "debug" else "WARNING"},
        },
    }

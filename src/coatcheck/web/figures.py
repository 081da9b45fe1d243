"""The figures of a process, and how those of several become the service's. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from typing import Any, Final

Answer = tuple[str, str, str]
"""Method, route and status."""

_FORMAT: Final = 1
_SILENT: Final = 5.0
"""Seconds after which a process that writes every second and has not counts as standing still."""
_MOST: Final = 2**63


@dataclass(frozen=True, slots=True)
class Gauges:
    """What a process that runs is like at the moment."""

    lease: float
    """Seconds for which it may trust its memory."""
    writes_taken: bool
    entries: int
    bytes: int
    max_staleness: float
    at: float
    """When that was, by the monotonic clock of the machine."""


@dataclass(slots=True)
class Figures:
    """What was counted, and the gauges where there are any."""

    answers: Counter[Answer] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    gauges: Gauges | None = None

    def count(self, other: Figures) -> None:
        """Add what the other has counted."""
        self.answers.update(other.answers)
        self.events.update(other.events)


def together(gauges: Iterable[Gauges], now: float) -> Gauges | None:
    """What processes that live are together: memory is added up, and of all else the worst is told. One that stands
    still has no lease. ``now``: by the monotonic clock. None where there are none."""
    living = [replace(one, lease=0.0) if now - one.at > _SILENT else one for one in gauges]
    if not living:
        return None
    return Gauges(
        lease=min(one.lease for one in living),
        writes_taken=all(one.writes_taken for one in living),
        entries=sum(one.entries for one in living),
        bytes=sum(one.bytes for one in living),
        max_staleness=max(one.max_staleness for one in living),
        at=now,
    )


def encode(figures: Figures, absorbed: Iterable[str] = ()) -> bytes:
    """As they are in a file. ``absorbed``: whose figures these hold."""
    document = {
        "format": _FORMAT,
        "answers": [[*labels, number] for labels, number in figures.answers.items()],
        "events": [[name, number] for name, number in figures.events.items()],
        "gauges": None if figures.gauges is None else asdict(figures.gauges),
        "absorbed": sorted(absorbed),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def decode(text: bytes) -> tuple[Figures, frozenset[str]]:
    """The figures in a file, and whose they hold. Raises `ValueError` for whatever `encode` has not made."""
    try:
        document = json.loads(text)
        if type(document) is not dict or document["format"] != _FORMAT:
            raise ValueError("another format")
        answers = Counter[Answer]()
        for method, route, status, number in document["answers"]:
            answers[_text(method), _text(route), _text(status)] += _whole(number)
        events = Counter[str]()
        for name, number in document["events"]:
            events[_text(name)] += _whole(number)
        gauges = None if document["gauges"] is None else _gauges(document["gauges"])
        return Figures(answers, events, gauges), frozenset(_text(one) for one in document["absorbed"])
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("not what is written here") from error


def _gauges(values: Any) -> Gauges:
    return Gauges(
        lease=_number(values["lease"]),
        writes_taken=_flag(values["writes_taken"]),
        entries=_whole(values["entries"]),
        bytes=_whole(values["bytes"]),
        max_staleness=_number(values["max_staleness"]),
        at=_number(values["at"]),
    )


def _text(value: Any) -> str:
    if type(value) is not str or not value.isprintable():  # half a surrogate pair could not be told
        raise ValueError("not a label")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError("not a count")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not isfinite(value) or value < 0:
        raise ValueError("not a number")
    return float(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("not a flag")
    return value

"""What Prometheus may read. Everything is counted at the edge or looked up when asked for: a hit costs nothing."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.routing import Route

from ..auth import Auth
from ..errors import StoreUnavailable
from ..events import Events, SecurityEvent
from .figures import Answer, Figures, Gauges

if TYPE_CHECKING:
    from .member import Member
    from .multiprocess import Directory

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Others are counted together: a client may make up as many as it likes."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the directory of several processes, as it does for prometheus_client."""


class Metrics:
    """What is told: the figures of this process, or those of all that share a directory. Raises `ConfigurationError`
    where that cannot be used."""

    def __init__(self, auth: Auth) -> None:
        self._counts = counts_of(auth.events)
        self._counts.watch(auth)

    def count(self, method: str, route: object, status: int) -> None:
        """One answer. By the route's template, never by the path, so that nobody outside makes new series."""
        path = route.path if isinstance(route, Route) else ""
        counts = self._counts
        counts.answers[method if method in _METHODS else "", path, str(status)] += 1
        if counts.is_waiting:
            counts.take_part()

    async def text(self) -> bytes:
        """The exposition format. Raises `StoreUnavailable` where the directory cannot be read."""
        if self._counts.is_shared:
            return await asyncio.to_thread(self._text)
        return self._text()

    def _text(self) -> bytes:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Told(self._counts.told()))
        return generate_latest(registry)


class Counts:
    """What a process counts of one stream of events and of the service beside it. A process that is forked begins anew.

    ``directory``: where it shares its figures with others, if it does."""

    answers: Counter[Answer]
    """Of the service in this process."""
    is_waiting: bool
    """Whether the first thing that is counted makes this process one of those that share the directory."""

    def __init__(self, directory: Directory | None) -> None:
        self._directory = directory
        self._auth: list[weakref.ref[Auth]] = []
        """Whose gauges are told, if anybody's; what every process has in common."""
        self._member: Member | None = None
        self.begin()
        _everyone.add(self)

    @property
    def is_shared(self) -> bool:
        return self._directory is not None

    def begin(self) -> None:
        """In another process: count from nothing."""
        self._pid = os.getpid()
        self._life = life = _Life(self._auth)
        self.answers = life.answers
        self.is_waiting = self._directory is not None
        if self._directory is not None:
            from .member import Member

            if self._member is not None:
                self._member.leave()
            self._member = member = Member(self._directory, life.figures)
            weakref.finalize(self, member.end)  # when nobody counts here any more, and when the process ends

    def watch(self, auth: Auth) -> None:
        """Tell the gauges of this one. In an event loop others see them once that turns, and elsewhere once something
        is counted: a process that is about to be forked takes no part."""
        self._auth[:] = [weakref.ref(auth)]
        if self._member is not None:
            with suppress(RuntimeError):  # no event loop
                asyncio.get_running_loop().call_soon(self.take_part)

    def take_part(self) -> None:
        """From now on others see what is counted here."""
        self._find_out()
        if self._member is not None:
            self.is_waiting = False
            self._member.start()

    def event(self, event: SecurityEvent) -> None:
        """One event. A request's thread may tell of it as well as the event loop."""
        self._find_out()
        with self._life.counting:
            self._life.events[event.name] += 1
        if self.is_waiting:
            self.take_part()

    def told(self) -> Figures:
        """The figures of all. Raises `StoreUnavailable`."""
        self._find_out()
        if self._directory is None or self._member is None:
            return self._life.figures()
        self.take_part()
        self._member.write()
        try:
            # Also what this process has counted is read: should it not have been written, then what is told by another
            # process a moment later is not less.
            return self._directory.total()
        except OSError as error:
            raise StoreUnavailable("the figures of the other processes cannot be read") from error

    def _find_out(self) -> None:
        if self._pid != os.getpid():  # forked in C, and nobody has told us
            self.begin()


class _Life:
    """The counts of one process."""

    def __init__(self, auth: Sequence[weakref.ref[Auth]]) -> None:
        self.answers: Counter[Answer] = Counter()
        self.events: Counter[str] = Counter()
        self.counting = threading.Lock()
        self._auth = auth

    def figures(self) -> Figures:
        with self.counting:
            events = Counter(self.events)
        auth = self._auth[0]() if self._auth else None
        return Figures(Counter(self.answers), events, None if auth is None else _gauges(auth))


def _after_in_child() -> None:
    for counts in list(_everyone):
        counts.begin()


_everyone: Final[weakref.WeakSet[Counts]] = weakref.WeakSet()
_counts: Final[weakref.WeakKeyDictionary[Events, Counts]] = weakref.WeakKeyDictionary()
_finding: Final = threading.Lock()


def counts_of(events: Events, directory: Path | None = None) -> Counts:
    """The counts of this stream, made and subscribed when they are first asked for.

    ``directory``: where processes share theirs, if that is not what `DIRECTORY` says. Raises `ConfigurationError`."""
    with _finding:
        found = _counts.get(events)
        if found is None:
            found = _counts[events] = Counts(_shared(directory))
            events.subscribe(found.event)
    return found


def _shared(directory: Path | None) -> Directory | None:
    named = directory or os.environ.get(DIRECTORY)
    if not named:
        return None
    from .multiprocess import Directory

    return Directory(Path(named))


def _gauges(auth: Auth) -> Gauges | None:
    try:
        return Gauges(
            lease=max(0.0, auth.follower.lease.deadline - auth.clock.monotonic()),
            writes_taken=auth.writes.are_taken,
            entries=len(auth.table),
            bytes=auth.table.bytes,
            max_staleness=auth.policy.max_staleness,
            at=time.monotonic(),
        )
    except RuntimeError:  # it does not run
        return None


if hasattr(os, "register_at_fork"):  # everywhere but on Windows
    os.register_at_fork(after_in_child=_after_in_child)


class _Told(Collector):
    """Figures, as prometheus_client wants them."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client.registry.Collector`."""
        answers = CounterMetricFamily(
            "coatcheck_http_answers", "Answers by route and status", labels=("method", "route", "status")
        )
        for labels, number in self._figures.answers.items():
            answers.add_metric(labels, number)
        yield answers
        events = CounterMetricFamily("coatcheck_events", "Security-relevant acts by name", labels=("event",))
        for name, number in self._figures.events.items():
            events.add_metric((name,), number)
        yield events
        if self._figures.gauges is not None:
            yield from _told_of(self._figures.gauges)


def _told_of(gauges: Gauges) -> Iterable[Metric]:
    yield GaugeMetricFamily("coatcheck_lease_remaining_seconds", "For how long memory may be trusted", gauges.lease)
    yield GaugeMetricFamily(
        "coatcheck_writes_taken", "1 while the stores take writes, 0 while nobody can log in", gauges.writes_taken
    )
    yield GaugeMetricFamily("coatcheck_table_entries", "Verified credentials in memory", gauges.entries)
    yield GaugeMetricFamily("coatcheck_table_bytes", "Estimated size of the table", gauges.bytes)
    yield GaugeMetricFamily(
        "coatcheck_max_staleness_seconds", "The stated worst case of a revocation", gauges.max_staleness
    )

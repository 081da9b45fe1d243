"""What Prometheus may read. Everything is counted at the edge or looked up when asked for: a hit costs nothing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.routing import Route

from ..auth import Auth
from ..events import SecurityEvent

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Others are counted together: a client may make up as many as it likes."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """The numbers of one process; behind several workers each scrape meets one of them."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth
        self._answers: Counter[tuple[str, str, str]] = Counter()
        self._events: Counter[str] = Counter()
        self._counting = threading.Lock()  # a request's thread may tell of something as well
        auth.events.subscribe(self._count_event)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def count(self, method: str, route: object, status: int) -> None:
        """One answer. By the route's template, never by the path, so that nobody outside makes new series."""
        path = route.path if isinstance(route, Route) else ""
        self._answers[method if method in _METHODS else "", path, str(status)] += 1

    def _count_event(self, event: SecurityEvent) -> None:
        with self._counting:
            self._events[event.name] += 1

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client.registry.Collector`."""
        answers = CounterMetricFamily(
            "coatcheck_http_answers", "Answers by route and status", labels=("method", "route", "status")
        )
        for labels, number in self._answers.items():
            answers.add_metric(labels, number)
        yield answers
        events = CounterMetricFamily("coatcheck_events", "Security-relevant acts by name", labels=("event",))
        with self._counting:
            counted = dict(self._events)
        for name, number in counted.items():
            events.add_metric((name,), number)
        yield events
        if self._auth.is_running:
            yield from self._of_auth(self._auth)

    def _of_auth(self, auth: Auth) -> Iterable[Metric]:
        lease = max(0.0, auth.follower.lease.deadline - auth.clock.monotonic())
        yield GaugeMetricFamily("coatcheck_lease_remaining_seconds", "For how long memory may be trusted", lease)
        yield GaugeMetricFamily(
            "coatcheck_writes_taken", "1 while the stores take writes, 0 while nobody can log in", auth.writes.are_taken
        )
        yield GaugeMetricFamily("coatcheck_table_entries", "Verified credentials in memory", len(auth.table))
        yield GaugeMetricFamily("coatcheck_table_bytes", "Estimated size of the table", auth.table.bytes)
        yield GaugeMetricFamily(
            "coatcheck_max_staleness_seconds", "The stated worst case of a revocation", auth.policy.max_staleness
        )

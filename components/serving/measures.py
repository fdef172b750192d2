"""What a server counts of its requests, as Prometheus reads it.

    traffic.add("predict", 200, seconds)
    page = expose(traffic)                  # bytes of `GET /metrics`

Plain counts, turned into Prometheus's families when somebody asks: its own counters take 5 us a request, these 0.5.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

PROMETHEUS = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
BOUNDS_SECS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class Traffic(Collector):
    def __init__(self) -> None:
        self.in_flight = 0
        self._answers: Counter[tuple[str, int]] = Counter()
        self._seconds: dict[str, list[int]] = {}
        self._sums: Counter[str] = Counter()

    def add(self, route: str, status: int, seconds: float) -> None:
        self._answers[route, status] += 1
        buckets = self._seconds.get(route) or self._seconds.setdefault(route, [0] * (len(BOUNDS_SECS) + 1))
        buckets[bisect_left(BOUNDS_SECS, seconds)] += 1
        self._sums[route] += seconds  # type: ignore[assignment]

    def collect(self) -> Iterable[Metric]:
        answers = CounterMetricFamily("daybreak_requests", "Answers.", labels=["route", "status"])
        for (route, status), number in self._answers.items():
            answers.add_metric([route, str(status)], number)
        yield answers
        seconds = HistogramMetricFamily("daybreak_request_seconds", "From request to answer.", labels=["route"])
        bounds = [*map(str, BOUNDS_SECS), "+Inf"]
        for route, buckets in self._seconds.items():
            counts = list(accumulate(buckets))
            seconds.add_metric([route], list(zip(bounds, map(float, counts), strict=True)), self._sums[route])
        yield seconds
        yield GaugeMetricFamily("daybreak_requests_in_flight", "POST requests under way.", self.in_flight)


def expose(*collectors: Collector) -> bytes:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    page: bytes = generate_latest(registry)
    return page

"""What the gateway counts beyond its requests, for `/metrics`."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from components.gateway.clock import Clock
from components.gateway.routing import Router
from components.gateway.watching import SplitWatch


class RolloutMeasures(Collector):
    def __init__(self, router: Router, watch: SplitWatch, clock: Clock) -> None:
        self._router, self._watch, self._clock = router, watch, clock

    def collect(self) -> Iterable[Metric]:
        yield from self._routes()
        counts, shadow = self._router.log.counts, self._router.shadow
        logged = CounterMetricFamily("daybreak_log_rows", "Rows of the log by what became of them.", labels=["state"])
        for state in ("exposures", "outcomes", "lost"):
            logged.add_metric([state], getattr(counts, state))
        yield logged
        yield GaugeMetricFamily("daybreak_log_buffered", "Exposures that wait to be written.", counts.buffered)
        mirrored = CounterMetricFamily("daybreak_shadow_requests", "Requests to mirror.", labels=["state"])
        for state in ("answered", "failed", "left_out"):
            mirrored.add_metric([state], getattr(shadow, state))
        yield mirrored
        yield from self._split()

    def _routes(self) -> Iterable[Metric]:
        answers = CounterMetricFamily("daybreak_arm_answers", "Answers to units.", labels=["arm", "served"])
        for (arm, version), number in self._router.answers.items():
            answers.add_metric([arm, version], number)
        yield answers
        fallbacks = CounterMetricFamily(
            "daybreak_fallbacks", "Answers of the champion instead.", labels=["version", "why"]
        )
        for (version, why), number in self._router.fallbacks.items():
            fallbacks.add_metric([version, why], number)
        yield fallbacks

    def _split(self) -> Iterable[Metric]:
        lineup = self._watch.lineup
        yield GaugeMetricFamily(
            "daybreak_split_failing", "1: the newest split document is not in force.", float(bool(self._watch.failure))
        )
        yield CounterMetricFamily("daybreak_split_failures", "Documents not taken.", self._watch.failures)
        yield CounterMetricFamily("daybreak_split_swaps", "Documents taken.", self._watch.swaps)
        if lineup:
            yield GaugeMetricFamily("daybreak_split_version", "Of the document in force.", lineup.split.version)
            expired = float(lineup.expired(self._clock.latest))
            yield GaugeMetricFamily("daybreak_split_expired", "1: everybody meets the champion.", expired)

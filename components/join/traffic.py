"""Counts of a rollout's requests, mergeable; the p99 from bins 1 % wide (as DDSketch, Masson et al., VLDB 2019)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from components.join.pieces import Floats, Ints
from components.rollout.snapshot import ArmTraffic

_LEAST_MILLIS, _GROWTH = 1e-3, 1.01
_BINS = 2048
"""Up to 700,000 s."""


def _no_latencies() -> Ints:
    return np.zeros(_BINS, np.int64)


def _counts() -> dict[int, int]:
    return defaultdict(int)


def _bins_by_arm() -> dict[int, Ints]:
    return defaultdict(_no_latencies)


@dataclass
class Traffic:
    """By code of the arm."""

    requests: dict[int, int] = field(default_factory=_counts)
    fallbacks: dict[int, int] = field(default_factory=_counts)
    mismatches: dict[int, int] = field(default_factory=_counts)
    latencies: dict[int, Ints] = field(default_factory=_bins_by_arm)
    duplicates: int = 0
    orphans: int = 0
    unreadable: int = 0
    newest: int = 0

    def merge(self, other: Traffic) -> None:
        for code in other.requests:
            self.requests[code] += other.requests[code]
            self.fallbacks[code] += other.fallbacks[code]
            self.mismatches[code] += other.mismatches[code]
            self.latencies[code] = self.latencies[code] + other.latencies[code]
        self.duplicates += other.duplicates
        self.orphans += other.orphans
        self.unreadable += other.unreadable
        self.newest = max(self.newest, other.newest)

    def of(self, code: int, *, units: int) -> ArmTraffic:
        return ArmTraffic(
            units=units,
            requests=self.requests[code],
            fallbacks=self.fallbacks[code],
            mismatches=self.mismatches[code],
            p99_ms=quantile(self.latencies[code], 0.99),
        )


def latency_bins(millis: Floats) -> Ints:
    """`[_BINS]` counts."""
    places = np.ceil(np.log(np.maximum(millis, _LEAST_MILLIS) / _LEAST_MILLIS) / np.log(_GROWTH))
    return np.bincount(np.clip(np.nan_to_num(places), 0, _BINS - 1).astype(np.int64), minlength=_BINS)


def quantile(bins: Ints, share: float) -> float:
    """Upper end of the bin that holds it, in milliseconds; 0 without any."""
    total = int(bins.sum())
    if not total:
        return 0.0
    place = int(np.searchsorted(np.cumsum(bins), np.ceil(share * total)))
    return round(_LEAST_MILLIS * _GROWTH**place, 6)

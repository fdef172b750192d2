"""What one rollout meets, tick by tick, and the snapshot that the join would make of it.

traffic = Traffic(population, effect=-0.05, random=np.random.default_rng(7))
traffic.serve(share=0.05)                                  # one tick of new users
traffic.snapshot(rollout_id, as_of)                        # of users whose window has passed
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from components.inference.units import Floats
from components.rollout.simulation.populations import Population, draw_sums
from components.rollout.snapshot import ArmTraffic, KpiSums, Snapshot, Sums

TICK_HOURS = 12
WINDOW_TICKS = 2
KPI = "clicks"


@dataclass(frozen=True)
class Faults:
    absent_units: float = 0.0
    """Of the treatment's users: they leave no trace at all."""
    lost_units: float = 0.0
    """Of the treatment's users: no exposure of theirs is in the log, and their outcomes are orphans."""
    lost_exposures: float = 0.0
    """Of the treatment's rows, each by itself; their outcomes are orphans."""
    control_is_rest: bool = False
    """The control is everybody else, not an arm of the same share."""


class Traffic:
    def __init__(
        self,
        population: Population,
        *,
        effect: float,
        random: np.random.Generator,
        new_users_per_day: float = 60_000,
        faults: Faults | None = None,
    ) -> None:
        self.population, self.effect, self.faults = population, effect, faults or Faults()
        self._random, self._new_users_per_day = random, new_users_per_day
        self._sums: list[Floats] = []
        self._users: list[Floats] = []
        self._orphans = 0.0
        self._rate = 1.0
        self.served: list[float] = []
        """Share of all users that the challenger answered, by tick."""

    def serve(self, share: float) -> None:
        tick = len(self._sums)
        if tick % (24 // TICK_HOURS) == 0:
            self._rate = max(0.1, 1 + self.population.day_effect * self._random.standard_normal())
        activity, entering = self._entry(tick * TICK_HOURS / 24)
        shares = np.array([1 - share if self.faults.control_is_rest else share, share])
        expected = shares * entering * np.array([1, 1 - self.faults.lost_units - self.faults.absent_units])
        users = np.round(np.maximum(2.0, expected + np.sqrt(expected) * self._random.standard_normal(2)))
        sums = np.stack([draw_sums(self.population, int(count), self._random) for count in users])
        self._append(sums, users, activity)
        self.served.append(share)

    def _append(self, sums: Floats, users: Floats, activity: float) -> None:
        x = np.array([activity, activity * (1 - self.faults.lost_exposures)])
        y = x * self._rate * np.array([1.0, 1 + self.effect])
        self._orphans += float(sums[1, 1] * y[1]) * (self.faults.lost_exposures + self.faults.lost_units)
        self._sums.append(sums * np.stack([x, y, x * x, y * y, x * y], axis=1))
        self._users.append(users)

    def _entry(self, day: float) -> tuple[float, float]:
        """How active the users of a tick are, and how many there are."""
        even = self._new_users_per_day * TICK_HOURS / 24
        if not self.population.front_loaded:
            return 1.0, even
        return 1 + 0.5 * math.exp(-day / 2), even * (0.6 + 0.9 * math.exp(-day / 3))

    def snapshot(self, rollout_id: str, as_of: datetime) -> Snapshot:
        mature = len(self._sums) - WINDOW_TICKS
        control, treatment = self._arms(mature)
        units, requests = np.sum(self._users, axis=0), np.sum(self._sums, axis=0)[:, 0]
        traffic = [
            ArmTraffic(units=int(count), requests=int(rows), p99_ms=10)
            for count, rows in zip(units, requests, strict=True)
        ]
        return Snapshot(
            model="simulated",
            rollout_id=rollout_id,
            as_of=as_of,
            kpis=(KpiSums(name=KPI, control=control, treatment=treatment),),
            control=traffic[0],
            treatment=traffic[1],
            orphans=int(self._orphans),
            newest_exposure=as_of,
        )

    def day(self, ticks: int) -> tuple[Sums, Sums]:
        """Of the users of the newest `ticks` whose window has passed."""
        mature = len(self._sums) - WINDOW_TICKS
        return self._arms(mature, max(0, mature - ticks))

    def _arms(self, until: int, since: int = 0) -> tuple[Sums, Sums]:
        if until <= since:
            return Sums(), Sums()
        found = np.sum(self._sums[since:until], axis=0)
        users = np.sum(self._users[since:until], axis=0)
        control, treatment = (
            Sums(n=int(n), **dict(zip(("sx", "sy", "sxx", "syy", "sxy"), map(float, row), strict=True)))
            for n, row in zip(users, found, strict=True)
        )
        return control, treatment

"""What a day of so many rows needs, and what gives way first.

plan = Plan(slopes, Assumptions())
plan.hours(rows=1_000_000_000, workers=20), plan.cost_usd(rows=1_000_000_000), plan.limits()
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.benchmarks.capacity.fitting import Slopes

GIB = 2**30
PARALLEL = ("examples", "statistics", "transform", "evaluate")
"""Stages on Beam, which workers share. The contract is one process."""
HORIZON_ROWS = 1e13
"""What gives way beyond it is not told: a slope so small is noise."""


@dataclass(frozen=True)
class Assumptions:
    """Everything here is assumed, not measured."""

    cores_per_worker: int = 8
    memory_per_worker_gib: float = 32
    worker_start_secs: float = 120
    """Until a fresh worker has its image and its imports."""
    usd_per_core_hour: float = 0.05
    usd_per_gib_month: float = 0.023
    kept_days: int = 8
    """Of examples and transformed records: a window of seven days and today."""
    budget_hours: float = 4
    """Of a day's 24, for the stages measured here."""
    files_limit: int = 1_000_000
    """Files in one folder that are still listed in seconds."""
    driver_gib: float = 32
    """For what one process holds whole."""
    distinct_bytes: int = 100
    """One distinct value in a dictionary of partial counts."""


class Limit(NamedTuple):
    rows: float
    """Of a day, from which on it gives way; infinite when it does not depend on them."""
    what: str
    why: str
    remedy: str


class Plan:
    def __init__(self, slopes: Mapping[str, Slopes], assumptions: Assumptions) -> None:
        self._slopes, self._assumed = slopes, assumptions

    @property
    def efficiency(self) -> float:
        """Of each of two cores against one alone, by the weight of the stages; assumed to hold for any number."""
        known = [
            (found.two_core_efficiency, found.cpu_secs.per_row)
            for found in self._slopes.values()
            if found.two_core_efficiency is not None and found.cpu_secs.per_row
        ]
        if not known:
            return 1.0
        return min(1.0, sum(cost for _, cost in known) / sum(cost / efficiency for efficiency, cost in known))

    def serial_secs(self, rows: float) -> float:
        """What no worker can share: the contract, and the fixed part of every stage."""
        contract = self._slopes["contract"].cpu_secs.at(rows) if "contract" in self._slopes else 0.0
        return contract + sum(self._slopes[stage].cpu_secs.fixed for stage in self._shared())

    def shared_secs(self, rows: float) -> float:
        """CPU seconds that grow with the rows, on Beam."""
        return sum(self._slopes[stage].cpu_secs.per_row for stage in self._shared()) * rows

    def hours(self, *, rows: float, workers: int) -> float:
        cores = workers * self._assumed.cores_per_worker
        return (
            self.serial_secs(rows)
            + self._assumed.worker_start_secs
            + self.shared_secs(rows) / (cores * self.efficiency)
        ) / 3600

    def workers(self, *, rows: float, hours: float) -> int | None:
        """The fewest that finish in time; none when no number of them does."""
        left = hours * 3600 - self.serial_secs(rows) - self._assumed.worker_start_secs
        if left <= 0:
            return None
        return max(1, math.ceil(self.shared_secs(rows) / self.efficiency / left / self._assumed.cores_per_worker))

    def cost_usd(self, *, rows: float, workers: int) -> float:
        """Of the workers, paid from start to end, and of the records kept for a month."""
        cores = workers * self._assumed.cores_per_worker
        compute = self.hours(rows=rows, workers=workers) * cores * self._assumed.usd_per_core_hour
        return compute + self.stored_gib(rows) * self._assumed.usd_per_gib_month / 30

    def stored_gib(self, rows: float) -> float:
        """Of all days kept."""
        per_day = sum(found.output_bytes.at(rows) for found in self._slopes.values())
        return per_day * self._assumed.kept_days / GIB

    def limits(self) -> list[Limit]:
        """The first to give way first."""
        assumed = self._assumed
        found = [self._contract_time(), self._contract_memory(), self._files(), self._distinct()]
        found += [
            Limit(
                _rows_at(slopes.memory_bytes.per_row, slopes.memory_bytes.fixed, assumed.memory_per_worker_gib * GIB),
                f"memory of `{stage}` on one machine",
                f"{slopes.memory_bytes.per_row:,.0f} bytes per row beyond imports, of {assumed.memory_per_worker_gib:g} GiB",
                "more workers share the row groups; the merged partials remain with one",
            )
            for stage, slopes in self._slopes.items()
            if stage in PARALLEL
        ]
        return sorted(limit for limit in found if limit is not None and limit.rows < HORIZON_ROWS)

    def _contract_time(self) -> Limit | None:
        if "contract" not in self._slopes:
            return None
        line, budget = self._slopes["contract"].cpu_secs, self._assumed.budget_hours * 3600
        return Limit(
            _rows_at(line.per_row, line.fixed, budget),
            "time of the contract",
            f"one process, {line.per_row * 1e6:.2f} s per million rows, of {self._assumed.budget_hours:g} h",
            "a contract per file, whose reports are merged",
        )

    def _contract_memory(self) -> Limit | None:
        if "contract" not in self._slopes:
            return None
        line, driver = self._slopes["contract"].memory_bytes, self._assumed.driver_gib * GIB
        return Limit(
            _rows_at(line.per_row, line.fixed, driver),
            "memory of the contract",
            f"{line.per_row:,.0f} bytes per row, of {self._assumed.driver_gib:g} GiB",
            "look for repeated rows within a file, or within a hash range per pass",
        )

    def _files(self) -> Limit | None:
        if "examples" not in self._slopes:
            return None
        line = self._slopes["examples"].output_files
        return Limit(
            _rows_at(line.per_row, 0, self._assumed.files_limit),
            "files of one day's examples",
            f"{line.per_row * 1e6:.1f} files per million rows, of {self._assumed.files_limit:,}",
            "larger row groups, or several row groups in one file",
        )

    def _distinct(self) -> Limit:
        """The last merge of a vocabulary is one worker's, whatever the cluster."""
        values = self._assumed.driver_gib * GIB / self._assumed.distinct_bytes
        return Limit(
            values,
            "distinct values of one column, if every row has its own",
            f"{self._assumed.distinct_bytes} bytes each in one worker of {self._assumed.driver_gib:g} GiB",
            "leave ids of rows out of the statistics, hash such columns, or cut rare values before the last merge",
        )

    def _shared(self) -> list[str]:
        return [stage for stage in self._slopes if stage in PARALLEL]


def _rows_at(per_row: float, fixed: float, bound: float) -> float:
    return max(0.0, (bound - fixed) / per_row) if per_row > 0 else math.inf

"""What was known of a rollout at one time: mergeable sums by arm, never changed once written.

    snapshot = Snapshot.model_validate_json(path.read_bytes())
    snapshot.kpi("click_value").treatment.n
    snapshot.digest                                 # in every event that rests on it

A unit counts in the sums of a KPI when `first exposure + cohort + maturity <= as_of`, in the arm it was assigned to;
units of both arms are left out and counted.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import AwareDatetime, Field

from pipelines.spec import Frozen

Count = Annotated[int, Field(ge=0)]


class Sums(Frozen):
    """Of a ratio over units: `y` the numerator of one unit, `x` its denominator, `c` a covariate from before."""

    n: Count = 0
    sx: float = 0
    sy: float = 0
    sxx: float = 0
    syy: float = 0
    sxy: float = 0
    sc: float = 0
    scc: float = 0
    sxc: float = 0
    syc: float = 0

    def merge(self, other: Sums) -> Sums:
        """Of other units."""
        return Sums(**{name: getattr(self, name) + getattr(other, name) for name in Sums.model_fields})


class KpiSums(Frozen):
    name: str
    control: Sums = Sums()
    treatment: Sums = Sums()
    slices: dict[str, tuple[Sums, Sums]] = {}
    """`country=de`: control, treatment. Reported, never gated."""


class ArmTraffic(Frozen):
    """Of all units of an arm, mature or not."""

    units: Count = 0
    requests: Count = 0
    fallbacks: Count = 0
    """Requests that another version answered."""
    mismatches: Count = 0
    """Served another version than assigned without a reason: must be none."""
    p99_ms: float = 0


class Snapshot(Frozen):
    model: str
    rollout_id: str
    as_of: AwareDatetime
    kpis: tuple[KpiSums, ...] = ()
    control: ArmTraffic = ArmTraffic()
    treatment: ArmTraffic = ArmTraffic()
    shadow: ArmTraffic = ArmTraffic()
    """The challenger's mirrored requests: `fallbacks` are those that failed."""
    crossed_units: Count = 0
    """Seen in both arms."""
    duplicates: Count = 0
    """Rows with an id that was there already."""
    orphans: Count = 0
    """Outcomes without an exposure."""
    newest_exposure: AwareDatetime | None = None
    complete: bool = True
    """False when a part of the log could not be read."""

    def kpi(self, name: str) -> KpiSums:
        return next((found for found in self.kpis if found.name == name), KpiSums(name=name))

    @property
    def digest(self) -> str:
        """Of what it says about the rollout: rows that came twice change nothing."""
        return hashlib.sha256(self.model_dump_json(exclude={"duplicates"}).encode()).hexdigest()

"""A KPI of two arms, turned so that more is better.

compare_arms(kpi, sums).value                       # treatment better than control by so much
compare_arms(kpi, sums, with_margin=True).z         # of "not worse by more than the margin"
"""

from __future__ import annotations

from components.inference.ratios import Comparison, compare
from components.rollout.snapshot import KpiSums, Sums
from pipelines.spec import Kpi


def compare_arms(kpi: Kpi, sums: KpiSums, *, with_margin: bool = False) -> Comparison:
    margin = kpi.margin if with_margin else 0.0
    relative, absolute = (margin, 0.0) if kpi.margin_unit == "relative" else (0.0, margin)
    if kpi.direction == "higher_is_better":
        return compare(sums.control, sums.treatment, margin=relative, absolute=absolute)
    return compare(_negative(sums.control), _negative(sums.treatment), margin=-relative, absolute=absolute)


def _negative(sums: Sums) -> Sums:
    return sums.model_copy(update={"sy": -sums.sy, "sxy": -sums.sxy, "syc": -sums.syc})

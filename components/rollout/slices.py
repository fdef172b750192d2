"""How the arms differ in slices of the traffic: reported, never gated, for of many slices some differ by chance.

for row in report_slices(standing.plan.kpis, snapshot):
    row.slice, row.value, row.low, row.high, row.p_adjusted
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from scipy import stats

from components.inference.discoveries import adjust_p_values
from components.inference.units import interval
from components.rollout.checks import Number
from components.rollout.comparison import compare_arms
from components.rollout.snapshot import KpiSums, Snapshot
from pipelines.spec import Frozen, Kpi


class SliceRow(Frozen):
    kpi: str
    slice: str
    units: int
    """Of both arms."""
    value: Number
    """Treatment better than control by so much; None where a slice is too small."""
    low: Number
    high: Number
    p_adjusted: Number
    """Two-sided; of the rows with 0.05 or less, one in twenty is expected to be chance."""


def report_slices(kpis: Iterable[Kpi], snapshot: Snapshot) -> tuple[SliceRow, ...]:
    rows, p_values = [], []
    for kpi in kpis:
        for name, (control, treatment) in sorted(snapshot.kpi(kpi.name).slices.items()):
            found = compare_arms(kpi, KpiSums(name=kpi.name, control=control, treatment=treatment))
            known = found.variance > 0
            low, high = interval(found.value, found.error) if known else (math.nan, math.nan)
            rows.append((kpi.name, name, control.n + treatment.n, found.value, low, high))
            p_values.append(float(2 * stats.norm.sf(abs(found.z))) if known else math.nan)
    return tuple(
        SliceRow(kpi=kpi, slice=name, units=units, value=value, low=low, high=high, p_adjusted=p)
        for (kpi, name, units, value, low, high), p in zip(rows, adjust_p_values(p_values), strict=True)
    )

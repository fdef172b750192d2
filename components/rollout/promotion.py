"""The promotion test: a group-sequential test at the last stage, at looks that information makes due.

    information(standing, snapshot)                        # fraction of the plan, None when there is nothing yet
    look = take_look(standing, snapshot, now=now, final=False)
    look.z >= look.bound                                   # shown, for every KPI that decides

Every KPI that decides must be shown at the level alpha, so no correction is needed (intersection-union: Berger, 1982). `refresh`
shows "not worse by more than the margin", `experiment` shows "better".
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from components.inference.ratios import Comparison
from components.inference.spending import next_bound, spent_alpha
from components.rollout.comparison import compare_arms
from components.rollout.integrity import LEAST_UNITS
from components.rollout.snapshot import Snapshot
from components.rollout.standing import Look, Standing

_TOLERANCE = 1e-9
_LEAST_GAIN = 1e-3
"""Of information, between two looks."""


def information(standing: Standing, snapshot: Snapshot) -> float | None:
    """From the variance now and what it would be with `users_per_arm`: the least over the KPIs that decide."""
    found = [_fraction(standing, each) for each in _comparisons(standing, snapshot)]
    return min(found) if found and all(math.isfinite(each) for each in found) and _enough(standing, snapshot) else None


def look_due(standing: Standing, fraction: float | None, *, now: datetime) -> bool:
    """What is left of the information is spread over the looks that are left, `stage_hours` apart at least."""
    if fraction is None:
        return False
    terms, looks = standing.plan.terms, standing.looks
    before, last = (looks[-1].information, looks[-1].time) if looks else (0.0, standing.entered)
    due = before + (1 - before) / max(1, terms.looks - len(looks))
    waited = now - max(last, standing.entered) >= timedelta(hours=terms.stage_hours)
    return waited and fraction >= due - _TOLERANCE and fraction > before + _LEAST_GAIN


def take_look(standing: Standing, snapshot: Snapshot, *, now: datetime, final: bool) -> Look | None:
    """None when there is nothing new to look at. `final` spends all of alpha that is left."""
    fraction = information(standing, snapshot)
    looks, terms = standing.looks, standing.plan.terms
    if fraction is None or fraction <= (looks[-1].information + _LEAST_GAIN if looks else 0):
        return None
    spent = terms.alpha if final else spent_alpha(fraction, alpha=terms.alpha, family=terms.spending)
    bound = next_bound(
        [*(look.information for look in looks), fraction],
        [look.bound for look in looks],
        spent - (looks[-1].spent if looks else 0.0),
    )
    z = min(each.z for each in _comparisons(standing, snapshot))
    return Look(time=now, information=fraction, spent=spent, bound=bound, z=z, snapshot=snapshot.digest)


def last_look(standing: Standing, fraction: float) -> bool:
    return fraction >= 1 - _TOLERANCE or len(standing.looks) + 1 >= standing.plan.terms.looks


def _comparisons(standing: Standing, snapshot: Snapshot) -> list[Comparison]:
    not_worse = standing.plan.terms.kind == "refresh"
    return [
        compare_arms(kpi, snapshot.kpi(kpi.name), with_margin=not_worse)
        for kpi in standing.plan.kpis
        if not kpi.guardrail
    ]


def _enough(standing: Standing, snapshot: Snapshot) -> bool:
    sums = [snapshot.kpi(kpi.name) for kpi in standing.plan.kpis if not kpi.guardrail]
    return all(min(each.control.n, each.treatment.n) >= LEAST_UNITS for each in sums)


def _fraction(standing: Standing, found: Comparison) -> float:
    if not found.variance > 0:
        return math.nan
    return 2 * found.unit_variance / standing.plan.terms.users_per_arm / found.variance

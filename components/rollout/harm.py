"""Whether the candidate does harm for certain: what it finds rolls back, from every stage and from WATCH.

inspect_harm(standing, snapshot)                     # checks; one `harm` among them is enough

A KPI that decides is harmed when it is certainly worse than the champion's; a guardrail KPI when it is so by more than its margin.
Confidence sequences hold at all ticks at once; `guardrail_alpha` is divided over the KPIs and the share of errors.
"""

from __future__ import annotations

import math

from components.inference.sequences import lower_sequence, upper_sequence
from components.rollout.checks import Check
from components.rollout.comparison import compare_arms
from components.rollout.integrity import LEAST_UNITS
from components.rollout.snapshot import ArmTraffic, KpiSums, Snapshot
from components.rollout.standing import Standing, State
from pipelines.spec import Kpi

_LEAST_REQUESTS = 100
_LEAST_TIMED = 1000
"""Requests that a 99th percentile needs: ten slower ones."""
_ERRORS_TUNED_AT = 10_000
_PLAN_SHARE = 0.25
"""Of the planned units: where the sequence of a KPI is narrowest, for harm should be found early."""
REASONS = {
    "errors": "The challenger fails on more requests than allowed.",
    "latency": "The challenger is slower than allowed.",
    "kpi": "{kpi} is certainly worse than the champion's.",
    "guardrail": "{kpi} is certainly worse than the champion's by more than its margin.",
}


def inspect_harm(standing: Standing, snapshot: Snapshot) -> list[Check]:
    kpis, terms = standing.plan.kpis, standing.plan.terms
    alpha = terms.guardrail_alpha / (len(kpis) + 1)
    shadow = (standing.held or standing.state) is State.SHADOW
    arm = snapshot.shadow if shadow else snapshot.treatment
    found = [
        _errors(arm, most=terms.guardrails.max_error_share, alpha=alpha),
        _latency(arm, snapshot.control, most=terms.guardrails.max_p99_ratio),
    ]
    if shadow:
        return found
    tuned_at = 2 * terms.users_per_arm * _PLAN_SHARE
    return found + [_kpi(kpi, snapshot.kpi(kpi.name), alpha=alpha, tuned_at=tuned_at) for kpi in kpis]


def _errors(arm: ArmTraffic, *, most: float, alpha: float) -> Check:
    if arm.requests < _LEAST_REQUESTS:
        return Check(name="errors", observed=None, bound=most, verdict="waits")
    share = arm.fallbacks / arm.requests
    variance = share * (1 - share) / arm.requests
    low = lower_sequence(share, variance, n=arm.requests, alpha=alpha, tuned_at=_ERRORS_TUNED_AT)
    return Check(name="errors", observed=share, bound=most, low=low, verdict="harm" if low > most else "ok")


def _latency(arm: ArmTraffic, control: ArmTraffic, *, most: float) -> Check:
    """The percentile is of so many requests that its own error is left out."""
    if min(arm.requests, control.requests) < _LEAST_TIMED or control.p99_ms <= 0:
        return Check(name="latency", observed=None, bound=most, verdict="waits")
    ratio = arm.p99_ms / control.p99_ms
    return Check(name="latency", observed=ratio, bound=most, verdict="harm" if ratio > most else "ok")


def _kpi(kpi: Kpi, sums: KpiSums, *, alpha: float, tuned_at: float) -> Check:
    name = "guardrail" if kpi.guardrail else "kpi"
    found = compare_arms(kpi, sums, with_margin=kpi.guardrail)
    if min(sums.control.n, sums.treatment.n) < LEAST_UNITS or not math.isfinite(found.variance):
        return Check(name=name, kpi=kpi.name, observed=None, bound=0, verdict="waits")
    n = sums.control.n + sums.treatment.n
    high = upper_sequence(found.value, found.variance, n=n, alpha=alpha, tuned_at=tuned_at)
    low = lower_sequence(found.value, found.variance, n=n, alpha=alpha, tuned_at=tuned_at)
    return Check(
        name=name, kpi=kpi.name, observed=found.value, bound=0, low=low, high=high, verdict="harm" if high < 0 else "ok"
    )

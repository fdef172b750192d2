"""What all checks of this gate say alike."""

from __future__ import annotations

from components.decision.report import Check, Verdict
from components.evaluation.metrics import Slice
from pipelines.spec import Bound

ROUNDING = 1e-9


def bound_text(bound: Bound) -> str:
    low = f">= {bound.min:g}" if bound.min is not None else ""
    high = f"<= {bound.max:g}" if bound.max is not None else ""
    return " and ".join(limit for limit in (low, high) if limit)


def holds(bound: Bound, value: float) -> bool:
    above = bound.min is None or value >= bound.min - ROUNDING
    return above and (bound.max is None or value <= bound.max + ROUNDING)


def undefined(name: str, bound: str, overall: Slice) -> Check:
    why = "the eval split holds rows of one class only (of several, lacks one), or labels that are no classes, or predictions "
    why += "that are no probabilities"
    why = why if overall.rows else "the eval split is empty"
    reason = f"{name} is not defined: {why}"
    return Check(name=name, verdict=Verdict.NOT_EVALUABLE, bound=bound, reason=reason)

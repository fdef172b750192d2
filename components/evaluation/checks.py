"""The verdict: absolute bounds, and the change against the champion on the same rows."""

from __future__ import annotations

from collections.abc import Mapping

from components.decision.report import Check, GateReport, Verdict
from components.evaluation.metrics import OVERALL, Slice
from components.evaluation.uncertainty import Uncertainty
from components.inference.units import interval
from pipelines.errors import bounded
from pipelines.spec import Bound, Change, Evaluate

GATE = "evaluate"
_ROUNDING = 1e-9


def judge(
    evaluate: Evaluate, table: Mapping[str, Slice], uncertainty: Uncertainty, *, champion: str, unusable: str = ""
) -> GateReport:
    """The report; `champion` names it ("" when there is none), `unusable` says why it could not be scored.

    Bounds decide on the overall slice. Slices below a bound are named in the reason.
    """
    overall = table.get(OVERALL, Slice())
    checks = [_bound_check(bound, overall, uncertainty) for bound in evaluate.bounds]
    checks += [
        _change_check(change, overall, uncertainty, champion=champion, unusable=unusable)
        for change in evaluate.against_champion
    ]
    if not checks:
        reason = "nothing to decide by: `evaluate.bounds` and `evaluate.against_champion` are empty"
        return GateReport.of(GATE, [], reason=reason, next_command="add a bound to pipeline.yaml")
    report = GateReport.of(GATE, checks)
    reason = "; ".join(dict.fromkeys(check.reason for check in checks if check.verdict is report.verdict))
    if weak := _weak_slices(evaluate, table):
        reason += f". {len(weak)} of {len(table) - 1} slices are outside a bound: {bounded(weak, limit=2)}"
    return report.model_copy(update={"reason": reason})


def _bound_check(bound: Bound, overall: Slice, uncertainty: Uncertainty) -> Check:
    limits = [
        f">= {bound.min:g}" if bound.min is not None else "",
        f"<= {bound.max:g}" if bound.max is not None else "",
    ]
    text = " and ".join(limit for limit in limits if limit)
    value = overall.candidate.get(bound.metric)
    if value is None:
        return _undefined(bound.metric, text, overall)
    held = _holds(bound, value)
    return Check(
        name=bound.metric,
        verdict=Verdict.ACCEPTED if held else Verdict.REFUSED,
        observed=value,
        bound=text,
        interval=_interval(value, uncertainty.candidate.get(bound.metric)),
        reason=f"{bound.metric} {value:.4f} {'fulfils' if held else 'breaks'} {text}",
    )


def _change_check(change: Change, overall: Slice, uncertainty: Uncertainty, *, champion: str, unusable: str) -> Check:
    """Accepted where the loss is surely no larger than allowed, refused where it surely is, else inconclusive."""
    name, value = f"{change.metric} change", overall.candidate.get(change.metric)
    sign = 1 if change.direction == "higher_is_better" else -1
    text = f">= -{change.max_loss:g}" if sign > 0 else f"<= {change.max_loss:g}"
    if unusable:
        reason = f"{champion} cannot be compared with: {unusable}"
        return Check(name=name, verdict=Verdict.NOT_EVALUABLE, bound=text, reason=reason)
    if value is None:
        return _undefined(name, text, overall)
    if not champion:
        return Check(name=name, verdict=Verdict.ACCEPTED, bound=text, reason="there is no champion to be worse than")
    before = overall.champion.get(change.metric)
    if before is None:
        return _undefined(name, text, overall)
    found = interval(value - before, uncertainty.change.get(change.metric, 0.0))
    worst, best = sorted(sign * end for end in found)
    verdict, what = Verdict.INCONCLUSIVE, f"may lose more than {change.max_loss:g}: too few users to say"
    if worst >= -change.max_loss - _ROUNDING:
        verdict, what = Verdict.ACCEPTED, ""
    elif best < -change.max_loss - _ROUNDING:
        verdict, what = Verdict.REFUSED, f"loses more than {change.max_loss:g}"
    reason = f"{change.metric} {value:.4f} against {before:.4f} of {champion}, a change of {value - before:+.4f} ({found[0]:+.4f} to {found[1]:+.4f})"
    return Check(
        name=name,
        verdict=verdict,
        observed=value - before,
        bound=f"{text} (champion {before:.4f})",
        interval=found,
        reason=f"{reason} {what}".rstrip(),
    )


def _interval(value: float, error: float | None) -> tuple[float, float] | None:
    return None if error is None else interval(value, error)


def _undefined(name: str, bound: str, overall: Slice) -> Check:
    why = "the eval split holds rows of one class only, or labels or predictions that are no probabilities"
    why = why if overall.rows else "the eval split is empty"
    reason = f"{name} is not defined: {why}"
    return Check(name=name, verdict=Verdict.NOT_EVALUABLE, bound=bound, reason=reason)


def _weak_slices(evaluate: Evaluate, table: Mapping[str, Slice]) -> list[str]:
    """Slices outside a bound, the largest first, each with the first metric that is."""
    weak: dict[str, str] = {}
    for name, found in table.items():
        for bound in evaluate.bounds if name != OVERALL else ():
            value = found.candidate.get(bound.metric)
            if value is not None and not _holds(bound, value):
                weak.setdefault(name, f"{name} ({bound.metric} {value:.3f}, {found.rows} rows)")
    return list(weak.values())


def _holds(bound: Bound, value: float) -> bool:
    above = bound.min is None or value >= bound.min - _ROUNDING
    return above and (bound.max is None or value <= bound.max + _ROUNDING)

"""The verdict: absolute bounds, on all rows or by slice, gaps between slices, and the change against the champion."""

from __future__ import annotations

from collections.abc import Mapping

from components.decision.report import Check, GateReport, Verdict
from components.evaluation.metrics import OVERALL, Slice
from components.evaluation.slice_checks import check_gap, check_slices
from components.evaluation.uncertainty import Uncertainty
from components.evaluation.wording import ROUNDING, bound_text, holds, undefined
from components.inference.units import interval
from pipelines.errors import bounded
from pipelines.spec import Bound, Change, Evaluate

GATE = "evaluate"


def judge(
    evaluate: Evaluate, table: Mapping[str, Slice], uncertainty: Uncertainty, *, champion: str, unusable: str = ""
) -> GateReport:
    """The report; `champion` names it ("" when there is none), `unusable` says why it could not be scored.

    Slices outside a bound that decides on all rows are named in the reason.
    """
    overall = table.get(OVERALL, Slice())
    checks = [
        check_slices(bound, evaluate, table, uncertainty) if bound.per else _check_bound(bound, overall, uncertainty)
        for bound in evaluate.bounds
    ]
    checks += [check_gap(fairness, evaluate, table, uncertainty) for fairness in evaluate.fairness]
    checks += [
        _check_change(change, overall, uncertainty, champion=champion, unusable=unusable)
        for change in evaluate.against_champion
    ]
    if not checks:
        reason = "nothing to decide by: `evaluate.bounds`, `fairness` and `against_champion` are empty"
        return GateReport.of(GATE, [], reason=reason, next_command="add a bound to pipeline.yaml")
    report = GateReport.of(GATE, checks)
    reason = "; ".join(dict.fromkeys(check.reason for check in checks if check.verdict is report.verdict))
    if weak := _weak_slices(evaluate, table):
        reason += f". {len(weak)} of {len(table) - 1} slices are outside a bound: {bounded(weak, limit=2)}"
    return report.model_copy(update={"reason": reason})


def _check_bound(bound: Bound, overall: Slice, uncertainty: Uncertainty) -> Check:
    value = overall.candidate.get(bound.metric)
    if value is None:
        return undefined(bound.metric, bound_text(bound), overall)
    held, error = holds(bound, value), uncertainty.errors(OVERALL).candidate.get(bound.metric)
    return Check(
        name=bound.metric,
        verdict=Verdict.ACCEPTED if held else Verdict.REFUSED,
        observed=value,
        bound=bound_text(bound),
        interval=None if error is None else interval(value, error),
        reason=f"{bound.metric} {value:.4f} {'fulfils' if held else 'breaks'} {bound_text(bound)}",
    )


def _check_change(change: Change, overall: Slice, uncertainty: Uncertainty, *, champion: str, unusable: str) -> Check:
    name, bound = f"{change.metric} change", _change_text(change)
    if unusable:
        reason = f"{champion} cannot be compared with: {unusable}"
        return Check(name=name, verdict=Verdict.NOT_EVALUABLE, bound=bound, reason=reason)
    if change.metric not in overall.candidate:
        return undefined(name, bound, overall)
    if not champion:
        return Check(name=name, verdict=Verdict.ACCEPTED, bound=bound, reason="there is no champion to be worse than")
    if change.metric not in overall.champion:
        return undefined(name, bound, overall)
    error = uncertainty.errors(OVERALL).change.get(change.metric)
    if error is None:
        reason = f"{name} has no interval: all rows are of one user"
        return Check(name=name, verdict=Verdict.NOT_EVALUABLE, bound=bound, reason=reason)
    return _compare(change, overall, error, champion=champion)


def _compare(change: Change, overall: Slice, error: float, *, champion: str) -> Check:
    """Accepted where the loss is surely no larger than allowed, refused where it surely is, else inconclusive."""
    value, before = overall.candidate[change.metric], overall.champion[change.metric]
    found = interval(value - before, error)
    sign = 1 if change.direction == "higher_is_better" else -1
    worst, best = sorted(sign * end for end in found)
    verdict, what = Verdict.INCONCLUSIVE, f"; it may lose more than {change.max_loss:g}, and more users would tell"
    if worst >= -change.max_loss - ROUNDING:
        verdict, what = Verdict.ACCEPTED, ""
    elif best < -change.max_loss - ROUNDING:
        verdict, what = Verdict.REFUSED, f"; it loses more than {change.max_loss:g}"
    return Check(
        name=f"{change.metric} change",
        verdict=verdict,
        observed=value - before,
        bound=f"{_change_text(change)} (champion {before:.4f})",
        interval=found,
        reason=f"{change.metric} {value:.4f} against {before:.4f} of {champion}, "
        f"a change of {value - before:+.4f} ({found[0]:+.4f} to {found[1]:+.4f}){what}",
    )


def _change_text(change: Change) -> str:
    return f">= -{change.max_loss:g}" if change.direction == "higher_is_better" else f"<= {change.max_loss:g}"


def _weak_slices(evaluate: Evaluate, table: Mapping[str, Slice]) -> list[str]:
    """Slices outside a bound, the largest first, each with the first metric that is."""
    weak: dict[str, str] = {}
    bounds = [bound for bound in evaluate.bounds if not bound.per]
    for name, found in table.items():
        for bound in bounds if name != OVERALL and found.rows >= evaluate.min_slice_rows else ():
            value = found.candidate.get(bound.metric)
            if value is not None and not holds(bound, value):
                weak.setdefault(name, f"{name} ({bound.metric} {value:.3f}, {found.rows} rows)")
    return list(weak.values())

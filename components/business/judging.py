"""The verdict: may the log be asked at all, and does the candidate earn at least what the champion does, less the margin?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from components.decision.report import Check, GateReport, Verdict
from components.inference.evaluability import NEW, REFERENCE, Rule, judge_evaluability
from components.inference.off_policy import Estimate, Total, delta, estimate, relative_delta
from components.inference.units import UnitSums
from pipelines.errors import bounded
from pipelines.spec import Kpi

GATE = "business"
MAX_LOST = 0.01
"""Share of rows that may disagree with the log."""
_NEXT = {
    Verdict.NOT_EVALUABLE: "log lists that explore more, or raise `policy.temperature` or `policy.epsilon` in pipeline.yaml "
    "(docs/gates/business.md); until then an A/B test must decide",
    Verdict.INCONCLUSIVE: "decide by an A/B test with a small first stage, or by hand; more rows make the interval narrower",
    Verdict.REFUSED: "compare both models in `evaluation/estimates.html` of this node",
}


def judge(
    kpis: Sequence[Kpi], sums: Mapping[str, UnitSums], *, rows: int, lost: int, champion: str, unusable: str = ""
) -> GateReport:
    """`sums` by KPI; one without mature rows has none. `champion` names it: "" when there is none."""
    if not champion:
        return _uncompared(kpis, Verdict.ACCEPTED, "there is no champion to earn less than")
    if unusable:
        return _uncompared(kpis, Verdict.NOT_EVALUABLE, f"{champion} cannot be compared with: {unusable}")
    checks = [_join_check(rows, lost)]
    for kpi in kpis:
        if kpi.name not in sums:
            checks.append(_immature(kpi))
            continue
        rules = _rules(sums[kpi.name], champion)
        checks += [check for check in map(_rule_check, rules) if check.name not in {known.name for known in checks}]
        checks.append(_kpi_check(kpi, sums[kpi.name], [rule for rule in rules if not rule.held], champion))
    report = GateReport.of(GATE, checks)
    return report.model_copy(update={"next_command": _NEXT.get(report.verdict, ""), "reason": _reason(report)})


def _reason(report: GateReport) -> str:
    """Of a comparison that was accepted, what was found; the rules that allow it say less."""
    found = [check.reason for check in report.checks if check.verdict is report.verdict]
    decisive = [check.reason for check in report.checks if check.verdict is report.verdict and check.interval]
    return "; ".join(dict.fromkeys(decisive or found))


def _uncompared(kpis: Sequence[Kpi], verdict: Verdict, reason: str) -> GateReport:
    checks = [Check(name=f"{kpi.name} change", verdict=verdict, bound=_bound(kpi), reason=reason) for kpi in kpis]
    return GateReport.of(GATE, checks, reason=reason)


def _join_check(rows: int, lost: int) -> Check:
    share = lost / rows if rows else 1.0
    held = share <= MAX_LOST
    return Check(
        name="rows without their list",
        verdict=Verdict.ACCEPTED if held else Verdict.NOT_EVALUABLE,
        observed=share,
        bound=f"<= {MAX_LOST:g}",
        reason=f"{lost:,} of {rows:,} rows do not agree with the log of lists and items",
    )


def _immature(kpi: Kpi) -> Check:
    reason = (
        f"{kpi.name} is complete {kpi.attribution_days} days after a row, and no row is that old: "
        "`data.source.window_days` must be larger"
    )
    return Check(name=f"{kpi.name} change", verdict=Verdict.NOT_EVALUABLE, bound=_bound(kpi), reason=reason)


def _rules(sums: UnitSums, champion: str) -> list[Rule]:
    ours = judge_evaluability(sums, NEW, whose="the candidate")
    theirs = judge_evaluability(sums, REFERENCE, whose=champion)
    return ours + [rule._replace(name=f"{rule.name} (champion)") for rule in theirs]


def _rule_check(rule: Rule) -> Check:
    return Check(
        name=rule.name,
        verdict=Verdict.ACCEPTED if rule.held else Verdict.NOT_EVALUABLE,
        observed=rule.observed if np.isfinite(rule.observed) else None,
        bound=rule.bound,
        reason=rule.reason,
    )


def _kpi_check(kpi: Kpi, sums: UnitSums, failed: Iterable[Rule], champion: str) -> Check:
    name = f"{kpi.name} change"
    if broken := [f"{rule.name} {rule.observed:.4g}, must be {rule.bound}" for rule in failed]:
        reason = f"the log cannot tell what {kpi.name} would be: {bounded(broken)}"
        return Check(name=name, verdict=Verdict.NOT_EVALUABLE, bound=_bound(kpi), reason=reason)
    found = change(kpi, sums)
    if not np.isfinite(found.error):
        reason = f"{kpi.name} is zero in all rows" if not sums.values[:, Total.REWARD].any() else "too few users"
        return Check(name=name, verdict=Verdict.NOT_EVALUABLE, bound=_bound(kpi), reason=reason)
    verdict = verdict_of(kpi, found)
    return Check(
        name=name,
        verdict=verdict,
        observed=found.value,
        bound=_bound(kpi),
        interval=found.interval,
        reason=f"{kpi.name} {_sentence(kpi, found, champion)}, {_MEANING[verdict]} {_amount(kpi, kpi.margin)}",
    )


_MEANING = {
    Verdict.ACCEPTED: "within the margin of",
    Verdict.REFUSED: "certainly a loss beyond the margin of",
    Verdict.INCONCLUSIVE: "which may be a loss beyond the margin of",
}


def change(kpi: Kpi, sums: UnitSums) -> Estimate:
    """Candidate minus champion, in the unit of the margin."""
    return estimate(sums, relative_delta if kpi.margin_unit == "relative" else delta)


def verdict_of(kpi: Kpi, found: Estimate) -> Verdict:
    """A guardrail need not prove that it is unharmed."""
    low, high = found.interval
    worst, best = (low, high) if kpi.direction == "higher_is_better" else (-high, -low)
    if best < -kpi.margin:
        return Verdict.REFUSED
    return Verdict.ACCEPTED if kpi.guardrail or worst > -kpi.margin or _alike(found) else Verdict.INCONCLUSIVE


def _alike(found: Estimate) -> bool:
    """Equal policies: nothing differs, and nothing can be lost, also at a margin of zero."""
    return found.value == 0 and found.error == 0


def _bound(kpi: Kpi) -> str:
    return f"> -{_amount(kpi, kpi.margin)}" if kpi.direction == "higher_is_better" else f"< {_amount(kpi, kpi.margin)}"


def _sentence(kpi: Kpi, found: Estimate, champion: str) -> str:
    low, high = (_amount(kpi, value, signed=True) for value in found.interval)
    return f"{_amount(kpi, found.value, signed=True)} against {champion} [{low}, {high}]"


def _amount(kpi: Kpi, value: float, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return format(value, f"{sign}.2%") if kpi.margin_unit == "relative" else format(value, f"{sign}.6g")

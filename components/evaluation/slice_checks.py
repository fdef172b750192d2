"""Bounds that decide by slice, and gaps between slices: noise alone must not refuse one of many slices.

Intervals are as wide as it takes for all of them together to hold with 95 % (Bonferroni), and the one that lies
furthest out is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from components.decision.report import Check, Verdict
from components.evaluation.metrics import OVERALL, Slice
from components.evaluation.uncertainty import Uncertainty
from components.evaluation.wording import ROUNDING, bound_text, holds, undefined
from components.inference.units import CONFIDENCE, interval
from pipelines.errors import bounded
from pipelines.spec import Bound, Evaluate, Fairness


class _Found(NamedTuple):
    """A slice's metric, or a pair's gap."""

    name: str
    value: float
    interval: tuple[float, float]


def check_slices(bound: Bound, evaluate: Evaluate, table: Mapping[str, Slice], uncertainty: Uncertainty) -> Check:
    """Refused when the whole interval of some slice is outside; slices that cannot be judged are listed."""
    name, text = f"{bound.metric} per {', '.join(bound.per)}", bound_text(bound)
    judged, left_out = _judged(bound.metric, bound.per, evaluate, table, uncertainty)
    if not judged:
        return _no_slices(name, text, table, left_out)
    confidence = 1 - (1 - CONFIDENCE) / len(judged)
    found = []
    for key, error in judged.items():
        value = table[key].candidate[bound.metric]
        found.append(_Found(key, value, interval(value, error, confidence=confidence)))
    broken = [one for one in found if not _reaches(bound, one.interval)]
    outside = [one for one in found if not holds(bound, one.value)]
    if broken:
        reason = f"{bound.metric} breaks {text} in {_listed(broken)}, of {len(found)} slices"
    elif outside:
        reason = f"{bound.metric} is outside {text} by no more than noise in {_listed(outside, limit=2)}, of {len(found)} slices"
    else:
        reason = f"{bound.metric} fulfils {text} in all {len(found)} slices"
    furthest = max(found, key=lambda one: _distance(bound, one))
    return _check(name, text, Verdict.REFUSED if broken else Verdict.ACCEPTED, furthest, reason + left_out)


def check_gap(fairness: Fairness, evaluate: Evaluate, table: Mapping[str, Slice], uncertainty: Uncertainty) -> Check:
    """Refused when the whole interval of some pair's gap is above, accepted when no gap is, else inconclusive."""
    name, text = f"{fairness.metric} gap over {fairness.feature}", f"<= {fairness.max_gap:g}"
    judged, left_out = _judged(fairness.metric, (fairness.feature,), evaluate, table, uncertainty)
    if len(judged) < 2:
        return _no_slices(name, text, table, left_out)
    found = _gaps(list(judged), fairness.metric, table, uncertainty)
    above = [one for one in found if one.interval[0] > fairness.max_gap + ROUNDING]
    # Of two gaps above, the surer one is shown; of others, the largest.
    shown = max(above or found, key=lambda one: (one.interval[0] if above else one.value, one.name))
    verdict, what = Verdict.INCONCLUSIVE, f"is above {fairness.max_gap:g}, perhaps by noise only"
    if above:
        verdict, what = Verdict.REFUSED, f"breaks {text}"
    elif shown.value <= fairness.max_gap + ROUNDING:
        verdict, what = Verdict.ACCEPTED, f"fulfils {text}"
    low, high = shown.interval
    reason = f"{fairness.metric} gap {shown.value:.4f} ({low:.4f} to {high:.4f}) of {shown.name} {what}"
    return _check(name, text, verdict, shown, reason + left_out)


def _gaps(names: Sequence[str], metric: str, table: Mapping[str, Slice], uncertainty: Uncertainty) -> list[_Found]:
    """Of all pairs, the better one first."""
    pairs = list(combinations(sorted(names, key=lambda name: -table[name].candidate[metric]), 2))
    confidence = 1 - (1 - CONFIDENCE) / len(pairs)
    found = []
    for high, low in pairs:
        gap = table[high].candidate[metric] - table[low].candidate[metric]
        error = uncertainty.gap_error(high, low, metric)
        found.append(_Found(f"{high} against {low}", gap, interval(gap, error, confidence=confidence)))
    return found


def _judged(
    metric: str, columns: Sequence[str], evaluate: Evaluate, table: Mapping[str, Slice], uncertainty: Uncertainty
) -> tuple[dict[str, float], str]:
    """Standard errors of the slices that can be judged, and a sentence about the others."""
    names = [name for name, found in table.items() if found.columns == tuple(columns)]
    large = [name for name in names if table[name].rows >= evaluate.min_slice_rows]
    errors = {
        name: error
        for name in large
        if metric in table[name].candidate and (error := uncertainty.errors(name).candidate.get(metric)) is not None
    }
    small = [f"{name} ({table[name].rows} rows)" for name in names if name not in large]
    unclear = [name for name in large if name not in errors]
    parts = [
        f"{len(small)} slices below {evaluate.min_slice_rows} rows are not judged: {bounded(small)}" if small else "",
        f"{metric} is not defined in {bounded(unclear)}" if unclear else "",
    ]
    return errors, "".join(f"; {part}" for part in parts if part)


def _no_slices(name: str, text: str, table: Mapping[str, Slice], left_out: str) -> Check:
    overall = table.get(OVERALL, Slice())
    if not overall.rows:
        return undefined(name, text, overall)
    reason = f"{name}: too few slices are large enough{left_out}; lower `min_slice_rows`, or evaluate more rows"
    return Check(name=name, verdict=Verdict.NOT_EVALUABLE, bound=text, reason=reason)


def _check(name: str, bound: str, verdict: Verdict, shown: _Found, reason: str) -> Check:
    return Check(
        name=name,
        verdict=verdict,
        observed=shown.value,
        bound=bound,
        slice=shown.name,
        interval=shown.interval,
        reason=reason,
    )


def _reaches(bound: Bound, interval: tuple[float, float]) -> bool:
    low, high = interval
    return (bound.min is None or high >= bound.min - ROUNDING) and (bound.max is None or low <= bound.max + ROUNDING)


def _distance(bound: Bound, found: _Found) -> float:
    """How far the near end of the interval is beyond the bound; negative within."""
    low, high = found.interval
    beyond = [bound.min - high] if bound.min is not None else []
    return max([*beyond, low - bound.max] if bound.max is not None else beyond)


def _listed(found: Sequence[_Found], *, limit: int = 5) -> str:
    texts = [f"{one.name} ({one.value:.3f}, {one.interval[0]:.3f} to {one.interval[1]:.3f})" for one in found]
    return bounded(texts, limit=limit)

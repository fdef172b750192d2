"""What each check of the learning gate finds wrong.

judge(Learning(max_gap={"auc": 0.1}), Findings(history=..., train={"auc": 0.9}, evaluated={"auc": 0.7}, ...))
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from components.decision.report import Check, GateReport, Verdict
from components.training.history import Epoch, History
from pipelines.errors import bounded
from pipelines.spec import Learning

GATE = "learning"
HIGHER_IS_BETTER = ("auc", "macro_auc", "accuracy", "r_squared", "precision@", "recall@")
"""Names, or their beginnings."""


@dataclass(frozen=True)
class Findings:
    history: History
    train: Mapping[str, float]
    """Metrics of the model on the sample of the train split, ..."""
    evaluated: Mapping[str, float]
    """... and of the eval split."""
    loss: str
    """How far predictions are off, in words."""
    gain: float
    """That of a constant minus that of the model, per row of the eval split."""
    gain_interval: tuple[float, float]
    """By user."""
    strengths: Mapping[str, float]
    """Of each feature alone."""
    copies: tuple[str, ...] = ()
    """Features that equal the label in every row."""
    skew: Mapping[str, float] | None = None
    """Largest relative difference, by feature; None when it cannot be told, and `no_skew` says why."""
    no_skew: str = ""


def judge(learning: Learning, found: Findings) -> GateReport:
    checks = [
        *_curve(learning, found.history),
        *([_gain(found)] if learning.beat_constant else []),
        *(_gap(metric, limit, found) for metric, limit in learning.max_gap.items()),
        *([_leakage(learning.max_single_feature, found)] if learning.max_single_feature else []),
        _skew(learning.max_skew, found),
    ]
    report = GateReport.of(GATE, checks)
    if report.verdict is Verdict.ACCEPTED:
        return report.model_copy(update={"reason": "; ".join(check.reason for check in checks)})
    reasons = dict.fromkeys(check.reason for check in checks if check.verdict is report.verdict)
    return report.model_copy(
        update={
            "reason": "; ".join(reasons),
            "next_command": "look at the epochs of the train node in MLflow and at features.py; bounds: `learning`",
        }
    )


def _curve(learning: Learning, history: History) -> Iterator[Check]:
    """Divergence, from what the epochs said."""
    losses = [loss for epoch in history.epochs if (loss := _loss(epoch)) is not None]
    name, bound = "learning curve", "finite"
    if not losses:
        yield Check(name=name, verdict=Verdict.NOT_EVALUABLE, bound=bound, reason="no epoch was finished")
        return
    if broken := [epoch.epoch for epoch in history.epochs if not all(map(math.isfinite, epoch.metrics.values()))]:
        reason = f"the loss is not a number in epoch {bounded(broken)}: lower the learning rate"
        yield Check(name=name, verdict=Verdict.REFUSED, bound=bound, reason=reason)
        return
    exported = min(losses) if history.exported == "best" else losses[-1]
    rise = exported / min(losses) - 1
    limit = math.inf if learning.max_rise is None else learning.max_rise
    yield Check(
        name=name,
        verdict=Verdict.ACCEPTED if rise <= limit else Verdict.REFUSED,
        observed=rise,
        bound=f"eval loss <= {1 + limit:g} x its smallest",
        reason=f"the eval loss of the exported weights is {exported:.4f}, the smallest was {min(losses):.4f}",
    )


def _loss(epoch: Epoch) -> float | None:
    return epoch.metrics.get("val_loss", epoch.metrics.get("loss"))


def _gain(found: Findings) -> Check:
    low, _ = found.gain_interval
    learned = found.gain > 0 and not low <= 0
    return Check(
        name="learned",
        verdict=Verdict.ACCEPTED if learned else Verdict.REFUSED,
        observed=found.gain,
        bound="> 0",
        interval=None if math.isnan(low) else found.gain_interval,
        reason=f"{found.loss} is {abs(found.gain):.4f} {'below' if found.gain > 0 else 'above'} that of a constant"
        + ("" if learned or found.gain <= 0 else ", which may be chance"),
    )


def _gap(metric: str, limit: float, found: Findings) -> Check:
    train, evaluated = found.train.get(metric), found.evaluated.get(metric)
    name, bound = f"{metric} gap", f"<= {limit:g}"
    if train is None or evaluated is None:
        reason = f"{metric} is not defined on a split: it holds labels of one class only, or no probabilities"
        return Check(name=name, verdict=Verdict.NOT_EVALUABLE, bound=bound, reason=reason)
    gap = train - evaluated if metric.startswith(HIGHER_IS_BETTER) else evaluated - train
    held = gap <= limit
    return Check(
        name=name,
        verdict=Verdict.ACCEPTED if held else Verdict.REFUSED,
        observed=gap,
        bound=bound,
        reason=f"{metric} is {train:.4f} on rows it learned from, {evaluated:.4f} on others"
        + ("" if held else f": overfitted, the gap is above {limit:g}"),
    )


def _leakage(limit: float, found: Findings) -> Check:
    """The strongest feature decides."""
    name, bound = "strongest feature alone", f"<= {limit:g}"
    if found.copies:
        reason = f"the label is in the features: {bounded(found.copies)} equal it in every row"
        return Check(name=name, verdict=Verdict.REFUSED, observed=1.0, bound=bound, reason=reason)
    known = {feature: value for feature, value in found.strengths.items() if math.isfinite(value)}
    if not known:
        reason = "the sampled labels do not differ, so no feature can be told to leak"
        return Check(name=name, verdict=Verdict.NOT_EVALUABLE, bound=bound, reason=reason)
    feature, strength = max(known.items(), key=lambda item: item[1])
    held = strength <= limit
    return Check(
        name=name,
        verdict=Verdict.ACCEPTED if held else Verdict.REFUSED,
        observed=strength,
        bound=bound,
        reason=f"`{feature}` alone reaches {strength:.3f}"
        + ("" if held else ": too good to be known before the label; take it out, or raise `max_single_feature`"),
    )


def _skew(limit: float, found: Findings) -> Check:
    name, bound = "transform skew", f"<= {limit:g}"
    if found.skew is None:
        return Check(name=name, verdict=Verdict.NOT_EVALUABLE, bound=bound, reason=found.no_skew)
    wrong = sorted((feature for feature, size in found.skew.items() if not size <= limit), key=str)
    largest = max(found.skew.values(), default=0.0)
    return Check(
        name=name,
        verdict=Verdict.REFUSED if wrong else Verdict.ACCEPTED,
        observed=largest if math.isfinite(largest) else str(largest),
        bound=bound,
        reason=f"features of a request differ from those it learned from: {bounded(wrong)}"
        if wrong
        else "a request's features are those it learned from",
    )

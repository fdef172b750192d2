"""Which model is the candidate, and whether it is worse than a simpler one.

choice = choose(quality, Baselines(pin=None, tolerance=0.001))
choice.model, choice.reason
judge(choice.model, quality, Baselines())           # the check `worse than baseline`
"""

from __future__ import annotations

import math
from typing import NamedTuple, get_args

from components.choice.quality import Estimate, Quality
from components.decision.report import Check, GateReport, Verdict
from pipelines.errors import SpecError, bounded
from pipelines.spec import BaselineModel, Baselines

GATE = "choose"
CHECK = "worse than baseline"
ORDER: tuple[BaselineModel, ...] = get_args(BaselineModel)
OWN: BaselineModel = "tensorflow"

_SERVE_BETTER = "set `baselines: {pin: null}` in pipeline.yaml to serve the better one, or raise its tolerance"


class Choice(NamedTuple):
    model: BaselineModel
    reason: str


def choose(quality: Quality, baselines: Baselines) -> Choice:
    """The simplest model whose loss exceeds the best one's by at most the tolerance and one standard error.

    The one-standard-error rule of Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984,
    section 3.4.3, with the error of the paired difference.

    Raises:
        SpecError: the pinned model could not be made.
    """
    known = [name for name in ORDER if name in quality.names]
    if baselines.pin:
        if baselines.pin not in known:
            raise SpecError(
                f"`baselines.pin` must be a model that this day has: {bounded(known)}. Received: pin={baselines.pin}",
                fix="pin another, or see the node `baselines` for why there is none",
            )
        return Choice(baselines.pin, f"{baselines.pin} is pinned")
    best = min(known, key=lambda name: quality.loss(name).value)
    for name in known:
        found = quality.difference(name, best)
        if math.isnan(found.error):
            return Choice(OWN, "the eval split has fewer than two units, too few to compare models by")
        if found.value <= baselines.tolerance + found.error:
            break
    if name == best:
        return Choice(name, f"{name} has the lowest {quality.metric}, and no simpler model comes near")
    allowed = f"{baselines.tolerance:g} and one standard error ({found.error:.2g})"
    return Choice(name, f"{name} is the simplest within {allowed} of {best}, by {found.value:.4g} {quality.metric}")


def judge(model: BaselineModel, quality: Quality, baselines: Baselines) -> GateReport:
    """Whether the 95 % interval of its loss over the best simpler model's is above the tolerance."""
    simpler = [name for name in ORDER[: ORDER.index(model)] if name in quality.names]
    bound = f"<= {baselines.tolerance:g}"
    if not simpler:
        reason = f"{model} is the simplest model there is"
        return GateReport.of(GATE, [Check(name=CHECK, verdict=Verdict.ACCEPTED, bound=bound, reason=reason)])
    best = min(simpler, key=lambda name: quality.loss(name).value)
    found = quality.difference(model, best)
    verdict, judged = _verdict(found, baselines)
    check = Check(
        name=CHECK,
        verdict=verdict,
        observed=found.value,
        bound=bound,
        interval=None if math.isnan(found.error) else found.interval,
        reason=f"{quality.metric} {quality.loss(model).value:.4f} of {model} {judged}"
        f" {quality.loss(best).value:.4f} of {best}, the best of the simpler models",
    )
    is_worse = found.interval[0] > baselines.tolerance
    return GateReport.of(GATE, [check], next_command=_SERVE_BETTER if is_worse else "")


def _verdict(found: Estimate, baselines: Baselines) -> tuple[Verdict, str]:
    if math.isnan(found.error):
        return Verdict.NOT_EVALUABLE, "cannot be told from"
    if found.interval[0] <= baselines.tolerance:
        return Verdict.ACCEPTED, "is not clearly worse than"
    if baselines.when_worse == "report":
        return Verdict.ACCEPTED, "is worse (reported only, see `baselines.when_worse`) than"
    return Verdict.REFUSED, "is worse than"

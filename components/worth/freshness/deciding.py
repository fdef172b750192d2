"""TRAIN, SKIP(cost) or TRAIN(forced): is a fresh model worth a training today?

    decision = decide(situation, freshness)
    decision.action, decision.code, decision.reason

SKIP only when even the upper end of what a fresh model may bring is below what a retrain costs, so that what is not known
is trained. The gain is of one fresh model: by skipping, users meet tomorrow a champion that is `champion_age` days older
than the model that would be trained today.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from components.inference.net_benefit import Estimate
from pipelines.spec import Freshness


class Action(enum.StrEnum):
    TRAIN = "TRAIN"
    SKIP = "SKIP"


class Situation(NamedTuple):
    champion: str = ""
    """Its version; "" when there is none."""
    champion_age: int = 0
    """Days from its data day to today's."""
    gain_usd: Estimate | None = None
    """None: too few models of earlier days."""
    cost_usd: float | None = None
    """Of training and judging a model. None: no earlier retrain says."""
    drift: float = 0.0
    """The largest distance, as a share of its bound."""
    drifted: str = ""
    """The column of it."""


class Decision(NamedTuple):
    action: Action
    code: str
    reason: str


def decide(situation: Situation, freshness: Freshness) -> Decision:
    if forced := _forced(situation, freshness):
        return forced
    gain, cost = situation.gain_usd, situation.cost_usd
    if gain is None or cost is None:
        missing = "models of earlier days" if gain is None else "the cost of an earlier retrain"
        return _train(
            "no_history", f"TRAIN(forced: no history): there is nothing to compare with, {missing} is missing"
        )
    found = (
        f"a fresh model brings {gain.value:.2f} USD [{gain.low:.2f}, {gain.high:.2f}], a retrain costs {cost:.4g} USD"
    )
    if gain.high < cost:
        reason = f"SKIP(cost): {found}; champion version {situation.champion} stays"
        return Decision(Action.SKIP, "skip_cost", reason)
    return _train("worth_it", f"TRAIN: {found}")


def _forced(situation: Situation, freshness: Freshness) -> Decision | None:
    """Whatever it costs."""
    if not situation.champion:
        return _train("no_history", "TRAIN(forced: no history): there is no champion")
    tomorrow = situation.champion_age + 1
    if tomorrow > freshness.max_age_days:
        reason = f"tomorrow the champion would be {tomorrow} days old, allowed are {freshness.max_age_days}"
        return _train("staleness_cap", f"TRAIN(forced: staleness cap): {reason}")
    if situation.drift >= freshness.drift_share:
        reason = (
            f"{situation.drifted} is at {situation.drift:.0%} of its drift bound, from {freshness.drift_share:.0%} on "
            "the day is trained"
        )
        return _train("drift", f"TRAIN(forced: drift): {reason}")
    return None


def _train(code: str, reason: str) -> Decision:
    return Decision(Action.TRAIN, code, reason)

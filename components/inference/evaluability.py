"""Whether a log can answer at all what another policy would have earned.

    for rule in judge_evaluability(sums):
        rule.name, rule.held, rule.reason

An estimate from a log that did not explore is a number like any other, and wrong: of a deterministic policy the 95 %
interval of IPS covers the truth in one of six runs. So no rule may fail, or there is no estimate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from components.inference.off_policy import Total, estimate
from components.inference.units import UnitSums

MAX_UNSUPPORTED = 0.01
MAX_WEIGHT_ERROR = 0.01
MAX_WEIGHT_ERRORS_OFF = 4.0
MIN_EFFECTIVE_SHARE = 0.2
MIN_EFFECTIVE_ROWS = 1000.0


class Rule(NamedTuple):
    name: str
    observed: float
    bound: str
    held: bool
    reason: str


class Policy(NamedTuple):
    """Where the sums of one policy are."""

    weight: Total
    squared: Total
    unsupported: Total


NEW = Policy(Total.W, Total.WW, Total.UNSUPPORTED_W)
REFERENCE = Policy(Total.V, Total.VV, Total.UNSUPPORTED_V)


def judge_evaluability(sums: UnitSums, policy: Policy = NEW, *, whose: str = "the new policy") -> list[Rule]:
    """All rules; none of them looks at a reward."""
    totals = sums.values.sum(axis=0)
    rows = totals[Total.ROWS]
    unsupported = float(totals[policy.unsupported] / rows) if rows else np.nan
    return [_support(unsupported, whose), *_weight_rules(sums, policy, whose), *_effective_rules(sums, policy, whose)]


def effective_rows(sums: UnitSums, policy: Policy = NEW) -> float:
    """`sum(w)**2 / sum(w**2)`: rows of the policy's own log that would tell as much (Kish, 1965)."""
    totals = sums.values.sum(axis=0)
    return float(totals[policy.weight] ** 2 / totals[policy.squared]) if totals[policy.squared] else 0.0


def _support(unsupported: float, whose: str) -> Rule:
    held = bool(unsupported <= MAX_UNSUPPORTED)
    verb = "gives" if held else "would give"
    reason = f"{whose} {verb} {unsupported:.2%} of its choices to what the log could not have shown"
    return Rule("unsupported mass", unsupported, f"<= {MAX_UNSUPPORTED:g}", held, reason)


def _weight_rules(sums: UnitSums, policy: Policy, whose: str) -> list[Rule]:
    if not len(sums.units):
        mean, error = np.nan, np.nan
    else:
        mean, error, _ = estimate(sums, lambda totals: totals[policy.weight] / totals[Total.ROWS])
    off = abs(mean - 1)
    near = bool(off <= MAX_WEIGHT_ERRORS_OFF * error or off < 1e-9)
    return [
        Rule(
            "error of the mean weight",
            error,
            f"<= {MAX_WEIGHT_ERROR:g}",
            bool(error <= MAX_WEIGHT_ERROR),
            f"the mean weight of {whose} is known to {error:.4f}",
        ),
        Rule(
            "mean weight",
            mean,
            f"1 +- {MAX_WEIGHT_ERRORS_OFF:g} standard errors",
            near,
            f"weights of {whose} average to {mean:.4f}, and must to 1: else propensities are not those that chose",
        ),
    ]


def _effective_rules(sums: UnitSums, policy: Policy, whose: str) -> list[Rule]:
    rows = float(sums.values[:, Total.ROWS].sum())
    effective = effective_rows(sums, policy)
    share = effective / rows if rows else 0.0
    reason = f"{rows:,.0f} rows are worth {effective:,.0f} of {whose}'s own"
    return [
        Rule("effective share", share, f">= {MIN_EFFECTIVE_SHARE:g}", share >= MIN_EFFECTIVE_SHARE, reason),
        Rule("effective rows", effective, f">= {MIN_EFFECTIVE_ROWS:g}", effective >= MIN_EFFECTIVE_ROWS, reason),
    ]

"""What another policy would have earned, from the log of one that explored: estimators over mergeable sums by unit.

    sums = merge_units([sum_by_unit(units, row_values(logged)) for units, logged in batches])
    found = estimate(sums, delta)                                # value, error, interval: the delta method
    low, high = bootstrap(sums, delta, seed=7).interval          # the same by resampling

A row is one choice: the reward of what was shown, and the weights `w = pi(shown) / propensity` of two policies. Every
estimator is a smooth function of the totals of a row's values, so batches, shards and days merge by addition, units (users)
are what is resampled, and the delta method and the bootstrap judge the same function.

IPS: Horvitz and Thompson (1952). SNIPS: Swaminathan and Joachims (2015). DR: Dudik, Langford and Li (2011, arXiv
1103.4601). Switch-DR: Wang, Agarwal and Dudik (2017, arXiv 1612.01205).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from components.inference.units import CONFIDENCE, Floats, UnitSums, standard_errors

SWITCH_ABOVE = 10.0
"""Weight above which Switch-DR trusts the reward model alone."""
_STEP = 1e-20
"""Of the complex-step derivative, which has no cancellation: as small as may be (Squire and Trapp, 1998)."""


class Total(enum.IntEnum):
    """Columns of `row_values`. `W` and `V` are the weights of the new policy and of the one it is compared with."""

    ROWS = 0
    REWARD = 1
    BASE = 2
    """The denominator of the KPI; 1 a row when it has none."""
    W = 3
    V = 4
    WW = 5
    VV = 6
    W_REWARD = 7
    V_REWARD = 8
    W_BASE = 9
    V_BASE = 10
    GUESS = 11
    """What the reward model says of what was shown."""
    W_GUESS = 12
    MEAN_GUESS = 13
    """What it says of the choice that the new policy would have made, in expectation."""
    LIGHT_REWARD = 14
    """`W_REWARD`, of weights up to `SWITCH_ABOVE`."""
    LIGHT_GUESS = 15
    UNSUPPORTED_W = 16
    """Probability that the new policy gives to what the log could not have shown."""
    UNSUPPORTED_V = 17


Totals = npt.NDArray[Any]
"""Real, or complex while they are differentiated."""
Estimator = Callable[[Totals], Totals]
"""`[len(Total), ...]` totals to `[...]`; analytic, so that it can be differentiated."""


@dataclass(frozen=True)
class Logged:
    """Choices of the log, `[rows]` each. Probabilities are of what was shown, given what was shown above it."""

    reward: Floats
    propensity: Floats
    probability: Floats
    """Under the new policy."""
    reference: Floats
    """Under the policy it is compared with; equal to `propensity` when that one wrote the log."""
    base: Floats | None = None
    guess: Floats | None = None
    mean_guess: Floats | None = None
    unsupported: Floats | None = None
    unsupported_reference: Floats | None = None


def row_values(logged: Logged) -> Floats:
    """`[rows, len(Total)]`."""
    one, none = np.ones(len(logged.reward)), np.zeros(len(logged.reward))
    w, v, reward = logged.probability / logged.propensity, logged.reference / logged.propensity, logged.reward
    base = one if logged.base is None else logged.base
    guess = none if logged.guess is None else logged.guess
    light = w * (w <= SWITCH_ABOVE)
    values = {
        Total.ROWS: one,
        Total.REWARD: reward,
        Total.BASE: base,
        Total.W: w,
        Total.V: v,
        Total.WW: w * w,
        Total.VV: v * v,
        Total.W_REWARD: w * reward,
        Total.V_REWARD: v * reward,
        Total.W_BASE: w * base,
        Total.V_BASE: v * base,
        Total.GUESS: guess,
        Total.W_GUESS: w * guess,
        Total.MEAN_GUESS: none if logged.mean_guess is None else logged.mean_guess,
        Total.LIGHT_REWARD: light * reward,
        Total.LIGHT_GUESS: light * guess,
        Total.UNSUPPORTED_W: none if logged.unsupported is None else logged.unsupported,
        Total.UNSUPPORTED_V: none if logged.unsupported_reference is None else logged.unsupported_reference,
    }
    return np.stack([values[column] for column in Total], axis=1)


def logged_value(totals: Totals) -> Totals:
    """Of the policy that wrote the log."""
    return totals[Total.REWARD] / totals[Total.BASE]


def ips(totals: Totals) -> Totals:
    """`mean(w r)`, over the logged mean of the denominator."""
    return totals[Total.W_REWARD] / totals[Total.BASE]


def snips(totals: Totals) -> Totals:
    """`sum(w r) / sum(w)`; with a denominator `sum(w r) / sum(w d)`."""
    return totals[Total.W_REWARD] / totals[Total.W_BASE]


def reference_snips(totals: Totals) -> Totals:
    """`snips` of the policy compared with."""
    return totals[Total.V_REWARD] / totals[Total.V_BASE]


def direct(totals: Totals) -> Totals:
    """DM: what the reward model expects of the new policy. Of no use where that model is wrong."""
    return totals[Total.MEAN_GUESS] / totals[Total.BASE]


def doubly_robust(totals: Totals) -> Totals:
    """DR: DM, and the weighted errors of the reward model."""
    return direct(totals) + (totals[Total.W_REWARD] - totals[Total.W_GUESS]) / totals[Total.BASE]


def switch_doubly_robust(totals: Totals) -> Totals:
    """DR with the errors under weights up to `SWITCH_ABOVE` only: less variance, some bias."""
    return direct(totals) + (totals[Total.LIGHT_REWARD] - totals[Total.LIGHT_GUESS]) / totals[Total.BASE]


def calibrated(estimator: Estimator) -> Estimator:
    """`estimator` with the reward model scaled so that its mean over the log is the mean reward: for a model that predicts
    something proportional to the reward, such as a click for the value of one."""

    def scaled(totals: Totals) -> Totals:
        scale = totals[Total.REWARD] / totals[Total.GUESS]
        guesses = (Total.GUESS, Total.W_GUESS, Total.MEAN_GUESS, Total.LIGHT_GUESS)
        return estimator(np.stack([totals[one] * (scale if one in guesses else 1.0) for one in Total]))

    return scaled


def delta(totals: Totals) -> Totals:
    """The pairwise difference: new policy minus the one it is compared with, on the same rows.

    `mean((w - v)(r - beta d)) / mean(d)` with `beta = sum(r) / sum(d)` and `d` the denominator, 1 a row without one. When
    the policy compared with wrote the log, `v = 1` and this is `mean((w - 1)(r - beta))`. What both policies would choose
    alike cancels, and `beta` takes away what the mean of the weights is off by chance; both weights average to 1, so
    neither moves the expectation. With a denominator it is the first-order change of the ratio.
    """
    beta = logged_value(totals)
    numerator = totals[Total.W_REWARD] - totals[Total.V_REWARD]
    return (numerator - beta * (totals[Total.W_BASE] - totals[Total.V_BASE])) / totals[Total.BASE]


def relative_delta(totals: Totals) -> Totals:
    """`delta` as a share of what the policy compared with earns."""
    return delta(totals) / reference_snips(totals)


class Estimate(NamedTuple):
    value: float
    error: float
    interval: tuple[float, float]


def estimate(sums: UnitSums, estimator: Estimator, *, confidence: float = CONFIDENCE) -> Estimate:
    """Value and two-sided interval by the delta method over units (Deng, Knoblich and Lu, 2018, arXiv 1803.06336), with
    Student's t for as many units as are effective.

    NaN where it is not defined: a share of nothing, or an error of fewer than two units.
    """
    totals = sums.values.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(np.real(estimator(totals.astype(np.complex128))))
        influences = sums.values @ gradient(estimator, totals)
    error = float(standard_errors(UnitSums(sums.units, influences[:, None]))[0])
    # A few busy users may hold most of the rows; then a normal interval is too narrow.
    width = error * float(stats.t.ppf((1 + confidence) / 2, max(effective_units(sums) - 1, 1)))
    return Estimate(value, error, (value - width, value + width))


def effective_units(sums: UnitSums) -> float:
    """Units of equal size that would tell as much: `sum(n)**2 / sum(n**2)` of their rows (Kish, 1965)."""
    rows = sums.values[:, Total.ROWS]
    return float(rows.sum() ** 2 / max(np.square(rows).sum(), 1))


def gradient(estimator: Estimator, totals: Floats) -> Floats:
    """`[len(totals)]`, exact to the last digits."""
    steps = totals.astype(np.complex128)[:, None] + 1j * _STEP * np.eye(len(totals))
    found = np.broadcast_to(estimator(steps), len(totals))
    return np.asarray(np.imag(found) / _STEP, np.float64)

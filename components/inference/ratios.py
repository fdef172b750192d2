"""Two arms compared by a ratio over units, such as clicks over impressions, from sums that merge.

    found = compare(control, treatment)                      # treatment - control; CUPED where there is a covariate
    found.value, found.error, found.variance_reduction
    shown = compare(control, treatment, margin=0.02)         # treatment - (1 - 0.02) * control
    shown.z                                                  # of "not worse by more than the margin"

The unit is what was assigned (a user), so the rows of one unit may be alike: the delta method over sums by unit (Deng,
Knoblich and Lu, arXiv 1803.06336). CUPED: Deng, Xu, Kohavi and Walker (2013), of the influence of a unit on the ratio.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol


class UnitSums(Protocol):
    """Over units: `y` numerator, `x` denominator, `c` a covariate from before; as `components.rollout.snapshot.Sums`."""

    @property
    def n(self) -> int: ...
    @property
    def sx(self) -> float: ...
    @property
    def sy(self) -> float: ...
    @property
    def sxx(self) -> float: ...
    @property
    def syy(self) -> float: ...
    @property
    def sxy(self) -> float: ...
    @property
    def sc(self) -> float: ...
    @property
    def scc(self) -> float: ...
    @property
    def sxc(self) -> float: ...
    @property
    def syc(self) -> float: ...


class Comparison(NamedTuple):
    """In units of the KPI; NaN where an arm has fewer than two units, or nothing in its denominator."""

    control: float
    treatment: float
    value: float
    """Treatment less control, and the margin added."""
    variance: float
    unit_variance: float
    """Mean over both arms of n * variance: what a unit of each arm adds."""
    variance_reduction: float
    """By the covariate: 0.3 leaves 70 % of the variance."""

    @property
    def error(self) -> float:
        return math.sqrt(self.variance)

    @property
    def z(self) -> float:
        return self.value / self.error if self.variance > 0 else math.nan


def compare(control: UnitSums, treatment: UnitSums, *, margin: float = 0.0, absolute: float = 0.0) -> Comparison:
    """`margin`: relative to the control, whose own error counts; `absolute`: in units of the KPI. More is better."""
    arms = (_arm(control), _arm(treatment))
    slope = _slope(arms)
    low, high = (_adjusted(arm, slope, arms) for arm in arms)
    scale = 1 - margin
    plain = _variance(arms[1], 0.0) + scale**2 * _variance(arms[0], 0.0)
    parts = _variance(arms[1], slope), scale**2 * _variance(arms[0], slope)
    return Comparison(
        low, high, high - scale * low + absolute, sum(parts), (parts[0] * arms[1].n + parts[1] * arms[0].n) / 2,
        1 - sum(parts) / plain if plain > 0 else 0.0,
    )  # fmt: skip


class _Arm(NamedTuple):
    n: int
    ratio: float
    variance: float
    """Of the influence of one unit."""
    covariance: float
    """Of influence and covariate."""
    covariate: float
    covariate_variance: float


_NOTHING = _Arm(0, math.nan, math.nan, math.nan, math.nan, math.nan)


def _arm(sums: UnitSums) -> _Arm:
    n = sums.n
    if n < 2 or sums.sx == 0:
        return _NOTHING._replace(n=n)
    ratio, mean_x = sums.sy / sums.sx, sums.sx / n
    # Influences (y - ratio x) / mean x sum to zero, so their sum of squares needs no mean.
    squares = (sums.syy - 2 * ratio * sums.sxy + ratio**2 * sums.sxx) / mean_x**2
    products = (sums.syc - ratio * sums.sxc) / mean_x
    mean_c = sums.sc / n
    spread = (sums.scc - n * mean_c**2) / (n - 1)
    return _Arm(n, ratio, max(0.0, squares / (n - 1)), products / (n - 1), mean_c, max(0.0, spread))


def _slope(arms: tuple[_Arm, _Arm]) -> float:
    """Of influence on covariate, pooled over the arms: the treatment does not touch a covariate from before."""
    spread = sum(arm.covariate_variance * arm.n for arm in arms)
    return sum(arm.covariance * arm.n for arm in arms) / spread if spread > 0 else 0.0


def _adjusted(arm: _Arm, slope: float, arms: tuple[_Arm, _Arm]) -> float:
    if slope == 0:
        return arm.ratio
    mean = sum(each.covariate * each.n for each in arms) / sum(each.n for each in arms)
    return arm.ratio - slope * (arm.covariate - mean)


def _variance(arm: _Arm, slope: float) -> float:
    if arm.n < 2:
        return math.nan
    return (arm.variance - 2 * slope * arm.covariance + slope**2 * arm.covariate_variance) / arm.n

"""Intervals that hold at every time at once, so that one may look after each tick and stop whenever one likes.

    low, high = confidence_sequence(0.003, variance, n=100_000, alpha=0.05, tuned_at=5000)
    upper = upper_sequence(difference, variance, n=units, alpha=0.01, tuned_at=planned / 4)
    upper < 0                     # certainly harmed, at whatever time it is seen

Asymptotic confidence sequences: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and
asymptotic confidence sequences", arXiv 2103.06476, theorem 2.2 (two-sided), proposition B.1 (one-sided) and appendix B.2 (tuning).
`variance` is that of the estimate, `n` the units that it rests on, `tuned_at` the n at which the width is near its least.
"""

from __future__ import annotations

import math


def confidence_sequence(
    estimate: float, variance: float, *, n: float, alpha: float, tuned_at: float
) -> tuple[float, float]:
    """Two-sided."""
    rate = n * _rho_squared(alpha, tuned_at)
    width = _width(variance, rate, math.log(math.sqrt(rate + 1) / alpha))
    return estimate - width, estimate + width


def upper_sequence(estimate: float, variance: float, *, n: float, alpha: float, tuned_at: float) -> float:
    """One-sided: the truth is below it at all times, with probability 1 - alpha. Infinite without units."""
    if n <= 0:
        return math.inf
    rate = n * _rho_squared(2 * alpha, tuned_at)
    return estimate + _width(variance, rate, math.log(1 + math.sqrt(rate + 1) / (2 * alpha)))


def lower_sequence(estimate: float, variance: float, *, n: float, alpha: float, tuned_at: float) -> float:
    return -upper_sequence(-estimate, variance, n=n, alpha=alpha, tuned_at=tuned_at)


def always_valid_p(estimate: float, variance: float, *, n: float, alpha: float, tuned_at: float) -> float:
    """The least level at which the two-sided sequence of that tuning leaves out 0."""
    rate = n * _rho_squared(alpha, tuned_at)
    return min(1.0, math.sqrt(rate + 1) * math.exp(-(estimate**2) / variance * rate / (2 * (rate + 1))))


def _width(variance: float, rate: float, log: float) -> float:
    """`rate` is n rho^2; n * variance is the variance of one unit, which is how theorem 2.2 writes it."""
    return math.sqrt(variance * 2 * (rate + 1) / rate * log)


def _rho_squared(alpha: float, tuned_at: float) -> float:
    level = -2 * math.log(alpha)
    return (level + math.log(level + 1)) / tuned_at

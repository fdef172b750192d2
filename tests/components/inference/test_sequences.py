from __future__ import annotations

import math

import numpy as np
import pytest

from components.inference.sequences import always_valid_p, confidence_sequence, lower_sequence, upper_sequence

VARIANCE = 0.04 * 0.96 / 50_000 + 0.043 * 0.957 / 50_000


def test_two_sided_interval_and_p_are_those_of_an_independent_implementation() -> None:
    """2000 of 50,000 against 2150 of 50,000, tuned at 5000."""
    low, high = confidence_sequence(0.003, VARIANCE, n=100_000, alpha=0.05, tuned_at=5000)
    assert (low, high) == pytest.approx((-0.0012089666, 0.0072089666), abs=1e-10)
    assert always_valid_p(0.003, VARIANCE, n=100_000, alpha=0.05, tuned_at=5000) == pytest.approx(
        0.7603735570, abs=1e-9
    )


def test_the_interval_leaves_out_zero_when_p_is_below_alpha() -> None:
    edge = 0.0042089666486939914
    assert always_valid_p(edge, VARIANCE, n=100_000, alpha=0.05, tuned_at=5000) == pytest.approx(0.05, abs=1e-9)


def test_one_side_is_narrower_than_two_and_turns_with_its_sign() -> None:
    high = upper_sequence(0.003, VARIANCE, n=100_000, alpha=0.05, tuned_at=5000)
    assert 0.003 + 1.64 * math.sqrt(VARIANCE) < high < 0.0072089666
    assert lower_sequence(-0.003, VARIANCE, n=100_000, alpha=0.05, tuned_at=5000) == -high
    assert upper_sequence(0.0, VARIANCE, n=0, alpha=0.05, tuned_at=5000) == math.inf


def test_it_is_narrowest_near_where_it_was_tuned() -> None:
    def in_errors(n: float, tuned_at: float) -> float:
        return upper_sequence(0.0, 1.0, n=n, alpha=0.005, tuned_at=tuned_at)

    assert in_errors(10_000, 10_000) < min(in_errors(10_000, 1_000), in_errors(10_000, 100_000))


def test_looking_at_all_times_stays_below_alpha() -> None:
    """A fixed 1.645 is passed by 40 % of these walks."""
    walks, alpha = 4000, 0.05
    sums = np.cumsum(np.random.default_rng(5).standard_normal((walks, 400)), axis=1)
    n = np.arange(1, 401)
    highs = np.array([upper_sequence(0.0, 1 / each, n=each, alpha=alpha, tuned_at=100) for each in n])
    crossed = (sums / n + highs < 0)[:, 20:].any(axis=1).mean()
    assert 0.005 < crossed <= alpha

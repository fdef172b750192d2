from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from components.inference.mismatch import THRESHOLD, log_evidence, mismatched


def test_evidence_is_the_product_of_predictive_probabilities() -> None:
    """Unit after unit, against a coin."""
    arms = np.random.default_rng(1).integers(0, 2, 300)
    counts, expected = [5000.0, 5000.0], 0.0
    for arm in arms:
        expected += math.log(counts[arm] / sum(counts) / 0.5)
        counts[arm] += 1
    assert log_evidence(int((arms == 0).sum()), int((arms == 1).sum())) == pytest.approx(expected, abs=1e-9)


def test_no_units_are_no_evidence() -> None:
    assert log_evidence(0, 0) == pytest.approx(0, abs=1e-12)


def test_its_expectation_under_equal_arms_is_one() -> None:
    n = 200
    k = np.arange(n + 1)
    chances = special.binom(n, k) / 2.0**n
    evidence = np.exp([log_evidence(int(each), int(n - each), concentration=50) for each in k])
    assert chances @ evidence == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("control", "treatment", "found"), [(100_000, 97_000, True), (100_000, 99_900, False)])
def test_only_a_clear_imbalance_is_found(control: int, treatment: int, found: bool) -> None:
    from tea_tasting.aggr import Aggregates
    from tea_tasting.metrics import SampleRatio

    data = {0: Aggregates(count_=control), 1: Aggregates(count_=treatment)}
    p = SampleRatio().analyze(data, 0, 1, "arm").pvalue
    assert mismatched(control, treatment) is found
    assert (p < 1 / THRESHOLD) is found


def test_looking_after_every_thousand_units_rings_once_in_a_thousand_lives_at_most() -> None:
    random = np.random.default_rng(2)
    treatment = random.binomial(1000, 0.5, (2000, 100)).cumsum(axis=1)
    control = 1000 * np.arange(1, 101) - treatment
    half = 5000.0
    evidence = (
        special.betaln(half + control, half + treatment)
        - special.betaln(half, half)
        + (control + treatment) * math.log(2)
    )
    assert (evidence >= math.log(THRESHOLD)).any(axis=1).mean() <= 0.003

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.choice.quality import Quality, measure, per_row_losses, sum_losses
from components.choice.rules import choose, judge
from components.decision.report import Verdict
from components.inference.ranking import auc
from pipelines.errors import SpecError
from pipelines.spec import Baselines

ALL = ("constant", "linear", "trees", "tensorflow")
FREE = Baselines(pin=None)


def quality_of(losses: dict[str, float], *, noise: float = 0.0, rows: int = 400, units: int = 100) -> Quality:
    """Models whose mean losses are given; `noise` is what a unit adds to each model, on its own."""
    random = np.random.default_rng(5)
    of_unit = random.normal(size=(units, len(losses))) * noise
    of_unit -= of_unit.mean(axis=0)
    numbers = np.arange(rows) % units
    return measure(
        list(losses), [sum_losses(numbers.astype(np.uint64), np.array([*losses.values()]) + of_unit[numbers])],
        metric="binary_crossentropy",
    )  # fmt: skip


def chosen(losses: tuple[float, ...], **spec: Any) -> str:
    return choose(quality_of(dict(zip(ALL, losses, strict=True))), Baselines(pin=None, **spec)).model


def test_the_simplest_within_the_tolerance_of_the_best_is_chosen() -> None:
    losses = (0.5, 0.42, 0.405, 0.4)
    assert chosen(losses) == "tensorflow"
    assert chosen(losses, tolerance=0.01) == "trees"
    assert chosen(losses, tolerance=0.03) == "linear"
    assert chosen(losses, tolerance=0.2) == "constant"


def test_of_equals_the_simplest_is_chosen() -> None:
    assert chosen((0.5, 0.4, 0.4, 0.4)) == "linear"
    assert chosen((0.4, 0.4, 0.4, 0.4)) == "constant"


def test_noise_does_not_choose() -> None:
    losses = dict(zip(ALL, (0.5, 0.401, 0.4, 0.402), strict=True))
    quality = quality_of(losses, noise=0.05)
    assert quality.difference("linear", "trees").error > 0.001
    assert choose(quality, FREE).model == "linear"
    assert choose(quality_of(losses, noise=0.05, rows=400_000, units=100_000), FREE).model == "trees"


def test_a_pin_wins_and_says_so() -> None:
    losses = dict(zip(ALL, (0.5, 0.4, 0.4, 0.6), strict=True))
    assert choose(quality_of(losses), Baselines()) == ("tensorflow", "tensorflow is pinned")
    with pytest.raises(SpecError, match=r"constant, tensorflow.*Received: pin=trees"):
        choose(quality_of({"constant": 0.5, "tensorflow": 0.4}), Baselines(pin="trees"))


def test_one_unit_is_too_few_to_compare_by() -> None:
    quality = quality_of({"constant": 0.3, "tensorflow": 0.4}, units=1)
    assert choose(quality, FREE).model == "tensorflow"
    report = judge("tensorflow", quality, FREE)
    assert report.verdict is Verdict.NOT_EVALUABLE and report.checks[0].interval is None


@pytest.mark.parametrize(
    ("losses", "spec", "verdict", "word"),
    [
        ((0.5, 0.4, 0.45, 0.5), {"when_worse": "refuse"}, Verdict.REFUSED, "0.4000 of linear"),
        ((0.5, 0.4, 0.45, 0.5), {}, Verdict.ACCEPTED, "is worse (reported only"),
        ((0.5, 0.4, 0.45, 0.5), {"when_worse": "refuse", "tolerance": 0.11}, Verdict.ACCEPTED, "not clearly worse"),
        ((0.5, 0.4, 0.45, 0.39), {"when_worse": "refuse"}, Verdict.ACCEPTED, "not clearly worse"),
    ],
)
def test_a_candidate_worse_than_a_baseline_is_told(
    losses: tuple[float, ...], spec: dict[str, Any], verdict: Verdict, word: str
) -> None:
    quality = quality_of(dict(zip(ALL, losses, strict=True)), noise=0.001)
    [check] = judge("tensorflow", quality, Baselines(**spec)).checks
    assert check.verdict is verdict and word in check.reason
    assert check.observed == pytest.approx(losses[3] - 0.4)
    assert check.interval is not None and check.interval[0] < losses[3] - 0.4 < check.interval[1]


def test_a_constant_has_no_simpler_model() -> None:
    report = judge("constant", quality_of({"constant": 0.5, "tensorflow": 0.4}), Baselines(when_worse="refuse"))
    assert report.verdict is Verdict.ACCEPTED


def test_the_error_is_that_of_sums_by_unit() -> None:
    """100 rows of each of 50 units are as sure as one row of each when the rows of a unit are equal."""
    many = quality_of({"constant": 0.5, "linear": 0.4}, noise=0.1, rows=5000, units=50)
    few = quality_of({"constant": 0.5, "linear": 0.4}, noise=0.1, rows=50, units=50)
    assert many.difference("constant", "linear").error == pytest.approx(few.difference("constant", "linear").error)


def test_losses_by_definition() -> None:
    labels, found = np.array([1.0, 0.0]), np.array([[0.8], [0.4]])
    expected = {"binary_crossentropy": [0.2231436, 0.5108256], "mean_squared_error": [0.04, 0.16]}
    expected["mean_absolute_error"] = [0.2, 0.4]
    for metric, values in expected.items():
        np.testing.assert_allclose(per_row_losses(labels, found, metric=metric).ravel(), values, atol=1e-6)  # type: ignore[arg-type]


def test_auc_counts_ties_half() -> None:
    assert auc(np.array([0.0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8])) == pytest.approx(0.875)
    assert auc(np.array([1.0, 1]), np.array([0.1, 0.4])) is None
    assert auc(np.array([1.0, 0, 3]), np.array([0.1, 0.4, 0.2])) is None

"""Metrics of models of several classes: against scikit-learn, a bootstrap over users, and in whatever parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import special
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score, top_k_accuracy_score

from components.decision.report import Verdict
from components.evaluation import sums as kernels
from components.evaluation.checks import judge
from components.evaluation.metrics import OVERALL, Slice, read_table, thresholds_of
from components.evaluation.scored import LABEL, UNIT, as_column, predictions_of_models, read_scored, write_scored
from components.evaluation.slicing import as_texts
from components.evaluation.sums import SliceSums
from components.evaluation.uncertainty import ByUser, Uncertainty
from pipelines.spec import CLASS_METRICS, Evaluate
from tests.components.evaluation.crowds import SLICINGS, measure
from tests.components.evaluation.test_sums import MODELS
from tests.components.evaluation.test_uncertainty import users_of

CLASSES = 4
ALL = [*CLASS_METRICS, "accuracy@2", "auc@1", "calibration@0", "calibration@3"]


def kinds(seed: int, *, users: int = 400) -> pa.RecordBatch:
    """Both models know half of the classes that a user likes; what they guess of the rest, they guess for all rows."""
    random = np.random.default_rng(seed)
    rows = random.integers(1, 16, users)
    taste, guess = random.normal(size=(users, CLASSES)), random.normal(size=(2, users, CLASSES))
    chances = special.softmax(np.repeat(1.5 * taste + np.linspace(0, 1, CLASSES), rows, axis=0), axis=1)
    labels = (chances.cumsum(axis=1) < random.random((rows.sum(), 1))).sum(axis=1)
    odds = np.repeat(0.8 * taste + 0.6 * guess, rows, axis=1) + 0.3 * random.normal(size=(2, rows.sum(), CLASSES))
    cities = [[city] for city in np.repeat(random.choice([b"Berlin", b"Rome"], users), rows)]
    return of_classes(
        labels, *special.softmax(odds, axis=2), cities=cities, units=np.repeat(random.permutation(users), rows)
    )


def of_classes(labels: Any, candidate: Any, champion: Any, *, cities: Any = None, units: Any = None) -> pa.RecordBatch:
    cities = [None] * len(labels) if cities is None else cities
    return pa.RecordBatch.from_pydict(
        {
            LABEL: pa.array(np.asarray(labels, "f4")),
            "candidate": as_column(np.asarray(candidate, "f4")),
            "champion": as_column(np.asarray(champion, "f4")),
            "city": as_texts(pa.array(cities, pa.large_list(pa.large_binary()))),
            UNIT: pa.array(np.asarray(np.arange(len(labels)) if units is None else units, np.uint64)),
        }
    )


def table_of(found: pa.RecordBatch) -> dict[str, Slice]:
    sums = SliceSums(MODELS, SLICINGS, thresholds=thresholds_of(ALL)).partial(found)
    return read_table(sums, slicings=SLICINGS, models=MODELS, metrics=ALL)


def expected(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    scores = scores.astype("f8") / scores.sum(axis=1, keepdims=True)
    numbers = list(range(CLASSES))
    return {
        "categorical_crossentropy": log_loss(labels, scores, labels=numbers),
        "accuracy": accuracy_score(labels, scores.argmax(axis=1)),
        "accuracy@2": top_k_accuracy_score(labels, scores, k=2, labels=numbers),
        "macro_auc": roc_auc_score(labels, scores, multi_class="ovr", average="macro", labels=numbers),
        "auc@1": roc_auc_score(labels == 1, scores[:, 1]),
        "calibration@0": scores[:, 0].mean() / (labels == 0).mean(),
        "calibration@3": scores[:, 3].mean() / (labels == 3).mean(),
    }


def test_metrics_equal_those_of_another_library() -> None:
    found = kinds(3, users=1000)
    labels = found.column(LABEL).to_numpy()
    rome = np.array([city == [b"Rome"] for city in found.column("city").to_pylist()])
    table, scores = table_of(found), predictions_of_models(found, MODELS)
    for name, rows in {OVERALL: np.ones(len(labels), bool), "city=Rome": rome}.items():
        assert table[name].rows == rows.sum()
        for model, metrics in enumerate((table[name].candidate, table[name].champion)):
            assert metrics == pytest.approx(expected(labels[rows], scores[model, rows]), abs=2e-5)


def test_errors_are_those_of_a_bootstrap_over_users() -> None:
    found = kinds(4)
    users, random, drawn = users_of(found), np.random.default_rng(4), []
    for _ in range(200):
        rows = np.concatenate([users[one] for one in random.integers(0, len(users), len(users))])
        drawn.append(table_of(found.take(pa.array(rows))))
    _, uncertainty = measure(found, metrics=ALL)
    for name in (OVERALL, "city=Rome"):
        errors = uncertainty.errors(name)
        for metric in ALL:
            for part in ("candidate", "champion", "change"):
                spread = np.std([getattr(table[name], part)[metric] for table in drawn])
                assert getattr(errors, part)[metric] == pytest.approx(spread, rel=0.2), (name, metric, part)
    gaps = [table["city=Berlin"].candidate["macro_auc"] - table["city=Rome"].candidate["macro_auc"] for table in drawn]
    assert uncertainty.gap_error("city=Berlin", "city=Rome", "macro_auc") == pytest.approx(np.std(gaps), rel=0.2)


def test_parts_and_files_give_the_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    found = read_scored(write_scored(kinds(5), tmp_path, index=0))
    kernel = SliceSums(MODELS, SLICINGS, thresholds=thresholds_of(ALL))
    whole = kernel.partial(found)
    by_user = ByUser(whole, slicings=SLICINGS, models=MODELS, metrics=ALL, min_rows=50)
    errors = Uncertainty(by_user, by_user.sums_of(found)).errors("city=Rome")
    monkeypatch.setattr(kernels, "AT_ONCE", 700 * CLASSES)
    for one, other in zip(whole, kernel.partial(found), strict=True):
        assert (one.keys, one.curves) == (other.keys, other.curves) == (one.keys, 2 * CLASSES)
        np.testing.assert_array_equal(one.places, other.places)
        np.testing.assert_array_equal(one.counts, other.counts)
        np.testing.assert_allclose(one.models, other.models, rtol=1e-12)
    in_parts = Uncertainty(by_user, by_user.sums_of(found)).errors("city=Rome")
    assert in_parts.change == pytest.approx(errors.change, rel=1e-9)


HALVES = [[0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("labels", "predictions", "left_out"),
    [
        ([0, 1], HALVES, set()),
        ([0, 0], HALVES, {"macro_auc", "auc@1", "calibration@1"}),
        ([0, 2], HALVES, None),
        ([0, -1], HALVES, None),
        ([0, 0.5], HALVES, None),
        ([0, math.nan], HALVES, None),
        ([0, 1], [[0.5, 0.5], [2.5, -1.5]], None),
        ([0, 1], [[0.5, 0.5], [0.5, 0.6]], None),
        ([0, 1], [[0.5, 0.5], [math.nan, 0.5]], None),
    ],
)
def test_what_is_not_defined_is_left_out(labels: list[float], predictions: Any, left_out: set[str] | None) -> None:
    metrics = {*CLASS_METRICS, "auc@1", "calibration@1"}
    sums = SliceSums(["candidate"], [()], thresholds=thresholds_of(sorted(metrics))).partial(
        of_classes(labels, predictions, predictions)
    )
    table = read_table(sums, slicings=[()], models=["candidate"], metrics=sorted(metrics))
    assert set(table[OVERALL].candidate) == metrics - (metrics if left_out is None else left_out)


def test_equal_probabilities_go_to_the_first_class() -> None:
    found = of_classes([0, 1, 2, 3], np.full((4, 4), 0.25), np.eye(4))
    table = table_of(found)
    assert table[OVERALL].candidate["accuracy"] == 0.25
    assert table[OVERALL].candidate["accuracy@2"] == 0.5
    assert table[OVERALL].champion["accuracy"] == 1


def test_every_kind_of_check_decides_on_classes() -> None:
    found = kinds(6, users=3000)
    evaluate = Evaluate.model_validate(
        {
            "classes": CLASSES,
            "metrics": ALL,
            "slices": [["city"]],
            "bounds": [{"metric": "accuracy", "min": 0.3}, {"metric": "macro_auc", "min": 0.9, "per": ["city"]}],
            "fairness": [{"feature": "city", "metric": "macro_auc", "max_gap": 0.2}],
            "against_champion": [
                {"metric": "categorical_crossentropy", "direction": "lower_is_better", "max_loss": 0.1}
            ],
        }
    )
    report = judge(evaluate, *measure(found, metrics=ALL), champion="champion version 3")
    verdicts = {check.name: check.verdict for check in report.checks}
    assert verdicts == {
        "accuracy": Verdict.ACCEPTED,
        "macro_auc per city": Verdict.REFUSED,
        "macro_auc gap over city": Verdict.ACCEPTED,
        "categorical_crossentropy change": Verdict.ACCEPTED,
    }
    assert all(check.interval for check in report.checks)

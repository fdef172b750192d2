"""Sums and the metrics that follow, against scikit-learn, in whatever parts they were taken."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import log_loss, precision_score, r2_score, recall_score, roc_auc_score, root_mean_squared_error

from components.evaluation.metrics import OVERALL, Slice, read_calibration, read_roc, read_table, thresholds_of
from components.evaluation.scored import LABEL
from components.evaluation.slicing import as_texts
from components.evaluation.sums import SliceSums, Sums
from pipelines.spec import METRICS

MODELS = ["candidate", "champion"]
ALL = [*METRICS, "precision@0.5", "recall@0.25", "precision@0.25"]
SLICINGS: list[tuple[str, ...]] = [(), ("city",), ("city", "tag")]


def scored(rows: int = 4_000, *, rate: float = 0.3, seed: int = 3) -> pa.RecordBatch:
    random = np.random.default_rng(seed)
    odds = math.log(rate / (1 - rate)) + random.normal(size=(2, rows))
    candidate, champion = 1 / (1 + np.exp(-odds))
    tags = [[b"x", b"y"][: random.integers(0, 3)] for _ in range(rows)]
    return batch(
        labels=random.random(rows) < candidate,
        candidate=candidate,
        champion=champion,
        city=[[city.encode()] for city in random.choice(["Berlin", "Köln", "Rome"], rows)],
        tag=tags,
    )


def batch(*, labels: Any, candidate: Any, champion: Any, **texts: Any) -> pa.RecordBatch:
    columns = {LABEL: labels, "candidate": candidate, "champion": champion}
    found = {name: pa.array(np.asarray(values, "f4")) for name, values in columns.items()}
    for name, values in texts.items():
        found[name] = as_texts(pa.array(values, pa.large_list(pa.large_binary())))
    return pa.RecordBatch.from_pydict(found)


def table_of(found: pa.RecordBatch) -> dict[str, Slice]:
    sums = SliceSums(MODELS, SLICINGS, thresholds=thresholds_of(ALL)).partial(found)
    return read_table(sums, slicings=SLICINGS, models=MODELS, metrics=ALL)


@pytest.mark.parametrize("rate", [0.3, 0.002])
def test_metrics_equal_those_of_another_library(rate: float) -> None:
    found = scored(40_000, rate=rate)
    labels = found.column(LABEL).to_numpy()
    cities = np.array([city for [city] in found.column("city").to_pylist()])
    table = table_of(found)
    for name, rows in {OVERALL: np.ones(len(labels), bool), "city=Köln": cities == "Köln".encode()}.items():
        assert table[name].rows == rows.sum()
        for model, metrics in (("candidate", table[name].candidate), ("champion", table[name].champion)):
            scores = found.column(model).to_numpy()[rows].astype("f8")
            expected = {
                "binary_crossentropy": log_loss(labels[rows], scores),
                "calibration": scores.mean() / labels[rows].mean(),
                "mean_label": labels[rows].mean(),
                "mean_prediction": scores.mean(),
                "mean_squared_error": np.mean((scores - labels[rows]) ** 2),
                "mean_absolute_error": np.mean(np.abs(scores - labels[rows])),
                "root_mean_squared_error": root_mean_squared_error(labels[rows], scores),
                "r_squared": r2_score(labels[rows], scores),
                "precision@0.25": precision_score(labels[rows], scores > 0.25, zero_division=np.nan),
                "recall@0.25": recall_score(labels[rows], scores > 0.25),
                "precision@0.5": precision_score(labels[rows], scores > 0.5, zero_division=np.nan),
            }
            expected = {name: value for name, value in expected.items() if not np.isnan(value)}
            assert metrics["auc"] == pytest.approx(roc_auc_score(labels[rows], scores), abs=2e-5)
            assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=2e-6)
            assert len(metrics) == len(expected) + 1


def test_slices_come_with_the_largest_first_and_by_their_names() -> None:
    table = table_of(scored())
    assert next(iter(table)) == OVERALL
    rows = [found.rows for found in list(table.values())[1:]]
    assert rows == sorted(rows, reverse=True)
    assert {"city=Berlin", "city=Rome, tag=x", "city=Köln, tag=(missing)"} <= set(table)
    assert sum(table[f"city={city}"].rows for city in ("Berlin", "Köln", "Rome")) == table[OVERALL].rows


def test_parts_give_the_whole_and_the_same_bytes_however_they_were_joined() -> None:
    found = scored(3_000)
    kernel = SliceSums(MODELS, SLICINGS)
    parts = [kernel.partial(found.slice(start, length)) for start, length in ((0, 1), (1, 999), (1_000, 2_000))]
    whole, merged = kernel.partial(found), kernel.merge(parts)
    for one, other in zip(whole, merged, strict=True):
        assert one.keys == other.keys
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.places, other.places)
        np.testing.assert_array_equal(one.counts, other.counts)
        np.testing.assert_allclose(one.models, other.models, rtol=1e-12)
    assert pickle.dumps(kernel.merge(parts)) == pickle.dumps(kernel.merge(parts))
    assert kernel.merge([merged])[0].rows.tolist() == merged[0].rows.tolist()


def test_equal_predictions_are_ties() -> None:
    table = table_of(
        batch(labels=[0, 1, 0, 1], candidate=[0.5] * 4, champion=[0, 1, 0, 1], city=[None] * 4, tag=[None] * 4)
    )
    assert table[OVERALL].candidate["auc"] == 0.5
    assert table[OVERALL].champion["auc"] == 1.0


def defined(labels: list[float], predictions: list[float]) -> set[str]:
    nothing = [None] * len(labels)
    found = batch(labels=labels, candidate=predictions, champion=predictions, city=nothing, tag=nothing)
    return set(table_of(found)[OVERALL].candidate)


def test_what_is_not_defined_is_left_out() -> None:
    everything = set(ALL)
    of_classes = {"auc", "precision@0.5", "precision@0.25", "recall@0.25"}
    errors = {"mean_squared_error", "mean_absolute_error", "root_mean_squared_error", "r_squared"}
    assert defined([0, 1], [0.2, 0.8]) == everything
    assert defined([1, 1], [0.2, 0.8]) == everything - {"auc", "r_squared"}
    assert defined([0, 0], [0.2, 0.8]) == everything - {"auc", "calibration", "recall@0.25", "r_squared"}
    assert defined([0, 1], [0.2, 0.3]) == everything - {"precision@0.5"}
    assert defined([0, 1], [0.2, 1.5]) == everything - {"auc", "binary_crossentropy"}
    assert defined([3.5, 1], [0.2, 0.8]) == everything - of_classes
    assert defined([0.1] * 3, [0.1] * 3) == everything - of_classes - {"r_squared"}
    assert errors <= defined([-3.5, 1], [-2, 8])
    assert defined([0, 1], [0.2, math.inf]) & (errors | {"auc", "calibration"}) == set()
    assert defined([0, 1], [0.2, math.nan]) & (errors | {"auc", "calibration"}) == set()


def test_the_roc_curve_goes_from_nothing_to_everything() -> None:
    [overall, *_] = SliceSums(MODELS, SLICINGS).partial(
        batch(labels=[0, 1, 0, 1], candidate=[0.1, 0.9, 0.6, 0.4], champion=[0.5] * 4, city=[None] * 4, tag=[None] * 4)
    )
    curves = read_roc(overall, MODELS)
    false, true = curves["candidate"]
    assert sorted(set(zip(false.tolist(), true.tolist(), strict=True))) == [
        (0, 0),
        (0, 0.5),
        (0.5, 0.5),
        (0.5, 1),
        (1, 1),
    ]
    assert sorted(set(zip(*(rates.tolist() for rates in curves["champion"]), strict=True))) == [(0, 0), (1, 1)]
    [one_class, *_] = SliceSums(MODELS, SLICINGS).partial(
        batch(labels=[1], candidate=[0.1], champion=[0.5], city=[None], tag=[None])
    )
    assert read_roc(one_class, MODELS) == {}


def test_the_calibration_curve_has_the_rows_of_its_bins() -> None:
    [overall, *_] = SliceSums(MODELS, SLICINGS).partial(scored(2_000))
    assert isinstance(overall, Sums)
    curves = read_calibration(overall, MODELS)
    assert set(curves) == set(MODELS)
    points = np.array(curves["candidate"])
    assert points[:, 2].sum() == 2_000
    assert points[:, 1] @ points[:, 2] == pytest.approx(overall.labels[0, 0])
    assert points[:, 0] @ points[:, 2] == pytest.approx(overall.models[0, 0, 0], rel=1e-3)

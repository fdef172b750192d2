"""Sums and the metrics that follow, against scikit-learn, in whatever parts they were taken."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from components.evaluation.metrics import METRICS, OVERALL, Slice, read_calibration, read_table
from components.evaluation.scored import LABEL
from components.evaluation.slicing import as_texts
from components.evaluation.sums import SliceSums, Sums

MODELS = ["candidate", "champion"]
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
    sums = SliceSums(MODELS, SLICINGS).partial(found)
    return read_table(sums, slicings=SLICINGS, models=MODELS)


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
            }
            assert metrics["auc"] == pytest.approx(roc_auc_score(labels[rows], scores), abs=2e-5)
            assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=2e-6)
            assert len(metrics) == len(METRICS)


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
    everything = defined([0, 1], [0.2, 0.8])
    assert len(everything) == 7
    assert defined([1, 1], [0.2, 0.8]) == everything - {"auc"}
    assert defined([0, 0], [0.2, 0.8]) == everything - {"auc", "calibration"}
    assert defined([0, 1], [0.2, 1.5]) == everything - {"auc", "binary_crossentropy"}
    assert defined([3.5, 1], [0.2, 0.8]) == everything - {"auc"}
    assert defined([0, 1], [0.2, math.nan]) == {"mean_label"}
    assert defined([0, 1], [0.2, math.inf]) == {"mean_label"}


def test_the_calibration_curve_has_the_rows_of_its_bins() -> None:
    [overall, *_] = SliceSums(MODELS, SLICINGS).partial(scored(2_000))
    assert isinstance(overall, Sums)
    curves = read_calibration(overall, MODELS)
    assert set(curves) == set(MODELS)
    points = np.array(curves["candidate"])
    assert points[:, 2].sum() == 2_000
    assert points[:, 1] @ points[:, 2] == pytest.approx(overall.labels[0, 0])
    assert points[:, 0] @ points[:, 2] == pytest.approx(overall.models[0, 0, 0], rel=1e-3)

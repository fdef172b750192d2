"""Rows become tensors once, and give the predictions that a request with the same row gets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from components.evaluation import scoring
from components.evaluation.scored import LABEL, UNIT
from components.evaluation.scoring import Model, Score, Scoring
from components.examples.records import serialize, to_lists
from tests.components.evaluation.conftest import COLUMNS, Day


def batch_of(day: Day) -> pa.RecordBatch:
    return to_lists(pa.RecordBatch.from_pydict(day.rows), COLUMNS)


def make(day: Day) -> Scoring:
    models = {name: folder / "Format-Serving" for name, folder in day.models.items()}
    return Scoring(models, day.transform, day.schema, label="tips", unit="user", slice_columns=["hour"])


def scores(given: Scoring, batch: pa.RecordBatch) -> pa.RecordBatch:
    score = Score(given)
    score.setup()
    return score.score(batch)


def test_predictions_are_those_of_examples_and_the_label_is_the_transformed_one(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(day)
    monkeypatch.setattr(scoring, "BATCH_ROWS", 700)  # the last part is a short one
    found = scores(make(day), batch)
    np.testing.assert_array_equal(found.column(LABEL), day.labels)
    for name, folder in day.models.items():
        serve = tf.saved_model.load(str(folder / "Format-Serving")).signatures["serving_default"]
        expected = serve(examples=tf.constant(serialize(batch)))["predictions"].numpy().reshape(-1)
        np.testing.assert_allclose(found.column(name), expected, atol=1e-6)
    units = found.column(UNIT).to_numpy()
    assert len(set(zip(day.rows["user"], units, strict=True))) == len(set(day.rows["user"])) == len(set(units))
    assert found.column("hour").to_pylist()[:3] == [
        [b"(missing)" if hour is None else str(hour).encode()] for hour in day.rows["hour"][:3]
    ]


def test_a_model_that_knew_a_column_otherwise_reads_examples(day: Day) -> None:
    batch = batch_of(day).slice(0, 100)
    model = Model(day.models["good"] / "Format-Serving")
    fare, hour = tf.constant(day.rows["fare"][:100]), tf.sparse.from_dense(tf.ones((100, 1), tf.int64))
    city = tf.constant(day.rows["city"][:100])[:, None]
    expected = model({"fare": fare, "city": city, "hour": hour}, batch)
    for changed in ({"city": tf.sparse.from_dense(city)}, {"fare": tf.cast(fare, tf.int64)}):
        np.testing.assert_allclose(model({"fare": fare, "city": city, "hour": hour} | changed, batch), expected)
    np.testing.assert_allclose(model({"fare": fare}, batch), expected)


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (1, 4), (2, 3), (0, 5), (4, 5)])
def test_some_rows_of_a_sparse_tensor_are_those_of_the_dense_one(start: int, stop: int) -> None:
    dense = np.array([[1, 2], [0, 0], [3, 0], [4, 5], [0, 0]])
    found = scoring.take_rows(tf.sparse.from_dense(dense), start, stop)
    np.testing.assert_array_equal(tf.sparse.to_dense(found), dense[start:stop])
    np.testing.assert_array_equal(scoring.take_rows(tf.constant(dense), start, stop), dense[start:stop])

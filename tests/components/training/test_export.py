from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.training.checkpoint import assign_variables, model_weights
from components.training.export import MISSING, export_model, raw_feature_spec
from components.training.interruption import Request
from components.training.loop import read_trained, train
from components.training.rows import Rows
from components.training.user_model import build_model
from tests.components.training.conftest import LABEL, Transformed, example
from tests.components.training.test_loop import MakeJob


@pytest.fixture
def exported(make_job: MakeJob, transformed: Transformed, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """The SavedModel, and what the model in memory says about the transformed eval split."""
    job = make_job()
    train(job, strategy=tf.distribute.get_strategy(), request=Request())
    model = build_model(job, tf.distribute.get_strategy())
    assign_variables(model_weights(model), read_trained(job).weights, strategy=tf.distribute.get_strategy())
    path = tmp_path / "model" / "Format-Serving"
    export_model(model, transform=job.transform, schema=transformed.schema, label=LABEL, path=path)
    rows = Rows(job.rows / "eval")
    floats, ints = rows.take(slice(None))
    features = {name: column.unpack(floats, ints) for name, column in rows.columns.items() if name != LABEL}
    return path, model.predict(features, verbose=0)


def columns(raw: list[dict[str, Any]]) -> dict[str, tf.Tensor]:
    def padded(name: str, dtype: tf.DType, length: int) -> tf.Tensor:
        return tf.constant([row[name] + [MISSING[dtype]] * (length - len(row[name])) for row in raw], dtype)

    return {
        "item": tf.constant([row["item"] for row in raw]),
        "price": tf.constant([row["price"] for row in raw]),
        "brand": padded("brand", tf.string, 1),
        "views": padded("views", tf.int64, 5),
    }


def test_all_endpoints_equal_the_model_in_memory(exported: tuple[Path, np.ndarray], transformed: Transformed) -> None:
    path, expected = exported
    loaded = tf.saved_model.load(str(path))
    signatures = loaded.signatures
    by_example = signatures["serving_default"](examples=tf.constant([example(row) for row in transformed.raw]))
    by_column = signatures["serve_columns"](**columns(transformed.raw))
    np.testing.assert_allclose(by_example["predictions"], expected, atol=1e-6)
    np.testing.assert_allclose(by_column["predictions"], by_example["predictions"], atol=1e-6)
    examples = tf.constant([example(row) for row in transformed.raw])
    features = tf.io.parse_example(examples, raw_feature_spec(transformed.schema, label=LABEL))
    by_feature = loaded.serving.of_features(features)
    np.testing.assert_array_equal(by_feature["predictions"], by_example["predictions"])
    assert by_example["predictions"].dtype == tf.float32
    assert by_example["predictions"].shape == (len(transformed.raw), 1)


def test_loads_as_a_serving_process_does(exported: tuple[Path, np.ndarray], transformed: Transformed) -> None:
    path, _ = exported
    serialized = [example(row) for row in transformed.raw[:7]]
    expected = tf.saved_model.load(str(path)).signatures["serving_default"](examples=tf.constant(serialized))
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        signature = meta.signature_def["serving_default"]
        found = session.run(signature.outputs["predictions"].name, {signature.inputs["examples"].name: serialized})
    np.testing.assert_allclose(found, expected["predictions"], atol=1e-6)
    assert set(meta.signature_def["serve_columns"].inputs) == {"item", "price", "brand", "views"}


def test_weights_are_stored_once(exported: tuple[Path, np.ndarray]) -> None:
    path, _ = exported
    shapes = [shape for _, shape in tf.train.list_variables(str(path / "variables" / "variables"))]
    assert shapes.count([21, 4]) == 1


def test_an_empty_batch_and_a_row_without_values(exported: tuple[Path, np.ndarray]) -> None:
    path, _ = exported
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    assert serve(examples=tf.constant([], tf.string))["predictions"].shape == (0, 1)
    unknown = {"item": [b"never seen"], "price": 1.0, "brand": [], "views": []}
    assert np.isfinite(serve(examples=tf.constant([example(unknown)]))["predictions"]).all()


def test_the_label_is_not_asked_for(transformed: Transformed) -> None:
    assert LABEL not in raw_feature_spec(transformed.schema, label=LABEL)


def test_nothing_is_left_beside_the_model(exported: tuple[Path, np.ndarray]) -> None:
    path, _ = exported
    assert [entry.name for entry in path.parent.iterdir()] == ["Format-Serving"]

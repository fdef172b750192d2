"""Real variants of a small trained model, loaded again and compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.compression import litert, measuring
from components.compression.litert import LitertModel
from components.compression.litert_paths import FOLDER
from components.compression.measurement import folder_bytes, gzip_bytes
from components.compression.measuring import measure
from components.compression.pruning import share_at, zero
from components.compression.restoring import restore
from components.compression.storage import is_compressible
from components.compression.stored_model import compressible
from components.examples.records import RowGroup
from components.training.export import export_model, raw_feature_spec
from components.training.job import Job
from pipelines.errors import DataError
from pipelines.spec.compress import Variant
from tests.components.compression.conftest import MakeWorkshop, stored_weights
from tests.components.training.conftest import LABEL, Transformed, example

TOLERANCES: dict[Variant, float] = {"float16": 1e-3, "int8": 0.02, "clustered": 0.25, "pruned": 0.6}
"""Of a probability. The bound on each weight is in the tests of `storage`."""
SHARES: dict[Variant, float] = {"float16": 0.55, "int8": 0.35, "clustered": 0.35, "pruned": 1.0}
"""Of the bytes of the weights, at most."""


@pytest.fixture(scope="session")
def built(make_workshop: MakeWorkshop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("variants")
    workshop = make_workshop(clusters=8, pruned_share=0.6, representative_rows=200)
    variants: list[Variant] = ["float16", "int8", "clustered", "pruned", "litert_dynamic", "litert_int8"]
    for variant in variants:
        workshop.build(variant, folder / variant)
    return {variant: folder / variant for variant in variants}


def served(path: Path, transformed: Transformed) -> np.ndarray:
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    examples = tf.constant([example(row) for row in transformed.raw])
    return np.asarray(signature(examples=examples)["predictions"])


def weight_bytes(path: Path) -> int:
    return sum(value.nbytes for value in stored_weights(path).values())


@pytest.mark.parametrize("variant", TOLERANCES)
def test_a_variant_serves_as_the_model_does_within_its_error(
    variant: Variant, built: dict[str, Path], trained: Path, transformed: Transformed
) -> None:
    expected, found = served(trained, transformed), served(built[variant], transformed)
    assert found.shape == expected.shape
    error = np.abs(found - expected).max()
    assert 0 < error < TOLERANCES[variant]
    assert np.corrcoef(found[:, 0], expected[:, 0])[0, 1] > 0.9


@pytest.mark.parametrize("variant", SHARES)
def test_bytes_are_really_fewer(variant: Variant, built: dict[str, Path], trained: Path) -> None:
    assert weight_bytes(built[variant]) <= SHARES[variant] * weight_bytes(trained)
    saved = folder_bytes(trained / "variables") - folder_bytes(built[variant] / "variables")
    # Beside the weights lies the graph's description, which names the codes and the scales.
    assert variant == "pruned" or saved > (1 - SHARES[variant]) * weight_bytes(trained) - 6000
    assert gzip_bytes(built["pruned"] / "variables") < 0.7 * gzip_bytes(trained / "variables")


def test_the_asked_share_is_zero_and_the_asked_number_of_values_is_left(built: dict[str, Path]) -> None:
    for name, value in stored_weights(built["pruned"]).items():
        if is_compressible(value.shape):
            assert (value == 0).mean() == pytest.approx(0.6, abs=1 / 64), name
    codes = [value for value in stored_weights(built["clustered"]).values() if value.dtype == np.uint8]
    assert len(codes) == 5
    assert all(4 <= len(np.unique(value)) <= 8 for value in codes)


def test_tables_of_our_layer_are_not_expanded_whole(built: dict[str, Path]) -> None:
    loaded = tf.saved_model.load(str(built["int8"]))
    [function] = loaded.serving.of_features.concrete_functions
    bodies = function.graph.as_graph_def().library.function
    shapes = {
        tuple(dimension.size for dimension in shape.dim)
        for body in bodies
        for node in body.node_def
        if node.op == "Cast"
        for shape in node.attr["_output_shapes"].list.shape
    }
    casts = {tuple(op.outputs[0].shape) for op in function.graph.get_operations() if op.type == "Cast"} | shapes
    assert (51, 16) not in casts
    assert (65, 64) in casts


def test_a_process_that_serves_loads_it(built: dict[str, Path], transformed: Transformed) -> None:
    serialized = [example(row) for row in transformed.raw[:7]]
    for variant in ("int8", "litert_int8"):
        with tf.compat.v1.Session(graph=tf.Graph()) as session:
            meta = tf.compat.v1.saved_model.load(session, ["serve"], str(built[variant]))
            signature = meta.signature_def["serving_default"]
            found = session.run(signature.outputs["predictions"].name, {signature.inputs["examples"].name: serialized})
        np.testing.assert_allclose(found, served(built[variant], transformed)[:7], atol=1e-6)


def test_fine_tuning_wins_back_what_pruning_alone_loses(
    built: dict[str, Path], trained: Path, transformed: Transformed, job: Job, tmp_path: Path
) -> None:
    model = restore(job, trained)
    zero(compressible(model), share=0.6)
    export_model(model, transform=job.transform, schema=transformed.schema, label=LABEL, path=tmp_path / "cut")
    labels = np.array([row[LABEL] for row in transformed.raw])[:, None]

    def log_loss(path: Path) -> float:
        found = np.clip(served(path, transformed), 1e-7, 1 - 1e-7)
        return float(-np.mean(labels * np.log(found) + (1 - labels) * np.log1p(-found)))

    assert log_loss(built["pruned"]) < log_loss(tmp_path / "cut")


def test_pruning_begins_fast_and_is_done_at_half_time() -> None:
    shares = [share_at(step, total=10, final=0.8) for step in range(11)]
    assert shares[0] == 0
    assert shares[1] == pytest.approx(0.8 * (1 - 0.8**3))
    assert shares[5:] == [0.8] * 6


@pytest.mark.parametrize(("variant", "tolerance"), [("litert_dynamic", 0.03), ("litert_int8", 0.15)])
def test_litert_runs_the_model_on_raw_rows(
    variant: Variant, tolerance: float, built: dict[str, Path], trained: Path, transformed: Transformed
) -> None:
    features = tf.io.parse_example(
        tf.constant([example(row) for row in transformed.raw]), raw_feature_spec(transformed.schema, label=LABEL)
    )
    found = LitertModel(built[variant])(features)
    expected = served(trained, transformed)[:, 0]
    assert np.isfinite(found).all()
    assert 0 < np.abs(found - expected).max() < tolerance
    np.testing.assert_allclose(found[:1], LitertModel(built[variant])(_first(features)), atol=1e-6)


def _first(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {
        name: tf.sparse.slice(value, [0, 0], [1, value.dense_shape[1]])
        if isinstance(value, tf.SparseTensor)
        else value[:1]
        for name, value in features.items()
    }


def test_the_folder_says_what_the_file_takes(built: dict[str, Path]) -> None:
    folder = built["litert_int8"] / FOLDER
    described = json.loads((folder / "inputs.json").read_text())
    signature = tf.saved_model.load(str(built["litert_int8"])).signatures[described["inputs_from"]]
    assert set(described["inputs"]) == set(signature.structured_outputs)
    for name, given in described["inputs"].items():
        spec = signature.structured_outputs[name]
        assert (given["shape"][1:], given["dtype"]) == (list(spec.shape[1:]), spec.dtype.name)
    assert not (built["int8"] / FOLDER).exists()


def test_a_file_of_nan_is_refused(make_workshop: MakeWorkshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What TensorFlow's own saving of a Keras 3 model converts to."""
    whole = litert._predictor

    def predictor(model: keras.Model) -> Any:
        return lambda inputs: {"predictions": whole(model)(inputs)["predictions"] * np.float32("nan")}

    monkeypatch.setattr(litert, "_predictor", predictor)
    with pytest.raises(ValueError, match="must be finite"):
        make_workshop().build("litert_dynamic", tmp_path / "model")


@pytest.mark.parametrize("variant", ["float16", "int8"])
def test_weights_that_do_not_fit_are_refused(variant: Variant, make_workshop: MakeWorkshop, tmp_path: Path) -> None:
    workshop = make_workshop()
    workshop.model.get_layer("wide").kernel.assign(np.full((65, 64), np.inf, np.float32))
    with pytest.raises(ValueError, match="4160 of 4160 values that are not"):
        workshop.build(variant, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_all_are_measured_on_the_same_rows_and_a_broken_one_is_named(
    built: dict[str, Path],
    trained: Path,
    transformed: Transformed,
    groups: list[RowGroup],
    job: Job,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = restore(job, trained)
    model.get_layer("score").kernel.assign(np.full((32, 1), np.nan, np.float32))
    export_model(model, transform=job.transform, schema=transformed.schema, label=LABEL, path=tmp_path / "nan")
    (tmp_path / "empty").mkdir()
    paths = {
        "float32": trained,
        "int8": built["int8"],
        "litert_int8": built["litert_int8"],
        "nan": tmp_path / "nan",
        "empty": tmp_path / "empty",
    }
    found = measure(
        paths,
        groups=groups,
        schema=transformed.schema,
        transform=job.transform,
        label=LABEL,
        slices=[["brand"]],
    )
    assert found["nan"].error == f"{len(transformed.raw)} predictions are not finite"
    assert "auc" not in found["nan"].quality["overall"]
    assert found["empty"].error.startswith("OSError") and not found["empty"].quality
    labels = np.array([row[LABEL] for row in transformed.raw])
    for name in ("float32", "int8", "litert_int8"):
        assert not found[name].error
        assert found[name].rows == len(labels)
        assert set(found[name].quality) == {
            "overall",
            "brand=brand 0",
            "brand=brand 1",
            "brand=brand 2",
            "brand=(missing)",
        }
        assert found[name].speed is not None
        assert 0 < found[name].speed.one.p50_ms <= found[name].speed.one.p99_ms
    for name in ("float32", "int8"):
        expected = np.mean((served(paths[name], transformed)[:, 0] - labels) ** 2)
        assert found[name].quality["overall"]["mean_squared_error"] == pytest.approx(expected, rel=1e-5)
    assert measuring.METRICS[0] in found["int8"].quality["overall"]


def test_a_model_file_that_has_changed_is_refused(job: Job, trained: Path) -> None:
    other = job.model_copy(update={"model": "tests.components.training.tiny_model"})
    with pytest.raises(DataError, match="run the day again from `train`|which it lacks"):
        restore(other, trained)

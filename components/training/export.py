"""The trained model with its transform graph as a SavedModel that takes raw rows.

    export_model(model, transform=folder, schema=schema, label="clicked", path=uri / "Format-Serving")
    tf.saved_model.load(path).signatures["serve_columns"](price=…, item=…)["predictions"]   # [batch, 1] float32

Signatures:
    serving_default: `examples`, serialized tf.Examples of raw columns, `[batch]` string; the label is not needed.
    serve_columns: one tensor per raw column that a feature comes from. A column of one value per row is `[batch, 1]`; one of any number of
        values is `[batch, length]`, padded with `MISSING`, so a row without a value is all padding.

Beside them, for Python: `serving.of_features({"price": …})` of the loaded model takes what `tf.io.parse_example` gives,
which tells an empty text from a missing one.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform import TFTransformOutput
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader
from tensorflow_transform.tf_metadata import schema_utils

from components.training.model_inputs import feature_shapes
from pipelines.errors import ResourceError, UserCodeError

MISSING: dict[tf.DType, Any] = {tf.string: b"", tf.int64: np.iinfo(np.int64).min, tf.float32: np.float32("nan")}
"""Padding by type of column; NaN stands for itself."""

FeatureSpec = Mapping[str, Any]
Predictor = Callable[..., Any]
"""A Keras model or a `tf.Module`, called with transformed features by name and `training=False`."""


def raw_feature_spec(schema: schema_pb2.Schema, *, label: str) -> dict[str, Any]:
    """How to parse the raw columns that a request has: all but the label."""
    spec: dict[str, Any] = schema_utils.schema_as_feature_spec(schema).feature_spec
    return {name: feature for name, feature in sorted(spec.items()) if name != label}


def export_model(
    model: Predictor,
    *,
    transform: Path,
    schema: schema_pb2.Schema,
    label: str,
    path: Path,
    with_transform: bool = False,
) -> None:
    """Writes the SavedModel at `path`, whole or not at all.

    With `with_transform` it also gives what the model itself reads, for an engine that runs the model only:
    the signatures `transform_columns` and `transform_examples`, and `serving.transform_features` for Python.

    Raises:
        UserCodeError: a transformed feature needs the label, which no request has.
        ResourceError: the disk is full.
    """
    spec = raw_feature_spec(schema, label=label)
    serving = _Serving(model, transform, spec, label)
    spec = serving.spec
    archive = keras.export.ExportArchive()
    archive._tf_trackable.serving = serving.resources
    archive.add_endpoint(
        "serving_default", serving.of_examples, input_signature=[tf.TensorSpec([None], tf.string, name="examples")]
    )
    archive.add_endpoint("serve_columns", serving.of_columns, input_signature=[_column_signature(spec)])
    if with_transform:
        serving.resources.transform_features = serving.transform_features
        archive.add_endpoint("transform_columns", serving.transform, input_signature=[_column_signature(spec)])
        archive.add_endpoint(
            "transform_examples",
            serving.transform_examples,
            input_signature=[tf.TensorSpec([None], tf.string, name="examples")],
        )
    _write(archive, path)


class _Serving:
    """Raw rows to predictions: transform graph, then model."""

    def __init__(self, model: Predictor, transform: Path, spec: FeatureSpec, label: str) -> None:
        self._model = model
        transformed = TFTransformOutput(str(transform)).transformed_feature_spec()
        self._shapes = {name: shape for name, (shape, _) in feature_shapes(transformed, label=label).items()}
        self._loader = _load_transform(transform / "transform_fn")
        unread = _unread(self._loader, spec, features=self._shapes)
        self.spec = spec = {name: feature for name, feature in spec.items() if name not in unread}
        # All endpoints call one function, so that the graph is made, and stored, once.
        self._of_features = tf.function(self._predict, input_signature=[_feature_signature(spec)])
        self.transform_features = tf.function(self._transform, input_signature=[_feature_signature(spec)])
        self.resources = tf.Module()
        # Tables and vocabularies of the transform graph. Not the model: it would be stored twice.
        self.resources.transform = self._loader._imported
        self.resources.of_features = self._of_features
        if isinstance(model, tf.Module):
            self.resources.model = model

    def of_examples(self, examples: Any) -> dict[str, Any]:
        return self._of_features(tf.io.parse_example(examples, self.spec))

    def of_columns(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        return self._of_features(self._as_features(columns))

    def transform(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        return self.transform_features(self._as_features(columns))

    def transform_examples(self, examples: Any) -> dict[str, Any]:
        return self.transform_features(tf.io.parse_example(examples, self.spec))

    def _as_features(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        return {name: _as_feature(columns[name], spec) for name, spec in self.spec.items()}

    def _predict(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        predictions = self._model(self._transform(raw), training=False)
        return {"predictions": tf.reshape(tf.cast(predictions, tf.float32), (tf.shape(predictions)[0], -1))}

    def _transform(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        transformed = self._loader.apply_transform_model(raw)
        if missing := sorted(self._shapes.keys() - transformed.keys()):
            raise UserCodeError(
                f"features must not be computed from the label, which no request has. Received: {', '.join(missing)}",
                fix="compute them from other columns",
                place="features.py",
            )
        return {name: tf.reshape(transformed[name], (-1, *shape)) for name, shape in self._shapes.items()}


def _unread(loader: SavedModelLoader, columns: Iterable[str], *, features: Iterable[str]) -> set[str]:
    """Columns that no feature comes from: whoever asks for predictions could not know a propensity, or the value of a click."""
    needed = set(features)
    # What `apply_transform_model` goes by; TensorFlow Transform has no public door to it.
    inputs = loader._structured_inputs.keys()
    computed = {name: set(loader._get_fetches_keys(loader._get_feeds([name]))) for name in columns if name in inputs}
    unread = {
        name for name in columns if name not in computed or needed & loader.structured_outputs.keys() <= computed[name]
    }
    return unread if len(unread) < len(set(columns)) else set()


@functools.lru_cache(maxsize=1)
def _load_transform(path: Path) -> SavedModelLoader:
    """Once for all models that a node exports with it: a load is half a CPU second."""
    return SavedModelLoader(str(path))


def _column_signature(spec: FeatureSpec) -> dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec(
            [None, *(feature.shape or [1])] if isinstance(feature, tf.io.FixedLenFeature) else [None, None],
            feature.dtype,
            name=name,
        )
        for name, feature in spec.items()
    }


def _feature_signature(spec: FeatureSpec) -> dict[str, tf.TypeSpec]:
    return {
        name: tf.TensorSpec([None, *feature.shape], feature.dtype, name=name)
        if isinstance(feature, tf.io.FixedLenFeature)
        else tf.SparseTensorSpec([None, None], feature.dtype)
        for name, feature in spec.items()
    }


def _as_feature(column: Any, spec: Any) -> Any:
    """What `tf.io.parse_example` would have made of the column."""
    if isinstance(spec, tf.io.FixedLenFeature):
        return tf.reshape(column, [-1, *spec.shape])
    present = (
        tf.logical_not(tf.math.is_nan(column))
        if column.dtype.is_floating
        else tf.not_equal(column, tf.constant(MISSING[column.dtype], column.dtype))
    )
    ragged = tf.ragged.boolean_mask(column, present)
    sparse: tf.SparseTensor = ragged.to_sparse()
    return sparse


def _write(archive: keras.export.ExportArchive, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        archive.write_out(str(temporary), verbose=False)
        temporary.chmod(0o755)
        shutil.rmtree(path, ignore_errors=True)
        os.replace(temporary, path)
    except (OSError, tf.errors.ResourceExhaustedError) as error:
        raise ResourceError(f"cannot write the model: {error}", fix="free space there", place=str(path)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

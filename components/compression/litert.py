"""The model without its transform graph as one file for LiteRT, and that file run on raw rows.

    convert(model, job_shapes, path=folder / "model.tflite", representative=batches)
    LitertModel(saved_model)(tensors)              # [rows] float32

A SavedModel `saved_model` carries it in `assets.extra/litert`, which servers of SavedModels pass over: `model.tflite`, and
`inputs.json`, which says what the file takes and gives. A server with a LiteRT engine (`components.serving.engines.litert`)
calls the SavedModel's signature `transform_columns`, and the file with what that returns. Text and vocabularies have no
LiteRT kernels.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.compression.litert_file import OUTPUT, SIGNATURE, LitertFile
from components.compression.litert_paths import FOLDER, INPUTS_FILE, MODEL_FILE

Features = Mapping[str, npt.NDArray[Any]]
"""Transformed, by name."""


def convert(model: keras.Model, *, saved_model: Path, representative: Iterable[Features] | None = None) -> None:
    """Adds the file to `saved_model`: int8 weights, and with `representative` rows int8 activations too.

    An operation without an int8 kernel stays in float32.

    Raises:
        ValueError: the file's predictions are not finite, or it does not convert.
    """
    content = _converted(model, representative)
    folder = saved_model / FOLDER
    folder.mkdir(parents=True)
    (folder / MODEL_FILE).write_bytes(content)
    described = {
        "engine": "LiteRT",
        "model": MODEL_FILE,
        "signature": SIGNATURE,
        "inputs_from": "transform_columns",
        "inputs": {
            tensor.name: {"shape": [-1, *tensor.shape[1:]], "dtype": keras.backend.standardize_dtype(tensor.dtype)}
            for tensor in model.inputs
        },
        "output": OUTPUT,
    }
    (folder / INPUTS_FILE).write_text(json.dumps(described, indent=1) + "\n")


def _converted(model: keras.Model, representative: Iterable[Features] | None) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        # An archive, not `tf.saved_model.save(model)`: of that the converter makes a file whose weights are NaN.
        archive = keras.export.ExportArchive()
        signature = {
            tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name) for tensor in model.inputs
        }
        archive.add_endpoint(SIGNATURE, _predictor(model), input_signature=[signature])
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if representative is not None:
            converter.representative_dataset = lambda: ((SIGNATURE, dict(batch)) for batch in representative)
        return bytes(converter.convert())


def _predictor(model: keras.Model) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    def predict(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {OUTPUT: tf.cast(model(inputs, training=False), tf.float32)}

    return predict


class LitertModel:
    """Raw rows to predictions: the transform graph in TensorFlow, the model in LiteRT."""

    def __init__(self, saved_model: Path) -> None:
        self._loaded = tf.saved_model.load(str(saved_model))
        [function] = self._loaded.serving.transform_features.concrete_functions
        [features], _ = function.structured_input_signature
        self._names, self._file = list(features), LitertFile(saved_model / FOLDER)

    def __call__(self, tensors: Mapping[str, Any], batch: Any = None) -> npt.NDArray[np.float32]:
        del batch
        transformed = self._loaded.serving.transform_features({name: tensors[name] for name in self._names})
        return self._file(transformed).reshape(-1)

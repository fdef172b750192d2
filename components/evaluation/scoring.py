"""From row groups of raw examples to label, predictions and slice columns.

    row_groups | Concurrently(Score(scoring))     # (index, RowGroup) to (index, pa.RecordBatch), a row for each

Rows become tensors once, for the label and for all models.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2

from components.evaluation.scored import LABEL, UNIT, as_column
from components.evaluation.slicing import as_texts
from components.examples.records import RowGroup, read, serialize
from components.examples.texts import decode
from components.transform.graph import Loaded, Saved, input_config
from components.transform.tensors import BatchAdapter
from pipelines.errors import SpecError

BATCH_ROWS = 8192
LOADED = 16
"""Models that a process keeps: more than one node compares."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scoring:
    models: Mapping[str, Path]
    """SavedModel by the name its predictions get."""
    transform: Path
    schema: schema_pb2.Schema
    label: str
    unit: str | None = None
    """Raw column: rows with the same value are of one user. None: nobody asks."""
    slice_columns: Sequence[str] = ()
    outputs: int = 1
    """Of each model: one, or one for each class."""


class Score(beam.DoFn):  # type: ignore[misc]
    """Models are loaded once per worker. Its batches are as `components.evaluation.scored` keeps them."""

    def __init__(self, scoring: Scoring) -> None:
        self._scoring = scoring

    def setup(self) -> None:
        scoring = self._scoring
        config = input_config(scoring.schema)
        self._columns = config.arrow_schema.names
        self._adapter = BatchAdapter(config)
        self._label = _load_label(scoring.transform, scoring.label, tuple(config.tensor_representations))
        self._models = {name: load_model(path) for name, path in scoring.models.items()}

    def process(self, element: tuple[int, RowGroup]) -> Iterator[tuple[int, pa.RecordBatch]]:
        index, row_group = element
        yield index, self.score(read(row_group, self._columns, encoded=True))

    def score(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        tensors = self._adapter(batch)
        scored = [self._score(tensors, batch, start) for start in range(0, batch.num_rows, BATCH_ROWS)]
        # In one call: what a label takes is little, and each call costs as much as a thousand rows of it.
        label = tf.cast(self._label(tensors)[self._scoring.label], tf.float32)
        columns = {LABEL: pa.array(np.reshape(label, -1))}
        columns |= {name: as_column(np.concatenate([part[name] for part in scored])) for name in self._models}
        if self._scoring.unit:
            columns[UNIT] = pa.array(_hashes(batch.column(self._scoring.unit)))
        texts = {name: as_texts(batch.column(name)) for name in self._scoring.slice_columns}
        return pa.RecordBatch.from_pydict(columns | texts)

    def _score(self, tensors: Mapping[str, Any], batch: pa.RecordBatch, start: int) -> dict[str, Floats]:
        stop = min(start + BATCH_ROWS, batch.num_rows)
        rows = {name: take_rows(tensor, start, stop) for name, tensor in tensors.items()} if self._models else {}
        found = {name: model(rows, batch.slice(start, stop - start)) for name, model in self._models.items()}
        for name, predictions in found.items():
            _require_outputs(name, predictions, self._scoring.outputs)
        return found


class Model:
    """A SavedModel of `components.training.export`."""

    def __init__(self, path: Path) -> None:
        self._loaded = tf.saved_model.load(str(path))
        self._features = features_of(self._loaded)
        self.serve = self._loaded.signatures["serving_default"]
        """Takes serialized `examples`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Raw columns that it reads."""
        return tuple(self._features)

    def __call__(self, tensors: Mapping[str, Any], batch: pa.RecordBatch) -> Floats:
        """`[rows]`, of more than one output `[rows, outputs]`. A model of an earlier day may want a column otherwise than it is today: then it reads examples."""
        if all(name in tensors and spec.is_compatible_with(tensors[name]) for name, spec in self._features.items()):
            found = self._loaded.serving.of_features({name: tensors[name] for name in self._features})
        else:
            found = self.serve(examples=tf.constant(serialize(decode(batch))))
        predictions = np.asarray(found["predictions"])
        return predictions[:, 0] if predictions.shape[1] == 1 else predictions


def _require_outputs(name: str, predictions: Floats, outputs: int) -> None:
    found = predictions.shape[1] if predictions.ndim == 2 else 1
    if found != outputs:
        raise SpecError(
            f"a model must have as many outputs as `evaluate.classes` says, one without it: {outputs}. Received: {name} "
            f"has {found}",
            fix="set `evaluate.classes` in pipeline.yaml to the outputs of model.py, or correct model.py",
        )


@functools.lru_cache(maxsize=LOADED)
def load_model(path: Path) -> Model:
    """Once in a process, whoever asks: a load is a CPU second, and a node tries, scores and times the same models."""
    return Model(path)


@functools.lru_cache(maxsize=LOADED)
def _load_label(transform: Path, label: str, columns: tuple[str, ...]) -> Loaded:
    return Saved(transform / "transform_fn", (label,)).load(columns)


def features_of(loaded: Any) -> Mapping[str, tf.TypeSpec]:
    [function] = loaded.serving.of_features.concrete_functions
    [features], _ = function.structured_input_signature
    found: Mapping[str, tf.TypeSpec] = features
    return found


def _hashes(column: pa.Array) -> npt.NDArray[np.uint64]:
    """`[rows]`: equal for equal values; all missing ones are one user, as they are of one split."""
    texts = as_texts(column)
    firsts = texts.values.indices.to_numpy()[texts.offsets.to_numpy()[:-1]]
    hashes = [
        int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
        for text in texts.values.dictionary.to_pylist()
    ]
    return np.array(hashes, np.uint64)[firsts]


def take_rows(tensor: Any, start: int, stop: int) -> Any:
    """Those rows, of a dense tensor or of a sparse one in the order of its rows."""
    if not isinstance(tensor, tf.SparseTensor):
        return tensor[start:stop]
    first, last = np.searchsorted(tensor.indices.numpy()[:, 0], (start, stop))
    shape = tf.stack([stop - start, tensor.dense_shape[1]])
    return tf.SparseTensor(tensor.indices[first:last] - [start, 0], tensor.values[first:last], tf.cast(shape, tf.int64))

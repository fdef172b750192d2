"""From a row group of raw examples to Arrow batches of label, predictions and slice columns.

    row_groups | beam.ParDo(Score(scoring))     # pa.RecordBatch: label, candidate, champion, columns to slice by

Batched: TFMA's own prediction path calls a model with few rows at a time, and cannot compute a label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader
from tensorflow_transform.tf_metadata import schema_utils

from components.examples.records import RowGroup, read, serialize

BATCH_ROWS = 8192
LABEL = "daybreak_label"
"""Column of the transformed label; the raw one may be a column to slice by."""
MISSING = b"(missing)"


@dataclass(frozen=True)
class Scoring:
    models: Mapping[str, Path]
    """SavedModel by the name its predictions get."""
    transform: Path
    schema: schema_pb2.Schema
    label: str
    slice_columns: Sequence[str]


class Score(beam.DoFn):  # type: ignore[misc]
    """Models are loaded once per worker."""

    def __init__(self, scoring: Scoring) -> None:
        self._scoring = scoring

    def setup(self) -> None:
        self._models = {name: load_model(path) for name, path in self._scoring.models.items()}
        self._label = Labels(self._scoring)

    def process(self, row_group: RowGroup) -> Iterator[pa.RecordBatch]:
        batch = read(row_group)
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield self._score(batch.slice(start, BATCH_ROWS))

    def _score(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        examples = tf.constant(serialize(batch))
        columns = {LABEL: _as_lists(self._label.of(examples))}
        for name, model in self._models.items():
            columns[name] = _as_lists(model(examples=examples)["predictions"].numpy().reshape(-1))
        for name in self._scoring.slice_columns:
            columns[name] = _as_text(batch.column(name))
        return pa.RecordBatch.from_pydict(columns)


class Labels:
    """The label as the model learned it: the transform graph applied to the raw row."""

    def __init__(self, scoring: Scoring) -> None:
        self._spec = schema_utils.schema_as_feature_spec(scoring.schema).feature_spec
        self._loader = SavedModelLoader(str(scoring.transform / "transform_fn"))
        self._name = scoring.label
        self._apply = tf.function(self._transform, input_signature=[tf.TensorSpec([None], tf.string)])

    def of(self, examples: tf.Tensor) -> np.ndarray:
        """`[batch]` float32."""
        labels: np.ndarray = self._apply(examples).numpy()
        return labels

    def _transform(self, examples: tf.Tensor) -> tf.Tensor:
        transformed = self._loader.apply_transform_model(tf.io.parse_example(examples, self._spec))
        return tf.reshape(tf.cast(transformed[self._name], tf.float32), [-1])


def load_model(path: Path) -> Any:
    """The function behind `serving_default`, which keeps the model alive."""
    model = tf.saved_model.load(str(path))
    signature = model.signatures["serving_default"]
    signature.model = model
    return signature


def _as_text(column: pa.Array) -> pa.Array:
    """Values to slice by; a missing one is a value too. TFMA fails on a batch in which all are missing."""
    values = pc.dictionary_encode(column.flatten(), null_encoding="encode")
    texts = pa.array([*map(_text, values.dictionary.to_pylist()), MISSING], pa.large_binary())
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0))
    is_missing = lengths == 0
    lengths = np.maximum(lengths, 1)
    indices = np.full(lengths.sum(), len(texts) - 1)
    indices[~np.repeat(is_missing, lengths)] = values.indices
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
    return pa.LargeListArray.from_arrays(offsets, texts.take(pa.array(indices)))


def _text(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _as_lists(values: np.ndarray) -> pa.Array:
    """One value per row, as TFMA's examples hold it."""
    offsets = pa.array(np.arange(len(values) + 1, dtype=np.int64))
    return pa.LargeListArray.from_arrays(offsets, pa.array(values, pa.float32()))

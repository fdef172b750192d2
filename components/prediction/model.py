"""A registered SavedModel on Arrow batches, by the raw columns it was trained from: no request is built for a row.

    predictor = Predictor(path, schema)
    predictor.columns                         # raw columns that it reads
    scores = predictor(batch)                 # batch: large lists, as examples are
    scores.values                             # [rows, outputs] float32
    scores.refused                            # {7: "Could not parse …"}: rows that it cannot score, NaN in `values`

The same function, and the same way from rows to tensors, as the evaluation of the model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2

from components.evaluation.scoring import features_of, take_rows
from components.transform.graph import input_config
from components.transform.tensors import BatchAdapter
from pipelines.errors import DataError, SpecError

BATCH_ROWS = 8192
REFUSED_ROWS = 1000
"""Of a batch. Each costs a dozen calls to be found; more of them are no accident of single rows."""
_REFUSALS = (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError, tf.errors.UnimplementedError)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    values: Floats
    refused: Mapping[int, str]


@dataclass
class _Work:
    tensors: Mapping[str, Any]
    refused: dict[int, str] = field(default_factory=dict)


def columns_of(path: Path) -> list[str]:
    """Raw columns that the SavedModel reads."""
    return sorted(features_of(_load(path)))


def _load(path: Path) -> Any:
    try:
        loaded = tf.saved_model.load(str(path))
        features_of(loaded)
    except (OSError, AttributeError, ValueError, tf.errors.OpError) as error:
        raise SpecError(
            f"the model must be a SavedModel of this platform. Received: {type(error).__name__}: {str(error)[:200]}",
            fix="register it by a retrain, or name another version",
            place=str(path),
        ) from error
    return loaded


class Predictor:
    """Thread-safe."""

    def __init__(self, path: Path, schema: schema_pb2.Schema) -> None:
        self._loaded = _load(path)
        self.columns = sorted(features_of(self._loaded))
        config = input_config(schema, self.columns)
        self.required = [
            name
            for name, found in config.tensor_representations.items()
            if found.dense_tensor.column_name and not found.dense_tensor.HasField("default_value")
        ]
        """A row without a value there has no prediction."""
        self.sizes = {name: math.prod(features_of(self._loaded)[name].shape[1:]) for name in self.required}
        """How many values a row has there."""
        self._order = config.arrow_schema.names
        self._adapter = BatchAdapter(config)

    def __call__(self, batch: pa.RecordBatch) -> Scores:
        """Raises `DataError` when the rows do not fit the model's schema, or it refuses too many."""
        try:
            work = _Work(self._adapter(batch.select(self._order)))
        except ValueError as error:
            raise DataError(
                f"rows must fit the model's schema. Received: {error}: {error.__cause__}",
                fix="correct the columns of the input, or choose a version that was trained with them",
            ) from error
        starts = range(0, batch.num_rows, BATCH_ROWS)
        parts = [self._score(work, start, min(start + BATCH_ROWS, batch.num_rows)) for start in starts]
        return Scores(_joined(parts), work.refused)

    def _score(self, work: _Work, start: int, stop: int) -> Floats:
        """Halves the rows until those are alone that the model refuses."""
        try:
            rows = {name: take_rows(tensor, start, stop) for name, tensor in work.tensors.items()}
            return np.asarray(self._loaded.serving.of_features(rows)["predictions"])
        except _REFUSALS as error:
            words = str(error.message).splitlines()[0][:200]
        if stop - start > 1:
            middle = (start + stop) // 2
            return _joined([self._score(work, start, middle), self._score(work, middle, stop)])
        work.refused[start] = words
        if len(work.refused) > REFUSED_ROWS:
            raise DataError(
                f"the model refuses more than {REFUSED_ROWS:,} rows of a batch, the last one with: {words}",
                fix="correct the input, or choose another version",
            )
        return np.full((1, 1), np.nan, np.float32)


def _joined(parts: list[Floats]) -> Floats:
    """Rows that were refused are as wide as the others."""
    width = max((part.shape[1] for part in parts), default=1)
    wide = [part if part.shape[1] == width else np.full((len(part), width), np.nan, np.float32) for part in parts]
    return np.concatenate([np.empty((0, width), np.float32), *wide])

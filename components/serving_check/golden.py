"""Golden rows: requests of real eval rows, and the predictions that the candidate was evaluated by.

golden = choose(groups, model=path, schema=schema, label="clicked", count=64)
golden.instances[0], golden.predictions[0]
golden.write(folder)            # golden.json
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2

from components.evaluation.scoring import Model
from components.examples.records import RowGroup, read
from components.transform.graph import input_config
from components.transform.tensors import BatchAdapter

GOLDEN_FILE = "golden.json"
Prediction = float | tuple[float, ...]
"""Of one row; several classes have several."""
GROUPS = 4
"""Row groups that rows are taken from; reading more would cost seconds of a large day."""


@dataclass(frozen=True)
class Golden:
    instances: tuple[Mapping[str, Any], ...]
    """Rows as TensorFlow Serving's REST interface takes them; a missing value is left out."""
    predictions: tuple[Prediction, ...]
    """Of one batch of all rows, by the function that `evaluate` scores with."""
    skipped: int
    """Rows with a number that JSON cannot hold."""

    def write(self, folder: Path, *, served: Sequence[Prediction] = ()) -> None:
        content = {"instances": self.instances, "predictions": self.predictions, "served": list(served)}
        (folder / GOLDEN_FILE).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def choose(
    groups: Sequence[RowGroup], *, model: Path, schema: schema_pb2.Schema, label: str, count: int
) -> Golden | None:
    """At most `count` rows, spread evenly over the split; None when no row can be sent."""
    config = input_config(schema)
    batch = _spread(groups, list(config.arrow_schema.names), count)
    if batch is None:
        return None
    scoring = Model(model)
    rows = batch.select([name for name in batch.schema.names if name in scoring.columns and name != label]).to_pylist()
    kept = [index for index, row in enumerate(rows) if _is_finite(row)]
    if not kept:
        return None
    chosen = batch.take(pa.array(kept))
    predictions = scoring(BatchAdapter(config)(chosen), chosen)
    instances = tuple(_instance(rows[index]) for index in kept)
    return Golden(instances, as_predictions(predictions), len(rows) - len(kept))


def as_predictions(found: npt.NDArray[Any]) -> tuple[Prediction, ...]:
    """Of each row, from `[rows]` or `[rows, outputs]`."""
    return tuple(tuple(row) if isinstance(row, list) else row for row in found.tolist())


def _spread(groups: Sequence[RowGroup], columns: Sequence[str], count: int) -> pa.RecordBatch | None:
    places = sorted({round(place) for place in np.linspace(0, len(groups) - 1, min(GROUPS, len(groups)))})
    parts = []
    for place in places:
        batch = read(groups[place], columns)
        share = math.ceil(count / len(places))
        parts.append(batch.take(pa.array(np.unique(np.linspace(0, batch.num_rows - 1, share).astype(int)))))
    if not parts:
        return None
    whole: pa.RecordBatch = pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
    return whole.slice(0, count)


def _is_finite(row: Mapping[str, Any]) -> bool:
    return all(
        math.isfinite(value) for values in row.values() for value in values or () if isinstance(value, int | float)
    )


def _instance(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: [_as_json(value) for value in values] for name, values in row.items() if values is not None}


def _as_json(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}

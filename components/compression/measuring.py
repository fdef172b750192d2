"""All variants on the same rows of the eval split, in one pass, and each one's bytes and speed.

found = measure({"float32": path, "int8": path}, groups=groups, schema=schema, transform=folder, label="clicked", slices=[])
found["int8"].quality["overall"]["auc"]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2

from components.compression.litert import LitertModel
from components.compression.measurement import (
    MANY,
    Measurement,
    Speed,
    folder_bytes,
    gzip_bytes,
    measure_speed,
)
from components.compression.variants import is_litert
from components.evaluation.metrics import CANDIDATE, OVERALL, read_table
from components.evaluation.scoring import BATCH_ROWS, Model, Score, Scoring
from components.evaluation.sums import SliceSums, Sums
from components.examples.records import RowGroup, read
from components.transform.graph import input_config
from components.transform.tensors import BatchAdapter
from pipelines.errors import one_line
from pipelines.spec.compress import LossMetric

Predict = Callable[[Mapping[str, Any], pa.RecordBatch], npt.NDArray[np.float32]]
METRICS: tuple[LossMetric, ...] = (
    "auc",
    "binary_crossentropy",
    "calibration",
    "mean_squared_error",
    "mean_absolute_error",
)


def measure(
    paths: Mapping[str, Path],
    *,
    groups: Sequence[RowGroup],
    schema: schema_pb2.Schema,
    transform: Path,
    label: str,
    slices: Sequence[Sequence[str]],
) -> dict[str, Measurement]:
    """By name. A variant that raises or whose predictions are not finite is measured as broken, the others go on."""
    slicings = list(dict.fromkeys([(), *map(tuple, slices)]))
    rows = _Rows(
        groups,
        schema=schema,
        transform=transform,
        label=label,
        columns=sorted({column for columns in slicings for column in columns}),
    )
    found, models = {}, {}
    for name, path in paths.items():
        sized = Measurement(name=name, bytes=folder_bytes(path), gzip_bytes=gzip_bytes(path))
        try:
            models[name] = _load(name, path)
            found[name] = sized.model_copy(update={"speed": rows.measure_speed(models[name])})
        except Exception as error:  # noqa: BLE001  # whatever a variant raises, the others are measured
            models.pop(name, None)
            found[name] = sized.model_copy(update={"error": one_line(error)})
    for name, (sums, not_finite) in rows.score(models, slicings).items():
        strange = f"{not_finite} predictions are not finite" if not_finite else ""
        found[name] = found[name].model_copy(update={"error": strange, **_quality(sums, slicings)})
    return found


def _load(name: str, path: Path) -> Predict:
    return LitertModel(path) if is_litert(name) else Model(path)


class _Rows:
    """The eval split as tensors, labels and columns to slice by."""

    def __init__(
        self,
        groups: Sequence[RowGroup],
        *,
        schema: schema_pb2.Schema,
        transform: Path,
        label: str,
        columns: Sequence[str],
    ) -> None:
        config = input_config(schema)
        self._groups, self._adapter, self._names = groups, BatchAdapter(config), config.arrow_schema.names
        self._labels = Score(Scoring(models={}, transform=transform, schema=schema, label=label, slice_columns=columns))
        self._labels.setup()

    def measure_speed(self, model: Predict) -> Speed | None:
        """None without rows."""
        if not self._groups:
            return None
        batch = read(self._groups[0], self._names, encoded=True)
        one, many = batch.slice(0, 1), batch.slice(0, min(MANY, len(batch)))
        row, rows = self._adapter(one), self._adapter(many)
        return measure_speed(lambda: model(row, one), lambda: model(rows, many), rows=len(many))

    def score(
        self, models: Mapping[str, Predict], slicings: Sequence[tuple[str, ...]]
    ) -> dict[str, tuple[list[Sums], int]]:
        """By model its sums by slice, and how many of its predictions are no numbers. Nothing without rows."""
        kernel = SliceSums([CANDIDATE], slicings)
        partials: dict[str, list[list[Sums]]] = {name: [] for name in models}
        not_finite = dict.fromkeys(models, 0)
        for group in self._groups:
            batch = read(group, self._names, encoded=True)
            labels = self._labels.score(batch)
            for name, predictions in self._score(batch, models).items():
                partials[name].append(kernel.partial(labels.append_column(CANDIDATE, pa.array(predictions))))
                not_finite[name] += int((~np.isfinite(predictions)).sum())
        return {name: (kernel.merge(found), not_finite[name]) for name, found in partials.items() if found}

    def _score(self, batch: pa.RecordBatch, models: Mapping[str, Predict]) -> dict[str, npt.NDArray[np.float32]]:
        parts: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in models}
        for start in range(0, len(batch), BATCH_ROWS):
            part = batch.slice(start, BATCH_ROWS)
            tensors = self._adapter(part)
            for name, model in models.items():
                parts[name].append(model(tensors, part))
        return {name: np.concatenate(values) for name, values in parts.items()}


def _quality(sums: Sequence[Sums], slicings: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    table = read_table(sums, slicings=slicings, models=[CANDIDATE], metrics=METRICS)
    return {
        "rows": table[OVERALL].rows,
        "quality": {name: dict(found.candidate) for name, found in table.items()},
        "slice_rows": {name: found.rows for name, found in table.items()},
    }

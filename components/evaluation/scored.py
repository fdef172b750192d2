"""Scored rows as files: what later checks read instead of asking the models again.

path = write_scored(batch, folder / "scored", index=0)
read_scored(path)

Columns: `LABEL` and one of each model, float32 (of several classes, lists of them); `UNIT`, uint64; columns to slice by, lists of texts as dictionaries.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.examples.records import readable

SCORED = "scored"
"""Their folder in the evaluation."""
LABEL = "daybreak_label"
"""Column of the transformed label; the raw one may be a column to slice by."""
UNIT = "daybreak_unit"
"""Column of hashes of the split key: rows with the same value come from the same user."""


def write_scored(batch: pa.RecordBatch, folder: Path, *, index: int) -> Path:
    """Atomic; a repeated attempt writes the same file again."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"part-{index:05d}.parquet"
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        pq.write_table(pa.Table.from_batches([batch]), temporary, compression="zstd", write_statistics=False)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_scored(path: Path) -> pa.RecordBatch:
    table = readable(path, lambda: pq.read_table(path, use_threads=False), what="scored rows", node="evaluate")
    batch: pa.RecordBatch = table.combine_chunks().to_batches()[0]
    return batch


def row_count(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def labels_of(batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """`[rows]`."""
    return np.asarray(batch.column(LABEL).to_numpy(), np.float64)


def predictions_of_models(batch: pa.RecordBatch, models: Sequence[str]) -> npt.NDArray[np.float64]:
    """`[models, rows]`, of models of several classes `[models, rows, classes]`."""
    return np.stack([_predictions(batch.column(name)) for name in models]).astype(np.float64)


def as_column(predictions: npt.NDArray[np.float32]) -> pa.Array:
    """`[rows]`, or `[rows, classes]`."""
    if predictions.ndim == 1:
        return pa.array(predictions)
    return pa.FixedSizeListArray.from_arrays(pa.array(predictions.reshape(-1)), predictions.shape[1])


def _predictions(column: pa.Array) -> npt.NDArray[np.float32]:
    if not pa.types.is_fixed_size_list(column.type):
        return np.asarray(column.to_numpy())
    return np.asarray(column.flatten().to_numpy()).reshape(len(column), column.type.list_size)


def scored_paths(folder: Path) -> list[Path]:
    """In the order of their rows; temporary files are left out."""
    return sorted(folder.glob("part-*.parquet"))

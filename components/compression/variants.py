"""Builds each variant of a trained model as a folder with a SavedModel of the same signatures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import keras
import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2

from components.compression.litert import Features, convert
from components.compression.litert_file import LitertFile
from components.compression.litert_paths import FOLDER
from components.compression.pruning import prune
from components.compression.restoring import restore
from components.compression.storage import Clustered, Float16, Int8, Stored, Weight
from components.compression.stored_model import StoredModel
from components.training.export import export_model
from components.training.input import pack
from components.training.job import Job
from components.training.rows import Rows
from components.training.steps import Weight as RowWeight
from pipelines.errors import bounded
from pipelines.spec import Compress
from pipelines.spec.compress import LITERT, Variant

FULL = "float32"
REPRESENTATIVE_BATCH = 50
MIN_CORRELATION = 0.5


@dataclass(frozen=True)
class Workshop:
    """What variants are made of."""

    job: Job
    trained: Path
    """SavedModel."""
    examples: Path
    """Transformed."""
    schema: schema_pb2.Schema
    compress: Compress

    def build(self, variant: Variant, path: Path) -> None:
        """Writes the SavedModel at `path`. Whatever goes wrong is raised."""
        match variant:
            case "float16":
                self._export_stored(Float16, path)
            case "int8":
                self._export_stored(Int8, path)
            case "clustered":
                self._export_stored(partial(Clustered, clusters=self.compress.clusters), path)
            case "pruned":
                self._export(self._pruned(), path)
            case "litert_dynamic":
                self._export_litert(None, path)
            case "litert_int8":
                self._export_litert(list(self._representative()), path)

    @cached_property
    def model(self) -> keras.Model:
        return restore(self.job, self.trained)

    def _rows(self, split: str) -> Rows:
        pack(self.examples, self.job.rows, split=split)
        return Rows(self.job.rows / split)

    def _export(self, model: Callable[..., object], path: Path, *, with_transform: bool = False) -> None:
        export_model(
            model,
            transform=self.job.transform,
            schema=self.schema,
            label=self.job.label,
            path=path,
            with_transform=with_transform,
        )

    def _export_stored(self, store: Callable[[Weight], Stored], path: Path, *, with_transform: bool = False) -> None:
        self._export(StoredModel(self.model, store), path, with_transform=with_transform)

    def _pruned(self) -> keras.Model:
        model, rows, column = restore(self.job, self.trained), self._rows("train"), self.job.weight
        weight = RowWeight(column, rows.mean(column), self._rows("eval").mean(column)) if column else None
        prune(model, rows, label=self.job.label, train=self.job.train, compress=self.compress, weight=weight)
        return model

    def _export_litert(self, representative: list[Features] | None, path: Path) -> None:
        """The SavedModel of `int8`, with the file for LiteRT in it."""
        self._export_stored(Int8, path, with_transform=True)
        convert(self.model, saved_model=path, representative=representative)
        _require_agreement(LitertFile(path / FOLDER), self.model, next(iter(representative or self._representative())))

    def _representative(self) -> Iterator[Features]:
        """Transformed rows of the train split, evenly spread over it."""
        rows = self._rows("train")
        names = {tensor.name for tensor in self.model.inputs}
        chosen = np.linspace(0, len(rows) - 1, min(len(rows), self.compress.representative_rows)).astype(np.int64)
        for start in range(0, len(chosen), REPRESENTATIVE_BATCH):
            floats, ints = rows.take(chosen[start : start + REPRESENTATIVE_BATCH])
            yield {
                name: np.asarray(column.unpack(floats, ints)) for name, column in rows.columns.items() if name in names
            }


def _require_agreement(file: LitertFile, model: keras.Model, features: Features) -> None:
    """A conversion that went wrong says nothing: its file gives NaN, or numbers of another model."""
    found, expected = file(features).reshape(-1), np.asarray(model(features, training=False)).reshape(-1)
    if not np.isfinite(found).all():
        raise ValueError(f"LiteRT's predictions must be finite. Received: {bounded(map(str, found))}")
    with np.errstate(invalid="ignore"):  # all predictions are equal
        follows = np.corrcoef(found, expected)[0, 1] >= MIN_CORRELATION
    if len(found) > 2 and np.std(expected) > 0 and not follows:
        raise ValueError(f"LiteRT's predictions must follow the model's: a correlation of {MIN_CORRELATION} or more")


def is_litert(variant: str) -> bool:
    return variant in LITERT

"""The files of a piece: predictions, and the rows without one. Each appears whole or not at all.

    with Results(piece, question, columns) as results:
        results.add(table, without=bad)
        results.refuse(rows)
        results.publish()

`<output>/<piece>.parquet` or `.tfrecord`, and `<output>/_quarantine/<piece>.parquet` where there is any.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import tensorflow as tf

from components.contract.values import ARROW_TYPES, Mask
from components.contract.writing import TableFile, quarantine_schema
from components.examples.records import serialize, to_lists
from components.prediction.pieces import Piece
from components.prediction.question import PREDICTION, VERSION, Question
from pipelines.errors import SpecError, bounded
from pipelines.storage import is_remote, upload

QUARANTINE = "_quarantine"
_KINDS = (
    (pa.types.is_boolean, "bool"),
    (pa.types.is_integer, "int"),
    (pa.types.is_floating, "float"),
    (pa.types.is_string, "string"),
    (pa.types.is_large_string, "string"),
    (pa.types.is_binary, "string"),
    (pa.types.is_large_binary, "string"),
)
_LISTS = {"int": "ints", "float": "floats", "string": "strings"}


def result_place(name: str, question: Question) -> str:
    return f"{question.output}/{name}.{question.output_format}"


def remove_unfinished(pieces: Sequence[Piece], question: Question) -> None:
    """What a killed run left of pieces that are done by now. On a storage there is nothing: it is uploaded whole."""
    if is_remote(question.output) or not Path(question.output).exists():
        return
    own = {piece.name for piece in pieces}
    for path in Path(question.output).glob(".*"):
        if path.is_dir() and path.name[1:].rpartition(".")[0] in own:
            shutil.rmtree(path, ignore_errors=True)


class Results:
    def __init__(self, piece: Piece, question: Question, columns: Sequence[str]) -> None:
        self._piece, self._question = piece, question
        self.quarantine_schema = quarantine_schema(columns)
        self.refused_rows = 0
        self._file: _TableRows | _Records | None = None
        self._refused: TableFile | None = None

    def __enter__(self) -> Self:
        question = self._question
        # Beside the output where that is a folder, so that publishing is a rename.
        self._remote = is_remote(question.output)
        if not self._remote:
            Path(question.output).mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(
            dir=None if self._remote else question.output, prefix=f".{self._piece.name}."
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def add(self, rows: pa.Table, *, without: Mask) -> None:
        chosen = rows.filter(pa.array(~without)) if without.any() else rows
        if self._file is None:
            writer = _TableRows if self._question.output_format == "parquet" else _Records
            self._file = writer(Path(self._folder.name) / "predictions", rows.schema)
        self._file.write(chosen)

    def refuse(self, rows: pa.Table) -> None:
        if self._refused is None:
            self._refused = TableFile(Path(self._folder.name) / "quarantine", self.quarantine_schema)
        self._refused.write(rows.select(self.quarantine_schema.names).cast(self.quarantine_schema))
        self.refused_rows += rows.num_rows

    def publish(self) -> int:
        """Returns the bytes of the predictions."""
        places: dict[Path, str] = {}
        if self._refused is not None:
            self._refused.finish()
            places[self._refused.temporary] = f"{self._question.output}/{QUARANTINE}/{self._piece.name}.parquet"
        file = self._file or _empty(Path(self._folder.name) / "predictions", self._question)
        path = file.finish()
        places[path] = result_place(self._piece.name, self._question)
        size = path.stat().st_size
        self._move(places)
        return size

    def _move(self, places: dict[Path, str]) -> None:
        if self._remote:
            upload(places)
            return
        for path, place in places.items():
            Path(place).parent.mkdir(exist_ok=True)
            path.replace(place)


class _TableRows:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._table = TableFile(path, schema)

    def write(self, rows: pa.Table) -> None:
        self._table.write(rows)

    def finish(self) -> Path:
        return self._table.finish()


class _Records:
    """tf.Examples."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._columns = {field.name: _kind(field) for field in schema}
        self._writer = tf.io.TFRecordWriter(str(path))

    def write(self, rows: pa.Table) -> None:
        for batch in rows.combine_chunks().to_batches():
            for record in serialize(to_lists(_listed(batch), self._columns)):
                self._writer.write(record)

    def finish(self) -> Path:
        self._writer.close()
        return self._path


def _listed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Lists of a fixed size as lists."""
    columns: list[Any] = []
    for column in batch.columns:
        if pa.types.is_fixed_size_list(column.type):
            offsets = np.arange(len(column) + 1) * column.type.list_size
            column = pa.LargeListArray.from_arrays(pa.array(offsets), column.flatten())
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _kind(field: pa.Field) -> str:
    kind = field.type
    many = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    found = next((name for fits, name in _KINDS if fits(kind.value_type if many else kind)), "")
    if not found or (many and found not in _LISTS):
        raise SpecError(
            f"a tf.Example holds {bounded(dict.fromkeys(name for _, name in _KINDS))} and lists of them. "
            f"Received: column {field.name!r} of type {kind}",
            fix="leave it out with `--keep`, or write Parquet",
        )
    return _LISTS[found] if many else found


def _empty(path: Path, question: Question) -> _TableRows | _Records:
    """No rows: of Parquet with the columns that every other file has first, as far as the question knows them."""
    declared = question.data.columns
    kept = declared if question.keep is None else question.keep
    types = {name: ARROW_TYPES[declared[name]] for name in kept if name in declared}
    schema = pa.schema([*types.items(), (PREDICTION, pa.float32()), (VERSION, pa.large_string())])
    return (_TableRows if question.output_format == "parquet" else _Records)(path, schema)

"""TFRecord files of tf.Examples, also gzipped: a feature without a value is a missing value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders import example_coder

from components.contract.columns import LISTS
from components.contract.raw import BrokenLine, readable, require_content
from pipelines.errors import DataError
from pipelines.spec import ColumnType
from pipelines.storage import File, local_copy

RECORD = "_record"
_RECORDS = 8_192
_FEATURES = {
    ColumnType.FLOAT: schema_pb2.FLOAT,
    ColumnType.STRING: schema_pb2.BYTES,
    ColumnType.IMAGE: schema_pb2.BYTES,
}
_TYPES = {schema_pb2.INT: pa.int64(), schema_pb2.FLOAT: pa.float32(), schema_pb2.BYTES: pa.large_binary()}


class RecordsFile:
    format = "tfrecord"

    def __init__(self, path: File, columns: Mapping[str, ColumnType]) -> None:
        with readable(path, format=self.format):
            require_content(path)
        self._path, self._columns = path, columns
        types = {name: (_TYPES[_feature(kind)], kind in LISTS) for name, kind in columns.items()}
        self.schema = pa.schema([(name, pa.large_list(of) if many else of) for name, (of, many) in types.items()])
        # Other features tell rows apart too.
        self.identity = self.schema.append(pa.field(RECORD, pa.large_binary()))
        self.dropped: list[str] = []

    @property
    def place(self) -> str:
        return str(self._path)

    def parts(self, broken: list[BrokenLine]) -> Iterator[pa.Table]:
        with local_copy(self._path) as path:  # TensorFlow opens no storage itself
            yield from self._read(path, broken)

    def _read(self, path: Path, broken: list[BrokenLine]) -> Iterator[pa.Table]:
        decoder = example_coder.ExamplesToRecordBatchDecoder(_schema(self._columns).SerializeToString())
        compression = "GZIP" if path.suffix == ".gz" else ""
        records, first = tf.data.TFRecordDataset(str(path), compression), 1
        try:
            for batch in records.batch(_RECORDS).as_numpy_iterator():
                serialized = pa.array(batch, pa.large_binary())
                yield self._rows(decoder.DecodeBatch(list(batch)), serialized, first, broken)
                first += len(batch)
        except tf.errors.DataLossError as error:
            raise self._unreadable(f"after record {first - 1:,}: {error.message[:200]}") from error
        except RuntimeError as error:  # of the decoder
            raise self._unreadable(f"in the records from {first:,} on: {str(error)[:200]}") from error

    def _unreadable(self, problem: str) -> DataError:
        return DataError(
            f"not readable as tfrecord {problem}",
            fix="write the file again, as tf.Examples with the types that `data.columns` declares",
            place=str(self._path),
        )

    def _rows(self, batch: pa.RecordBatch, serialized: pa.Array, first: int, broken: list[BrokenLine]) -> pa.Table:
        columns = {name: batch.column(batch.schema.get_field_index(name)) for name in self._columns}
        bad = np.zeros(batch.num_rows, bool)
        for name in (name for name, kind in self._columns.items() if kind not in LISTS):
            several = _lengths(columns[name]) > 1
            broken += [
                BrokenLine(f"record {first + row:,}", f"{name}: several values where one is declared")
                for row in np.flatnonzero(several & ~bad)
            ]
            bad |= several
        good = pa.array(~bad)
        found = {
            name: column.filter(good) if self._columns[name] in LISTS else single(column.filter(good))
            for name, column in columns.items()
        }
        return pa.table(found | {RECORD: serialized.filter(good)})


def single(lists: pa.LargeListArray) -> pa.Array:
    """The only element of each list; null where there is none."""
    present = _lengths(lists) > 0
    places = np.cumsum(present) - 1
    return lists.flatten().take(pa.array(places, mask=~present))


def _lengths(lists: pa.LargeListArray) -> npt.NDArray[np.int64]:
    return np.asarray(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False), np.int64)


def _feature(kind: ColumnType) -> int:
    return int(_FEATURES.get(LISTS.get(kind, kind), schema_pb2.INT))


def _schema(columns: Mapping[str, ColumnType]) -> schema_pb2.Schema:
    features = [schema_pb2.Feature(name=str(name), type=_feature(kind)) for name, kind in columns.items()]
    return schema_pb2.Schema(feature=features)

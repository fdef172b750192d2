"""The record format of transformed examples: a TFRecord holds a block of rows as matrices. No other module knows it.

    columns = lay_out({"price": ((), "float32"), "recent_items": ((8,), "int64")})
    write_shard({"price": float32[n], "recent_items": int64[n, 8]}, columns, folder / "Split-train", index=0, count=4)
    for path in shards(folder, "train"):
        for floats, ints in read(path): ...      # float32 [<= 1024, float width], int64 [<= 1024, int width]
    for features in dataset(shards(folder, "train")): ...    # in a tf.data graph, by column name

The first record is a JSON header; each further one is a float32 matrix, then an int64 matrix, little-endian and row by
row. Ten times the rows per second of parsing tf.Examples. A record is guarded by TFRecord's checksum, the file by the
header's row count.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pydantic
import tensorflow as tf
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact
from tfx_bsl.coders import example_coder

from pipelines.errors import DataError
from pipelines.spec import Frozen

BLOCK_ROWS = 1024
BLOCK_BYTES = 4 * 2**20
"""A record is read whole: of wide rows (images) it holds fewer, at least one."""
FILE_FORMAT = "tfrecords_blocks"
Kind = Literal["float32", "int64"]
KINDS: dict[Kind, str] = {"float32": "<f4", "int64": "<i8"}
_READ_AHEAD_BYTES = 1 << 20

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Shapes = Mapping[str, tuple[tuple[int, ...], str]]
"""Shape without the batch and dtype, by column name."""


class Column(Frozen):
    """Where a column lies in the matrix of its type."""

    kind: Kind
    shape: tuple[int, ...]
    offset: int

    @property
    def width(self) -> int:
        return math.prod(self.shape)

    def unpack(self, floats: Any, ints: Any) -> Any:
        """The column as `[batch, *shape]`, from arrays or from tensors of the packed matrices."""
        matrix = floats if self.kind == "float32" else ints
        return tf.reshape(matrix[:, self.offset : self.offset + self.width], (-1, *self.shape))


Columns = Mapping[str, Column]


class _Header(Frozen):
    columns: dict[str, Column]
    row_count: int


def lay_out(shapes: Shapes) -> dict[str, Column]:
    """Columns side by side in the order given."""
    columns: dict[str, Column] = {}
    widths = dict.fromkeys(KINDS, 0)
    for name, (shape, kind) in shapes.items():
        column = Column.model_validate({"kind": kind, "shape": shape, "offset": widths[kind]})  # type: ignore[index]
        columns[name] = column
        widths[column.kind] += column.width
    return columns


def width(columns: Columns, kind: Kind) -> int:
    """Numbers of one row in the matrix of `kind`."""
    return sum(column.width for column in columns.values() if column.kind == kind)


def row_bytes(columns: Columns) -> int:
    return sum(np.dtype(dtype).itemsize * width(columns, kind) for kind, dtype in KINDS.items())


def write_shard(
    arrays: Mapping[str, npt.NDArray[Any]], columns: Columns, folder: Path, *, index: int, count: int
) -> Path:
    """Writes the rows of one shard atomically; writing it again replaces it. Arrays are `[rows, *shape]`."""
    rows = len(next(iter(arrays.values())))
    floats, ints = (_pack(arrays, columns, kind, rows) for kind in KINDS)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _name(index, count)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            writer.write(_Header(columns=dict(columns), row_count=rows).model_dump_json().encode())
            block_rows = max(1, min(BLOCK_ROWS, BLOCK_BYTES // max(1, row_bytes(columns))))
            for first in range(0, rows, block_rows):
                block = slice(first, first + block_rows)
                writer.write(floats[block].tobytes() + ints[block].tobytes())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _pack(arrays: Mapping[str, npt.NDArray[Any]], columns: Columns, kind: Kind, rows: int) -> npt.NDArray[Any]:
    matrix = np.empty((rows, width(columns, kind)), KINDS[kind])
    for name, column in columns.items():
        if column.kind == kind:
            matrix[:, column.offset : column.offset + column.width] = arrays[name].reshape(rows, column.width)
    return matrix


def _name(index: int, count: int) -> str:
    return f"data_tfrecord-{index:05d}-of-{count:05d}"


def shards(folder: Path, split: str) -> list[Path]:
    """The shards of a split, in name order; temporary files are left out.

    Raises:
        DataError: some are missing, by the count in the names.
    """
    found = sorted((folder / f"Split-{split}").glob("data_tfrecord-*"))
    if found:
        count = int(found[0].name.rpartition("-")[2])
        if [path.name for path in found] != [_name(index, count) for index in range(count)]:
            raise _damaged(found[0].parent, f"{len(found)} shards of {count}")
    return found


def read_columns(path: Path) -> dict[str, Column]:
    """The columns of a shard. Raises `DataError` when it is damaged."""
    with _reporting(path):
        return _read_header(_records(path), path).columns


def read(path: Path) -> Iterator[tuple[Floats, Ints]]:
    """The blocks of a shard, in order.

    Raises:
        DataError: it is damaged, or cut short.
    """
    with _reporting(path):
        records = _records(path)
        header = _read_header(records, path)
        found = 0
        for record in records:
            block = _decode(record, header.columns)
            found += len(block[0])
            yield block
        if found != header.row_count:
            raise _damaged(path, f"{found:,} rows of {header.row_count:,}")


def read_examples(path: Path) -> Iterator[bytes]:
    """The rows of a shard as tf.Examples, for other tools. Raises `DataError` as `read` does."""
    columns, encoder = read_columns(path), example_coder.RecordBatchToExamplesEncoder()
    for floats, ints in read(path):
        lists = {name: _as_lists(floats if of.kind == "float32" else ints, of) for name, of in columns.items()}
        yield from encoder.encode(pa.RecordBatch.from_pydict(lists))


def _as_lists(matrix: npt.NDArray[Any], column: Column) -> pa.LargeListArray:
    values = matrix[:, column.offset : column.offset + column.width]
    return pa.LargeListArray.from_arrays(np.arange(len(matrix) + 1) * column.width, values.reshape(-1))


def dataset(paths: Sequence[Path]) -> tf.data.Dataset:
    """Blocks as dicts of `[rows, *shape]` tensors, decoded in the graph. Raises `DataError` when the first is damaged."""
    columns = read_columns(paths[0])
    bytes_of = {kind: np.dtype(dtype).itemsize * width(columns, kind) for kind, dtype in KINDS.items()}

    def decode(record: Any) -> dict[str, Any]:
        floats_end = tf.strings.length(record) // sum(bytes_of.values()) * bytes_of["float32"]
        parts = {
            "float32": tf.strings.substr(record, 0, floats_end),
            "int64": tf.strings.substr(record, floats_end, -1),
        }
        floats, ints = (
            tf.reshape(tf.io.decode_raw(parts[kind], kind), (-1, max(1, width(columns, kind)))) for kind in KINDS
        )
        return {name: column.unpack(floats, ints) for name, column in columns.items()}

    files = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
    return files.flat_map(lambda path: tf.data.TFRecordDataset(path).skip(1)).map(decode)


def describe(artifact: Artifact, *, split_names: Sequence[str], span: int) -> None:
    """Sets what readers need to know of an Examples artifact; TFX has no name for this payload."""
    artifact.split_names = artifact_utils.encode_split_names(list(split_names))
    artifact.span = span
    examples_utils.set_payload_format(artifact, example_gen_pb2.PayloadFormat.FORMAT_UNSPECIFIED)
    examples_utils.set_file_format(artifact, FILE_FORMAT)


def _records(path: Path) -> Iterator[bytes]:
    return iter(tf.data.TFRecordDataset(str(path), buffer_size=_READ_AHEAD_BYTES).as_numpy_iterator())


def _read_header(records: Iterator[bytes], path: Path) -> _Header:
    try:
        return _Header.model_validate_json(next(records, b""))
    except pydantic.ValidationError as error:
        raise _damaged(path, "no header") from error


def _decode(record: bytes, columns: Columns) -> tuple[Floats, Ints]:
    float_width, int_width = width(columns, "float32"), width(columns, "int64")
    rows = len(record) // row_bytes(columns)
    floats = np.frombuffer(record, KINDS["float32"], rows * float_width)
    ints = np.frombuffer(record, KINDS["int64"], rows * int_width, offset=floats.nbytes)
    return floats.reshape(rows, float_width), ints.reshape(rows, int_width)


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    try:
        yield
    except tf.errors.OpError as error:
        raise _damaged(path, str(error.message).splitlines()[0]) from error


def _damaged(path: Path, words: str) -> DataError:
    return DataError(
        f"transformed examples must be whole. Received: {words}",
        fix="run the transform node again",
        place=str(path),
    )

"""The format of examples: Parquet whose columns are lists. No other module knows it.

    write_shard(to_lists(batch, columns), folder / "Split-train", index=0, count=4)
    for row_group in row_groups(folder, "train"):
        batch = read(row_group, columns=["price"])      # large_list<float>, null where the value is missing
        records = serialize(read(row_group))            # tf.Examples, for models and other tools
    describe(artifact, split_names=["train", "eval"], span=20458)

Stock TFX components read it too (payload FORMAT_PARQUET), because every column is a large list.
"""

from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact
from tfx_bsl.coders import example_coder

from components.days.listing import Days
from components.examples.texts import is_text
from pipelines.errors import DataError

ROW_GROUP_ROWS = 65_536
FILE_FORMAT = "FILE_FORMAT_PARQUET"

_INTS, _FLOATS, _BYTES = pa.large_list(pa.int64()), pa.large_list(pa.float32()), pa.large_list(pa.large_binary())
_ARROW_TYPES = {
    "int": _INTS,
    "ints": _INTS,
    "bool": _INTS,
    "float": _FLOATS,
    "floats": _FLOATS,
    "string": _BYTES,
    "strings": _BYTES,
    "image": _BYTES,
}

_Read = TypeVar("_Read")


class RowGroup(NamedTuple):
    """Where some rows are: what Beam hands from worker to worker, instead of rows."""

    path: str
    number: int
    row_count: int


def to_lists(batch: pa.RecordBatch, columns: Mapping[str, str]) -> pa.RecordBatch:
    """The rows as examples hold them; `columns` is the column type of the spec by name.

    Zeros, empty strings and empty lists are values; only null is missing. A column of encoded texts stays encoded, as
    `read(…, encoded=True)` gives it.
    """
    arrays = [_as_lists(batch.column(name), _ARROW_TYPES[kind]) for name, kind in columns.items()]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _as_lists(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """A scalar becomes a list of one, null a null list."""
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return array.cast(kind)
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    values = array.drop_null()
    values = _of_own_values(values) if pa.types.is_dictionary(values.type) else values.cast(kind.value_type)
    if not array.null_count:
        return pa.LargeListArray.from_arrays(pa.array(np.arange(len(array) + 1)), values)
    offsets = np.concatenate([[0], np.cumsum(array.is_valid().to_numpy(zero_copy_only=False))])
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values, mask=array.is_null())


def _of_own_values(texts: pa.DictionaryArray) -> pa.DictionaryArray:
    """Only values that are there, first seen first: the dictionary that Parquet would make of the plain texts."""
    numbers = texts.indices.dictionary_encode()
    return pa.DictionaryArray.from_arrays(numbers.indices, texts.dictionary.take(numbers.dictionary).cast(pa.binary()))


def write_shard(batch: pa.RecordBatch, folder: Path, *, index: int, count: int) -> Path:
    """Writes one shard atomically; equal batches are equal files, and one without rows is a file without row groups.

    Whether texts are encoded shows nowhere in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / shard_name(index, count)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        # Every option that shapes the bytes is named: a default may change with the next release.
        with pq.ParquetWriter(
            temporary,
            batch.schema,
            version="2.6",
            data_page_version="1.0",
            compression="zstd",
            compression_level=1,
            use_dictionary=[_leaf(field.name) for field in batch.schema if is_text(field.type)],
            column_encoding=_encodings(batch.schema),
            write_statistics=False,
            write_page_checksum=True,
            store_schema=False,
        ) as writer:
            writer.add_key_value_metadata({"ARROW:schema": _stored_schema(batch.schema)})
            if batch.num_rows:
                writer.write_batch(batch, row_group_size=ROW_GROUP_ROWS)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _stored_schema(schema: pa.Schema) -> bytes:
    """What Arrow readers make of the columns, in Arrow's own words: large lists of plain texts."""
    plain = [field.with_type(_BYTES) if is_text(field.type) else field for field in schema]
    return base64.b64encode(pa.schema(plain).serialize().to_pybytes())


def _encodings(schema: pa.Schema) -> dict[str, str]:
    """Of numbers: a dictionary of them makes writing a seventh slower, and reading a tenth."""
    by_type = {_INTS: "DELTA_BINARY_PACKED", _FLOATS: "BYTE_STREAM_SPLIT"}
    return {_leaf(field.name): by_type[field.type] for field in schema if field.type in by_type}


def _leaf(name: str) -> str:
    """Where Parquet keeps the values of a column of lists."""
    return f"{name}.list.element"


def shard_name(index: int, count: int) -> str:
    return f"data-{index:05d}-of-{count:05d}.parquet"


def shards(folder: Path, split: str) -> list[Path]:
    """The shards of a split, in name order; temporary files are left out."""
    return sorted(path for path in (folder / f"Split-{split}").glob("*") if not path.name.startswith((".", "_")))


def row_groups(folder: Path, split: str) -> list[RowGroup]:
    """The row groups of a split of the artifact at `folder`, in input order; none is empty.

    Raises:
        DataError: a shard is not Parquet, or was cut.
    """
    return [found for path in shards(folder, split) for found in _row_groups_of(path)]


def row_groups_by_day(folder: Path, split: str, days: Days) -> dict[str, list[RowGroup]]:
    """The same, by data day."""
    paths = shards(folder, split)
    return {
        day.day: [found for path in paths[day.first : day.first + day.count] for found in _row_groups_of(path)]
        for day in days.days
    }


def _row_groups_of(path: Path) -> list[RowGroup]:
    metadata = readable(path, lambda: pq.read_metadata(path))
    counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    return [RowGroup(str(path), number, count) for number, count in enumerate(counts) if count]


def read(row_group: RowGroup, columns: Sequence[str] | None = None, *, encoded: bool = False) -> pa.RecordBatch:
    """All columns or those named, in that order, as large lists; no slice of a larger parent.

    `encoded`: texts are large lists of dictionaries, as they lie in the file: what wants each value once need not look
    for it again. `components.examples.texts` knows what to do with them.

    Raises:
        DataError: the shard is gone or corrupt, or lacks a column.
    """
    table = readable(Path(row_group.path), lambda: _read_table(row_group, columns, encoded=encoded))
    if columns is not None:
        if missing := sorted(set(columns) - set(table.column_names)):
            raise DataError(
                f"`columns` must be columns of the examples. Received: {', '.join(missing)}",
                fix="declare them in `data.columns` of pipeline.yaml and run the examples node again",
                place=row_group.path,
            )
        table = table.select(list(columns))
    batch: pa.RecordBatch = table.combine_chunks().to_batches()[0]
    return batch


def read_weights(row_group: RowGroup, column: str) -> npt.NDArray[np.float32]:
    """`[rows]`: 1 where the examples have no such column."""
    if column not in readable(Path(row_group.path), lambda: pq.read_schema(row_group.path)).names:
        return np.ones(row_group.row_count, np.float32)
    return np.asarray(read(row_group, [column]).column(0).flatten(), np.float32)


def _read_table(row_group: RowGroup, columns: Sequence[str] | None, *, encoded: bool) -> pa.Table:
    metadata = pq.read_metadata(row_group.path)
    texts = _text_paths(metadata) if encoded else None
    # One thread: Beam's workers are the parallelism.
    with pq.ParquetFile(
        row_group.path, metadata=metadata, read_dictionary=texts, page_checksum_verification=True
    ) as file:
        return file.read_row_group(
            row_group.number, columns=None if columns is None else list(columns), use_threads=False
        )


def _text_paths(metadata: pq.FileMetaData) -> list[str]:
    leaves = (metadata.schema.column(index) for index in range(metadata.num_columns))
    return [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]


def readable(
    path: Path, reading: Callable[[], _Read], *, what: str = "a shard of the examples", node: str = "examples"
) -> _Read:
    """Raises `DataError` for a file that is damaged or gone: `what` it is, and the `node` that makes it."""
    try:
        return reading()
    except MemoryError:  # Arrow's own one is an ArrowException too
        raise
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{what} cannot be read: {' '.join(str(error).split())[:300]}",
            fix=f"delete the folder of that artifact, and run the {node} node again",
            place=str(path),
        ) from error


def serialize(batch: pa.RecordBatch) -> list[bytes]:
    """Ordinary tf.Examples of the rows of a batch."""
    encoded: list[bytes] = example_coder.RecordBatchToExamplesEncoder().encode(batch)
    return encoded


def describe(artifact: Artifact, *, split_names: Sequence[str], span: int) -> None:
    """Sets what readers need to know of an Examples artifact."""
    artifact.split_names = artifact_utils.encode_split_names(list(split_names))
    artifact.span = span
    examples_utils.set_payload_format(artifact, example_gen_pb2.PayloadFormat.FORMAT_PARQUET)
    examples_utils.set_file_format(artifact, FILE_FORMAT)

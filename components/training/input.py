"""The training input: the transformed TFRecords of a split, packed once for reading in any order.

pack(examples_uri, shapes, folder, split="train")
rows = Rows(folder / "train")
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from components.examples.records import shards
from components.training.rows import LAYOUT_FILE, Layout, RowsWriter, lay_out
from pipelines.errors import DataError, bounded

Shapes = Mapping[str, tuple[tuple[int, ...], str]]

# Parsing cost per row is flat beyond this, and memory stays at a few MB per batch.
PARSE_ROWS = 4096


def split_files(folder: Path, split: str) -> list[Path]:
    """The record files of a split, in name order.

    Raises:
        DataError: there is no such split.
    """
    files = shards(folder, split)
    if not files:
        known = bounded(sorted(path.name.removeprefix("Split-") for path in folder.glob("Split-*")))
        raise DataError(
            f"`split` must be one of {known or 'none'}. Received: split={split!r}",
            fix="declare it in `data.splits` of pipeline.yaml and run the day again",
            place=str(folder),
        )
    return files


def fingerprint(files: Sequence[Path], shapes: Shapes) -> str:
    """Digest of the files' names and sizes and of the columns read from them."""
    described = [f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in files]
    return hashlib.sha256(repr((described, sorted(shapes.items()))).encode()).hexdigest()


def pack(examples: Path, shapes: Shapes, folder: Path, *, split: str) -> Layout:
    """Packs one split of transformed examples into `folder/<split>`; one that is already there is kept.

    Raises:
        DataError: the split is missing, unreadable or has no rows.
    """
    files = split_files(examples, split)
    target, source = folder / split, fingerprint(files, shapes)
    if (kept := _layout(target)) is not None and kept.source == source:
        return kept
    with RowsWriter(target, lay_out(shapes).model_copy(update={"source": source})) as writer:
        for columns in _parse(files, shapes):
            writer.append(columns)
    layout = _layout(target)
    if layout is None or not layout.row_count:
        raise DataError(
            f"the split {split!r} has no rows", fix="check the day's rows and `data.splits`", place=str(examples)
        )
    return layout


def _layout(folder: Path) -> Layout | None:
    path = folder / LAYOUT_FILE
    return Layout.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def _parse(files: Sequence[Path], shapes: Shapes) -> Iterator[dict[str, npt.NDArray[Any]]]:
    import tensorflow as tf

    spec = {name: tf.io.FixedLenFeature(shape, tf.dtypes.as_dtype(dtype)) for name, (shape, dtype) in shapes.items()}
    for path in files:
        try:
            compression = _compression(path)
            dataset = tf.data.TFRecordDataset(str(path), compression_type=compression)
            dataset = dataset.batch(PARSE_ROWS).map(lambda records: tf.io.parse_example(records, spec)).prefetch(1)
            yield from dataset.as_numpy_iterator()
        except (tf.errors.OpError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(
                f"cannot read the records: {error}", fix="run the transform node again", place=str(path)
            ) from error


def _compression(path: Path) -> str:
    """`GZIP` for a file that is whole: TensorFlow takes one that was cut between two records for a shorter one."""
    if path.suffix != ".gz":
        return ""
    with gzip.open(path) as file:
        while file.read(1 << 20):
            pass
    return "GZIP"

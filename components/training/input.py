"""The training input: the transformed blocks of a split, laid side by side once for reading in any order.

pack(examples, folder, split="train")
rows = Rows(folder / "train")
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from components.training.rows import LAYOUT_FILE, Layout, RowsWriter
from components.transform.blocks import read, read_columns, shards
from pipelines.errors import DataError, bounded


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


def fingerprint(files: Sequence[Path]) -> str:
    """Digest of the files' names, sizes and times."""
    described = [f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in files]
    return hashlib.sha256(repr(described).encode()).hexdigest()


def pack(examples: Path, folder: Path, *, split: str) -> Layout:
    """Packs one split of transformed examples into `folder/<split>`; one that is already there is kept.

    Raises:
        DataError: the split is missing, damaged or has no rows.
    """
    files = split_files(examples, split)
    target, source = folder / split, fingerprint(files)
    if (kept := _layout(target)) is not None and kept.source == source:
        return kept
    columns = read_columns(files[0])
    # To Keras a scalar feature has shape [batch, 1].
    packed = {name: column.model_copy(update={"shape": column.shape or (1,)}) for name, column in columns.items()}
    with RowsWriter(target, packed, source=source) as writer:
        for path in files:
            if read_columns(path) != columns:
                raise DataError(
                    f"all shards of a split must have the columns of {files[0].name}. Received: others",
                    fix="run the transform node again",
                    place=str(path),
                )
            for floats, ints in read(path):
                writer.append(floats, ints)
    layout = _layout(target)
    if layout is None or not layout.row_count:
        raise DataError(
            f"the split {split!r} has no rows", fix="check the day's rows and `data.splits`", place=str(examples)
        )
    return layout


def _layout(folder: Path) -> Layout | None:
    path = folder / LAYOUT_FILE
    return Layout.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None

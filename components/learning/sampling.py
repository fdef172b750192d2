"""An even sample of a split, and where each of its rows lies in the transformed examples.

    for part in draw(row_groups(examples, "eval"), rows=20_000):
        read_part(part), read_transformed(part, transformed, "eval")      # the same rows, in the same order

The same day gives the same sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.examples.records import RowGroup, read
from components.transform.blocks import read as read_blocks
from components.transform.blocks import read_columns, shards

MAX_GROUPS = 16
"""Row groups looked at; each is read whole."""

Arrays = dict[str, npt.NDArray[Any]]


class Part(NamedTuple):
    number: int
    """Of the row group within its split."""
    group: RowGroup
    places: npt.NDArray[np.int64]
    """Of the sampled rows within it."""


def draw(groups: Sequence[RowGroup], *, rows: int) -> Iterator[Part]:
    """Row groups at even distances, and of each its share of the rows, at even distances too."""
    chosen = np.unique(np.linspace(0, len(groups) - 1, min(MAX_GROUPS, len(groups))).round().astype(int))
    total = sum(groups[index].row_count for index in chosen)
    for index in chosen:
        count = groups[index].row_count
        share = min(count, -(-rows * count // total))
        yield Part(int(index), groups[index], np.arange(share) * count // share)


def read_part(part: Part) -> pa.RecordBatch:
    """Raw columns, texts as plain values."""
    return read(part.group).take(pa.array(part.places))


def read_transformed(part: Part, folder: Path, split: str) -> Arrays | None:
    """The transformed columns of the same rows: a shard for each row group, in the same order.

    None where the transformed examples hold other rows, a sample of them. Raises `DataError` when they are damaged.
    """
    path = shards(folder, split)[part.number]
    columns = read_columns(path)
    floats, ints = (np.concatenate(matrices) for matrices in zip(*read_blocks(path), strict=True))
    if len(floats) != part.group.row_count:
        return None
    floats, ints = floats[part.places], ints[part.places]
    return {name: np.asarray(column.unpack(floats, ints)) for name, column in columns.items()}
